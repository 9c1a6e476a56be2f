//! A net whose statistics are kept: when it is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Net;
use super::agenda::Phase;
use super::clock::Sleep;
use super::event::Event;
use super::statistics::{Base, Budget, Counted, LongestTurn, Statistics, Tally};
use super::trace::{Whom, whom_of};
use super::turn::FLUSHES_AT_ONCE;
use super::turn_time::{Nanos, nanos};
use crate::base::error::Error;
use crate::base::timers::Due;
use crate::connection::CloseReason;

impl Net {
    /// Counts from now on what [`Net::statistics`] tells, for as long as the net lives. Until then nothing is counted, and
    /// nothing paid. Another call changes nothing.
    pub fn keep_statistics(&mut self) {
        if self.cx.tally.is_some() {
            return;
        }
        let timers = self.cx.clock.timers.len() as u64;
        let base = Base {
            since: self.cx.kernel.now_to_measure(),
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
        let now = cx.kernel.now_to_measure();
        for (id, server) in self.servers.iter().filter(|(_, server)| !server.options.apart) {
            statistics.server_connections.insert(id, cx.servers.connections(id) as u64);
            if let Some(since) = server.paused_since() {
                statistics.accepting_paused += now.saturating_sub(since.max(base.since));
            }
        }
        for (_, conn) in self.conns.iter().filter(|(_, conn)| !conn.apart) {
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

    // ---- inside -----------------------------------------------------------------------------------------------------

    /// As [`Net::next_event`], of a net that is traced or whose statistics are kept.
    #[inline(never)]
    pub(super) fn next_event_watched(&mut self, sleep: Sleep) -> Result<Option<Event>, Error> {
        self.handler_has_returned();
        let event = match self.tracer {
            None => self.advance(sleep),
            Some(_) => self.next_event_traced(sleep),
        };
        if let Ok(Some(event)) = &event {
            self.hands_out(event);
        }
        event
    }

    fn hands_out(&mut self, event: &Event) {
        if let (Some(tally), Whom::Socket(id)) = (&mut self.cx.tally, whom_of(event)) {
            tally.watch.hand_out(id, nanos(self.cx.kernel.now_to_measure()));
        }
    }

    fn handler_has_returned(&mut self) {
        if let Some(tally) = &mut self.cx.tally
            && tally.watch.has_handed_out()
        {
            tally.watch.handler_returned(nanos(self.cx.kernel.now_to_measure()));
        }
    }

    /// What was done is told with the phase in which it was done. The next phase begins: the clock is looked at if that has
    /// something to do. The phase Serve begins with the end of the wait, and Timeouts with its first timer.
    #[inline]
    pub(super) fn phase_is_over(&mut self) {
        if self.tracer.is_some() {
            self.tell_notes();
        }
        let agenda = &self.cx.agenda;
        let (next, work) = match self.phase {
            Phase::Start => (Phase::Flush, agenda.flush.len()),
            Phase::Serve => (Phase::FlushAgain, agenda.flush.len()),
            Phase::FlushAgain => (Phase::NextTurns, agenda.next_turns.len()),
            Phase::NextTurns => (Phase::Closes, agenda.closes.len()),
            Phase::Flush | Phase::Wait | Phase::Closes | Phase::Timeouts => return,
        };
        if work > 0 {
            self.phase_has_work(next, work);
        }
    }

    #[inline(never)]
    fn phase_has_work(&mut self, next: Phase, work: usize) {
        let Some(tally) = &mut self.cx.tally else { return };
        if matches!(next, Phase::Flush | Phase::FlushAgain) && work > FLUSHES_AT_ONCE {
            tally.cut(Budget::Flushes);
        }
        tally.watch.begin(Some(next), nanos(self.cx.kernel.now_to_measure()));
    }

    /// A turn is over that has worked for so long.
    #[inline]
    pub(super) fn count_turn(&mut self, worked: Nanos, now: Duration) {
        let left = self.cx.agenda.ready.len();
        self.cx.count(|tally| tally.end_turn(worked, nanos(now), left));
    }

    /// A wait is over that has found so much.
    #[inline]
    pub(super) fn count_wait(&mut self, found: usize, now: Duration) {
        self.cx.count(|tally| {
            tally.waits += 1;
            tally.events += found as u64;
            tally.full_waits += u64::from(found >= tally.events_at_once);
            tally.watch.begin(Some(Phase::Serve), nanos(now));
        });
    }

    /// A timer has come up.
    #[cold]
    pub(super) fn count_timer(&mut self, due: Due) {
        let now = self.cx.kernel.now_to_measure();
        let lag = now.saturating_sub(due.time());
        self.cx.count(|tally| {
            tally.watch.continue_with(Phase::Timeouts, nanos(now));
            tally.timers_due += 1;
            tally.timer_lags.add(nanos(lag));
        });
    }
}

/// The states of connections, as [`Conn::state`](super::conn::Conn::state) has them.
const STATES: [&str; 6] = ["fresh", "connecting", "open", "read_only", "write_only", "closing"];
