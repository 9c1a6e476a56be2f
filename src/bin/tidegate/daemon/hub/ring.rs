//! The newest frames, in order: the queue of all consumers together, and the backlog. It knows numbers and bytes only.
//!
//! ```text
//!        the oldest that is kept                    the head: where the next frame comes
//!        ▼                                          ▼
//!   ┌────────────┬────────────┬────────────┬───────┐
//!   │ segment    │ segment    │ segment    │ ...   │   Each consumer has a cursor: the frame that it gets next.
//!   └────────────┴────────────┴────────────┴───────┘
//! ```
//!
//! A frame lies within one segment, so a piece that is written needs no copy. A segment goes when none of its frames is within
//! the newest `keep` bytes.

use std::collections::VecDeque;
use std::ops::Range;

/// Bytes of a segment, unless one frame has more.
pub const SEGMENT: usize = 16 * 1024;

/// A place between two frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// How many frames there were before it. So it is the number of the next one.
    pub frame: u64,
    /// How many bytes they had.
    pub byte: u64,
}

/// Some frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub frames: u64,
    pub bytes: u64,
}

/// Who has sent a frame, if it is somebody who also hears the others: it does not hear itself.
pub type Origin = Option<u64>;

/// Whole frames in a row, of one origin.
#[derive(Debug)]
pub struct Piece<'a> {
    pub bytes: &'a [u8],
    pub origin: Origin,
    /// The place after it.
    pub next: Cursor,
}

#[derive(Debug)]
pub struct Ring {
    segments: VecDeque<Segment>,
    keep: u64,
    head: Cursor,
    /// A segment that has gone, for the next one.
    spare: Option<Segment>,
}

#[derive(Debug, Default)]
struct Segment {
    start: Cursor,
    bytes: Vec<u8>,
    /// Where each frame ends.
    ends: Vec<u32>,
    runs: Vec<Run>,
}

/// Frames in a row of one origin.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// The first one, counted in its segment.
    from: usize,
    origin: Origin,
}

impl Ring {
    /// At least the frames that lie within the newest `keep` bytes are kept.
    pub fn new(keep: usize) -> Self {
        Ring { segments: VecDeque::new(), keep: keep as u64, head: Cursor::default(), spare: None }
    }

    /// Adds a frame, whose bytes come in two parts. The second one may be empty.
    pub fn push(&mut self, parts: [&[u8]; 2], origin: Origin) {
        let length = parts[0].len() + parts[1].len();
        if self.segments.back().is_none_or(|last| last.bytes.len() + length > SEGMENT) {
            self.begin_segment();
        }
        let Some(last) = self.segments.back_mut() else { return };
        for part in parts {
            last.bytes.extend_from_slice(part);
        }
        if last.runs.last().is_none_or(|run| run.origin != origin) {
            last.runs.push(Run { from: last.ends.len(), origin });
        }
        last.ends.push(last.bytes.len() as u32);
        self.head = self.head.after(Amount { frames: 1, bytes: length as u64 });
        self.forget_the_oldest();
    }

    fn begin_segment(&mut self) {
        let mut segment = self.spare.take().unwrap_or_default();
        segment.start = self.head;
        segment.bytes.clear();
        segment.ends.clear();
        segment.runs.clear();
        self.segments.push_back(segment);
    }

    /// A segment is needed as long as one of its frames is within `keep`. The last frame alone may be larger.
    fn forget_the_oldest(&mut self) {
        while let Some(second) = self.segments.get(1)
            && self.head.byte - second.start.byte >= self.keep
        {
            self.spare = self.segments.pop_front().filter(|gone| gone.bytes.capacity() <= SEGMENT);
        }
    }

    /// From now on nothing is forgotten: all of it waits somewhere, and does so only once.
    pub fn keep_all(&mut self) {
        self.keep = u64::MAX;
    }

    /// Where the next frame comes.
    pub fn head(&self) -> Cursor {
        self.head
    }

    /// The oldest frame that is kept.
    pub fn oldest(&self) -> Cursor {
        self.segments.front().map_or(self.head, |first| first.start)
    }

    /// What lies between the cursor and the head.
    pub fn ahead_of(&self, cursor: Cursor) -> Amount {
        cursor.to(self.head)
    }

    /// The oldest frame from which the head is at most so many bytes away.
    pub fn within(&self, bytes: u64) -> Cursor {
        let first = self.head.byte.saturating_sub(bytes);
        let segment = self.segments.partition_point(|segment| segment.start.byte < first);
        let here = self.segments.get(segment).map_or(self.head, |segment| segment.start);
        // The one before begins too early, but not all of it may.
        let Some(before) = segment.checked_sub(1).and_then(|before| self.segments.get(before)) else { return here };
        let wanted = first - before.start.byte;
        let frame = before.ends.partition_point(|end| u64::from(*end) < wanted) + 1;
        before.cursor(frame).min(here)
    }

    /// The newest frames, so many of them as are kept.
    pub fn newest(&self, frames: u64) -> Cursor {
        self.cursor_of(self.head.frame.saturating_sub(frames)).unwrap_or(self.oldest())
    }

    /// Frames from a cursor on that have at most so many bytes, or one that has more. They lie in a row and have one origin.
    /// None if there is none, or if what the cursor points at is gone.
    pub fn piece(&self, from: Cursor, most: usize) -> Option<Piece<'_>> {
        let segment = self.segment_of(from.frame)?;
        let first = (from.frame - segment.start.frame) as usize;
        let run = segment.runs.partition_point(|run| run.from <= first);
        let run_ends = segment.runs.get(run).map_or(segment.ends.len(), |next| next.from);
        let start = segment.end_of(first);
        let fits = segment.ends[first..run_ends].partition_point(|end| *end as usize - start <= most);
        let behind = first + fits.max(1);
        Some(Piece {
            bytes: &segment.bytes[start..segment.end_of(behind)],
            origin: segment.runs.get(run.checked_sub(1)?)?.origin,
            next: segment.cursor(behind),
        })
    }

    /// The frames of one origin from a cursor, which is kept, to the head.
    pub fn of_origin(&self, origin: Origin, from: Cursor) -> Amount {
        let mut found = Amount::default();
        let mut at = from;
        while let Some(piece) = self.piece(at, usize::MAX) {
            if piece.origin == origin {
                found.add(at.to(piece.next));
            }
            at = piece.next;
        }
        found
    }

    /// The lengths of the frames before `until` that have `bytes` bytes together, or of as many as are needed to have more. Those
    /// of one origin do not count, nor do those before the frame `first`. The newest one comes first.
    pub fn lengths_back(&self, until: Cursor, bytes: usize, not_of: Origin, first: u64) -> Vec<u32> {
        let mut lengths = Vec::new();
        let mut left = bytes;
        let before = self.segments.partition_point(|segment| segment.start.frame < until.frame);
        for segment in self.segments.range(..before).rev() {
            let frames = segment.number_of(first)..segment.number_of(until.frame);
            for (run, origin) in segment.runs_back() {
                if not_of.is_some() && origin == not_of {
                    continue;
                }
                for number in (run.start.max(frames.start)..run.end.min(frames.end)).rev() {
                    if left == 0 {
                        return lengths;
                    }
                    let length = segment.end_of(number + 1) - segment.end_of(number);
                    lengths.push(length as u32);
                    left = left.saturating_sub(length);
                }
            }
            if frames.start > 0 {
                break; // the first one was here
            }
        }
        lengths
    }

    fn cursor_of(&self, frame: u64) -> Option<Cursor> {
        let segment = self.segment_of(frame)?;
        Some(segment.cursor((frame - segment.start.frame) as usize))
    }

    fn segment_of(&self, frame: u64) -> Option<&Segment> {
        if frame >= self.head.frame {
            return None;
        }
        // Who keeps up is in the last one.
        if let Some(last) = self.segments.back()
            && last.start.frame <= frame
        {
            return Some(last);
        }
        let after = self.segments.partition_point(|segment| segment.start.frame <= frame);
        self.segments.get(after.checked_sub(1)?)
    }
}

impl Segment {
    /// Where the frame before this number ends, and so where this one begins.
    fn end_of(&self, frames: usize) -> usize {
        frames.checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |end| *end as usize)
    }

    /// The place after so many of its frames.
    fn cursor(&self, frames: usize) -> Cursor {
        self.start.after(Amount { frames: frames as u64, bytes: self.end_of(frames) as u64 })
    }

    /// Which one of its frames this is: the first one if it comes before them, the end if it comes after them.
    fn number_of(&self, frame: u64) -> usize {
        let number = frame.saturating_sub(self.start.frame);
        usize::try_from(number).map_or(self.ends.len(), |number| number.min(self.ends.len()))
    }

    /// Its frames by their origins, the newest ones first.
    fn runs_back(&self) -> impl Iterator<Item = (Range<usize>, Origin)> {
        let mut end = self.ends.len();
        self.runs.iter().rev().map(move |run| (run.from..std::mem::replace(&mut end, run.from), run.origin))
    }
}

impl Cursor {
    pub fn after(self, amount: Amount) -> Cursor {
        Cursor { frame: self.frame + amount.frames, byte: self.byte + amount.bytes }
    }

    pub fn before(self, amount: Amount) -> Cursor {
        Cursor { frame: self.frame - amount.frames, byte: self.byte - amount.bytes }
    }

    /// What lies between two places, the later one of which comes second.
    pub fn to(self, later: Cursor) -> Amount {
        Amount { frames: later.frame - self.frame, bytes: later.byte - self.byte }
    }
}

impl Amount {
    pub fn add(&mut self, more: Amount) {
        self.frames += more.frames;
        self.bytes += more.bytes;
    }

    pub fn minus(self, less: Amount) -> Amount {
        Amount { frames: self.frames - less.frames, bytes: self.bytes - less.bytes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(frame: u64, byte: u64) -> Cursor {
        Cursor { frame, byte }
    }

    /// A ring with frames of these lengths; the bytes of each are its number.
    fn ring(keep: usize, lengths: &[usize]) -> Ring {
        let mut ring = Ring::new(keep);
        for (number, length) in lengths.iter().enumerate() {
            ring.push([&vec![number as u8; *length], b""], None);
        }
        ring
    }

    #[test]
    fn frames_are_given_whole_and_in_order() {
        let ring = ring(1000, &[3, 1, 4]);
        let piece = ring.piece(at(0, 0), 4).unwrap();
        assert_eq!((piece.bytes, piece.next), (&[0, 0, 0, 1][..], at(2, 4)));
        let piece = ring.piece(piece.next, 1).unwrap();
        assert_eq!((piece.bytes, piece.next), (&[2, 2, 2, 2][..], at(3, 8)), "one that has more is given alone");
        assert!(ring.piece(piece.next, 100).is_none());
        assert_eq!(ring.head(), at(3, 8));
    }

    #[test]
    fn a_frame_in_two_parts_is_one() {
        let mut ring = Ring::new(100);
        ring.push([b"hel", b"lo\n"], None);
        assert_eq!(ring.piece(at(0, 0), 100).unwrap().bytes, b"hello\n");
    }

    #[test]
    fn a_piece_ends_where_another_begins_to_speak() {
        let mut ring = Ring::new(100);
        for origin in [Some(1), Some(1), None, Some(1)] {
            ring.push([b"x\n", b""], origin);
        }
        let mut pieces = Vec::new();
        let mut cursor = at(0, 0);
        while let Some(piece) = ring.piece(cursor, 100) {
            pieces.push((piece.origin, piece.bytes.len()));
            cursor = piece.next;
        }
        assert_eq!(pieces, [(Some(1), 4), (None, 2), (Some(1), 2)]);
        assert_eq!(ring.of_origin(Some(1), at(1, 2)), Amount { frames: 2, bytes: 4 });
        assert_eq!(ring.lengths_back(ring.head(), 3, Some(1), 0), [2]);
        assert_eq!(ring.lengths_back(ring.head(), 3, None, 0), [2, 2]);
        assert_eq!(ring.lengths_back(ring.head(), 9, None, 3), [2]);
    }

    #[test]
    fn the_newest_bytes_are_kept_and_the_others_go() {
        let ring = ring(SEGMENT, &[SEGMENT / 2; 7]);
        assert_eq!(ring.oldest(), at(4, 2 * SEGMENT as u64));
        assert_eq!(ring.within(SEGMENT as u64), at(5, 5 * SEGMENT as u64 / 2));
        assert_eq!(ring.within(SEGMENT as u64 - 1), at(6, 3 * SEGMENT as u64));
        assert_eq!(ring.newest(1), at(6, 3 * SEGMENT as u64));
        assert_eq!(ring.newest(100), ring.oldest());
        assert!(ring.piece(at(3, 0), 9).is_none(), "it is gone");
    }

    #[test]
    fn a_frame_larger_than_a_segment_has_one_of_its_own() {
        let ring = ring(4 * SEGMENT, &[10, 3 * SEGMENT, 10]);
        assert_eq!(ring.piece(at(1, 10), 5).unwrap().bytes.len(), 3 * SEGMENT);
        assert_eq!(ring.within(3 * SEGMENT as u64 + 10), at(1, 10));
        assert_eq!(ring.within(3 * SEGMENT as u64 + 9), at(2, 3 * SEGMENT as u64 + 10));
    }

    #[test]
    fn an_empty_ring_has_nothing() {
        let ring = Ring::new(1);
        assert_eq!([ring.head(), ring.oldest(), ring.within(9), ring.newest(9)], [at(0, 0); 4]);
        assert!(ring.piece(at(0, 0), 9).is_none());
        assert!(ring.lengths_back(ring.head(), 9, None, 0).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        /// Beside a list of all frames that there ever were.
        #[test]
        fn it_answers_as_a_list_of_all_frames_does(
            frames in prop::collection::vec((1_usize..9000, prop::option::of(0_u64..3)), 1..60),
            keep in 1_usize..100_000,
            asked in 0_u64..120_000,
        ) {
            let mut ring = Ring::new(keep);
            let mut places = vec![Cursor::default()];
            for (number, (length, origin)) in frames.iter().enumerate() {
                ring.push([&vec![number as u8; *length], b""], *origin);
                places.push(ring.head());
            }
            let head = ring.head();
            prop_assert_eq!(head.byte, frames.iter().map(|(length, _)| *length as u64).sum::<u64>());
            let expected = |bytes: u64| *places.iter().find(|place| head.byte - place.byte <= bytes).unwrap();
            prop_assert!(ring.oldest() <= expected(keep as u64));
            let asked = asked.min(keep as u64);
            prop_assert_eq!(ring.within(asked), expected(asked));
            let mut cursor = ring.oldest();
            while let Some(piece) = ring.piece(cursor, 5000) {
                let (from, to) = (cursor.frame as usize, piece.next.frame as usize);
                let bytes: Vec<u8> = (from..to).flat_map(|frame| vec![frame as u8; frames[frame].0]).collect();
                prop_assert_eq!(piece.bytes, &bytes);
                prop_assert!(frames[from..to].iter().all(|(_, origin)| *origin == piece.origin));
                prop_assert_eq!(piece.next, places[to]);
                cursor = piece.next;
            }
            prop_assert_eq!(cursor, head);
        }
    }
}
