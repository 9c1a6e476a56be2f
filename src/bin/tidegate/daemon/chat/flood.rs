//! How fast one guest may send lines: a token bucket. And what the guests of an address leave to the next one.
//!
//! It knows no clock and no socket. While the bucket is empty the room pauses the guest, so no line is lost.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::cli::FloodLimit;

/// `burst` lines at once, then `rate` lines per second.
#[derive(Clone, Copy, Debug)]
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

    /// With what it has now, up to another limit's burst.
    pub fn with(mut self, limit: FloodLimit, now: Duration) -> Self {
        self.fill(now);
        TokenBucket { limit, tokens: self.tokens.min(f64::from(limit.burst)), filled: self.filled }
    }

    /// How long the next line has to wait. None if there is a token for it.
    pub fn wait(&mut self, now: Duration) -> Option<Duration> {
        self.fill(now);
        (self.tokens < 1.0).then(|| Duration::from_secs_f64((1.0 - self.tokens) / f64::from(self.limit.rate)))
    }

    fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.filled);
        self.filled = self.filled.max(now);
        let (burst, rate) = (f64::from(self.limit.burst), f64::from(self.limit.rate));
        // What the stop has granted above a burst stays.
        self.tokens = (self.tokens + elapsed.as_secs_f64() * rate).min(burst.max(self.tokens));
    }

    fn is_full(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.tokens >= f64::from(self.limit.burst)
    }

    /// A line uses one token.
    pub fn spend(&mut self, tokens: f64) {
        self.tokens -= tokens;
    }

    /// A second's worth of lines, at the stop of the room.
    pub fn grant_a_second(&mut self) {
        self.tokens += f64::from(self.limit.rate);
    }
}

/// What the guests who have gone had left. A guest begins with what the last ones of its address had left, and takes it: whoever
/// comes next begins with what was filled in since. So nobody gains anything by coming again, and those who are here do not
/// share it.
#[derive(Debug, Default)]
pub struct Left {
    by_address: HashMap<IpAddr, TokenBucket>,
    /// The one that was added first is forgotten first.
    order: VecDeque<IpAddr>,
}

/// How many addresses are remembered. An attacker who has more of them needs no second connection from any.
const MOST_ADDRESSES: usize = 4096;

impl Left {
    /// What a guest who comes from this address begins with.
    pub fn begin(&mut self, address: Option<IpAddr>, limit: FloodLimit, now: Duration) -> TokenBucket {
        let Some(left) = address.and_then(|address| self.by_address.get_mut(&address)) else {
            return TokenBucket::new(limit, now);
        };
        // The limit may be another one since.
        *left = left.with(limit, now);
        let taken = *left;
        left.tokens = left.tokens.min(0.0);
        taken
    }

    /// A guest from this address has gone, and has left this.
    pub fn end(&mut self, address: IpAddr, mut bucket: TokenBucket, now: Duration) {
        if bucket.is_full(now) {
            return;
        }
        if let Some(left) = self.by_address.get_mut(&address) {
            left.fill(now);
            left.tokens = left.tokens.min(bucket.tokens);
            return;
        }
        self.forget_oldest(now);
        self.by_address.insert(address, bucket);
        self.order.push_back(address);
    }

    /// Those that have nothing to be remembered any more go too, from the oldest on.
    fn forget_oldest(&mut self, now: Duration) {
        while let Some(oldest) = self.order.front() {
            let is_full = self.by_address.get_mut(oldest).is_none_or(|bucket| bucket.is_full(now));
            if !is_full && self.order.len() < MOST_ADDRESSES {
                return;
            }
            self.by_address.remove(oldest);
            self.order.pop_front();
        }
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

    #[test]
    fn another_limit_begins_with_what_is_left_and_fills_at_its_own_rate() {
        let mut bucket = TokenBucket::new(FloodLimit { burst: 20, rate: 1 }, Duration::ZERO);
        bucket.spend(5.0);
        let mut lower = bucket.with(FloodLimit { burst: 3, rate: 10 }, Duration::ZERO);
        lower.spend(3.0);
        assert_eq!(lower.wait(Duration::ZERO), Some(Duration::from_millis(100)));
        let mut higher = bucket.with(FloodLimit { burst: 1000, rate: 10 }, Duration::from_secs(2));
        higher.spend(17.0); // of 15, and two of the two seconds before
        assert_eq!(higher.wait(Duration::from_secs(2)), Some(Duration::from_millis(100)));
    }

    const LIMIT: FloodLimit = FloodLimit { burst: 20, rate: 10 };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn who_comes_again_begins_with_what_was_left() {
        let (mut left, address) = (Left::default(), Some("10.0.0.1".parse().unwrap()));
        let mut bucket = left.begin(address, LIMIT, seconds(0));
        bucket.spend(20.0);
        left.end(address.unwrap(), bucket, seconds(0));
        for _ in 0..3 {
            assert!(left.begin(address, LIMIT, seconds(0)).wait(seconds(0)).is_some(), "each of several");
        }
        let mut later = left.begin(address, LIMIT, seconds(1));
        assert_eq!(later.wait(seconds(1)), None);
        assert!(left.begin(address, LIMIT, seconds(1)).wait(seconds(1)).is_some(), "it was taken");
        later.spend(10.0);
        assert!(later.wait(seconds(1)).is_some(), "a second is worth ten lines");
        assert_eq!(left.begin(Some("10.0.0.2".parse().unwrap()), LIMIT, seconds(0)).wait(seconds(0)), None);
        assert_eq!(left.begin(None, LIMIT, seconds(0)).wait(seconds(0)), None);
    }

    #[test]
    fn who_comes_again_has_the_limit_of_now() {
        let (mut left, address) = (Left::default(), "10.0.0.1".parse().unwrap());
        let mut spent = left.begin(Some(address), FloodLimit { burst: 5, rate: 1 }, seconds(0));
        spent.spend(5.0);
        left.end(address, spent, seconds(0));
        let mut again = left.begin(Some(address), FloodLimit { burst: 1000, rate: 100 }, seconds(1));
        assert_eq!(again.wait(seconds(1)), None, "one of the second before");
        again.spend(1.0);
        assert_eq!(again.wait(seconds(1)), Some(Duration::from_millis(10)), "at the rate of now");
    }

    #[test]
    fn those_who_go_with_a_full_bucket_take_nothing_back() {
        let (mut left, address) = (Left::default(), "10.0.0.1".parse().unwrap());
        let (mut empty, full) = (TokenBucket::new(LIMIT, seconds(0)), TokenBucket::new(LIMIT, seconds(0)));
        empty.spend(20.0);
        left.end(address, empty, seconds(0));
        left.end(address, full, seconds(0));
        assert!(left.begin(Some(address), LIMIT, seconds(0)).wait(seconds(0)).is_some());
    }

    #[test]
    fn a_bounded_number_of_addresses_is_remembered_and_none_that_has_caught_up() {
        let mut left = Left::default();
        let mut spent = TokenBucket::new(LIMIT, seconds(0));
        spent.spend(20.0);
        for number in 0..10_000u32 {
            left.end(IpAddr::from(number.to_be_bytes()), spent, seconds(0));
        }
        assert_eq!((left.by_address.len(), left.order.len()), (MOST_ADDRESSES, MOST_ADDRESSES));
        let mut late = TokenBucket::new(LIMIT, seconds(100));
        late.spend(1.0);
        left.end(IpAddr::from([10, 0, 0, 1]), late, seconds(100));
        assert_eq!((left.by_address.len(), left.order.len()), (1, 1));
    }
}
