//! Statistics of a loop: over every turn, nothing sampled, and nothing while they are not kept.
//!
//! ```text
//!   calls that read and write ── Counted (a kernel around the kernel) ──┐
//!   each turn ────────────────── counting.rs ──────────────────────────▶ Tally ──┐
//!   what seldom happens ──────── Cx::count ─────────────────────────────┘        ├──▶ Statistics ──▶ each()
//!   what can be asked for ────── connections, timers, segments, Counters ────────┘
//! ```
//!
//! | file | what is in it |
//! | --- | --- |
//! | `tally.rs` | what is counted |
//! | `counted.rs` | the kernel that counts its calls |
//! | `histogram.rs` | times by their size |
//! | `figures.rs` | each figure with its name, for those who show them |

mod counted;
mod figures;
mod histogram;
mod tally;

use std::collections::BTreeMap;
use std::time::Duration;

pub use figures::{Figure, FigureKind, FigureValue};
pub use histogram::Histogram;
pub use tally::LongestTurn;
pub(super) use tally::{Budget, Tally};

use super::Net;
use crate::base::id::ServerId;
use crate::connection::CloseReason;
use counted::Counted;
use tally::Base;

/// What a loop has done since [`Net::keep_statistics`], and how it is now.
///
/// [`Statistics::each`] gives all figures with their names.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Statistics {
    /// Turns that are over.
    pub turns: u64,
    /// The time in which they have worked.
    pub working: Duration,
    /// The time between: asleep in the kernel, or in the hands of the program outside of its handlers. `working` and `waiting`
    /// together are the time from the begin to the end of the last turn.
    pub waiting: Duration,
    /// How long the turns have worked.
    pub turn_times: Histogram,
    /// The longest of them since [`Net::take_longest_turn`] was called last.
    pub longest_turn: Option<LongestTurn>,
    /// How much later than due timers have come, of all kinds.
    pub timer_lags: Histogram,
    /// Waits for the kernel.
    pub waits: u64,
    /// What these have reported: sockets, files and servers that were ready, and signals.
    pub wait_events: u64,
    /// Waits that have reported as much as the kernel takes at once ([`Kernel::events_at_once`]) or more.
    ///
    /// [`Kernel::events_at_once`]: crate::kernel::Kernel::events_at_once
    pub full_waits: u64,
    /// What stood on the ready line when the last turn was over: what is served in the next one, without a wait.
    pub ready_left: u64,
    /// That, summed up over all turns.
    pub ready_left_sum: u64,
    /// How often a budget has cut work short, so that the rest had to wait for a later turn, by kind. The time of the turn
    /// ([`Net::set_turn_budget`]) in a phase: `flush`, `serve`, `next_turns`, `closes`, `timeouts`; or `yield`, where a connection
    /// has given its turn away; or `memory`, where the memory limit was not kept yet. `bytes`: one connection was read for
    /// all that it may be read for in a turn. `flushes`: more connections were to be flushed than are at one go. `receiver`: a
    /// receiver of a broadcast had passed a limit.
    pub budget_cuts: BTreeMap<&'static str, u64>,
    /// Calls that read, of sockets and files.
    pub reads: u64,
    /// Those that have found nothing (EAGAIN).
    pub reads_blocked: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Calls that write.
    pub writes: u64,
    /// Those that were taken in part.
    pub writes_short: u64,
    /// Those of which nothing was taken (EAGAIN).
    pub writes_blocked: u64,
    /// Bytes that the kernel has taken.
    pub bytes_written: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were closed at once, because their server had as many as it may.
    pub dropped: u64,
    /// Connections that were closed at once, because their server's block list said so.
    pub blocked: u64,
    /// Connections that were closed at once, because there was no descriptor for them.
    pub shed: u64,
    /// How long servers could not accept, summed up over the servers.
    pub accepting_paused: Duration,
    /// How many sockets and files there are, by state: `fresh`, `connecting`, `open`, `read_only`, `write_only`, `closing`.
    pub connections: BTreeMap<&'static str, u64>,
    /// How many connections each server has.
    pub server_connections: BTreeMap<ServerId, u64>,
    /// How many connections are over, by the reason in their `close`: [`CloseReason::name`].
    pub closes: BTreeMap<&'static str, u64>,
    /// Bytes that were written and that the kernel has not taken yet, of all connections.
    pub queued: u64,
    /// The memory of all queued output and read-ahead, in bytes.
    pub memory_held: u64,
    /// Segments of messages that were broadcast and are still to be sent to somebody.
    pub shared_segments: u64,
    /// Messages that output limits have dropped.
    pub messages_dropped: u64,
    /// Connections that output limits have ended.
    pub limited: u64,
    /// Errors that no handler has listened to.
    pub errors_unhandled: u64,
    /// Timers that run: idle clocks and other times of connections, pauses of servers, those of the program.
    pub timers: u64,
    /// Timers that were set. An idle clock that was moved is set again when it comes up.
    pub timers_set: u64,
    /// Timers that have come up.
    pub timers_due: u64,
    /// Timers that were taken back before.
    pub timers_cancelled: u64,
}

impl Net {
    /// Counts from now on what [`Net::statistics`] tells, for as long as the net lives. Until then nothing is counted, and
    /// nothing paid. Another call changes nothing.
    pub fn keep_statistics(&mut self) {
        if self.cx.tally.is_some() {
            return;
        }
        let timers = self.cx.clock.timers.len() as u64;
        let base = Base {
            since: self.cx.kernel.now(),
            counters: self.cx.counters,
            bytes_read: self.bytes_read(),
            timers_set: self.cx.clock.timers.set_count(),
            timers,
        };
        let events_at_once = self.cx.kernel.events_at_once();
        let calls = Counted::around(&mut self.cx.kernel);
        self.cx.tally = Some(Box::new(Tally { base, calls, events_at_once, ..Tally::default() }));
        self.is_watched = true;
    }

    /// What was counted since [`Net::keep_statistics`], and how the loop is now; `None` without it. It asks each connection
    /// once, and changes nothing.
    ///
    /// ```
    /// # let mut event_loop = tidegate::EventLoop::new()?;
    /// event_loop.net.keep_statistics();
    /// event_loop.turn(Some(std::time::Duration::ZERO))?;
    /// let statistics = event_loop.net.statistics().expect("they are kept");
    /// assert_eq!((statistics.turns, statistics.waits, statistics.accepted), (1, 1, 0));
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn statistics(&self) -> Option<Statistics> {
        let cx = &self.cx;
        let tally = cx.tally.as_deref()?;
        let (base, counters) = (&tally.base, &cx.counters);
        let timers = cx.clock.timers.len() as u64;
        let timers_set = cx.clock.timers.set_count() - base.timers_set;
        let mut statistics = Statistics {
            turns: tally.turns,
            working: Duration::from_nanos(tally.worked),
            waiting: tally.waiting(),
            turn_times: tally.turn_times.clone(),
            longest_turn: tally.longest,
            timer_lags: tally.timer_lags.clone(),
            waits: tally.waits,
            wait_events: tally.events,
            full_waits: tally.full_waits,
            ready_left: tally.ready_left,
            ready_left_sum: tally.ready_left_sum,
            budget_cuts: Budget::NAMES.into_iter().zip(tally.cuts).collect(),
            reads: tally.calls.reads.get(),
            reads_blocked: tally.reads_blocked,
            bytes_read: self.bytes_read() - base.bytes_read,
            writes: tally.calls.writes.get(),
            writes_short: tally.writes_short,
            writes_blocked: tally.writes_blocked,
            bytes_written: tally.calls.offered.get() - tally.refused,
            accepted: counters.accepted - base.counters.accepted,
            dropped: counters.dropped - base.counters.dropped,
            blocked: counters.blocked - base.counters.blocked,
            shed: counters.shed - base.counters.shed,
            accepting_paused: tally.accepting_paused,
            connections: STATES.into_iter().map(|state| (state, 0)).collect(),
            server_connections: BTreeMap::new(),
            closes: CloseReason::ALL.into_iter().map(CloseReason::name).zip(tally.closes).collect(),
            queued: 0,
            memory_held: cx.memory_held() as u64,
            shared_segments: cx.segments.len() as u64,
            messages_dropped: counters.messages_dropped - base.counters.messages_dropped,
            limited: counters.limited - base.counters.limited,
            errors_unhandled: counters.errors_unhandled - base.counters.errors_unhandled,
            timers,
            timers_set,
            timers_due: tally.timers_due,
            timers_cancelled: base.timers + timers_set - tally.timers_due - timers,
        };
        let now = cx.now();
        for (id, server) in self.servers.iter() {
            statistics.server_connections.insert(id, cx.servers.connections(id) as u64);
            if let Some(since) = server.paused_since() {
                statistics.accepting_paused += now.saturating_sub(since.max(base.since));
            }
        }
        for (_, conn) in self.conns.iter() {
            *statistics.connections.entry(conn.state()).or_default() += 1;
            statistics.queued += conn.connection.queue().unsent() as u64;
        }
        Some(statistics)
    }

    /// The turn that has worked longest since this was called last, or since the statistics are kept.
    pub fn take_longest_turn(&mut self) -> Option<LongestTurn> {
        self.cx.tally.as_mut()?.longest.take()
    }

    /// Bytes that were read, of the connections that there are and of those that are gone since.
    fn bytes_read(&self) -> u64 {
        let gone = self.cx.tally.as_ref().map_or(0, |tally| tally.bytes_read);
        gone + self.conns.iter().map(|(_, conn)| conn.connection.bytes_read()).sum::<u64>()
    }
}

/// The states of connections, as [`Conn::state`](super::conn::Conn::state) has them.
const STATES: [&str; 6] = ["fresh", "connecting", "open", "read_only", "write_only", "closing"];
