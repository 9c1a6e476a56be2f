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
    /// Takes time for work that is done now. It is taken only when the work is done: who goes away while it waits has cost nothing.
    ///
    /// # Errors
    /// How long it has to wait before it may ask again.
    pub fn take(&mut self, now: Duration, work: Duration) -> Result<(), Duration> {
        match self.paid_at.saturating_sub(now + BURST * SHARE) {
            Duration::ZERO => {
                self.paid_at = self.paid_at.max(now) + work * SHARE;
                Ok(())
            }
            wait => Err(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// How often it gets a millisecond.
    fn taken(allowance: &mut Allowance, now: Duration) -> usize {
        (0..).take_while(|_| allowance.take(now, ms(1)).is_ok()).count()
    }

    #[test]
    fn a_burst_is_free_and_then_it_is_a_tenth_of_the_time() {
        let (mut allowance, now) = (Allowance::default(), ms(1_000_000));
        assert_eq!(taken(&mut allowance, now), 51);
        // Who waits pays nothing, however often it asks.
        for _ in 0..1000 {
            assert_eq!(allowance.take(now, ms(1)), Err(ms(10)));
        }
        assert_eq!(taken(&mut allowance, now + ms(9)), 0);
        assert_eq!(taken(&mut allowance, now + ms(10)), 1);
        assert_eq!(taken(&mut allowance, now + ms(110)), 10);
        // What was not used is not kept.
        assert_eq!(taken(&mut allowance, now + ms(1_000_000)), 51);
    }

    #[test]
    fn a_long_answer_is_paid_for_before_the_next_one() {
        let (mut allowance, now) = (Allowance::default(), ms(1_000_000));
        assert_eq!(allowance.take(now, ms(100)), Ok(()));
        assert_eq!(allowance.take(now, ms(1)), Err(ms(500)));
        assert_eq!(allowance.take(now + ms(500), ms(1)), Ok(()));
    }
}
