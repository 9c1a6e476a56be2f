//! How fast one guest may talk: a token bucket, counted in lines.
//!
//! It knows no clock and no socket. An empty bucket means waiting, never losing: the room pauses the guest.

use std::time::Duration;

use crate::cli::FloodLimit;

/// `burst` lines at once, then `rate` lines a second.
#[derive(Debug)]
pub struct Bucket {
    limit: FloodLimit,
    /// In lines; the fraction is the part of a line that has come back already.
    tokens: f64,
    filled: Duration,
}

impl Bucket {
    pub fn new(limit: FloodLimit, now: Duration) -> Self {
        Bucket { limit, tokens: f64::from(limit.burst), filled: now }
    }

    /// How long until the next line may be heard; none if it may be now.
    pub fn wait(&mut self, now: Duration) -> Option<Duration> {
        let elapsed = now.saturating_sub(self.filled);
        self.filled = now;
        let (burst, rate) = (f64::from(self.limit.burst), f64::from(self.limit.rate));
        self.tokens = (self.tokens + elapsed.as_secs_f64() * rate).min(burst);
        (self.tokens < 1.0).then(|| Duration::from_secs_f64((1.0 - self.tokens) / rate))
    }

    /// A line was heard.
    pub fn spend(&mut self) {
        self.tokens -= 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of so many lines is heard, in milliseconds, if all of them came at once.
    fn heard(limit: FloodLimit, lines: usize) -> Vec<u128> {
        let mut bucket = Bucket::new(limit, Duration::ZERO);
        let mut now = Duration::ZERO;
        (0..lines)
            .map(|_| {
                while let Some(wait) = bucket.wait(now) {
                    now += wait + Duration::from_nanos(1);
                }
                bucket.spend();
                now.as_millis()
            })
            .collect()
    }

    #[test]
    fn a_burst_is_heard_at_once_and_the_rest_at_the_rate() {
        assert_eq!(heard(FloodLimit { burst: 3, rate: 2 }, 6), [0, 0, 0, 500, 1000, 1500]);
    }

    #[test]
    fn silence_gives_back_no_more_than_a_burst() {
        let mut bucket = Bucket::new(FloodLimit { burst: 2, rate: 10 }, Duration::ZERO);
        assert_eq!(bucket.wait(Duration::from_secs(3600)), None);
        bucket.spend();
        bucket.spend();
        assert!(bucket.wait(Duration::from_secs(3600)).is_some());
    }
}
