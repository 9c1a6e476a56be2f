//! A set of small numbers, a bit for each: where the messages of a buffer begin.

/// The numbers of a set. It takes an eighth of a byte for each number up to the largest, whatever is in it.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
}

const WORD: usize = 64;

impl Bits {
    /// Puts a number in.
    #[inline]
    pub fn insert(&mut self, number: usize) {
        let word = number / WORD;
        if word >= self.words.len() {
            self.grow(word + 1);
        }
        self.words[word] |= 1 << (number % WORD);
    }

    fn grow(&mut self, words: usize) {
        if self.words.is_empty() {
            self.words.reserve_exact(words);
        }
        self.words.resize(words, 0);
    }

    /// Numbers below `end` need no more memory.
    pub fn reserve(&mut self, end: usize) {
        self.words.reserve_exact(end.div_ceil(WORD).saturating_sub(self.words.len()));
    }

    pub fn contains(&self, number: usize) -> bool {
        self.words.get(number / WORD).is_some_and(|word| word >> (number % WORD) & 1 == 1)
    }

    /// The smallest number from `from` on.
    pub fn next(&self, from: usize) -> Option<usize> {
        let mut at = from / WORD;
        let mut word = self.words.get(at)? & (u64::MAX << (from % WORD));
        while word == 0 {
            at += 1;
            word = *self.words.get(at)?;
        }
        Some(at * WORD + word.trailing_zeros() as usize)
    }

    /// The largest number below `end`.
    pub fn last_below(&self, end: usize) -> Option<usize> {
        let whole = (end / WORD).min(self.words.len());
        let part = self.words.get(end / WORD).map_or(0, |word| word & below(end % WORD));
        let part = (part != 0).then_some((whole, part));
        let (at, word) = part.or_else(|| {
            let at = self.words[..whole].iter().rposition(|word| *word != 0)?;
            Some((at, self.words[at]))
        })?;
        Some(at * WORD + (WORD - 1 - word.leading_zeros() as usize))
    }

    /// How many numbers are below `end`.
    pub fn count_below(&self, end: usize) -> usize {
        let whole = (end / WORD).min(self.words.len());
        let part = self.words.get(end / WORD).map_or(0, |word| (word & below(end % WORD)).count_ones());
        part as usize + self.words[..whole].iter().map(|word| word.count_ones() as usize).sum::<usize>()
    }

    /// The numbers from `from` on and below `end`.
    pub fn between(&self, from: usize, end: usize) -> impl Iterator<Item = usize> {
        let first = self.next(from);
        std::iter::successors(first, |last| self.next(last + 1)).take_while(move |number| *number < end)
    }

    /// Takes out all from `end` on.
    pub fn truncate(&mut self, end: usize) {
        self.words.truncate(end.div_ceil(WORD));
        if let Some(word) = self.words.get_mut(end / WORD) {
            *word &= below(end % WORD);
        }
    }

    /// Takes all out, and keeps the memory.
    pub fn clear(&mut self) {
        self.words.clear();
    }

    /// Gives back the memory that no number needs.
    pub fn shrink(&mut self) {
        self.words.shrink_to_fit();
    }

    /// The memory that it has.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

/// The lowest `count` bits of a word, fewer than all.
fn below(count: usize) -> u64 {
    (1 << count) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every question, of a set of numbers on both sides of the bounds of words.
    #[test]
    fn it_answers_as_a_sorted_list_does() {
        let numbers = [0, 1, 63, 64, 65, 127, 128, 300];
        for count in 0..=numbers.len() {
            let mut bits = Bits::default();
            let mut list = numbers[..count].to_vec();
            list.iter().for_each(|number| bits.insert(*number));
            for at in 0..400 {
                assert_eq!(bits.contains(at), list.contains(&at), "{at} of {list:?}");
                assert_eq!(bits.next(at), list.iter().copied().find(|number| *number >= at), "{at} of {list:?}");
                assert_eq!(bits.last_below(at), list.iter().copied().rfind(|number| *number < at), "{at} of {list:?}");
                assert_eq!(bits.count_below(at), list.iter().filter(|number| **number < at).count());
                assert!(bits.between(1, at).eq(list.iter().copied().filter(|number| (1..at).contains(number))));
            }
            for end in [310, 300, 129, 128, 127, 65, 64, 63, 1, 0] {
                bits.truncate(end);
                list.retain(|number| *number < end);
                assert!(bits.between(0, 400).eq(list.iter().copied()), "cut at {end}");
            }
        }
    }

    #[test]
    fn one_number_takes_one_word() {
        let mut bits = Bits::default();
        bits.insert(0);
        assert_eq!(bits.capacity(), 8);
        bits.reserve(1000);
        assert!(bits.capacity() <= 128, "{}", bits.capacity());
        bits.insert(999);
        assert!(bits.capacity() <= 128);
    }
}
