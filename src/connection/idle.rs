//! Node's idle clock of a connection, `set_timeout`.
//!
//! It is one number that activity moves and one entry in the timers, which may be earlier than the number and is set again
//! when it comes up: a connection that is busy costs a store for each activity, and the timers are touched once a period.
//!
//! ```text
//!            set(period)                     expired, a write moves: wait again
//!   Off ───────────────────▶ Waiting{due} ──────────────┐
//!    ▲                          ▲   │  ▲────────────────┘
//!    │ set(zero), destroyed     │   │ expired: `timeout`
//!    │                 activity │   ▼
//!    └────────────────────────  Fired
//! ```

use std::time::Duration;

use crate::base::timers::{Due, Timers};

/// The idle clock of one connection.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// None: off.
    period: Option<Duration>,
    /// The connection was destroyed: nothing but a new period starts it again.
    stopped: bool,
    /// When it expires. None: off, or fired since the last activity.
    due: Option<Due>,
    /// The entry in the timers, never after `due`.
    entry: Option<Due>,
    /// How many bytes of the write in flight were unsent when they were last looked at; 0 with none in flight. The first
    /// value is the whole write, so a write that stalls altogether is noticed after two periods, as in Node.
    stalled_at: usize,
}

impl Idle {
    /// Sets the period and starts it; None turns the clock off. `what` is what its entry in the timers says.
    pub fn set<K: Copy>(&mut self, period: Option<Duration>, now: Duration, timers: &mut Timers<K>, what: K) {
        self.period = period;
        self.stopped = false;
        self.due = None;
        match period {
            Some(_) => self.activity(now, timers, what),
            None => self.remove_entry(timers),
        }
    }

    /// Something moved: the period begins again.
    #[inline]
    pub fn activity<K: Copy>(&mut self, now: Duration, timers: &mut Timers<K>, what: K) {
        let Some(period) = self.period.filter(|_| !self.stopped) else { return };
        let due = timers.due_after(now, period);
        // Activity counts from the beginning of its turn. A period that was set later in the turn begins there.
        let due = self.due.map_or(due, |before| before.max(due));
        self.due = Some(due);
        if self.entry.is_none_or(|entry| entry > due) {
            self.remove_entry(timers);
            timers.insert(due, what);
            self.entry = Some(due);
        }
    }

    /// Its entry came up. `unsent` is what is left of the write in flight, if there is one. Whether `timeout` is to be
    /// emitted.
    pub fn expire<K: Copy>(&mut self, unsent: usize, now: Duration, timers: &mut Timers<K>, what: K) -> bool {
        let (Some(entry), Some(due)) = (self.entry.take(), self.due) else { return false };
        if due > entry {
            timers.insert(due, what);
            self.entry = Some(due);
            return false;
        }
        if self.stalled_at > 0 && self.stalled_at != unsent {
            self.stalled_at = unsent;
            self.activity(now, timers, what);
            return false;
        }
        self.due = None;
        true
    }

    /// A write of `length` bytes is in flight now; with 0, none is any more.
    pub fn write_in_flight(&mut self, length: usize) {
        self.stalled_at = length;
    }

    /// Stops for good: the connection is destroyed. The period stays readable, as in Node.
    pub fn stop<K: Copy>(&mut self, timers: &mut Timers<K>) {
        self.due = None;
        self.stopped = true;
        self.stalled_at = 0;
        self.remove_entry(timers);
    }

    pub fn period(&self) -> Option<Duration> {
        self.period
    }

    /// Whether a timeout will come if nothing moves.
    pub fn is_running(&self) -> bool {
        self.due.is_some()
    }

    /// Its entry in the timers.
    pub fn entry(&self) -> Option<Due> {
        self.entry
    }

    fn remove_entry<K: Copy>(&mut self, timers: &mut Timers<K>) {
        if let Some(entry) = self.entry.take() {
            timers.remove(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// A clock with the timers that it lives in.
    struct Clock {
        idle: Idle,
        timers: Timers<()>,
    }

    impl Clock {
        fn new() -> Self {
            Clock { idle: Idle::default(), timers: Timers::new() }
        }

        fn set(&mut self, now: u64, period: u64) {
            self.idle.set((period > 0).then(|| ms(period)), ms(now), &mut self.timers, ());
        }

        fn activity(&mut self, now: u64) {
            self.idle.activity(ms(now), &mut self.timers, ());
        }

        /// Runs the timers from one millisecond to another and says when `timeout` came.
        fn timeouts(&mut self, from: u64, to: u64, unsent: impl Fn(u64) -> usize) -> Vec<u64> {
            let mut emitted = Vec::new();
            for now in from..=to {
                while self.timers.pop(ms(now)).is_some() {
                    if self.idle.expire(unsent(now), ms(now), &mut self.timers, ()) {
                        emitted.push(now);
                    }
                }
            }
            emitted
        }
    }

    #[test]
    fn it_fires_once_for_each_idle_period() {
        let mut clock = Clock::new();
        clock.set(0, 10);
        assert_eq!(clock.timeouts(0, 100, |_| 0), [10]);
        clock.activity(100);
        assert_eq!(clock.timeouts(100, 200, |_| 0), [110]);
    }

    #[test]
    fn activity_moves_it() {
        let mut clock = Clock::new();
        clock.set(0, 10);
        clock.activity(6);
        clock.activity(9);
        assert_eq!(clock.timeouts(0, 100, |_| 0), [19]);
    }

    #[test]
    fn activity_of_an_earlier_time_does_not_make_it_early() {
        let mut clock = Clock::new();
        clock.set(5, 10);
        clock.activity(3);
        assert_eq!(clock.timeouts(0, 100, |_| 0), [15]);
    }

    #[test]
    fn a_shorter_period_counts_at_once_and_none_turns_it_off() {
        let mut clock = Clock::new();
        clock.set(0, 100);
        clock.set(0, 10);
        assert_eq!(clock.timeouts(0, 200, |_| 0), [10]);
        clock.set(200, 10);
        clock.set(200, 0);
        assert!(clock.timeouts(200, 300, |_| 0).is_empty());
    }

    #[test]
    fn a_write_that_moves_holds_it_off_and_a_stalled_one_takes_two_periods() {
        let mut clock = Clock::new();
        clock.set(0, 10);
        clock.idle.write_in_flight(1000);
        assert!(clock.timeouts(0, 15, |_| 400).is_empty(), "400 of 1000 are left: it moved");
        assert_eq!(clock.timeouts(16, 100, |_| 400), [20], "and then it did not");
    }

    #[test]
    fn it_costs_one_entry_however_busy_the_connection_is() {
        let mut clock = Clock::new();
        clock.set(0, 1000);
        for now in 1..500 {
            clock.activity(now);
            clock.set(now, 1000 + now);
        }
        assert_eq!(clock.timers.iter().count(), 1);
        assert_eq!(clock.timers.next(), Some(ms(1000)), "a longer period does not touch the timers");
        clock.set(500, 10);
        assert_eq!(clock.timers.next(), Some(ms(510)), "a shorter one does");
        clock.set(500, 0);
        assert_eq!(clock.timers.next(), None, "a clock that is off wakes nobody");
        clock.set(500, 10);
        clock.idle.stop(&mut clock.timers);
        assert_eq!(clock.timers.next(), None, "nor does that of a connection that was destroyed");
    }
}
