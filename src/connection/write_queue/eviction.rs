//! What a queue drops when an output limit says so: whole messages, the oldest or the newest.

use super::{Piece, WriteQueue};
use crate::connection::owned::Evicted;
use crate::connection::segments::{Segments, Span};

impl WriteQueue {
    /// Drops the oldest whole message after the first `keep` unsent bytes, and says what it was. What is partly sent is
    /// not whole: cutting it would break the stream.
    pub fn drop_oldest(&mut self, keep: usize, segments: &mut Segments) -> Option<Evicted> {
        self.settle(segments);
        let mut before = 0;
        for at in 0..self.pieces.len() {
            let piece = &self.pieces[at];
            let kept = keep.saturating_sub(before);
            let evicted = if kept >= piece.unsent() {
                None
            } else {
                match piece {
                    Piece::Owned(owned) => owned.first_whole_message(kept).map(|begin| self.drop_owned(at, begin)),
                    Piece::Shared(range) => {
                        let from = Span { start: range.start + kept as u32, ..*range };
                        segments.first_whole_message(from).map(|message| self.drop_shared(at, message, segments))
                    }
                }
            };
            if let Some(evicted) = evicted {
                self.unsent -= evicted.bytes;
                self.fit(segments);
                return Some(evicted);
            }
            before += self.pieces[at].unsent();
        }
        None
    }

    /// Drops the message of an owned piece that begins after so many of its unsent bytes. These become a piece of their own.
    fn drop_owned(&mut self, at: usize, begin: usize) -> Evicted {
        let mut evicted = Evicted { bytes: 0, write: None };
        let Some(Piece::Owned(owned)) = self.pieces.get_mut(at) else { return evicted };
        self.owned.subtract(owned);
        let front = (begin > 0).then(|| owned.front(begin));
        owned.send(begin);
        evicted = owned.drop_first();
        if owned.unsent().is_empty() {
            self.pieces.remove(at);
        } else {
            self.owned.add(owned);
        }
        if let Some(front) = front {
            self.owned.add(&front);
            self.pieces.insert(at, Piece::Owned(Box::new(front)));
        }
        evicted
    }

    /// Drops a message of a shared piece, of which two parts may be left.
    fn drop_shared(&mut self, at: usize, message: Span, segments: &mut Segments) -> Evicted {
        let evicted = Evicted { bytes: message.len(), write: None };
        let Some(Piece::Shared(whole)) = self.pieces.remove(at) else { return evicted };
        let parts = [Span { end: message.start, ..whole }, Span { start: message.end, ..whole }];
        for part in parts.into_iter().rev().filter(|part| part.len() > 0) {
            segments.hold(part.segment);
            let part = self.piece_of(part, segments);
            self.pieces.insert(at, part);
        }
        segments.release(whole.segment);
        evicted
    }

    /// Drops the newest message, if it is whole and after the first `keep` unsent bytes, and says what it was.
    pub fn drop_newest(&mut self, keep: usize, segments: &mut Segments) -> Option<Evicted> {
        self.settle(segments);
        let last = self.pieces.back_mut()?;
        let kept = keep.saturating_sub(self.unsent - last.unsent());
        let evicted = match last {
            Piece::Owned(owned) => {
                self.owned.subtract(owned);
                let evicted = owned.drop_last(kept);
                self.owned.add(owned);
                evicted?
            }
            Piece::Shared(range) => {
                let kept = Span { start: range.start + kept.min(range.len()) as u32, ..*range };
                let message = segments.last_whole_message(kept)?;
                let rest = Span { end: message.start, ..*range };
                self.pieces.pop_back();
                if rest.len() > 0 {
                    let rest = self.piece_of(rest, segments);
                    self.pieces.push_back(rest);
                } else {
                    segments.release(rest.segment);
                }
                Evicted { bytes: message.len(), write: None }
            }
        };
        self.unsent -= evicted.bytes;
        if let Some(Piece::Owned(last)) = self.pieces.back()
            && last.unsent().is_empty()
        {
            self.owned.subtract(last);
            self.pieces.pop_back();
        }
        self.fit(segments);
        Some(evicted)
    }
}
