//! The memory that a loop holds for its connections: what is known of it. `memory_limit.rs` acts on it.
//!
//! ```text
//!   queues' own bytes ─┐
//!   segments, once     ├─▶ held ──▶ above the limit: the connection with the most output is judged by its policy, then the next
//!   read-ahead ────────┘       └──▶ near the limit: nothing more is read ahead
//! ```
//!
//! The limits of a connection bound one connection; what they come to together only this bounds. It looks after each flush,
//! as the others do: what the kernel takes at once was never held.
//!
//! The connection that holds the most is found without asking all of them. Each that the kernel has refused bytes of has a size
//! class, eight for each power of two, and is moved in a sorted set when its class changes and at no other time. A class in the
//! set may be out of date, since a queue that is emptied in its usual way does not say so; whoever comes up is asked again.

use std::collections::{BTreeSet, VecDeque};

use super::read_buffer::READ_BUFFER;
use crate::base::id::SocketId;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Memory {
    /// `usize::MAX` if there is none.
    pub limit: usize,
    /// The memory of all read-ahead.
    read_ahead: usize,
    pub most_held: usize,
    pub index: Index,
    /// Whether the limit is passed, and there was no time yet to do something about it.
    pub is_behind: bool,
    /// Whether nothing more is read ahead.
    pub stops_reading_ahead: bool,
    /// Those that are not read from because of that, in the order in which they came.
    pub waiting: VecDeque<SocketId>,
}

/// Connections by what they have to send: by their slots, as one that is gone is found out when it comes up.
#[derive(Debug, Default)]
pub(super) struct Index {
    classes: Vec<u16>,
    sorted: BTreeSet<(u16, u32)>,
}

impl Memory {
    pub fn new() -> Self {
        Memory {
            limit: usize::MAX,
            read_ahead: 0,
            most_held: 0,
            index: Index::default(),
            is_behind: false,
            stops_reading_ahead: false,
            waiting: VecDeque::new(),
        }
    }

    pub fn has_limit(&self) -> bool {
        self.limit != usize::MAX
    }

    /// What a connection has read ahead takes other memory than before.
    pub fn read_ahead_changed(&mut self, before: usize, now: usize) {
        self.read_ahead = self.read_ahead + now - before;
        self.stops_reading_ahead |= self.read_ahead + READ_BUFFER > self.most_read_ahead();
    }

    pub fn read_ahead(&self) -> usize {
        self.read_ahead
    }

    /// So that what is read and not taken cannot drive out all that is to be sent.
    pub fn most_read_ahead(&self) -> usize {
        if self.has_limit() { self.limit / 2 } else { usize::MAX }
    }
}

impl Index {
    pub fn set(&mut self, slot: u32, class: u16) {
        let at = slot as usize;
        if at >= self.classes.len() {
            self.classes.resize(at + 1, 0);
        }
        let before = std::mem::replace(&mut self.classes[at], class);
        if before == class {
            return;
        }
        if before > 0 {
            self.sorted.remove(&(before, slot));
        }
        if class > 0 {
            self.sorted.insert((class, slot));
        }
    }

    pub fn heaviest(&self) -> Option<(u16, u32)> {
        self.sorted.last().copied()
    }
}

/// The size class of so many bytes. In one class, the most are at most an eighth more than the fewest. 0 for none.
pub(super) fn class(bytes: usize) -> u16 {
    if bytes == 0 {
        return 0;
    }
    let zeros = bytes.leading_zeros();
    let highest_four = (bytes << zeros) >> (usize::BITS - 4);
    ((usize::BITS - zeros) * 8) as u16 + (highest_four - 8) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_an_eighth_wide_and_none_has_two() {
        assert_eq!(class(0), 0);
        let mut fewest = 1;
        for bytes in 1..100_000_usize {
            if class(bytes) != class(fewest) {
                assert!(class(bytes) > class(fewest));
                fewest = bytes;
            }
            assert!(bytes - fewest <= fewest / 8, "{fewest} and {bytes}");
        }
        assert!(class(usize::MAX) > class(usize::MAX / 2));
    }

    #[test]
    fn the_heaviest_is_known_however_they_change() {
        let mut index = Index::default();
        for (slot, bytes) in [(3, 100), (1, 5000), (7, 300), (1, 10), (7, 0), (3, 101)] {
            index.set(slot, class(bytes));
        }
        assert_eq!(index.heaviest(), Some((class(100), 3)));
        index.set(3, 0);
        assert_eq!(index.heaviest(), Some((class(10), 1)));
        index.set(1, 0);
        assert_eq!(index.heaviest(), None);
    }
}
