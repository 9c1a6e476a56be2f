//! What a user asks of time: timers, and what is put off to the next tick or turn.

use std::time::Duration;

use super::Net;
use super::agenda::Task;
use crate::base::id::TimerId;

impl Net {
    /// A timer that is due once, after `delay`: at least 1 ms, at most 2^31 - 1 ms, never early.
    #[doc(alias = "setTimeout")]
    pub fn after(&mut self, delay: Duration) -> TimerId {
        let now = self.cx.time_of_call();
        self.timers.set(now, delay, None, &mut self.cx.clock)
    }

    /// A timer that is due again and again, `period` after the turn that it fired in. Periods that were missed are not made up
    /// for.
    #[doc(alias = "setInterval")]
    pub fn every(&mut self, period: Duration) -> TimerId {
        let now = self.cx.time_of_call();
        self.timers.set(now, period, Some(period), &mut self.cx.clock)
    }

    /// Takes a timer back. False if it is gone already.
    #[doc(alias = "clearTimeout")]
    pub fn cancel(&mut self, id: TimerId) -> bool {
        self.timers.cancel(id, &mut self.cx.clock)
    }

    /// Whether the timer keeps the loop running.
    pub fn set_timer_ref(&mut self, id: TimerId, on: bool) {
        self.timers.set_ref(id, on);
    }

    pub(crate) fn timer_exists(&self, id: TimerId) -> bool {
        self.timers.exists(id)
    }

    /// Has [`Event::Tick`](super::Event::Tick) with this number come before the next piece of work.
    #[doc(alias = "nextTick")]
    pub fn next_tick(&mut self, number: u64) {
        self.cx.agenda.push(Task::NextTick(number));
    }

    /// Has [`Event::Tick`](super::Event::Tick) with this number come after all that has come in was served once: in
    /// this turn, or in the next one if it is asked for there.
    #[doc(alias = "setImmediate")]
    pub fn next_turn(&mut self, number: u64) {
        self.cx.agenda.next_turns.push(number);
    }
}
