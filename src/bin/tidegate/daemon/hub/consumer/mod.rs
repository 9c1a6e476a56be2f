//! Where a consumer is in the stream, and what became of each frame since it joined. It knows numbers only.
//!
//! ```text
//!              it keeps up                          it has caught up
//!   Live ◀──────────────────────────────────────────────────────────── Behind
//!        ── what it was given has not gone out: it waits for `drain` ──▶
//! ```
//!
//! Who is live is given what everybody is given, at one place in the stream for all. Who is behind goes on by a cursor of its
//! own, whenever all that it was given has gone out.

#[cfg(test)]
mod tests;

use super::ring::{Amount, Cursor, Origin, Piece, Ring};
use super::slow::Rule;

#[derive(Debug)]
pub struct Consumer {
    /// What it sends itself it does not hear.
    origin: Origin,
    joined: Cursor,
    /// What it has sent itself since it joined.
    own: Amount,
    skipped: Amount,
    /// The first frame of those that it was given in a row: a gap lies before it.
    run: u64,
    /// What it was given before these.
    before: BeforeRun,
    /// What it skipped and was not told of, because the connection was lost that was to tell it.
    untold: Amount,
    place: Place,
}

/// What was given before the frames that are in a row, and may not have gone out either.
#[derive(Debug, Default)]
struct BeforeRun {
    gap: Amount,
    /// What tells of the gap.
    told: Told,
    /// The lengths of the frames before that, the newest one first.
    lengths: Vec<u32>,
}

/// The bytes that tell of a gap: the end of a line that was torn, if there is one, and a line of their own, if one is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    pub end: usize,
    pub line: usize,
}

impl Told {
    fn bytes(self) -> usize {
        self.end + self.line
    }

    /// What is torn, if so many bytes of it have not gone out.
    fn torn(self, unsent: usize) -> Torn {
        // All of the end has gone out and nothing of the line, or all of both.
        if unsent == self.line || unsent == 0 { Torn::Nothing } else { Torn::Gap }
    }
}

#[derive(Debug)]
enum Place {
    Live,
    Behind(Behind),
}

#[derive(Debug, Default)]
struct Behind {
    /// What it gets next.
    cursor: Cursor,
    /// Of its own frames, those before the cursor.
    own: Amount,
    /// The lengths of the frames that may not have gone out, the newest one first. The ring may have lost them.
    given: Vec<u32>,
    torn: Torn,
}

/// What has gone out in part, and stays where it is, because it is a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Torn {
    #[default]
    Nothing,
    /// So many bytes of the next frame.
    Frame(usize),
    /// A line that tells of a gap.
    Gap,
}

/// What became of all frames for a consumer since it joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub since_joined: u64,
    /// By the kernel, whole.
    pub taken: u64,
    /// In the ring or in its queue.
    pub waiting: u64,
    pub skipped: Amount,
}

impl Consumer {
    /// It hears what comes after the cursor.
    pub fn new(joined: Cursor, origin: Origin) -> Self {
        let (own, skipped) = (Amount::default(), Amount::default());
        let place = Place::Behind(Behind { cursor: joined, ..Behind::default() });
        let (before, untold) = (BeforeRun::default(), Amount::default());
        Consumer { origin, joined, own, skipped, run: joined.frame, before, untold, place }
    }

    pub fn origin(&self) -> Origin {
        self.origin
    }

    pub fn is_live(&self) -> bool {
        matches!(self.place, Place::Live)
    }

    /// Its own cursor, if it is behind.
    pub fn cursor(&self) -> Option<Cursor> {
        match &self.place {
            Place::Live => None,
            Place::Behind(behind) => Some(behind.cursor),
        }
    }

    /// It has sent frames itself.
    pub fn has_sent(&mut self, amount: Amount) {
        self.own.add(amount);
    }

    /// It has caught up with those who are live. False if it has not.
    pub fn joins_the_live(&mut self, live_at: Cursor) -> bool {
        let joins =
            matches!(&self.place, Place::Behind(behind) if behind.cursor == live_at && behind.torn == Torn::Nothing);
        if joins {
            self.place = Place::Live;
        }
        joins
    }

    /// It does not keep up: of what it was given, at most `unsent` bytes have not gone out.
    pub fn falls_behind(&mut self, live_at: Cursor, unsent: usize, ring: &Ring) {
        if self.is_live() {
            let own = self.own.minus(self.own_after(live_at, ring));
            self.place = Place::Behind(Behind { cursor: live_at, own, ..Behind::default() });
            self.note_what_waits(unsent, ring);
        }
    }

    /// Of what it was given up to its cursor, at most so many bytes have not gone out. To be called while the ring has them.
    pub fn note_what_waits(&mut self, unsent: usize, ring: &Ring) {
        if let Place::Behind(behind) = &mut self.place {
            behind.given = ring.lengths_back(behind.cursor, unsent, self.origin, self.run);
        }
    }

    /// It goes on, perhaps not at its cursor. What it skips, and has to be told.
    pub fn skips(&mut self, rule: Rule, live_at: Cursor, ring: &Ring) -> Amount {
        let Place::Behind(behind) = &self.place else { return Amount::default() };
        let to = rule.goes_on_at(behind.cursor, live_at, ring);
        if to == behind.cursor {
            return std::mem::take(&mut self.untold);
        }
        let own = self.own.minus(self.own_after(to, ring));
        let Place::Behind(behind) = &mut self.place else { return Amount::default() };
        let mut skipped = behind.cursor.to(to).minus(own.minus(behind.own));
        let waits = std::mem::replace(behind, Behind { cursor: to, own, ..Behind::default() });
        self.run = to.frame;
        self.skipped.add(skipped);
        skipped.add(std::mem::take(&mut self.untold));
        self.before = BeforeRun { gap: skipped, told: Told::default(), lengths: waits.given };
        skipped
    }

    /// It was told of what it skips.
    pub fn was_told(&mut self, gap: Amount, told: Told) {
        self.before.gap = gap;
        self.before.told = told;
    }

    /// The next frames for it, up to the place of those who are live. Its own are passed by.
    pub fn next<'a>(&mut self, ring: &'a Ring, live_at: Cursor, most: usize) -> Option<Piece<'a>> {
        let Place::Behind(behind) = &mut self.place else { return None };
        while behind.cursor < live_at {
            let room = most.min(usize::try_from(live_at.byte - behind.cursor.byte).unwrap_or(most));
            let piece = ring.piece(behind.cursor, room)?;
            let amount = behind.cursor.to(piece.next);
            behind.cursor = piece.next;
            if self.origin.is_none() || piece.origin != self.origin {
                let gone = match std::mem::take(&mut behind.torn) {
                    Torn::Frame(bytes) => bytes,
                    Torn::Nothing | Torn::Gap => 0,
                };
                return Some(Piece { bytes: &piece.bytes[gone..], ..piece });
            }
            behind.own.add(amount);
        }
        None
    }

    /// From now on it hears what comes after `head`: it was given all before that.
    pub fn was_given_all(&mut self, head: Cursor) {
        let Place::Behind(behind) = &mut self.place else { return };
        if !behind.given.is_empty() {
            // Older than the ring may be.
            self.run = behind.cursor.frame;
            self.before = BeforeRun { lengths: std::mem::take(&mut behind.given), ..BeforeRun::default() };
        }
        behind.cursor = head;
        self.place = Place::Live;
    }

    /// Its connection is lost, and will be made again: it goes on with the first frame that has not gone out whole. `keeps_torn`
    /// says that what has gone out of that frame is still there, as in a file.
    pub fn goes_back(&mut self, live_at: Cursor, unsent: usize, keeps_torn: bool, ring: &Ring) {
        self.falls_behind(live_at, unsent, ring);
        let Place::Behind(behind) = &mut self.place else { return };
        let lengths = std::mem::take(&mut behind.given);
        let waiting = waiting(&lengths, unsent);
        let bytes = total(&lengths[..waiting]);
        behind.cursor = behind.cursor.before(Amount { frames: waiting as u64, bytes });
        let before = std::mem::take(&mut self.before);
        let rest_of_gap = unsent.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
        if rest_of_gap > 0 {
            self.untold = before.gap;
        }
        let gone = usize::try_from(bytes).unwrap_or(0).saturating_sub(unsent);
        behind.torn = match gone {
            _ if !keeps_torn => Torn::Nothing,
            0 => before.told.torn(rest_of_gap.min(before.told.bytes())),
            bytes => Torn::Frame(bytes),
        };
    }

    /// What has gone out in part.
    pub fn torn(&self) -> Torn {
        match &self.place {
            Place::Live => Torn::Nothing,
            Place::Behind(behind) => behind.torn,
        }
    }

    /// What became of each frame, while `unsent` bytes of what it was given have not gone out. What would be skipped if it went on
    /// now counts as skipped.
    pub fn sum(&self, live_at: Cursor, unsent: usize, rule: Rule, ring: &Ring) -> Sum {
        let (cursor, own_before, in_queue) = match &self.place {
            Place::Live => {
                let lengths = ring.lengths_back(live_at, unsent, self.origin, self.run);
                (live_at, self.own.minus(self.own_after(live_at, ring)), self.in_queue(&lengths, unsent))
            }
            Place::Behind(behind) => (behind.cursor, behind.own, self.in_queue(&behind.given, unsent)),
        };
        let goes_on_at = if self.is_live() { cursor } else { rule.goes_on_at(cursor, live_at, ring) };
        let own_after = self.own_after(goes_on_at, ring);
        let would_skip = cursor.to(goes_on_at).minus(self.own.minus(own_before).minus(own_after));
        let mut skipped = self.skipped;
        skipped.add(would_skip);
        let since_joined = self.joined.to(ring.head()).minus(self.own).frames;
        let waiting = ring.ahead_of(goes_on_at).minus(own_after).frames + in_queue as u64;
        Sum { since_joined, taken: since_joined - waiting - skipped.frames, waiting, skipped }
    }

    /// How many frames have not gone out, of those in a row with these lengths and of those before them.
    fn in_queue(&self, lengths: &[u32], unsent: usize) -> usize {
        let rest = (unsent as u64).saturating_sub(total(lengths) + self.before.told.bytes() as u64);
        waiting(lengths, unsent) + waiting(&self.before.lengths, usize::try_from(rest).unwrap_or(usize::MAX))
    }

    /// Its own frames from a cursor on, which the ring has.
    fn own_after(&self, cursor: Cursor, ring: &Ring) -> Amount {
        if self.origin.is_none() { Amount::default() } else { ring.of_origin(self.origin, cursor) }
    }
}

fn total(lengths: &[u32]) -> u64 {
    lengths.iter().map(|length| u64::from(*length)).sum()
}

/// How many of these frames, the newest one first, have bytes among the last `unsent`.
fn waiting(lengths: &[u32], unsent: usize) -> usize {
    let mut left = unsent as u64;
    let still = lengths.iter().take_while(|length| {
        let waits = left > 0;
        left = left.saturating_sub(u64::from(**length));
        waits
    });
    still.count()
}
