//! Keeps the memory of a queue within its bound: at most twice its unsent bytes and [`SLACK`].

use std::collections::VecDeque;

use super::{MOST_ROOM, Piece, SLACK, Totals, WriteQueue};
use crate::connection::owned::Owned;
use crate::connection::segments::{Segments, Span};

/// A range below this size is copied: its place in the queue takes half as much.
const SMALL: usize = 64;

/// Ranges that are together below this size are copied when a queue of many pieces is made smaller: those around them become one.
const SMALL_BETWEEN_OWNED: usize = 1024;

/// Of other ranges those below this size are copied then. Longer ones cost their place, a tenth of this, and copies of them would
/// cost a room of stuck readers their sharing.
const SMALL_IN_A_ROW: usize = 256;

/// Whether a range that is kept stays shared.
pub(super) fn stays_shared(range: Span, segments: &mut Segments) -> bool {
    range.len() >= SMALL && segments.is_half(range)
}

impl WriteQueue {
    /// Sees to it that what it owns is at most what [`WriteQueue::check`] allows.
    #[inline]
    pub(super) fn fit(&mut self, segments: &mut Segments) {
        if self.has_too_much() {
            self.rebuild(segments);
        }
        if self.pieces.capacity() > 16 && self.pieces.capacity() / 4 > self.pieces.len() {
            self.pieces.shrink_to(self.pieces.len() * 2);
        }
        self.count(segments);
    }

    pub(super) fn count(&mut self, segments: &mut Segments) {
        let held = self.held();
        segments.queues = segments.queues + held - self.counted;
        self.counted = held;
    }

    /// Whether the buffers take more than they may, or the pieces do because they are many and small.
    fn has_too_much(&self) -> bool {
        let Totals { unsent, capacity, held } = self.owned;
        capacity > 2 * unsent + SLACK / 2 || held > 2 * unsent + (self.unsent - unsent) / 4 + SLACK
    }

    /// Makes few pieces of many, with no more room than they need. Each copied byte is paid for by one that was sent, dropped or
    /// pushed since it was copied last.
    #[cold]
    fn rebuild(&mut self, segments: &mut Segments) {
        self.merge(SMALL_IN_A_ROW, segments);
        if self.has_too_much() {
            self.merge(SMALL_BETWEEN_OWNED, segments);
        }
    }

    /// Copies shared ranges that are below `small`, or lie between owned pieces and are together below
    /// [`SMALL_BETWEEN_OWNED`], and merges owned pieces.
    fn merge(&mut self, small: usize, segments: &mut Segments) {
        let mut pieces = VecDeque::new();
        self.owned = Totals::default();
        let mut left = std::mem::take(&mut self.pieces);
        // How many bytes of the ranges in a row that begins here are left, if they lie between owned pieces.
        let mut in_a_row = 0;
        while let Some(piece) = left.pop_front() {
            match piece {
                Piece::Owned(owned) => {
                    in_a_row = shared_before_owned(&left);
                    if owned.is_well_filled() {
                        pieces.push_back(Piece::Owned(owned));
                        continue;
                    }
                    let length = owned.unsent().len();
                    if let Some(last) = last_owned(&mut pieces, length, |last| last.may_take(&owned)) {
                        last.push_rest(&owned);
                    }
                }
                Piece::Shared(range) if range.len() >= small && !(1..SMALL_BETWEEN_OWNED).contains(&in_a_row) => {
                    pieces.push_back(Piece::Shared(range));
                }
                Piece::Shared(range) => {
                    if let Some(last) = last_owned(&mut pieces, range.len(), |_| true) {
                        last.push_copy(range, segments);
                    }
                    segments.release(range.segment);
                }
            }
        }
        for piece in &mut pieces {
            if let Piece::Owned(owned) = piece {
                owned.shrink();
                self.owned.add(owned);
            }
        }
        pieces.shrink_to_fit();
        self.pieces = pieces;
    }
}

/// The bytes of the shared ranges up to the next owned piece; 0 if there is none.
fn shared_before_owned(pieces: &VecDeque<Piece>) -> usize {
    let mut bytes = 0;
    for piece in pieces {
        match piece {
            Piece::Shared(range) if bytes < SMALL_BETWEEN_OWNED => bytes += range.len(),
            Piece::Shared(_) | Piece::Owned(_) => return bytes,
        }
    }
    0
}

/// The last piece, if so many bytes more may be appended, or a new one.
fn last_owned(pieces: &mut VecDeque<Piece>, length: usize, may_take: impl Fn(&Owned) -> bool) -> Option<&mut Owned> {
    let goes_on = match pieces.back() {
        Some(Piece::Owned(last)) => last.unsent().len() + length <= MOST_ROOM && may_take(last),
        _ => false,
    };
    if !goes_on {
        pieces.push_back(Piece::Owned(Box::new(Owned::with_room(length))));
    }
    match pieces.back_mut() {
        Some(Piece::Owned(last)) => Some(last),
        _ => None,
    }
}
