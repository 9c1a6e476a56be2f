//! The bytes that a connection still owes the kernel, in order.
//!
//! It is storage only: what may be written and when, `writing.rs` decides; the net empties it with `write_vectored`.
//!
//! ```text
//!   front                                                  back
//!   [ owned: 3 writes, one buffer ][ shared ][ owned ]   [ newest: segment 4, 128..960 ]
//!     ^ sent up to here                                    ^ a range of messages that other queues hold as well
//! ```
//!
//! A write that has to wait is copied, after the one before it if that is owned too, so that a thousand small writes
//! are one buffer and one system call. A broadcast is not copied: it lies once in a segment (`segments.rs`), and every
//! receiver's queue holds a range of that. Ranges that touch are one range.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

use super::segments::{Segments, Span};

/// Queued output of one connection.
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    pieces: VecDeque<Piece>,
    /// The last one, if it is shared; and not among the pieces then: where all that waits is one range of broadcasts, as
    /// in a room whose members keep up, nothing is allocated for it, and there is one place less to look at.
    newest: Option<Span>,
    /// Always the sum of the pieces' unsent bytes.
    unsent: usize,
}

#[derive(Debug)]
enum Piece {
    /// One write, or several that were merged, so many from the number `first` on; `sent` bytes of it are gone.
    Owned {
        bytes: Vec<u8>,
        sent: usize,
        first: u64,
        writes: u32,
    },
    Shared(Span),
}

/// Whether a write may be merged with the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundaries {
    /// Nobody will ask where one write ends and the next begins.
    Merge,
    /// Each write stays a message of its own, which an output limit may drop.
    Keep,
}

/// What [`WriteQueue::drop_oldest`] has thrown away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub bytes: usize,
    /// How many messages it was: more than one where writes had been merged before anybody asked.
    pub messages: u32,
    /// The numbers of the writes. None of a broadcast's message.
    pub writes: Range<u64>,
}

/// Above this size a buffer is not appended to: growing it would copy what is already there.
const MERGE_UP_TO: usize = 64 * 1024;

impl WriteQueue {
    pub const fn new() -> Self {
        WriteQueue { pieces: VecDeque::new(), newest: None, unsent: 0 }
    }

    /// Appends a copy of a write. Its number is above those of the writes before it.
    pub fn push(&mut self, bytes: &[u8], boundaries: Boundaries, number: u64) {
        if bytes.is_empty() {
            return;
        }
        self.unsent += bytes.len();
        self.settle();
        if boundaries == Boundaries::Merge
            && let Some(Piece::Owned { bytes: last, first, writes, .. }) = self.pieces.back_mut()
            && last.len() + bytes.len() <= MERGE_UP_TO
            && *first + u64::from(*writes) == number
        {
            last.extend_from_slice(bytes);
            *writes += 1;
            return;
        }
        self.pieces.push_back(Piece::Owned { bytes: bytes.to_vec(), sent: 0, first: number, writes: 1 });
    }

    /// Appends a message of a segment.
    #[inline]
    pub fn push_shared(&mut self, message: Span, segments: &mut Segments) {
        self.unsent += message.len();
        match &mut self.newest {
            Some(newest) if newest.segment == message.segment && newest.end == message.start => {
                newest.end = message.end;
            }
            other => {
                if other.is_some() {
                    self.settle();
                }
                segments.hold(message.segment);
                self.newest = Some(message);
            }
        }
    }

    /// The newest piece goes to the others: another one will follow it, or all are to be looked at alike.
    #[cold]
    fn settle(&mut self) {
        if let Some(newest) = self.newest.take() {
            self.pieces.push_back(Piece::Shared(newest));
        }
    }

    /// All that is queued, if it lies in one place.
    #[inline]
    pub fn only_piece<'a>(&'a self, segments: &'a Segments) -> Option<&'a [u8]> {
        match self.newest {
            Some(newest) if self.pieces.is_empty() => Some(segments.bytes(newest)),
            _ => None,
        }
    }

    /// Fills `slices` with what is to be sent next, `most` bytes at most, and says how many it filled.
    pub fn gather<'a>(&'a self, most: usize, segments: &'a Segments, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut left, mut count) = (most, 0);
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Owned { bytes, sent, .. } => &bytes[*sent..],
            Piece::Shared(range) => segments.bytes(*range),
        });
        let newest = self.newest.map(|range| segments.bytes(range));
        for (bytes, slice) in pieces.chain(newest).zip(slices) {
            let bytes = &bytes[..bytes.len().min(left)];
            *slice = IoSlice::new(bytes);
            count += 1;
            left -= bytes.len();
            if left == 0 {
                break;
            }
        }
        count
    }

    /// Takes `count` bytes off the front: the kernel has them.
    #[inline]
    pub fn sent(&mut self, mut count: usize, segments: &mut Segments) {
        debug_assert!(count <= self.unsent, "more was sent than there was");
        self.unsent -= count;
        if self.pieces.capacity() > 0 {
            count = self.sent_of_pieces(count, segments);
        }
        if let Some(newest) = &mut self.newest {
            newest.start += count as u32;
            if newest.len() == 0 {
                segments.release(newest.segment);
                self.newest = None;
            }
        }
    }

    /// Takes as many bytes as there are of the older pieces. Says how many are left to be taken.
    #[inline(never)]
    fn sent_of_pieces(&mut self, mut count: usize, segments: &mut Segments) -> usize {
        while let Some(piece) = self.pieces.front_mut() {
            let left = piece.unsent();
            if count < left {
                match piece {
                    Piece::Owned { sent, .. } => *sent += count,
                    Piece::Shared(range) => range.start += count as u32,
                }
                return 0;
            }
            count -= left;
            if let Some(Piece::Shared(range)) = self.pieces.pop_front() {
                segments.release(range.segment);
            }
        }
        // An empty queue owns no memory: most connections have nothing queued nearly always.
        self.pieces = VecDeque::new();
        count
    }

    /// Throws everything away.
    pub fn clear(&mut self, segments: &mut Segments) {
        self.sent(self.unsent, segments);
    }

    /// Drops the oldest whole message after the first `keep` unsent bytes, and says what it was. What is partly sent is
    /// not whole: cutting it would break the stream.
    pub fn drop_oldest(&mut self, keep: usize, segments: &mut Segments) -> Option<Evicted> {
        self.settle();
        let mut before = 0;
        for at in 0..self.pieces.len() {
            let piece = &mut self.pieces[at];
            let left = piece.unsent();
            match piece {
                Piece::Owned { sent: 0, first, writes, .. } if before >= keep => {
                    let (first, messages) = (*first, *writes);
                    self.pieces.remove(at);
                    self.unsent -= left;
                    return Some(Evicted { bytes: left, messages, writes: first..first + u64::from(messages) });
                }
                Piece::Shared(range) => {
                    let whole = *range;
                    let kept = keep.saturating_sub(before).min(left) as u32;
                    if let Some(message) = segments.whole_message(Span { start: whole.start + kept, ..whole }) {
                        self.cut(at, message, segments);
                        self.unsent -= message.len();
                        return Some(Evicted { bytes: message.len(), messages: 1, writes: 0..0 });
                    }
                }
                Piece::Owned { .. } => {}
            }
            before += left;
        }
        None
    }

    /// Replaces the shared piece at `at` by the two parts that are left of it without `message`.
    fn cut(&mut self, at: usize, message: Span, segments: &mut Segments) {
        let Some(Piece::Shared(whole)) = self.pieces.remove(at) else { return };
        let parts = [Span { end: message.start, ..whole }, Span { start: message.end, ..whole }];
        for part in parts.into_iter().rev().filter(|part| part.len() > 0) {
            segments.hold(part.segment);
            self.pieces.insert(at, Piece::Shared(part));
        }
        segments.release(whole.segment);
    }

    /// The segments that it holds ranges of, one for each range.
    pub fn segments(&self) -> impl Iterator<Item = u32> {
        let ranges = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Shared(range) => Some(*range),
            Piece::Owned { .. } => None,
        });
        ranges.chain(self.newest).map(|range| range.segment)
    }

    /// Whether it counts right.
    pub fn check(&self) -> Result<(), String> {
        let pieces = || self.pieces.iter().map(Piece::unsent).chain(self.newest.map(Span::len));
        let there: usize = pieces().sum();
        match there == self.unsent && pieces().all(|unsent| unsent > 0) {
            true => Ok(()),
            false => Err(format!("{there} bytes are queued, {} are counted", self.unsent)),
        }
    }

    /// Bytes that the kernel has not taken yet.
    #[inline]
    pub fn unsent(&self) -> usize {
        self.unsent
    }
}

impl Piece {
    fn unsent(&self) -> usize {
        match self {
            Piece::Owned { bytes, sent, .. } => bytes.len() - sent,
            Piece::Shared(range) => range.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(queue: &WriteQueue, segments: &Segments) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let count = queue.gather(usize::MAX, segments, &mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    fn broadcast(queue: &mut WriteQueue, segments: &mut Segments, message: &[u8]) {
        let message = segments.append(message);
        queue.push_shared(message, segments);
    }

    fn dropped(queue: &mut WriteQueue, keep: usize, segments: &mut Segments) -> Option<usize> {
        queue.drop_oldest(keep, segments).map(|evicted| evicted.bytes)
    }

    #[test]
    fn small_writes_become_one_buffer() {
        let (mut queue, segments) = (WriteQueue::default(), Segments::default());
        queue.push(b"a", Boundaries::Merge, 1);
        queue.push(b"bc", Boundaries::Merge, 2);
        assert_eq!(queue.pieces.len(), 1);
        assert_eq!(contents(&queue, &segments), b"abc");
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let (mut everybody, mut segments) = (WriteQueue::default(), Segments::default());
        let mut speaker = WriteQueue::default();
        for message in [b"one;", b"two;", b"six;"] {
            let place = segments.append(message);
            everybody.push_shared(place, &mut segments);
            if message != b"two;" {
                speaker.push_shared(place, &mut segments);
            }
        }
        assert_eq!((everybody.pieces.capacity(), everybody.newest.map(Span::len)), (0, Some(12)));
        assert_eq!(contents(&speaker, &segments), b"one;six;");
    }

    #[test]
    fn a_segment_lives_as_long_as_somebody_holds_it() {
        let (mut slow, mut segments) = (WriteQueue::default(), Segments::default());
        let mut fast = WriteQueue::default();
        let hello = segments.append(b"hello");
        slow.push_shared(hello, &mut segments);
        fast.push_shared(hello, &mut segments);
        fast.sent(5, &mut segments);
        slow.sent(2, &mut segments);
        segments.seal();
        broadcast(&mut fast, &mut segments, b" world");
        assert_eq!(contents(&slow, &segments), b"llo");
        assert_eq!(contents(&fast, &segments), b" world");
        slow.clear(&mut segments);
        fast.clear(&mut segments);
        segments.seal();
        assert!(segments.len() <= 1, "only the one that is being filled is left");
    }

    #[test]
    fn only_whole_messages_are_dropped() {
        let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
        for message in [&b"one;"[..], b"two;", b"three;"] {
            broadcast(&mut queue, &mut segments, message);
        }
        queue.sent(2, &mut segments);
        assert_eq!(dropped(&mut queue, 0, &mut segments), Some(4), "`one;` is partly sent and stays");
        assert_eq!(contents(&queue, &segments), b"e;three;");
        queue.push(b"own", Boundaries::Keep, 7);
        assert_eq!(dropped(&mut queue, 0, &mut segments), Some(6));
        assert_eq!(dropped(&mut queue, 0, &mut segments), Some(3));
        assert_eq!(dropped(&mut queue, 0, &mut segments), None);
        assert_eq!(contents(&queue, &segments), b"e;");
        assert_eq!(queue.unsent(), 2);
    }

    #[test]
    fn writes_that_were_merged_are_dropped_as_one_and_each_is_named() {
        let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
        queue.push(b"one", Boundaries::Keep, 3);
        queue.push(b"two", Boundaries::Merge, 4);
        queue.push(b"five", Boundaries::Merge, 6);
        let evicted = |bytes, messages, writes| Some(Evicted { bytes, messages, writes });
        assert_eq!(queue.drop_oldest(0, &mut segments), evicted(6, 2, 3..5));
        assert_eq!(queue.drop_oldest(0, &mut segments), evicted(4, 1, 6..7), "5 is not its neighbour's");
    }

    #[test]
    fn what_must_stay_is_not_dropped() {
        let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
        for message in [&b"one;"[..], b"two;", b"three;"] {
            broadcast(&mut queue, &mut segments, message);
        }
        assert_eq!(dropped(&mut queue, 6, &mut segments), Some(6), "`two;` begins before byte 6");
        assert_eq!(contents(&queue, &segments), b"one;two;");
    }
}
