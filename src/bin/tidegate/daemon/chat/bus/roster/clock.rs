//! The time of a stream, without the time in which nobody could write.
//!
//! An engine that is stopped for a minute makes no node silent. All nodes that are there write so often that a longer gap between
//! two entries is one of the engine.

use super::super::EntryId;

/// A node that is there writes each five seconds. So many milliseconds of a gap count at most.
const LONGEST_GAP: u64 = 6_000;

#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    last: Option<EntryId>,
    time: u64,
}

impl Clock {
    /// An entry is read.
    pub fn reads(&mut self, id: EntryId) {
        let gap = self.last.map_or(0, |last| id.milliseconds.saturating_sub(last.milliseconds));
        self.last = Some(id);
        self.time = self.time.saturating_add(gap.min(LONGEST_GAP));
    }

    /// Milliseconds since the first entry.
    pub fn time(self) -> u64 {
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_in_which_nobody_writes_counts_for_little() {
        let mut clock = Clock::default();
        for (milliseconds, time) in
            [(1_000_000, 0), (1_001_000, 1_000), (1_060_000, 7_000), (1_060_000, 7_000), (5, 7_000)]
        {
            clock.reads(EntryId { milliseconds, number: 0 });
            assert_eq!(clock.time(), time);
        }
    }
}
