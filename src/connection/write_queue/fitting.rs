//! Keeps the memory of a queue within its bound: at most twice its unsent bytes and [`SLACK`].

use std::collections::VecDeque;

use super::{MOST_ROOM, Piece, SLACK, Totals, WriteQueue};
use crate::connection::owned::Owned;
use crate::connection::segments::{Segments, Span};

/// A range below this size is copied: its place in the queue takes half as much.
const SMALL: usize = 64;

/// A range below this size is copied when a queue of many pieces is made smaller.
const SMALL_BETWEEN_OWNED: usize = 1024;

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
        let mut pieces = VecDeque::new();
        self.owned = Totals::default();
        for piece in std::mem::take(&mut self.pieces) {
            match piece {
                Piece::Owned(owned) if owned.is_well_filled() => pieces.push_back(Piece::Owned(owned)),
                Piece::Owned(owned) => {
                    let length = owned.unsent().len();
                    if let Some(last) = last_owned(&mut pieces, length, |last| last.may_take(&owned)) {
                        last.push_rest(&owned);
                    }
                }
                Piece::Shared(range) if range.len() >= SMALL_BETWEEN_OWNED => pieces.push_back(Piece::Shared(range)),
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
