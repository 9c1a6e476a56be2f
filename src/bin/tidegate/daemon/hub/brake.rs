//! A source is read no faster than the fastest consumer takes it, for a short time.
//!
//! A source that says megabytes at once, a file for example, is faster than any reader. If nobody keeps up, reading on would only
//! make all of them skip. So the inputs wait while even the fastest consumer is half of `--queue` behind: for 50 ms at most, and
//! then until another half of `--queue` has come. So a source that says no more than that is never held, and consumers that take
//! nothing hold nobody up.

use std::time::Duration;

/// How long the inputs wait at a time.
pub const LONGEST: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub struct Brake {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Until the head of the ring is there, nothing is held.
    Free { until: u64 },
    /// The inputs wait since then.
    Holds { since: Duration },
}

impl Default for State {
    fn default() -> Self {
        State::Free { until: 0 }
    }
}

impl Brake {
    /// Whether the inputs are to wait: the fastest consumer is so many bytes `behind` the `head`; none if one is live, or if there
    /// is none.
    pub fn holds(&mut self, behind: Option<u64>, head: u64, queue: u64, now: Duration) -> bool {
        let behind = behind.unwrap_or(0);
        self.state = match self.state {
            State::Free { until } if behind * 2 >= queue && head >= until => State::Holds { since: now },
            State::Holds { since } if behind * 4 < queue || now.saturating_sub(since) >= LONGEST => {
                State::Free { until: head + queue / 2 }
            }
            state => state,
        };
        matches!(self.state, State::Holds { .. })
    }

    /// Whether it holds, and since when.
    pub fn since(&self) -> Option<Duration> {
        match self.state {
            State::Holds { since } => Some(since),
            State::Free { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    #[test]
    fn inputs_wait_for_the_fastest_consumer_and_no_longer_than_a_moment() {
        let mut brake = Brake::default();
        for (behind, head, time, holds) in [
            (None, 1000, 0, false),
            (Some(499), 1000, 1, false),
            (Some(500), 1001, 2, true),
            (Some(250), 1001, 30, true),
            (Some(249), 1001, 31, false), // it has caught up
            (Some(900), 1400, 32, false), // not before half of the queue has come
            (Some(900), 1501, 33, true),
            (Some(900), 1501, 82, true),
            (Some(900), 1501, 83, false), // it takes nothing
            (Some(1400), 2000, 84, false),
            (Some(1401), 2001, 85, true),
        ] {
            assert_eq!(brake.holds(behind, head, 1000, ms(time)), holds, "{behind:?} at {time} ms");
        }
    }
}
