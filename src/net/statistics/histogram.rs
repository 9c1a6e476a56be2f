//! Times by their size.

use std::time::Duration;

/// How many times were counted that are not longer than each bound: 1 µs, 2 µs, 4 µs and so on, to 2^24 µs, some 17 s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Those between a bound and the one before; the last place has those above all bounds.
    counts: [u64; BUCKETS],
    sum: u64,
}

const BUCKETS: usize = 26;

impl Histogram {
    #[inline]
    pub(in crate::net) fn add(&mut self, nanos: u64) {
        let micros = nanos.saturating_add(999) / 1000;
        let place = u64::BITS - micros.saturating_sub(1).leading_zeros();
        self.counts[(place as usize).min(BUCKETS - 1)] += 1;
        self.sum = self.sum.wrapping_add(nanos);
    }

    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum)
    }

    /// Each bound, with how many times are not longer. What is longer than all bounds is in [`Histogram::count`] only.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let bounds = (0..BUCKETS - 1).map(|place| Duration::from_micros(1 << place));
        let mut sum = 0;
        bounds.zip(self.counts).map(move |(bound, count)| {
            sum += count;
            (bound, sum)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_the_first_bucket_that_it_fits_into() {
        let mut histogram = Histogram::default();
        for (nanos, micros) in [(0, 1), (1000, 1), (1001, 2), (2000, 2), (2001, 4), (4000, 4), (5_000_000, 8192)] {
            let before = histogram.clone();
            histogram.add(nanos);
            let first = histogram.buckets().zip(before.buckets()).find(|(now, before)| now != before);
            assert_eq!(first.map(|((bound, _), _)| bound), Some(Duration::from_micros(micros)), "{nanos}");
        }
        histogram.add(u64::from(u32::MAX) * 1000);
        assert_eq!((histogram.count(), histogram.buckets().last().map(|(_, count)| count)), (8, Some(7)));
        assert_eq!(histogram.sum(), Duration::from_nanos(5_010_002 + 4_294_967_295_000));
    }
}
