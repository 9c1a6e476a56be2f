//! How much of the loop's time those may have who look at it: a tenth.
//!
//! What an answer costs is reckoned from what it has to look at, and not measured: a run that is played has to come to the
//! same answers at the same time.

use std::time::Duration;

/// For so much work an answer has not to wait: some ten tables of a thousand connections.
const BURST: Duration = Duration::from_millis(50);

/// Work is paid for with so many times its own time.
const SHARE: u32 = 10;

/// When the work that was done is paid for: that of a leaky bucket.
#[derive(Debug, Default)]
pub struct Allowance {
    paid_at: Duration,
}

impl Allowance {
    /// Books work of so much time, and says how long it has to wait before it may be done.
    pub fn book(&mut self, now: Duration, work: Duration) -> Duration {
        let wait = self.paid_at.saturating_sub(now + BURST * SHARE);
        self.paid_at = self.paid_at.max(now) + work * SHARE;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_burst_is_free_and_then_it_is_a_tenth_of_the_time() {
        let mut allowance = Allowance::default();
        let now = ms(1_000_000);
        let free = (0..).take_while(|_| allowance.book(now, ms(1)).is_zero()).count();
        assert!((50..=52).contains(&free), "{free}");
        // The next one waits ten times as long as the last one worked.
        let (one, next) = (allowance.book(now, ms(1)), allowance.book(now, ms(1)));
        assert_eq!(next - one, ms(10));
        // A tenth of a second later there is room for ten more, less those that are owed.
        let later = (0..).take_while(|_| allowance.book(now + ms(130), ms(1)).is_zero()).count();
        assert!((9..=11).contains(&later), "{later}");
        // What was not used is not kept.
        let much_later = (0..).take_while(|_| allowance.book(now + ms(1_000_000), ms(1)).is_zero()).count();
        assert!((50..=52).contains(&much_later), "{much_later}");
    }
}
