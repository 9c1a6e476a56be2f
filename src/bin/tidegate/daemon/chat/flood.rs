//! How fast one guest may send lines: a token bucket.
//!
//! It knows no clock and no socket. While the bucket is empty the room pauses the guest, so no line is lost.

use std::time::Duration;

use crate::cli::FloodLimit;

/// `burst` lines at once, then `rate` lines per second.
#[derive(Debug)]
pub struct TokenBucket {
    limit: FloodLimit,
    /// One for each line.
    tokens: f64,
    filled: Duration,
}

impl TokenBucket {
    pub fn new(limit: FloodLimit, now: Duration) -> Self {
        TokenBucket { limit, tokens: f64::from(limit.burst), filled: now }
    }

    /// How long the next line has to wait. None if there is a token for it.
    pub fn wait(&mut self, now: Duration) -> Option<Duration> {
        let elapsed = now.saturating_sub(self.filled);
        self.filled = now;
        let (burst, rate) = (f64::from(self.limit.burst), f64::from(self.limit.rate));
        self.tokens = (self.tokens + elapsed.as_secs_f64() * rate).min(burst);
        (self.tokens < 1.0).then(|| Duration::from_secs_f64((1.0 - self.tokens) / rate))
    }

    /// A line uses one token.
    pub fn spend(&mut self, tokens: f64) {
        self.tokens -= tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of so many lines passes, in milliseconds, if all of them came at once.
    fn passed(limit: FloodLimit, lines: usize) -> Vec<u128> {
        let mut bucket = TokenBucket::new(limit, Duration::ZERO);
        let mut now = Duration::ZERO;
        (0..lines)
            .map(|_| {
                while let Some(wait) = bucket.wait(now) {
                    now += wait + Duration::from_nanos(1);
                }
                bucket.spend(1.0);
                now.as_millis()
            })
            .collect()
    }

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        assert_eq!(passed(FloodLimit { burst: 3, rate: 2 }, 6), [0, 0, 0, 500, 1000, 1500]);
    }

    #[test]
    fn a_silence_refills_no_more_than_a_burst() {
        let mut bucket = TokenBucket::new(FloodLimit { burst: 2, rate: 10 }, Duration::ZERO);
        assert_eq!(bucket.wait(Duration::from_secs(3600)), None);
        bucket.spend(1.0);
        bucket.spend(1.0);
        assert!(bucket.wait(Duration::from_secs(3600)).is_some());
    }
}
