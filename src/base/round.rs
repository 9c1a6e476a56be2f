//! A queue that is worked off in rounds.
//!
//! ```text
//!   push ──▶ [ this round, `left` of them | the next round ]
//!              └──next──▶ worked off
//! ```
//!
//! What is pushed while a round is worked off belongs to the next one, so no phase of a turn can be kept from its end.

use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct Round<T> {
    items: VecDeque<T>,
    /// How many of them belong to the round that has begun.
    left: usize,
}

impl<T> Default for Round<T> {
    fn default() -> Self {
        Round { items: VecDeque::new(), left: 0 }
    }
}

impl<T> Round<T> {
    /// At the end of the next round.
    #[inline]
    pub fn push(&mut self, item: T) {
        self.items.push_back(item);
    }

    /// Before all others of this round.
    pub fn push_again(&mut self, item: T) {
        self.items.push_front(item);
        self.left += 1;
    }

    /// All that is here now belongs to the round that begins.
    pub fn begin(&mut self) {
        self.left = self.items.len();
    }

    /// As [`Round::begin`], but the last that was pushed comes first.
    pub fn begin_reversed(&mut self) {
        self.items.make_contiguous().reverse();
        self.begin();
    }

    /// As [`Round::begin`], with `most` at most; the others stay first in line.
    pub fn begin_at_most(&mut self, most: usize) {
        self.left = self.items.len().min(most);
    }

    /// The next one of this round.
    #[inline]
    pub fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        self.items.pop_front()
    }

    /// The rest of this round belongs to the next one.
    pub fn cut(&mut self) {
        self.left = 0;
    }

    /// How many are left of this round.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Whether nothing is here, in this round or the next.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_while_a_round_is_worked_off_belongs_to_the_next() {
        let mut round = Round::default();
        round.push(1);
        round.push(2);
        assert_eq!(round.next(), None, "no round has begun");
        round.begin();
        assert_eq!(round.next(), Some(1));
        round.push(3);
        round.push_again(1);
        assert_eq!([round.next(), round.next(), round.next()], [Some(1), Some(2), None]);
        assert!(!round.is_empty());
        round.begin();
        assert_eq!([round.next(), round.next()], [Some(3), None]);
        assert!(round.is_empty());
    }

    #[test]
    fn a_round_can_be_short_or_the_other_way_round() {
        let mut round = Round::default();
        (1..=4).for_each(|n| round.push(n));
        round.begin_at_most(1);
        assert_eq!([round.next(), round.next()], [Some(1), None]);
        round.begin_reversed();
        assert_eq!(round.next(), Some(4));
        round.cut();
        assert_eq!(round.next(), None);
        assert_eq!(round.iter().copied().collect::<Vec<_>>(), [3, 2]);
    }
}
