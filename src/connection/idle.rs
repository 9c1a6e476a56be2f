//! Node's idle clock of a connection, `set_timeout`.
//!
//! It is one number that activity moves and one entry in the net's timers, which may be earlier than the number and is
//! corrected when it comes up: a connection that is busy costs a store for each activity, and the timers are touched
//! once a period.
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
    /// The entry in the timers that stands for this clock; others are stale.
    entry: Option<Due>,
    /// How many bytes of the write in flight were unsent when they were last looked at; 0 with none in flight. The first
    /// value is the whole write, so a write that stalls altogether is noticed after two periods, as in Node.
    stalled_at: usize,
}

/// What is to become of an entry of the timers that came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// It stands for nothing.
    Stale,
    /// There was activity, or a write in flight moved: put it back at this time.
    Later(Due),
    /// Tell `timeout`.
    Timeout,
}

impl Idle {
    /// Sets the period and starts it; None turns the clock off. The entry to put into the timers, if it needs one.
    pub fn set<K: Ord + Copy>(
        &mut self,
        period: Option<Duration>,
        now: Duration,
        timers: &mut Timers<K>,
    ) -> Option<Due> {
        self.period = period;
        self.stopped = false;
        self.due = None;
        self.activity(now, timers)
    }

    /// Something moved: the period begins again. The entry to put into the timers, if it needs one.
    #[inline]
    pub fn activity<K: Ord + Copy>(&mut self, now: Duration, timers: &mut Timers<K>) -> Option<Due> {
        let period = self.period.filter(|_| !self.stopped)?;
        let due = timers.after(now, period);
        // Activity counts from the beginning of its turn. A period that was set later in the turn begins there.
        let due = self.due.map_or(due, |before| before.max(due));
        self.due = Some(due);
        match self.entry {
            Some(entry) if entry <= due => None,
            _ => {
                self.entry = Some(due);
                self.entry
            }
        }
    }

    /// An entry came up. `unsent` is what is left of the write in flight, if there is one.
    pub fn expire<K: Ord + Copy>(
        &mut self,
        entry: Due,
        unsent: usize,
        now: Duration,
        timers: &mut Timers<K>,
    ) -> Expiry {
        if self.entry != Some(entry) {
            return Expiry::Stale;
        }
        self.entry = None;
        let Some(due) = self.due else { return Expiry::Stale };
        if due > entry {
            self.entry = Some(due);
            return Expiry::Later(due);
        }
        if self.stalled_at > 0 && self.stalled_at != unsent {
            self.stalled_at = unsent;
            if let Some(due) = self.activity(now, timers) {
                return Expiry::Later(due);
            }
        }
        self.due = None;
        Expiry::Timeout
    }

    /// A write of `length` bytes is in flight now; with 0, none is any more.
    pub fn write_in_flight(&mut self, length: usize) {
        self.stalled_at = length;
    }

    /// Stops for good: the connection is destroyed. The period stays readable, as in Node.
    pub fn stop(&mut self) {
        self.due = None;
        self.entry = None;
        self.stopped = true;
        self.stalled_at = 0;
    }

    pub fn period(&self) -> Option<Duration> {
        self.period
    }

    /// Whether a timeout will come if nothing moves.
    pub fn is_running(&self) -> bool {
        self.due.is_some()
    }

    /// Whether an entry of the timers stands for this clock.
    pub fn has_entry(&self) -> bool {
        self.entry.is_some()
    }

    /// Whether the entry is the one that stands for this clock.
    pub fn is_live(&self, entry: Due) -> bool {
        self.entry == Some(entry)
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
            if let Some(due) = self.idle.set((period > 0).then(|| ms(period)), ms(now), &mut self.timers) {
                self.timers.push(due, ());
            }
        }

        fn activity(&mut self, now: u64) {
            if let Some(due) = self.idle.activity(ms(now), &mut self.timers) {
                self.timers.push(due, ());
            }
        }

        /// Runs the timers from one millisecond to another and says when `timeout` came.
        fn timeouts(&mut self, from: u64, to: u64, unsent: impl Fn(u64) -> usize) -> Vec<u64> {
            let mut told = Vec::new();
            for now in from..=to {
                while let Some((entry, ())) = self.timers.pop(ms(now)) {
                    match self.idle.expire(entry, unsent(now), ms(now), &mut self.timers) {
                        Expiry::Stale => {}
                        Expiry::Later(due) => self.timers.push(due, ()),
                        Expiry::Timeout => told.push(now),
                    }
                }
            }
            told
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
        assert_eq!(clock.timeouts(200, 300, |_| 0), []);
    }

    #[test]
    fn a_write_that_moves_holds_it_off_and_a_stalled_one_takes_two_periods() {
        let mut clock = Clock::new();
        clock.set(0, 10);
        clock.idle.write_in_flight(1000);
        assert_eq!(clock.timeouts(0, 15, |_| 400), [], "400 of 1000 are left: it moved");
        assert_eq!(clock.timeouts(16, 100, |_| 400), [20], "and then it did not");
    }

    #[test]
    fn it_costs_one_entry_however_busy_the_connection_is() {
        let mut clock = Clock::new();
        clock.set(0, 1000);
        for now in 1..500 {
            clock.activity(now);
        }
        assert!(clock.timers.pop(ms(2000)).is_some());
        assert!(clock.timers.pop(ms(2000)).is_none());
    }
}
