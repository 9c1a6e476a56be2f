//! The bytes that a connection still owes the kernel, in order.
//!
//! It is storage only: what may be written and when, `writing.rs` decides; the net empties it with `write_vectored`.
//!
//! ```text
//!   front                                                  back
//!   [ owned: 3 messages ][ shared ][ owned ]             [ newest: segment 4, 128..960 ]
//!     ^ sent up to here                                    ^ a range of messages that other queues hold as well
//! ```
//!
//! A write that has to wait is copied, after what is there if that is owned too, so that a thousand small writes are a few
//! buffers and one system call. A broadcast is not copied: it lies once in a segment (`segments.rs`), and every receiver's
//! queue holds a range of that. Ranges that touch are one range.
//!
//! A range keeps the whole of its segment alive. So what a queue keeps when the flush is over ([`WriteQueue::settle`]) stays
//! shared only if it is at least half of its segment; what is less is copied, and so is what is small, as its place in the
//! queue would cost as much. The same holds for a range of which the kernel has taken a part. Of what a queue owns, at most half
//! is not needed any more, or not yet. Together: the buffers that it keeps alive are at most twice its unsent bytes and
//! [`SLACK`], whatever it was sent. A shared segment counts in each of its queues here, and once for the loop.

mod eviction;
mod fitting;

use std::collections::VecDeque;
use std::io::IoSlice;

use fitting::stays_shared;

pub(crate) use super::owned::Evicted;
use super::owned::Owned;
use super::segments::{Segments, Span};

/// Queued output of one connection. What each message of a broadcast changes comes first: see [`Outgoing`](super::outgoing::Outgoing).
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct WriteQueue {
    /// The last one, if it is shared; and not among the pieces then: where all that waits is one range of broadcasts, as
    /// in a room whose members keep up, nothing is allocated for it, and there is one place less to look at.
    newest: Option<Span>,
    /// Always the sum of the pieces' unsent bytes.
    unsent: usize,
    pieces: VecDeque<Piece>,
    /// Those between the pieces and the newest, each in another segment: they have not been offered to the kernel either.
    fresh: Vec<Span>,
    /// Always those of the owned pieces.
    owned: Totals,
    /// How much of [`Segments::queues`] is this one's.
    counted: usize,
}

#[derive(Debug)]
enum Piece {
    Owned(Box<Owned>),
    Shared(Span),
}

/// What the owned pieces come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    unsent: usize,
    /// The memory of their bytes, and all their memory.
    capacity: usize,
    held: usize,
}

impl Totals {
    fn add(&mut self, piece: &Owned) {
        self.unsent += piece.unsent().len();
        self.capacity += piece.capacity();
        self.held += piece.held();
    }

    fn subtract(&mut self, piece: &Owned) {
        self.unsent -= piece.unsent().len();
        self.capacity -= piece.capacity();
        self.held -= piece.held();
    }
}

/// Memory that a queue may have above twice its unsent bytes.
pub(crate) const SLACK: usize = 4 * 1024;

/// The room of a new buffer for small messages is a quarter of what is queued, within these bounds.
const LEAST_ROOM: usize = 512;
const MOST_ROOM: usize = 64 * 1024;

impl WriteQueue {
    pub const fn new() -> Self {
        let owned = Totals { unsent: 0, capacity: 0, held: 0 };
        WriteQueue { newest: None, unsent: 0, pieces: VecDeque::new(), fresh: Vec::new(), owned, counted: 0 }
    }

    /// Appends a copy of a write. Its number is above those of the writes before it.
    pub fn push(&mut self, bytes: &[u8], number: u64, segments: &mut Segments) {
        if bytes.is_empty() {
            return;
        }
        self.settle(segments);
        self.append(bytes.len(), Some(number), |last| last.push(bytes, number));
        self.unsent += bytes.len();
        self.fit(segments);
    }

    /// Has `push` append so many bytes to the last piece, or to a new one.
    fn append(&mut self, length: usize, number: Option<u64>, push: impl FnOnce(&mut Owned)) {
        if !matches!(self.pieces.back(), Some(Piece::Owned(last)) if last.has_room(length, number)) {
            let room = (self.unsent / 4).clamp(LEAST_ROOM, MOST_ROOM);
            let room = if length > room / 2 { length } else { room };
            let last = Owned::with_room(room);
            self.owned.add(&last);
            self.pieces.push_back(Piece::Owned(Box::new(last)));
        }
        if let Some(Piece::Owned(last)) = self.pieces.back_mut() {
            self.owned.subtract(last);
            push(last);
            self.owned.add(last);
        }
    }

    /// Appends a message of a segment.
    #[inline]
    pub fn push_shared(&mut self, message: Span, segments: &mut Segments) {
        if self.is_followed_by(message) {
            return self.extend_newest(message);
        }
        if let Some(newest) = self.newest.take_if(|newest| newest.segment != message.segment) {
            // Not settled: most receivers keep up, and all of a room come here with the message that begins a segment.
            self.fresh.push(newest);
            self.count(segments);
        } else {
            self.settle(segments);
        }
        segments.hold(message.segment);
        self.newest = Some(message);
        self.unsent += message.len();
    }

    /// Appends a message of a segment that [comes right after](WriteQueue::is_followed_by) the last one.
    #[inline]
    pub fn extend_newest(&mut self, message: Span) {
        if let Some(newest) = &mut self.newest {
            newest.end = message.end;
            self.unsent += message.len();
        }
    }

    /// Whether a message comes right after the last one.
    #[inline]
    pub fn is_followed_by(&self, message: Span) -> bool {
        self.newest.is_some_and(|newest| newest.segment == message.segment && newest.end == message.start)
    }

    /// The newest pieces go to the others: they are kept after a flush, another one will follow that does not touch them, or all
    /// are to be looked at alike. Each is copied unless it may stay shared.
    #[inline]
    pub fn settle(&mut self, segments: &mut Segments) {
        if let Some(newest) = self.newest.take() {
            self.settle_newest(newest, segments);
        }
    }

    #[cold]
    fn settle_newest(&mut self, newest: Span, segments: &mut Segments) {
        for range in std::mem::take(&mut self.fresh).into_iter().chain([newest]) {
            if stays_shared(range, segments) {
                self.pieces.push_back(Piece::Shared(range));
            } else {
                self.append(range.len(), None, |last| last.push_copy(range, segments));
                segments.release(range.segment);
            }
        }
        self.fit(segments);
    }

    /// All that is queued, if it lies in one place.
    #[inline]
    pub fn only_piece<'a>(&'a self, segments: &'a Segments) -> Option<&'a [u8]> {
        match self.newest {
            Some(newest) if self.pieces.is_empty() && self.fresh.is_empty() => Some(segments.bytes(newest)),
            _ => None,
        }
    }

    /// Fills `slices` with what is to be sent next, `most` bytes at most, and says how many it filled.
    pub fn gather<'a>(&'a self, most: usize, segments: &'a Segments, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut left, mut count) = (most, 0);
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Owned(owned) => owned.unsent(),
            Piece::Shared(range) => segments.bytes(*range),
        });
        let newest = self.waiting().map(|range| segments.bytes(range));
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
        if !self.fresh.is_empty() {
            count = self.sent_of_fresh(count, segments);
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
                if count > 0 {
                    self.sent_of_front(count, segments);
                }
                self.fit(segments);
                return 0;
            }
            count -= left;
            match self.pieces.pop_front() {
                Some(Piece::Owned(owned)) => self.owned.subtract(&owned),
                Some(Piece::Shared(range)) => segments.release(range.segment),
                None => {}
            }
        }
        // An empty queue owns no memory: most connections have nothing queued nearly always.
        self.pieces = VecDeque::new();
        self.count(segments);
        count
    }

    /// As [`WriteQueue::sent_of_pieces`], of the fresh ones.
    #[cold]
    fn sent_of_fresh(&mut self, mut count: usize, segments: &mut Segments) -> usize {
        let mut sent = 0;
        for range in &mut self.fresh {
            let taken = count.min(range.len());
            range.start += taken as u32;
            count -= taken;
            if range.len() > 0 {
                break;
            }
            segments.release(range.segment);
            sent += 1;
        }
        if sent == self.fresh.len() {
            self.fresh = Vec::new();
            self.count(segments);
        } else {
            self.fresh.drain(..sent);
        }
        count
    }

    /// Takes a part of the first piece.
    fn sent_of_front(&mut self, count: usize, segments: &mut Segments) {
        match self.pieces.front_mut() {
            Some(Piece::Owned(owned)) => {
                owned.send(count);
                self.owned.unsent -= count;
            }
            Some(Piece::Shared(range)) => {
                range.start += count as u32;
                let rest = *range;
                self.pieces.pop_front();
                let rest = self.piece_of(rest, segments);
                self.pieces.push_front(rest);
            }
            None => {}
        }
    }

    /// A range that the queue holds, as a piece. It is copied, and let go, unless it may stay shared.
    fn piece_of(&mut self, range: Span, segments: &mut Segments) -> Piece {
        if stays_shared(range, segments) {
            return Piece::Shared(range);
        }
        let mut copy = Owned::with_room(range.len());
        copy.push_copy(range, segments);
        segments.release(range.segment);
        self.owned.add(&copy);
        Piece::Owned(Box::new(copy))
    }

    /// Throws everything away.
    pub fn clear(&mut self, segments: &mut Segments) {
        self.sent(self.unsent, segments);
    }

    /// The segments that it holds ranges of, one for each range.
    pub fn segments(&self) -> impl Iterator<Item = u32> {
        self.shared().chain(self.waiting()).map(|range| range.segment)
    }

    /// The ranges that wait for their first flush.
    fn waiting(&self) -> impl Iterator<Item = Span> {
        self.fresh.iter().copied().chain(self.newest)
    }

    /// The ranges among its pieces.
    fn shared(&self) -> impl Iterator<Item = Span> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Shared(range) => Some(*range),
            Piece::Owned(_) => None,
        })
    }

    /// Whether it counts right, and keeps no more alive than it may. `is_settled`: no broadcast waits for a flush.
    pub fn check(&self, is_settled: bool, segments: &Segments) -> Result<(), String> {
        let waiting = self.waiting().map(Span::len).sum::<usize>();
        let (mut unsent, mut owned) = (waiting, Totals::default());
        for piece in &self.pieces {
            unsent += piece.unsent();
            if let Piece::Owned(piece) = piece {
                owned.add(piece);
            }
        }
        if (unsent, owned) != (self.unsent, self.owned) {
            return Err(format!("{unsent} bytes, {owned:?} are queued, {}, {:?} are counted", self.unsent, self.owned));
        }
        if self.newest.is_none() && !self.fresh.is_empty() {
            return Err("what was broadcast waits, and the newest of it is gone".to_owned());
        }
        if is_settled && self.newest.is_some() {
            return Err("a broadcast that the flush has left was not settled".to_owned());
        }
        if self.counted != self.held() {
            return Err(format!("it holds {}, and is counted as {}", self.held(), self.counted));
        }
        let settled = unsent - waiting;
        let alive = owned.capacity + self.shared().map(|range| segments.kept_by(range)).sum::<usize>();
        if alive > 2 * settled + SLACK {
            return Err(format!("{settled} bytes are queued and keep {alive} alive"));
        }
        let held = self.held() - self.fresh.capacity() * size_of::<Span>();
        if held > settled * 5 / 2 + 2 * SLACK {
            return Err(format!("{settled} bytes are queued and hold {held}"));
        }
        Ok(())
    }

    /// The memory that it has to itself.
    #[inline]
    pub fn held(&self) -> usize {
        self.owned.held + self.pieces.capacity() * size_of::<Piece>() + self.fresh.capacity() * size_of::<Span>()
    }

    /// The memory that it has to itself, and the bytes that it shares.
    pub fn weight(&self) -> usize {
        self.held() + (self.unsent - self.owned.unsent)
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
            Piece::Owned(owned) => owned.unsent().len(),
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
        let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
        queue.push(b"a", 1, &mut segments);
        queue.push(b"bc", 2, &mut segments);
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
    fn what_waits_for_the_flush_is_not_copied_when_another_segment_begins() {
        let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
        // Another queue holds the first segment, so that it is not filled from its beginning again.
        let mut other = WriteQueue::default();
        broadcast(&mut other, &mut segments, &[b'-'; 3000]);
        broadcast(&mut queue, &mut segments, b"one");
        segments.seal();
        broadcast(&mut queue, &mut segments, b"two");
        broadcast(&mut queue, &mut segments, b"three");
        assert_eq!((queue.pieces.len(), queue.owned.unsent, queue.fresh.len()), (0, 0, 1));
        assert_eq!(queue.check(false, &segments), Ok(()));
        assert_eq!(contents(&queue, &segments), b"onetwothree");
        queue.sent(2, &mut segments);
        assert_eq!(contents(&queue, &segments), b"etwothree");
        queue.settle(&mut segments);
        assert_eq!((queue.fresh.capacity(), contents(&queue, &segments)), (0, b"etwothree".to_vec()));
        assert_eq!(queue.check(true, &segments), Ok(()));
        segments.seal();
        broadcast(&mut queue, &mut segments, b"four");
        segments.seal();
        broadcast(&mut queue, &mut segments, b"five");
        queue.sent(11, &mut segments);
        assert_eq!((contents(&queue, &segments), queue.fresh.len()), (b"urfive".to_vec(), 1));
        queue.sent(4, &mut segments);
        assert_eq!((contents(&queue, &segments), queue.fresh.len()), (b"ve".to_vec(), 0));
        queue.clear(&mut segments);
        assert_eq!(queue.check(true, &segments), Ok(()));
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
        queue.push(b"own", 7, &mut segments);
        assert_eq!(dropped(&mut queue, 0, &mut segments), Some(6));
        assert_eq!(dropped(&mut queue, 0, &mut segments), Some(3));
        assert_eq!(dropped(&mut queue, 0, &mut segments), None);
        assert_eq!(contents(&queue, &segments), b"e;");
        assert_eq!(queue.unsent(), 2);
    }

    #[test]
    fn each_write_of_a_buffer_is_a_message_with_its_number() {
        let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
        queue.push(b"one", 3, &mut segments);
        broadcast(&mut queue, &mut segments, b"all");
        queue.push(b"five", 4, &mut segments);
        queue.push(b"nine", 9, &mut segments);
        let evicted = |bytes, write| Some(Evicted { bytes, write });
        assert_eq!(queue.pieces.len(), 2, "9 does not follow 4");
        assert_eq!(queue.drop_newest(0, &mut segments), evicted(4, Some(9)));
        assert_eq!(queue.drop_oldest(3, &mut segments), evicted(3, None));
        assert_eq!(queue.drop_oldest(0, &mut segments), evicted(3, Some(3)));
        assert_eq!(contents(&queue, &segments), b"five");
        assert_eq!(queue.drop_newest(0, &mut segments), evicted(4, Some(4)));
        assert_eq!(queue.drop_newest(0, &mut segments), None);
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

    /// What a queue of so many unsent bytes keeps alive, segments included.
    fn alive(queue: &WriteQueue, segments: &Segments) -> usize {
        assert_eq!(queue.check(true, segments), Ok(()));
        queue.held() + segments.held()
    }

    /// Each turn fills a segment with `others` bytes and one message for this queue.
    fn turns(count: usize, message: &[u8], others: usize) -> (WriteQueue, Segments) {
        let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
        for _ in 0..count {
            segments.append(&vec![b'o'; others / 2]);
            broadcast(&mut queue, &mut segments, message);
            segments.append(&vec![b'o'; others / 2]);
            queue.settle(&mut segments);
            segments.seal();
        }
        (queue, segments)
    }

    #[test]
    fn a_few_bytes_of_each_turn_do_not_keep_what_others_were_sent() {
        for length in [1, 11, 63, 64, 1000] {
            let (queue, segments) = turns(1000, &vec![b'x'; length], 200_000);
            let alive = alive(&queue, &segments).saturating_sub(256 * 1024 * 9 / 8);
            assert!(alive <= 1000 * length * 2 + SLACK, "{alive} bytes for {length} of each turn");
        }
    }

    #[test]
    fn what_is_most_of_its_segment_stays_shared() {
        let mut segments = Segments::default();
        let mut queues: Vec<_> = (0..100).map(|_| WriteQueue::default()).collect();
        for _ in 0..100 {
            let message = segments.append(&[b'x'; 1000]);
            queues.iter_mut().for_each(|queue| queue.push_shared(message, &mut segments));
            queues.iter_mut().for_each(|queue| queue.settle(&mut segments));
            segments.seal();
        }
        let own: usize = queues.iter().map(WriteQueue::held).sum();
        assert!(own + segments.held() < 100 * 1000 * 6, "{own} and {}", segments.held());
    }

    #[test]
    fn small_messages_after_shared_ones_do_not_cost_the_sharing() {
        const QUEUES: usize = 100;

        let mut segments = Segments::default();
        let mut queues: Vec<_> = (0..QUEUES).map(|_| WriteQueue::default()).collect();
        for (count, length) in [(1000, 1008), (3000, 11)] {
            for _ in 0..count {
                let message = segments.append(&vec![b'x'; length]);
                queues.iter_mut().for_each(|queue| queue.push_shared(message, &mut segments));
                queues.iter_mut().for_each(|queue| queue.settle(&mut segments));
                segments.seal();
            }
        }
        let own: usize = queues.iter().map(WriteQueue::held).sum();
        assert!(queues.iter().all(|queue| queue.check(true, &segments).is_ok()));
        let most = 3000 * 11 * 5 / 2 + 1000 * 2 * size_of::<Piece>() + 2 * SLACK;
        assert!(own <= QUEUES * most, "{} bytes for each queue, where {most} are allowed", own / QUEUES);
        assert!(segments.held() <= 1000 * 1008 * 3, "{}", segments.held());
    }

    #[test]
    fn a_segment_that_is_kept_grows_no_more() {
        let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
        broadcast(&mut queue, &mut segments, &[b'x'; 1000]);
        queue.settle(&mut segments);
        for _ in 0..100 {
            segments.append(&[b'o'; 1000]);
        }
        assert_eq!(segments.len(), 2);
        assert!(queue.check(true, &segments).is_ok());
    }

    #[test]
    fn the_rest_of_a_long_range_does_not_keep_its_segment() {
        let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
        broadcast(&mut queue, &mut segments, &[b'x'; 200_000]);
        queue.settle(&mut segments);
        queue.sent(199_000, &mut segments);
        assert_eq!(segments.len(), 0);
        assert!(alive(&queue, &segments) <= 2 * 1000 + SLACK);
    }

    #[test]
    fn the_rest_of_a_long_write_does_not_keep_its_buffer() {
        let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
        queue.push(&[b'x'; 1_000_000], 1, &mut segments);
        queue.push(b"small", 2, &mut segments);
        for _ in 0..999 {
            queue.sent(1000, &mut segments);
            assert!(alive(&queue, &segments) <= queue.unsent() * 5 / 2 + SLACK);
        }
        assert_eq!(queue.drop_newest(1000, &mut segments), Some(Evicted { bytes: 5, write: Some(2) }));
    }

    #[test]
    fn small_messages_of_all_kinds_take_two_and_a_half_times_their_bytes_at_most() {
        for length in [1, 2, 11, 30, 64, 100, 1100] {
            let (mut queue, mut segments) = (WriteQueue::default(), Segments::default());
            let message = vec![b'x'; length];
            for number in 0..1000 {
                broadcast(&mut queue, &mut segments, &message);
                queue.push(&message[..1], 2 * number, &mut segments);
                queue.push(&message, 2 * number + 1, &mut segments);
                queue.settle(&mut segments);
                segments.seal();
            }
            let alive = alive(&queue, &segments);
            assert!(alive <= queue.unsent() * 5 / 2 + 2 * SLACK, "{alive} for {} bytes of {length}", queue.unsent());
        }
    }
}
