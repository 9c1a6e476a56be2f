//! What is measured: how much came when, how long it took, and how busy this process was meanwhile.
//!
//! Plain arithmetic on times that it is given. Latencies go into an HDR histogram: three digits from a nanosecond to an
//! hour, in memory that does not grow.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that is told apart; a longer one counts as this.
const LONGEST: Duration = Duration::from_secs(3600);

/// The throughput over time has at most about so many points.
const POINTS: u32 = 200;

/// And none of them is of less time than this.
const SHORTEST_POINT: Duration = Duration::from_millis(100);

/// One measurement, from its begin to its end.
pub struct Measured {
    began: Duration,
    ended: Option<Duration>,
    /// The CPU time of this process at the begin, and what was used of it up to the end.
    cpu_before: Option<Duration>,
    cpu_used: Option<Duration>,
    /// What was asked for: messages, deliveries, bytes or connections.
    pub count: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    latencies: Option<Histogram<u64>>,
    series: Series,
}

impl Measured {
    pub fn begin(now: Duration, planned: Duration) -> Self {
        let series = Series { point: (planned / POINTS).max(SHORTEST_POINT), began: now, counts: Vec::new(), count: 0 };
        // Three digits are within the bounds of what it takes, so there is one.
        let latencies = Histogram::new_with_bounds(1, nanoseconds(LONGEST), 3).ok();
        Measured {
            began: now,
            ended: None,
            cpu_before: cpu_time(),
            cpu_used: None,
            count: 0,
            bytes_sent: 0,
            bytes_received: 0,
            latencies,
            series,
        }
    }

    /// The first end counts.
    pub fn end(&mut self, now: Duration) {
        if self.ended.is_none() {
            self.ended = Some(now);
            self.cpu_used = cpu_time().zip(self.cpu_before).map(|(now, before)| now.saturating_sub(before));
            self.series.go_to(now);
        }
    }

    /// So many at once, now.
    #[inline]
    pub fn count(&mut self, many: u64, now: Duration) {
        self.count += many;
        self.series.add(many, now);
    }

    #[inline]
    pub fn latency(&mut self, took: Duration) {
        if let Some(latencies) = &mut self.latencies {
            latencies.saturating_record(nanoseconds(took));
        }
    }

    /// None of them is none to tell of.
    pub fn latencies(&self) -> Option<&Histogram<u64>> {
        self.latencies.as_ref().filter(|latencies| !latencies.is_empty())
    }

    /// From the begin to the end, or to now.
    pub fn time(&self, now: Duration) -> Duration {
        self.ended.unwrap_or(now).saturating_sub(self.began)
    }

    /// Of one core, from 0 to 1; none where the system does not tell.
    pub fn busy_share(&self) -> Option<f64> {
        let time = self.time(self.ended?).as_secs_f64();
        (time > 0.0).then_some(self.cpu_used?.as_secs_f64() / time)
    }

    /// The time of one point, and how many in each; a last point that is not whole is left out.
    pub fn series(&self) -> (Duration, &[u64]) {
        (self.series.point, &self.series.counts)
    }
}

/// Counts by time.
struct Series {
    point: Duration,
    /// When the point under way began.
    began: Duration,
    counts: Vec<u64>,
    count: u64,
}

impl Series {
    #[inline]
    fn add(&mut self, many: u64, now: Duration) {
        if now >= self.began + self.point {
            self.go_to(now);
        }
        self.count += many;
    }

    fn go_to(&mut self, now: Duration) {
        while now >= self.began + self.point {
            self.counts.push(std::mem::take(&mut self.count));
            self.began += self.point;
        }
    }
}

#[cfg(unix)]
fn cpu_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};

    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()
}

#[cfg(not(unix))]
fn cpu_time() -> Option<Duration> {
    None
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn counts_go_to_the_time_at_which_they_came() {
        let mut measured = Measured::begin(1000 * MS, 1000 * MS);
        measured.count(2, 1001 * MS);
        measured.count(3, 1099 * MS);
        measured.count(5, 1100 * MS);
        measured.count(7, 1350 * MS);
        measured.end(1450 * MS);
        measured.end(9999 * MS);
        assert_eq!(measured.count, 17);
        assert_eq!(measured.series(), (100 * MS, &[5, 5, 0, 7][..]));
        assert_eq!(measured.time(9999 * MS), 450 * MS);
    }

    #[test]
    fn a_long_measurement_has_long_points() {
        assert_eq!(Measured::begin(Duration::ZERO, 60_000 * MS).series().0, 300 * MS);
    }

    #[test]
    fn a_latency_is_kept_to_three_digits_and_not_above_an_hour() {
        let mut measured = Measured::begin(Duration::ZERO, MS);
        assert!(measured.latencies().is_none());
        measured.latency(123_456 * MS);
        measured.latency(Duration::from_secs(100_000));
        let latencies = measured.latencies().unwrap();
        assert!(latencies.equivalent(latencies.value_at_quantile(0.5), nanoseconds(123_456 * MS)));
        assert!(latencies.max() <= latencies.highest_equivalent(nanoseconds(LONGEST)));
    }

    #[cfg(unix)]
    #[test]
    fn who_computes_is_busy() {
        let before = cpu_time().unwrap();
        while cpu_time().unwrap() == before {
            std::hint::spin_loop();
        }
    }
}
