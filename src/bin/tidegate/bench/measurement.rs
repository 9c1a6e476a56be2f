//! What is measured: counts over time, latencies, and how busy this process and the machine were.
//!
//! It reads no clock but those of CPU time. Latencies go into an HDR histogram: three digits from a nanosecond to an
//! hour, in memory of a fixed size.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::cpu::CpuTimes;

/// A longer latency counts as this.
const LONGEST: Duration = Duration::from_secs(3600);

/// The throughput over time has at most so many points, an even number. When there are so many, each two become one.
const POINTS: usize = 400;

/// The time of a point, until there are too many.
const SHORTEST_POINT: Duration = Duration::from_millis(100);

pub struct Measurement {
    began: Duration,
    ended: Option<Duration>,
    cpu_before: CpuTimes,
    cpu_after: Option<CpuTimes>,
    /// Messages, deliveries, bytes or connections.
    pub count: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    latencies: Option<Histogram<u64>>,
    /// How many of the latencies are those of messages that have no answer.
    pub waiting: u64,
    series: Series,
}

impl Measurement {
    pub fn begin(now: Duration) -> Self {
        let series = Series { point: SHORTEST_POINT, began: now, counts: Vec::new(), count: 0 };
        // None only for bounds that the crate does not take.
        let latencies = Histogram::new_with_bounds(1, nanoseconds(LONGEST), 3).ok();
        Measurement {
            began: now,
            ended: None,
            cpu_before: CpuTimes::now(),
            cpu_after: None,
            count: 0,
            bytes_sent: 0,
            bytes_received: 0,
            latencies,
            waiting: 0,
            series,
        }
    }

    /// A second end does nothing.
    pub fn end(&mut self, now: Duration) {
        if self.ended.is_none() {
            self.ended = Some(now);
            self.cpu_after = Some(CpuTimes::now());
            self.series.go_to(now);
        }
    }

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

    /// Messages have no answer, after these times. No message can be faster than the fastest answer, however short the time
    /// is for which it was looked at.
    pub fn still_waiting(&mut self, waits: impl Iterator<Item = (Duration, u64)>) {
        let Some(latencies) = &mut self.latencies else { return };
        let fastest = if latencies.is_empty() { 0 } else { latencies.min() };
        for (wait, many) in waits {
            latencies.saturating_record_n(nanoseconds(wait).max(fastest), many);
            self.waiting += many;
        }
    }

    /// None if there are no values.
    pub fn latencies(&self) -> Option<&Histogram<u64>> {
        self.latencies.as_ref().filter(|latencies| !latencies.is_empty())
    }

    pub fn end_or(&self, now: Duration) -> Duration {
        self.ended.unwrap_or(now)
    }

    /// From the beginning to the end, or to now.
    pub fn time(&self, now: Duration) -> Duration {
        self.end_or(now).saturating_sub(self.began)
    }

    /// The share of one core that this process has used, from 0 to 1. None if the system does not know.
    pub fn busy_share(&self) -> Option<f64> {
        let time = self.time(self.ended?).as_secs_f64();
        let used = self.cpu_after?.process_since(&self.cpu_before)?;
        (time > 0.0).then_some(used.as_secs_f64() / time)
    }

    /// The share of all cores of this machine that any program has used, from 0 to 1. None if the system does not know.
    pub fn machine_share(&self) -> Option<f64> {
        self.cpu_after?.machine_share_since(&self.cpu_before)
    }

    /// The time of one point, and the count of each. A last point that is not complete is left out.
    pub fn series(&self) -> (Duration, &[u64]) {
        (self.series.point, &self.series.counts)
    }
}

/// Counts over time.
struct Series {
    point: Duration,
    /// When the present point began.
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
            if self.counts.len() == POINTS {
                self.counts = self.counts.chunks(2).map(|two| two.iter().sum()).collect();
                self.point *= 2;
            }
        }
    }
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
        let mut measurement = Measurement::begin(1000 * MS);
        measurement.count(2, 1001 * MS);
        measurement.count(3, 1099 * MS);
        measurement.count(5, 1100 * MS);
        measurement.count(7, 1350 * MS);
        measurement.end(1450 * MS);
        measurement.end(9999 * MS);
        assert_eq!(measurement.count, 17);
        assert_eq!(measurement.series(), (100 * MS, &[5, 5, 0, 7][..]));
        assert_eq!(measurement.time(9999 * MS), 450 * MS);
    }

    #[test]
    fn a_long_measurement_has_long_points() {
        let mut measurement = Measurement::begin(Duration::ZERO);
        for second in 0..100 {
            measurement.count(8, 1000 * second * MS);
        }
        measurement.end(100_000 * MS);
        let (point, counts) = measurement.series();
        assert_eq!((point, counts.len()), (400 * MS, 250));
        assert_eq!((counts.iter().sum::<u64>(), counts[..5].iter().sum::<u64>()), (800, 16));
    }

    #[test]
    fn what_has_no_answer_counts_with_its_wait_and_is_not_faster_than_an_answer() {
        let mut measurement = Measurement::begin(Duration::ZERO);
        measurement.latency(5 * MS);
        measurement.still_waiting([(MS, 1), (1000 * MS, 3)].into_iter());
        let latencies = measurement.latencies().unwrap();
        assert_eq!((latencies.len(), measurement.waiting), (5, 4));
        assert!(latencies.equivalent(latencies.min(), nanoseconds(5 * MS)));
        assert!(latencies.equivalent(latencies.value_at_quantile(0.5), nanoseconds(1000 * MS)));
    }

    #[test]
    fn a_latency_is_kept_to_three_digits_and_not_above_an_hour() {
        let mut measurement = Measurement::begin(Duration::ZERO);
        assert!(measurement.latencies().is_none());
        measurement.latency(123_456 * MS);
        measurement.latency(Duration::from_secs(100_000));
        let latencies = measurement.latencies().unwrap();
        assert!(latencies.equivalent(latencies.value_at_quantile(0.5), nanoseconds(123_456 * MS)));
        assert!(latencies.max() <= latencies.highest_equivalent(nanoseconds(LONGEST)));
    }
}
