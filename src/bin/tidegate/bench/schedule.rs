//! When messages are due if there is a rate: at even intervals, whatever the server does.
//!
//! The timers of the event loop count milliseconds, and a latency may be much shorter: a [`PreciseTimer`] counts
//! nanoseconds.

use std::time::Duration;

#[cfg(target_os = "linux")]
use tidegate::FileOptions;
use tidegate::{Error, EventLoop};

#[derive(Debug)]
pub struct Schedule {
    began: Duration,
    /// Messages per second.
    rate: u32,
    /// How many messages were taken.
    taken: u64,
}

impl Schedule {
    /// The first message is due at once.
    pub fn begin(now: Duration, rate: u32) -> Self {
        Schedule { began: now, rate, taken: 0 }
    }

    /// When the next message is due.
    pub fn next(&self) -> Duration {
        let nanoseconds = u128::from(self.taken) * 1_000_000_000 / u128::from(self.rate.max(1));
        self.began + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// Takes the next message if it is due, and returns the time when it was.
    pub fn take(&mut self, now: Duration) -> Option<Duration> {
        let due = self.next();
        (due <= now).then(|| {
            self.taken += 1;
            due
        })
    }

    /// How many messages were due by now and are not taken.
    pub fn overdue(&self, now: Duration) -> u64 {
        let due = now.saturating_sub(self.began).as_nanos() * u128::from(self.rate) / 1_000_000_000;
        u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(self.taken)
    }
}

/// The waits of so many messages which were due one after the other, the first of them `longest` ago. They go in groups, because
/// there may be very many.
pub fn waits(longest: Duration, rate: u32, many: u64) -> impl Iterator<Item = (Duration, u64)> {
    const GROUPS: u64 = 10_000;

    let groups = many.clamp(1, GROUPS);
    let border = move |group: u64| (u128::from(many) * u128::from(group) / u128::from(groups)) as u64;
    (0..groups).map(move |group| {
        let (begin, end) = (border(group), border(group + 1));
        let middle = Duration::from_secs_f64((begin + end - 1) as f64 / 2.0 / f64::from(rate.max(1)));
        (longest.saturating_sub(middle), end - begin)
    })
}

/// Ends the wait of a turn at the right microsecond, if the system can.
#[derive(Debug)]
pub struct PreciseTimer {
    #[cfg(target_os = "linux")]
    timer: std::os::fd::OwnedFd,
    /// What it is set to. It is not set again in each turn.
    #[cfg(target_os = "linux")]
    set_to: Option<Duration>,
}

#[cfg(target_os = "linux")]
impl PreciseTimer {
    /// On Linux a timer is a descriptor, and the event loop watches it as it watches a pipe.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn new<S>(event_loop: &mut EventLoop<S>) -> Result<Self, Error> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(std::io::Error::from)?;
        let watched = timer.try_clone()?;
        event_loop.event_loop().adopt_file(watched, FileOptions::read(), |timer| {
            timer.set_ref(false);
            timer.on_data(|_, _| {}); // it only has to end the turn
        })?;
        Ok(PreciseTimer { timer, set_to: None })
    }

    /// One turn, which waits until `until` at most.
    ///
    /// # Errors
    /// Those of the system when it waits for events.
    pub fn turn<S>(&mut self, event_loop: &mut EventLoop<S>, now: Duration, until: Duration) -> Result<(), Error> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        if until <= now {
            return event_loop.turn(Some(Duration::ZERO));
        }
        if self.set_to != Some(until) {
            let it_value = Timespec::try_from(until - now)
                .map_err(|_| std::io::ErrorKind::InvalidInput)
                .map_err(std::io::Error::from)?;
            let value = Itimerspec { it_interval: Timespec::default(), it_value };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value).map_err(std::io::Error::from)?;
            self.set_to = Some(until);
        }
        event_loop.turn(None)
    }
}

/// Elsewhere the event loop's own timers are used: a message may be sent a millisecond late, which counts as latency.
#[cfg(not(target_os = "linux"))]
impl PreciseTimer {
    pub fn new<S>(_: &mut EventLoop<S>) -> Result<Self, Error> {
        Ok(PreciseTimer {})
    }

    pub fn turn<S>(&mut self, event_loop: &mut EventLoop<S>, now: Duration, until: Duration) -> Result<(), Error> {
        event_loop.turn(Some(until.saturating_sub(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_at_even_times() {
        let ms = Duration::from_millis;
        let mut schedule = Schedule::begin(ms(100), 500);
        assert_eq!(schedule.take(ms(99)), None);
        assert_eq!(schedule.take(ms(103)), Some(ms(100)));
        assert_eq!(schedule.take(ms(103)), Some(ms(102)));
        assert_eq!((schedule.take(ms(103)), schedule.next()), (None, ms(104)));
        assert_eq!(schedule.overdue(ms(104)), 0);
        assert_eq!(schedule.overdue(ms(1100)), 498);
    }

    #[test]
    fn what_is_overdue_has_waited_for_evenly_spread_times() {
        let ms = Duration::from_millis;
        let some: Vec<_> = waits(ms(2000), 2, 4).collect();
        assert_eq!(some, [(ms(2000), 1), (ms(1500), 1), (ms(1000), 1), (ms(500), 1)]);
        let many: Vec<_> = waits(ms(10_000), 1_000_000, 10_000_000).collect();
        assert_eq!((many.len(), many.iter().map(|(_, many)| many).sum::<u64>()), (10_000, 10_000_000));
        assert!(many[0].0 > ms(9999) && many[9_999].0 < ms(1));
    }

    #[test]
    fn a_rate_is_kept_without_drift() {
        let mut schedule = Schedule::begin(Duration::ZERO, 3);
        let hour = Duration::from_secs(3600);
        let taken = std::iter::from_fn(|| schedule.take(hour)).filter(|due| *due < hour).count();
        assert_eq!(taken, 3 * 3600);
    }
}
