//! A queue that is worked off in rounds.
//!
//! ```text
//!   push ──▶ [ this round, `left` of them | the next round ]
//!              └──next──▶ worked off
//! ```
//!
//! What is pushed while a round is worked off belongs to the next one, so no phase of a turn can be kept from its end.

/// Items to be worked off, by value.
#[derive(Debug)]
pub(crate) struct Round<T> {
    /// Those of the round that has begun, and those that it has no room for.
    now: Vec<T>,
    /// How many of these were taken.
    taken: usize,
    /// How many of these may be taken in this round.
    bound: usize,
    later: Vec<T>,
    /// How many are not in `now` any more: they were taken or removed.
    gone: u64,
}

impl<T> Default for Round<T> {
    fn default() -> Self {
        Round { now: Vec::new(), taken: 0, bound: 0, later: Vec::new(), gone: 0 }
    }
}

impl<T: Copy> Round<T> {
    /// At the end of the next round.
    #[inline]
    pub fn push(&mut self, item: T) {
        self.later.push(item);
    }

    /// The place of the last one that was pushed: see [`Round::has_passed`].
    #[inline]
    pub fn mark(&self) -> u64 {
        self.gone + (self.now.len() + self.later.len()) as u64
    }

    /// Whether all that were here at that mark were taken.
    #[inline]
    pub fn has_passed(&self, mark: u64) -> bool {
        self.gone + self.taken as u64 >= mark
    }

    /// Before all others of this round.
    pub fn push_again(&mut self, item: T) {
        match self.taken.checked_sub(1) {
            Some(last) => {
                self.now[last] = item;
                self.taken = last;
            }
            None => {
                self.now.insert(0, item);
                self.bound += 1;
                self.gone = self.gone.saturating_sub(1);
            }
        }
    }

    /// All that is here now belongs to the round that begins.
    #[inline]
    pub fn begin(&mut self) {
        self.bound = self.taken;
        if !self.is_empty() {
            self.begin_with_some();
        }
    }

    fn begin_with_some(&mut self) {
        if self.taken == self.now.len() {
            self.now.clear();
            std::mem::swap(&mut self.now, &mut self.later);
        } else {
            self.now.drain(..self.taken);
            self.now.append(&mut self.later);
        }
        self.gone += self.taken as u64;
        self.taken = 0;
        self.bound = self.now.len();
    }

    /// Takes an item out of the next round, and out of what this one has not come to yet.
    pub fn remove(&mut self, item: T)
    where
        T: PartialEq,
    {
        let before = self.mark();
        let there = self.now[self.taken..].iter().position(|other| *other == item).map(|after| self.taken + after);
        if let Some(index) = there {
            self.now.remove(index);
            self.bound -= usize::from(index < self.bound);
        }
        self.later.retain(|other| *other != item);
        self.gone += before - self.mark();
    }

    /// As [`Round::begin`], but the last that was pushed comes first. What a round before this one has left goes before all
    /// of them, in its order.
    pub fn begin_reversed(&mut self) {
        let left = self.now.len() - self.taken;
        self.begin();
        self.now[self.taken + left..].reverse();
    }

    /// As [`Round::begin`], with `most` at most; the others stay first in line.
    pub fn begin_at_most(&mut self, most: usize) {
        self.begin();
        self.bound = self.bound.min(self.taken + most);
    }

    /// The next one of this round.
    #[inline]
    pub fn next(&mut self) -> Option<T> {
        if self.taken == self.bound {
            return None;
        }
        let item = self.now.get(self.taken).copied();
        self.taken += 1;
        item
    }

    /// The rest of this round belongs to the next one.
    pub fn cut(&mut self) {
        self.bound = self.taken;
    }

    /// Whether the round has come to its end with nothing left over, and there is something for another.
    pub fn is_worked_off(&self) -> bool {
        self.taken == self.now.len() && !self.later.is_empty()
    }

    /// Whether nothing is here, in this round or the next.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.taken == self.now.len() && self.later.is_empty()
    }

    /// How many are here, in this round and the next.
    #[inline]
    pub fn len(&self) -> usize {
        self.now.len() - self.taken + self.later.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.now[self.taken..].iter().chain(&self.later)
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
    fn what_is_removed_does_not_come_and_the_others_do() {
        let mut round = Round::default();
        (1..=4).for_each(|n| round.push(n));
        round.begin_at_most(3);
        assert_eq!(round.next(), Some(1));
        round.push(5);
        round.push(6);
        [2, 4, 5, 7].into_iter().for_each(|n| round.remove(n));
        assert_eq!([round.next(), round.next()], [Some(3), None]);
        assert!(round.is_worked_off(), "nothing is left over, and there is something for another round");
        round.begin();
        assert_eq!([round.next(), round.next()], [Some(6), None]);
        assert!(!round.is_worked_off());
    }

    #[test]
    fn a_round_can_be_short_or_the_other_way_round() {
        let mut round = Round::default();
        (1..=4).for_each(|n| round.push(n));
        round.begin_at_most(1);
        assert_eq!([round.next(), round.next()], [Some(1), None]);
        round.cut();
        round.begin();
        assert_eq!([round.next(), round.next(), round.next()], [Some(2), Some(3), Some(4)]);
    }

    #[test]
    fn a_mark_is_passed_when_all_before_it_were_taken() {
        let mut round = Round::default();
        assert!(round.has_passed(round.mark()));
        round.push(1);
        round.push(2);
        let mark = round.mark();
        round.begin();
        round.push(3);
        assert_eq!((round.next(), round.has_passed(mark)), (Some(1), false));
        round.push_again(1);
        assert_eq!((round.next(), round.next()), (Some(1), Some(2)));
        assert!(round.has_passed(mark) && !round.has_passed(round.mark()));
    }

    #[test]
    fn what_a_reversed_round_has_left_keeps_its_order() {
        let mut round = Round::default();
        (1..=3).for_each(|n| round.push(n));
        round.begin_reversed();
        assert_eq!(round.next(), Some(3));
        round.cut();
        assert_eq!(round.next(), None);
        (4..=5).for_each(|n| round.push(n));
        round.begin_reversed();
        assert_eq!([round.next(), round.next(), round.next(), round.next()], [Some(2), Some(1), Some(5), Some(4)]);
    }
}
