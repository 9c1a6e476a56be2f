//! The user's timers and what is put off to the next tick or turn; and which entries of the timers still stand for
//! something.

use std::time::Duration;

use super::event::Event;
use super::link::Link;
use super::server::Server;
use super::ticks::Deferred;
use super::{Alarm, Net};
use crate::base::arena::Arena;
use crate::base::id::{ServerId, SocketId, TimerId};
use crate::base::timers::Due;

/// A timer of the user's.
#[derive(Debug)]
pub(super) struct UserTimer {
    due: Due,
    /// For a timer that comes again.
    every: Option<Duration>,
    pub referenced: bool,
}

impl Net {
    /// A timer that is due once, after `delay`: at least 1 ms, at most 2^31 - 1 ms, never early.
    #[doc(alias = "setTimeout")]
    pub fn after(&mut self, delay: Duration) -> TimerId {
        self.add_timer(delay, None)
    }

    /// A timer that is due again and again, `period` after the turn that it fired in. Periods that were missed are not made up
    /// for.
    #[doc(alias = "setInterval")]
    pub fn every(&mut self, period: Duration) -> TimerId {
        self.add_timer(period, Some(period))
    }

    fn add_timer(&mut self, delay: Duration, every: Option<Duration>) -> TimerId {
        let due = self.timers.after(self.time_of_call(), delay);
        let id = self.user_timers.insert_with(|_| UserTimer { due, every, referenced: true });
        self.timers.push(due, Alarm::User(id));
        self.referenced_timers += 1;
        id
    }

    /// Takes a timer back. False if it is gone already.
    #[doc(alias = "clearTimeout")]
    pub fn cancel(&mut self, id: TimerId) -> bool {
        let Some(timer) = self.user_timers.remove(id) else { return false };
        self.referenced_timers -= usize::from(timer.referenced);
        self.forget_alarm();
        true
    }

    /// Whether the timer keeps the loop running.
    pub fn set_timer_ref(&mut self, id: TimerId, on: bool) {
        if let Some(timer) = self.user_timers.get_mut(id)
            && timer.referenced != on
        {
            timer.referenced = on;
            self.referenced_timers = if on { self.referenced_timers + 1 } else { self.referenced_timers - 1 };
        }
    }

    pub(crate) fn timer_exists(&self, id: TimerId) -> bool {
        self.user_timers.contains(id)
    }

    /// Has [`Event::Tick`] with this number come before the next piece of work.
    #[doc(alias = "nextTick")]
    pub fn next_tick(&mut self, number: u64) {
        self.deferred.push_back(Deferred::User(number));
    }

    /// Has [`Event::Tick`] with this number come after all that has come in was served once: in
    /// this turn, or in the next one if it is asked for there.
    #[doc(alias = "setImmediate")]
    pub fn next_turn(&mut self, number: u64) {
        self.next_turns.push_back(number);
    }

    // ---- inside -----------------------------------------------------------------------------------------------------

    /// A timer is due. One that comes again is set anew.
    pub(super) fn expire_user(&mut self, id: TimerId, entry: Due) -> Option<Event> {
        let Some(timer) = self.user_timers.get_mut(id) else {
            self.timers.dropped_stale();
            return None;
        };
        debug_assert_eq!(timer.due, entry, "a timer has one entry");
        match timer.every {
            Some(period) => {
                timer.due = self.timers.after(self.counted_from, period);
                self.timers.push(timer.due, Alarm::User(id));
            }
            None => {
                self.referenced_timers -= usize::from(timer.referenced);
                self.user_timers.remove(id);
            }
        }
        Some(Event::Timer(id))
    }

    /// What a delay that is set by a call counts from. A handler may have taken long, and a loop may not have turned
    /// yet: the clock of the last wait alone would make the delay too short.
    pub(super) fn time_of_call(&self) -> Duration {
        self.counted_from.max(self.kernel.now())
    }

    /// An entry of the timers stands for nothing any more.
    pub(super) fn forget_alarm(&mut self) {
        let (sockets, servers, timers) = (&self.sockets, &self.servers, &self.user_timers);
        self.timers.forget_one(|due, alarm| is_live(sockets, servers, timers, due, alarm));
    }

    /// Whether an entry of the timers stands for something.
    pub(super) fn is_live(&self, due: Due, alarm: Alarm) -> bool {
        is_live(&self.sockets, &self.servers, &self.user_timers, due, alarm)
    }

    /// When the earliest entry that stands for something is due: what was cancelled must not wake a loop that sleeps.
    pub(super) fn next_alarm(&mut self) -> Option<Duration> {
        let (sockets, servers, timers) = (&self.sockets, &self.servers, &self.user_timers);
        self.timers.next_live(|due, alarm| is_live(sockets, servers, timers, due, alarm))
    }
}

/// Whether an entry of the timers still stands for something.
fn is_live(
    sockets: &Arena<SocketId, Link>,
    servers: &Arena<ServerId, Server>,
    timers: &Arena<TimerId, UserTimer>,
    due: Due,
    alarm: Alarm,
) -> bool {
    match alarm {
        Alarm::Idle(id) => {
            sockets.get(id).is_some_and(|link| link.connection.idle.as_ref().is_some_and(|idle| idle.is_live(due)))
        }
        Alarm::Grace(id) => sockets.get(id).is_some_and(|link| link.waits_for_grace(due)),
        Alarm::Retry(id) => sockets.get(id).is_some_and(|link| link.handle.is_some()),
        Alarm::Accept(id) => servers.get(id).is_some_and(|server| server.accepting.pauses_until(due)),
        Alarm::User(id) => timers.contains(id),
    }
}
