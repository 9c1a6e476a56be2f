//! What a loop has counted, and how it is, at one time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::Histogram;
use super::tally::LongestTurn;
use crate::base::id::ServerId;

/// What a loop has done since [`Net::keep_statistics`](crate::Net::keep_statistics), and how it is now.
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
    /// The longest of them since [`Net::take_longest_turn`](crate::Net::take_longest_turn) was called last.
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
    /// ([`Net::set_turn_budget`](crate::Net::set_turn_budget)) in a phase: `flush`, `serve`, `next_turns`, `closes`, `timeouts`; or `yield`, where a connection
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
    /// How many connections are over, by the reason in their `close`: [`CloseReason::name`](crate::CloseReason::name).
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
