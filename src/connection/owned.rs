//! Messages that one queue has to itself, end to end in one buffer.
//!
//! ```text
//!   bytes   [ sent.... | o you?fine;how are you?bye; |  room  ]
//!   begins                     |    |           |               a message whose begin is gone is not whole
//!   broadcast                  |                |               the others are writes, numbered from `first` on
//! ```
//!
//! One buffer for many messages, as one for each would cost a small message several times its bytes. Each boundary is kept, as
//! an output limit drops whole messages only, and may be set at any time.

use super::segments::{Segments, Span};
use crate::base::bits::Bits;

/// A part of a queue.
#[derive(Debug)]
pub(super) struct Owned {
    /// It never grows: where there is no room, another part follows.
    bytes: Vec<u8>,
    /// So many of the bytes are sent, or dropped.
    sent: usize,
    begins: Bits,
    /// Which of these messages came by a broadcast, and have no number.
    broadcast: Bits,
    /// The numbers of the writes: they follow each other.
    first: u64,
    next: u64,
}

/// A buffer with fewer bytes is copied to others when there are many.
const WORTH_KEEPING: usize = 4 * 1024;

/// A message that was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub bytes: usize,
    /// The number of the write. None of a broadcast's message.
    pub write: Option<u64>,
}

impl Owned {
    /// An empty one with room for so many bytes.
    pub fn with_room(room: usize) -> Self {
        let bytes = Vec::with_capacity(room);
        Owned { bytes, sent: 0, begins: Bits::default(), broadcast: Bits::default(), first: 0, next: 0 }
    }

    /// Whether so many bytes more have room; if they are a write, with this number.
    pub fn has_room(&self, length: usize, number: Option<u64>) -> bool {
        self.bytes.len() + length <= self.bytes.capacity() && number.is_none_or(|number| self.may_follow(number))
    }

    fn may_follow(&self, number: u64) -> bool {
        self.first == self.next || self.next == number
    }

    /// Appends a write that has room.
    pub fn push(&mut self, bytes: &[u8], number: u64) {
        debug_assert!(self.has_room(bytes.len(), Some(number)), "a buffer that is full grows");
        self.begin_message(self.bytes.len());
        self.count_write(number);
        self.bytes.extend_from_slice(bytes);
    }

    fn begin_message(&mut self, at: usize) {
        if at > 0 {
            self.begins.reserve(self.bytes.capacity());
        }
        self.begins.insert(at);
    }

    fn count_write(&mut self, number: u64) {
        if self.first == self.next {
            self.first = number;
        }
        self.next = number + 1;
    }

    /// Appends a copy of the messages of a range, for which there is room.
    pub fn push_copy(&mut self, range: Span, segments: &Segments) {
        let at = self.bytes.len();
        for begin in segments.begins(range) {
            self.begin_broadcast(at + begin);
        }
        self.bytes.extend_from_slice(segments.bytes(range));
    }

    fn begin_broadcast(&mut self, at: usize) {
        self.begin_message(at);
        if at > 0 {
            self.broadcast.reserve(self.bytes.capacity());
        }
        self.broadcast.insert(at);
    }

    /// Appends what another has left from byte `from` to byte `to`, for which there is room. Its first message may be a
    /// part of one only if this is empty.
    pub fn push_part(&mut self, other: &Owned, from: usize, to: usize) {
        let at = self.bytes.len();
        let mut number = other.number_at(from);
        for begin in other.begins.between(from, to) {
            if other.broadcast.contains(begin) {
                self.begin_broadcast(at + begin - from);
            } else {
                self.begin_message(at + begin - from);
                self.count_write(number);
                number += 1;
            }
        }
        self.bytes.extend_from_slice(&other.bytes[from..to]);
    }

    /// Appends all that another has left.
    pub fn push_rest(&mut self, other: &Owned) {
        self.push_part(other, other.sent, other.bytes.len());
    }

    /// Whether copying it would gain little.
    pub fn is_well_filled(&self) -> bool {
        let unsent = self.unsent().len();
        unsent >= WORTH_KEEPING && self.bytes.capacity() <= unsent + unsent / 4
    }

    /// Whether [`Owned::push_part`] would keep the numbers in a row.
    pub fn may_take(&self, other: &Owned) -> bool {
        let number = other.number_at(other.sent);
        number == other.next || self.may_follow(number)
    }

    /// The number of the first write that begins at `at` or after it.
    fn number_at(&self, at: usize) -> u64 {
        self.first + (self.begins.count_below(at) - self.broadcast.count_below(at)) as u64
    }

    /// The first `kept` of its unsent bytes, as a part of their own.
    pub fn front(&self, kept: usize) -> Owned {
        let mut front = Owned::with_room(kept);
        front.push_part(self, self.sent, self.sent + kept);
        front
    }

    /// What is not sent.
    #[inline]
    pub fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// So many of its bytes are sent.
    pub fn send(&mut self, count: usize) {
        self.sent += count;
    }

    /// Where in the unsent bytes the first whole message begins that has at least `keep` of them before it.
    pub fn first_whole_message(&self, keep: usize) -> Option<usize> {
        let begin = self.begins.next(self.sent + keep)?;
        Some(begin - self.sent)
    }

    /// Drops the first message, which is whole.
    pub fn drop_first(&mut self) -> Evicted {
        let end = self.begins.next(self.sent + 1).unwrap_or(self.bytes.len());
        let evicted = Evicted { bytes: end - self.sent, write: self.write_at(self.sent) };
        self.sent = end;
        evicted
    }

    /// Drops the last message, if it is whole and at least `keep` of the unsent bytes are before it.
    pub fn drop_last(&mut self, keep: usize) -> Option<Evicted> {
        let begin = self.begins.last_below(self.bytes.len()).filter(|begin| *begin >= self.sent + keep)?;
        let evicted = Evicted { bytes: self.bytes.len() - begin, write: self.write_at(begin) };
        if evicted.write.is_some() {
            self.next -= 1;
        }
        self.bytes.truncate(begin);
        self.begins.truncate(begin);
        self.broadcast.truncate(begin);
        Some(evicted)
    }

    fn write_at(&self, begin: usize) -> Option<u64> {
        (!self.broadcast.contains(begin)).then(|| self.number_at(begin))
    }

    /// Gives back the room that it has left at its end.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.begins.shrink();
        self.broadcast.shrink();
    }

    /// The memory of its bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// All its memory, but for its place in the queue.
    pub fn held(&self) -> usize {
        size_of::<Owned>() + self.bytes.capacity() + self.begins.capacity() + self.broadcast.capacity()
    }
}
