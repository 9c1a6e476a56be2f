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
#[cfg(test)]
mod tests;

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
