//! Whether a node has read enough to decide claims as all others do.
//!
//! A node that starts does not know who has got a name before the oldest entry that is left. One that was away may have missed
//! entries that were trimmed, or that the engine has lost. Neither may grant a name that another has, so both
//!
//! - wait until each boot that they have heard of has listed its guests, or has said hello itself;
//! - leave claims undecided that they read meanwhile. A list of the node of that guest, made later, has what became of it.
//!
//! One that was away also says hello, which takes the names of its own guests away at all nodes, and claims them again when it
//! is sure. One that starts has no names yet.
//!
//! They have heard of all boots if the stream was empty, if a node that is sure has listed all boots, or if they have read for
//! so long that a boot that has said nothing meanwhile is dead. A boot whose last entry was trimmed, or lost, before
//! all that they have read, has missed entries too. Whoever becomes sure lists all boots at once, so that a stream in which
//! nobody is left has such a list.

use super::super::EntryId;
use super::lives::CERTAIN_DEATH;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    reach: Reach,
    /// Its own hello was read since the gap, or it has said nothing before.
    is_introduced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Nothing was read since the gap.
    Nothing,
    /// Nothing at all was in the stream.
    Empty,
    /// The stream was read from `from` on, without a gap.
    Since { from: EntryId, knows_all_boots: bool },
    /// The same, and it decides claims.
    Sure,
}

impl Whole {
    pub fn new(has_to_say_hello: bool) -> Self {
        Whole { reach: Reach::Nothing, is_introduced: !has_to_say_hello }
    }

    /// An entry is read.
    pub fn reads(&mut self, id: EntryId) {
        let knows_all_boots = match self.reach {
            Reach::Nothing => false,
            Reach::Empty => true,
            Reach::Since { .. } | Reach::Sure => return,
        };
        self.reach = Reach::Since { from: id, knows_all_boots };
    }

    pub fn has_reached_end(&mut self) {
        if self.reach == Reach::Nothing {
            self.reach = Reach::Empty;
        }
    }

    /// There was no connection. What was empty may have been filled, and trimmed.
    pub fn was_parted(&mut self) {
        if self.reach == Reach::Empty {
            self.reach = Reach::Nothing;
        }
    }

    /// The own hello was read.
    pub fn has_said_hello(&mut self) {
        self.is_introduced = true;
    }

    /// A node that is sure has listed them.
    pub fn knows_all_boots(&mut self) {
        if let Reach::Since { knows_all_boots, .. } = &mut self.reach {
            *knows_all_boots = true;
        }
    }

    /// Whether all that was written after this place was read.
    pub fn covers(&self, place: EntryId) -> bool {
        match self.reach {
            Reach::Nothing | Reach::Empty => false,
            Reach::Since { from, .. } => place >= from,
            Reach::Sure => true,
        }
    }

    /// The names of all boots that were heard of are known, after so many milliseconds of the stream that count.
    pub fn all_is_known(&mut self, milliseconds: u64) {
        if let Reach::Since { knows_all_boots, .. } = self.reach
            && self.is_introduced
            && (knows_all_boots || milliseconds >= CERTAIN_DEATH)
        {
            self.reach = Reach::Sure;
        }
    }

    pub fn is_introduced(&self) -> bool {
        self.is_introduced
    }

    pub fn is_sure(&self) -> bool {
        self.reach == Reach::Sure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> EntryId {
        EntryId { milliseconds, number: 0 }
    }

    #[test]
    fn whoever_finds_nothing_is_sure_after_the_first_entry() {
        let mut whole = Whole::new(false);
        whole.has_reached_end();
        whole.all_is_known(1);
        assert!(!whole.is_sure());
        whole.reads(at(5));
        whole.all_is_known(1);
        assert!(whole.is_sure());
    }

    #[test]
    fn what_was_empty_before_the_connection_was_lost_may_have_been_trimmed() {
        let mut whole = Whole::new(false);
        whole.has_reached_end();
        whole.was_parted();
        whole.reads(at(5));
        whole.all_is_known(1);
        assert!(!whole.is_sure());
    }

    #[test]
    fn whoever_has_had_names_says_hello_first() {
        let mut whole = Whole::new(true);
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
        let mut whole = Whole::new(false);
        whole.reads(at(1000));
        whole.reads(at(1001));
        whole.has_reached_end();
        assert!(!whole.covers(at(999)) && whole.covers(at(1000)));
        whole.all_is_known(CERTAIN_DEATH - 1);
        assert!(!whole.is_sure());
        let mut told = whole;
        told.knows_all_boots();
        told.all_is_known(1);
        assert!(told.is_sure());
        whole.all_is_known(CERTAIN_DEATH);
        assert!(whole.is_sure());
    }
}
