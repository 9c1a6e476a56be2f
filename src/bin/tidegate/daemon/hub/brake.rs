//! A source is read no faster than the fastest consumer takes it, for a short time.
//!
//! A source that says megabytes at once, a file for example, is faster than any reader. If nobody keeps up, reading on would only
//! make all of them skip. So the inputs wait while even the fastest consumer is half of `--queue` behind: for 50 ms at most, and
//! then until another half of `--queue` has come. So a source that says no more than that is never held.
//!
//! If the fastest consumer has taken nothing in that time, it is stuck, and so are all others: the inputs do not wait again until
//! one of them goes on.

use std::time::Duration;

/// How long the inputs wait at a time.
pub const LONGEST: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub struct Brake {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is held until the head of the ring is there, and not for a fastest consumer that is stuck there.
    Free { until: u64, stuck_at: Option<u64> },
    /// The inputs wait since then, when the fastest consumer was there.
    Holds { since: Duration, fastest: u64 },
}

impl Default for State {
    fn default() -> Self {
        State::Free { until: 0, stuck_at: None }
    }
}

impl Brake {
    /// Whether the inputs are to wait: the `fastest` consumer gets this byte next, and the next byte that comes is the `head`. None
    /// if one is live, or if there is none.
    pub fn holds(&mut self, fastest: Option<u64>, head: u64, queue: u64, now: Duration) -> bool {
        let behind = fastest.map_or(0, |fastest| head - fastest);
        let free = |stuck_at| State::Free { until: head + queue / 2, stuck_at };
        self.state = match (self.state, fastest) {
            (State::Free { until, stuck_at }, Some(fastest))
                if behind * 2 >= queue && head >= until && stuck_at != Some(fastest) =>
            {
                State::Holds { since: now, fastest }
            }
            (State::Holds { .. }, _) if behind * 4 < queue => free(None),
            (State::Holds { since, fastest: before }, _) if now.saturating_sub(since) >= LONGEST => {
                free(fastest.filter(|fastest| *fastest == before))
            }
            (state, _) => state,
        };
        self.is_holding()
    }

    /// What was the last answer.
    pub fn is_holding(&self) -> bool {
        matches!(self.state, State::Holds { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers<const N: usize>(steps: [(Option<u64>, u64, u64, bool); N]) {
        let mut brake = Brake::default();
        for (fastest, head, time, holds) in steps {
            assert_eq!(
                brake.holds(fastest, head, 1000, Duration::from_millis(time)),
                holds,
                "{fastest:?} at {time} ms"
            );
        }
    }

    #[test]
    fn inputs_wait_for_the_fastest_consumer_and_no_longer_than_a_moment() {
        answers([
            (None, 1000, 0, false),
            (Some(501), 1000, 1, false),
            (Some(501), 1001, 2, true),
            (Some(751), 1001, 30, true),
            (Some(752), 1001, 31, false), // it has caught up
            (Some(752), 1500, 32, false), // not before half of the queue has come
            (Some(752), 1501, 33, true),
            (Some(760), 1501, 82, true),
            (Some(760), 1501, 83, false), // that is long enough
            (Some(760), 2000, 84, false),
            (Some(760), 2001, 85, true),
        ]);
    }

    #[test]
    fn inputs_wait_once_for_consumers_that_take_nothing() {
        answers([
            (Some(0), 500, 0, true),
            (Some(0), 500, 50, false),
            (Some(0), 5000, 51, false),
            (Some(10), 6000, 52, true), // it takes something again
            (Some(10), 6000, 102, false),
            (Some(20), 6400, 103, false), // half of the queue is to come
            (Some(20), 6500, 104, true),
            (Some(6400), 6500, 105, false),
            (None, 9000, 106, false),
        ]);
    }
}
