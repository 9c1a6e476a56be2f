//! Whether a node has read enough to decide claims as all others do.
//!
//! A node that starts does not know who has got a name before the oldest entry that is left. One that was away may have missed
//! entries that were trimmed, or that the engine has lost. Neither may grant a name that another has, so both
//!
//! - say hello, which takes the names of their own guests away at all nodes, and claim them again when they are sure;
//! - wait until each boot that they have heard of has listed its guests, or has said hello itself;
//! - leave claims undecided that they read meanwhile. A list of the node of that guest, made later, has what became of it.
//!
//! They have heard of all boots if the stream was empty, if a node that is sure has listed all boots, or if they have read for
//! so long that a boot that has said nothing meanwhile was declared dead. A boot whose last entry was trimmed, or lost, before
//! all that they have read, has missed entries too.

use super::super::EntryId;
use super::lives::LONGEST_SILENCE;

/// How many milliseconds of the stream: the longest silence, and the time that it takes to declare a boot dead.
const LONG_ENOUGH: u64 = LONGEST_SILENCE + 5_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Whole {
    /// Nothing was read since the gap.
    #[default]
    Nothing,
    /// The stream was read from `from` on, without a gap.
    Since {
        from: EntryId,
        knows_all_boots: bool,
        has_said_hello: bool,
    },
    /// Nothing at all was in the stream.
    Empty,
    Sure,
}

impl Whole {
    /// An entry is read.
    pub fn reads(&mut self, id: EntryId) {
        let knows_all_boots = match self {
            Whole::Nothing => false,
            Whole::Empty => true,
            Whole::Since { .. } | Whole::Sure => return,
        };
        *self = Whole::Since { from: id, knows_all_boots, has_said_hello: false };
    }

    pub fn has_reached_end(&mut self) {
        if *self == Whole::Nothing {
            *self = Whole::Empty;
        }
    }

    /// The own hello was read.
    pub fn has_said_hello(&mut self) {
        if let Whole::Since { has_said_hello, .. } = self {
            *has_said_hello = true;
        }
    }

    /// A node that is sure has listed them.
    pub fn knows_all_boots(&mut self) {
        if let Whole::Since { knows_all_boots, .. } = self {
            *knows_all_boots = true;
        }
    }

    /// Whether all that was written after this place was read.
    pub fn covers(&self, place: EntryId) -> bool {
        match self {
            Whole::Nothing | Whole::Empty => false,
            Whole::Since { from, .. } => place >= *from,
            Whole::Sure => true,
        }
    }

    /// The names of all boots that were heard of are known, after so many milliseconds of the stream that count.
    pub fn all_is_known(&mut self, milliseconds: u64) {
        if let Whole::Since { knows_all_boots, has_said_hello: true, .. } = *self
            && (knows_all_boots || milliseconds >= LONG_ENOUGH)
        {
            *self = Whole::Sure;
        }
    }

    /// Its own hello was read since.
    pub fn is_introduced(&self) -> bool {
        matches!(self, Whole::Since { has_said_hello: true, .. } | Whole::Sure)
    }

    pub fn is_sure(&self) -> bool {
        *self == Whole::Sure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> EntryId {
        EntryId { milliseconds, number: 0 }
    }

    #[test]
    fn whoever_finds_nothing_is_sure_after_its_hello() {
        let mut whole = Whole::default();
        whole.has_reached_end();
        whole.reads(at(5));
        whole.all_is_known(1);
        assert!(!whole.is_sure());
        whole.has_said_hello();
        whole.all_is_known(1);
        assert!(whole.is_sure());
    }

    #[test]
    fn whoever_finds_something_reads_until_the_silent_are_dead_or_is_told_of_all() {
        let mut whole = Whole::default();
        whole.reads(at(1000));
        whole.reads(at(1001));
        whole.has_reached_end();
        whole.has_said_hello();
        assert!(!whole.covers(at(999)) && whole.covers(at(1000)));
        whole.all_is_known(LONG_ENOUGH - 1);
        assert!(!whole.is_sure());
        let mut told = whole;
        told.knows_all_boots();
        told.all_is_known(1);
        assert!(told.is_sure());
        whole.all_is_known(LONG_ENOUGH);
        assert!(whole.is_sure());
    }
}
