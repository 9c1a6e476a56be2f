//! A place that is tried again when it is lost: after a longer wait each time, which is not the same for all who wait.
//!
//! When a server comes back that a thousand processes were connected to, they do not all come in the same moment.

use std::rc::Rc;
use std::time::Duration;

use tidegate::{Loop, Net};

const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// More failures make no difference.
const MANY: u32 = 16;

/// What has lasted so long counts as a success, and the next wait is short again. A server that takes connections and closes
/// them at once is no success.
const LASTING: Duration = Duration::from_secs(10);

/// The place, as it was written, and how it went so far.
#[derive(Clone, Debug)]
pub struct Retry {
    pub name: Rc<str>,
    backoff: Backoff,
}

#[derive(Clone, Debug)]
struct Backoff {
    failures: u32,
    longest: Duration,
    /// Somebody has to change something before the next attempt.
    has_to_be_changed: bool,
}

impl Retry {
    pub fn of(name: &str) -> Self {
        Retry { name: name.into(), backoff: Backoff::of(LONGEST) }
    }

    /// No wait is longer, unless something has to be changed.
    pub fn at_most(mut self, longest: Duration) -> Self {
        self.backoff.longest = longest;
        self
    }

    /// Somebody has to change something before it works: the next wait is the longest.
    pub fn has_to_be_changed(&mut self) {
        self.backoff.has_to_be_changed = true;
    }

    /// The place is lost, after it has `lasted`, or could not be had. It is tried `again` later, unless the loop stops.
    pub fn later<S: 'static>(
        mut self,
        on: &mut Loop<'_, S>,
        lasted: Duration,
        again: impl FnOnce(&mut Loop<'_, S>, Self) + 'static,
    ) {
        if on.is_shutting_down() {
            return;
        }
        self.backoff.lasted(lasted);
        let wait = self.backoff.next_wait(on.net);
        log::info!("{}: the next attempt is in {wait:.1?}", self.name);
        on.after(wait, move |on| {
            if !on.is_shutting_down() {
                again(on, self);
            }
        });
    }
}

impl Backoff {
    fn of(longest: Duration) -> Self {
        Backoff { failures: 0, longest, has_to_be_changed: false }
    }

    /// The next wait, with the random number of the loop.
    fn next_wait(&mut self, net: &mut Net) -> Duration {
        let mut random = [0; 8];
        if let Err(error) = net.random(&mut random) {
            log::debug!("no random number: {error}"); // the wait is the shortest one
        }
        self.next(u64::from_ne_bytes(random))
    }

    /// The next wait, between a half of its bound and the whole. `random` is any number.
    fn next(&mut self, random: u64) -> Duration {
        let grown = SHORTEST.saturating_mul(2_u32.saturating_pow(self.failures + 1)).min(self.longest);
        let bound = if std::mem::take(&mut self.has_to_be_changed) { LONGEST } else { grown };
        self.failures = (self.failures + 1).min(MANY);
        let half = bound / 2;
        half + Duration::from_millis(random % (half.as_millis() as u64 + 1))
    }

    /// It worked, for so long.
    fn lasted(&mut self, time: Duration) {
        if time >= LASTING {
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_half_a_second_to_thirty_and_are_spread_out() {
        let waits = |random| {
            let mut backoff = Backoff::of(LONGEST);
            [(); 8].map(|()| backoff.next(random).as_millis())
        };
        assert_eq!(waits(0), [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
        for random in [1, 499, 12_345, u64::MAX] {
            for (wait, shortest) in waits(random).into_iter().zip(waits(0)) {
                assert!((shortest..=2 * shortest).contains(&wait), "{wait}");
            }
        }
        assert!((0..100).any(|random| waits(random * 97)[3] > 7_000));
    }

    #[test]
    fn what_has_to_be_changed_is_not_tried_again_soon() {
        let mut retry = Retry::of("--bus");
        retry.has_to_be_changed();
        assert_eq!(retry.backoff.next(0), LONGEST / 2);
    }

    #[test]
    fn a_place_may_have_a_shorter_longest_wait_unless_it_has_to_be_changed() {
        let mut retry = Retry::of("--bus").at_most(Duration::from_secs(10));
        let waits = [(); 7].map(|()| retry.backoff.next(0).as_millis());
        assert_eq!(waits, [500, 1000, 2000, 4000, 5000, 5000, 5000]);
        retry.has_to_be_changed();
        assert_eq!(retry.backoff.next(0), LONGEST / 2);
        assert_eq!(retry.backoff.next(0), Duration::from_secs(5));
    }

    #[test]
    fn only_what_lasts_is_a_success() {
        let mut backoff = Backoff::of(LONGEST);
        (0..5).for_each(|_| assert!(backoff.next(0) > Duration::ZERO));
        backoff.lasted(Duration::from_secs(9));
        assert_eq!(backoff.next(0), Duration::from_secs(15));
        backoff.lasted(Duration::from_secs(10));
        assert_eq!(backoff.next(0), SHORTEST);
    }
}
