//! What was read of each boot: what comes twice is dropped, and what did not come is counted.

use std::collections::HashMap;

use super::entry::Entry;
use super::list::MOST_BOOTS;

/// There is a bound: the boot that has been silent the longest is forgotten for another.
#[derive(Debug, Default)]
pub struct Seen {
    boots: HashMap<u64, Last>,
    /// Counts what is seen: it tells which boot has been silent the longest.
    turn: u64,
}

#[derive(Debug)]
struct Last {
    sequence: u64,
    lines: u64,
    turn: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// So many lines of the same boot should have come before it.
    Fresh { lost: u64 },
    /// It was published again after a connection was lost.
    Repeated,
}

impl Seen {
    /// `is_younger`: the boot began after the reader did, so the reader should have seen all of it.
    pub fn see(&mut self, entry: &Entry, is_younger: bool) -> Sight {
        self.turn += 1;
        let lines_before = entry.lines - u64::from(entry.what.is_line());
        let last = Last { sequence: entry.sequence, lines: entry.lines, turn: self.turn };
        let Some(seen) = self.boots.get_mut(&entry.boot) else {
            self.make_room();
            self.boots.insert(entry.boot, last);
            return Sight::Fresh { lost: if is_younger { lines_before } else { 0 } };
        };
        seen.turn = self.turn;
        if entry.sequence <= seen.sequence {
            return Sight::Repeated;
        }
        let lost = lines_before.saturating_sub(seen.lines);
        *seen = last;
        Sight::Fresh { lost }
    }

    fn make_room(&mut self) {
        if self.boots.len() >= MOST_BOOTS
            && let Some(silent) = self.boots.iter().min_by_key(|(_, last)| last.turn).map(|(boot, _)| *boot)
        {
            self.boots.remove(&silent);
        }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.boots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::What;
    use super::*;

    fn entry(boot: u64, sequence: u64, lines: u64, what: What) -> Entry {
        Entry { label: "a".into(), boot, sequence, lines, born: Default::default(), what }
    }

    fn say() -> What {
        What::Say { guest: 1, text: "x".into() }
    }

    #[test]
    fn what_is_not_above_the_highest_is_repeated() {
        let mut seen = Seen::default();
        for (sequence, sight) in [
            (1, Sight::Fresh { lost: 0 }),
            (2, Sight::Fresh { lost: 0 }),
            (1, Sight::Repeated),
            (2, Sight::Repeated),
            (3, Sight::Fresh { lost: 0 }),
        ] {
            assert_eq!(seen.see(&entry(7, sequence, sequence, say()), true), sight, "{sequence}");
        }
        assert_eq!(seen.see(&entry(8, 1, 0, What::Hello), true), Sight::Fresh { lost: 0 }, "each boot has its own");
    }

    #[test]
    fn lines_that_did_not_come_are_counted_once() {
        let mut seen = Seen::default();
        seen.see(&entry(7, 1, 0, What::Hello), true);
        assert_eq!(seen.see(&entry(7, 5, 4, say()), true), Sight::Fresh { lost: 3 });
        assert_eq!(seen.see(&entry(7, 6, 5, say()), true), Sight::Fresh { lost: 0 });
        assert_eq!(seen.see(&entry(7, 9, 5, What::Alive), true), Sight::Fresh { lost: 0 }, "no lines were among them");
        assert_eq!(seen.see(&entry(7, 12, 7, What::Alive), true), Sight::Fresh { lost: 2 }, "a loss at the end");
        assert_eq!(seen.see(&entry(7, 14, 3, What::Alive), true), Sight::Fresh { lost: 0 }, "it cannot go back");
    }

    #[test]
    fn of_a_boot_that_began_later_all_should_have_come() {
        let mut seen = Seen::default();
        assert_eq!(seen.see(&entry(7, 5, 4, say()), false), Sight::Fresh { lost: 0 });
        assert_eq!(seen.see(&entry(8, 5, 4, say()), true), Sight::Fresh { lost: 3 });
    }

    #[test]
    fn a_bounded_number_of_boots_is_remembered() {
        let mut seen = Seen::default();
        for boot in 0..2 * MOST_BOOTS as u64 {
            seen.see(&entry(boot, 1, 0, What::Hello), true);
            assert_eq!(seen.see(&entry(0, 1, 0, What::Hello), true), Sight::Repeated, "one that is heard stays");
        }
        assert_eq!(seen.len(), MOST_BOOTS);
    }
}
