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
    /// Bytes of the line that tells of the gap.
    line: usize,
    /// The lengths of the frames before that, the newest one first.
    lengths: Vec<u32>,
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
        self.before = BeforeRun { gap: skipped, line: 0, lengths: waits.given };
        skipped
    }

    /// It was told of what it skips, by so many bytes.
    pub fn was_told(&mut self, gap: Amount, line: usize) {
        self.before.gap = gap;
        self.before.line = line;
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
        behind.torn = match (gone, rest_of_gap) {
            _ if !keeps_torn => Torn::Nothing,
            (0, rest) if rest > 0 && rest < before.line => Torn::Gap,
            (0, _) => Torn::Nothing,
            (bytes, _) => Torn::Frame(bytes),
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
        let rest = (unsent as u64).saturating_sub(total(lengths) + self.before.line as u64);
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::cli::Slow;

    const RULES: [Slow; 4] = [Slow::DropOldest, Slow::DropNewest, Slow::Disconnect, Slow::Pause];

    #[test]
    fn the_queue_of_a_consumer_is_told_in_frames() {
        for (unsent, expected) in [(0, 0), (1, 1), (5, 1), (6, 2), (15, 2), (16, 3), (99, 3)] {
            assert_eq!(waiting(&[5, 10, 7], unsent), expected, "{unsent}");
        }
    }

    #[test]
    fn a_lost_connection_goes_on_with_the_frame_that_has_not_gone_out_whole() {
        let mut ring = Ring::new(1000);
        (0..5).for_each(|_| ring.push([b"123456789\n", b""], None));
        for (unsent, keeps_torn, frame, torn) in
            [(0, true, 5, 0), (10, true, 4, 0), (14, true, 3, 6), (14, false, 3, 0), (50, true, 0, 0)]
        {
            let mut consumer = Consumer::new(Cursor::default(), None);
            while consumer.next(&ring, ring.head(), 20).is_some() {}
            assert!(consumer.joins_the_live(ring.head()));
            consumer.goes_back(ring.head(), unsent, keeps_torn, &ring);
            assert_eq!(consumer.cursor().map(|cursor| cursor.frame), Some(frame));
            assert_eq!(consumer.torn(), if torn > 0 { Torn::Frame(torn) } else { Torn::Nothing });
            if frame < 5 {
                assert_eq!(consumer.next(&ring, ring.head(), 10).unwrap().bytes.len(), 10 - torn);
            }
        }
    }

    #[test]
    fn a_gap_that_was_not_told_is_told_again() {
        let mut ring = Ring::new(20_000);
        let push = |ring: &mut Ring, count| (0..count).for_each(|_| ring.push([&[b'x'; 9_999], b"\n"], None));
        push(&mut ring, 3);
        let rule = Rule { slow: Slow::DropOldest, queue: 20_000 };
        // The line of 40 bytes and two frames have not gone out, or a part of the line has.
        for (unsent, torn, again) in [(20_040, Torn::Nothing, 1), (20_030, Torn::Gap, 1), (20_000, Torn::Nothing, 0)] {
            let mut consumer = Consumer::new(Cursor::default(), None);
            let gap = consumer.skips(rule, ring.head(), &ring);
            assert_eq!(gap, Amount { frames: 1, bytes: 10_000 });
            consumer.was_told(gap, 40);
            while consumer.next(&ring, ring.head(), 1).is_some() {}
            assert!(consumer.joins_the_live(ring.head()));
            consumer.goes_back(ring.head(), unsent, true, &ring);
            assert_eq!((consumer.torn(), consumer.cursor().map(|at| at.frame)), (torn, Some(1)));
            assert_eq!(consumer.skips(rule, ring.head(), &ring).frames, again);
            let sum = consumer.sum(ring.head(), 0, rule, &ring);
            assert_eq!((sum.since_joined, sum.waiting, sum.skipped.frames), (3, 2, 1));
        }
    }

    /// A connection whose kernel takes what a test says, and the hub around it.
    struct Model {
        ring: Ring,
        rule: Rule,
        consumer: Consumer,
        live_at: Cursor,
        /// What the connection was given and has not gone out: frames with what is left of each.
        queue: VecDeque<(u64, usize)>,
        taken: Vec<u64>,
        skipped: u64,
        pushed: u64,
        others: Vec<u64>,
    }

    const OWN: Origin = Some(7);
    const MARK: usize = 100;

    impl Model {
        fn unsent(&self) -> usize {
            self.queue.iter().map(|(_, left)| left).sum()
        }

        fn push(&mut self, length: usize, is_own: bool) {
            let bytes = vec![b'x'; length];
            self.ring.push([&bytes, b""], if is_own { OWN } else { None });
            if is_own {
                self.consumer.has_sent(Amount { frames: 1, bytes: length as u64 });
            } else {
                self.others.push(self.pushed);
            }
            self.pushed += 1;
        }

        fn give(&mut self, from: Cursor, to: Cursor) {
            let mut at = from;
            while at < to {
                let piece = self.ring.piece(at, 1).unwrap();
                if piece.origin != OWN {
                    self.queue.push_back((at.frame, piece.bytes.len()));
                }
                at = piece.next;
            }
        }

        fn broadcast(&mut self) {
            if self.consumer.is_live() && self.unsent() >= MARK {
                self.consumer.falls_behind(self.live_at, self.unsent(), &self.ring);
            }
            if self.consumer.is_live() {
                self.give(self.live_at, self.ring.head());
            }
            self.live_at = self.ring.head();
        }

        /// The kernel takes so many bytes.
        fn take(&mut self, mut bytes: usize) {
            while let Some((frame, left)) = self.queue.front_mut() {
                let now = bytes.min(*left);
                *left -= now;
                bytes -= now;
                if *left > 0 {
                    break;
                }
                if *frame != u64::MAX {
                    self.taken.push(*frame);
                }
                self.queue.pop_front();
            }
        }

        fn drained(&mut self) {
            if self.consumer.is_live() || !self.queue.is_empty() {
                return;
            }
            self.skip();
            loop {
                let from = self.consumer.cursor().unwrap();
                let Some(next) = self.consumer.next(&self.ring, self.live_at, 40).map(|piece| piece.next) else {
                    break;
                };
                self.give(from, next);
                if self.unsent() >= MARK {
                    break;
                }
            }
            self.consumer.note_what_waits(self.unsent(), &self.ring);
            self.consumer.joins_the_live(self.live_at);
        }

        fn skip(&mut self) {
            let gap = self.consumer.skips(self.rule, self.live_at, &self.ring);
            self.skipped += gap.frames;
            if gap != Amount::default() {
                self.queue.push_back((u64::MAX, 25));
                self.consumer.was_told(gap, 25);
            }
        }

        /// It is given all that there is, whatever has not gone out.
        fn stop(&mut self) {
            self.consumer.falls_behind(self.live_at, self.unsent(), &self.ring);
            self.ring.keep_all();
            self.skip();
            let from = self.consumer.cursor().unwrap_or(self.live_at);
            self.give(from, self.ring.head());
            self.live_at = self.ring.head();
            self.consumer.was_given_all(self.live_at);
        }

        fn check(&self) {
            let sum = self.consumer.sum(self.live_at, self.unsent(), self.rule, &self.ring);
            assert_eq!(sum.since_joined, self.others.len() as u64);
            assert_eq!(sum.taken, self.taken.len() as u64, "{:?} {:?}", self.consumer, self.queue);
            assert_eq!(sum.taken + sum.waiting + sum.skipped.frames, sum.since_joined);
            assert!(sum.skipped.frames >= self.skipped);
            // In order, none twice, and none of its own.
            let mut others = self.others.iter();
            assert!(self.taken.iter().all(|frame| others.any(|other| other == frame)));
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize, bool),
        Broadcast,
        Take(usize),
        Drained,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1_usize..60, prop::bool::weighted(0.2)).prop_map(|(length, is_own)| Step::Push(length, is_own)),
            1 => (1_usize..20_000, Just(false)).prop_map(|(length, is_own)| Step::Push(length, is_own)),
            3 => Just(Step::Broadcast),
            3 => (1_usize..200).prop_map(Step::Take),
            1 => Just(Step::Take(usize::MAX)),
            3 => Just(Step::Drained),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        #[test]
        fn the_sum_is_exact_at_any_time(
            steps in prop::collection::vec(step(), 1..200),
            rule in 0_usize..4,
            queue in 60_usize..3000,
            stops: bool,
        ) {
            let slow = RULES[rule];
            let mut model = Model {
                // More than a connection is given beyond its mark, as in a hub.
                ring: Ring::new(queue + 2 * MARK + 40_000),
                rule: Rule { slow, queue: queue as u64 },
                consumer: Consumer::new(Cursor::default(), OWN),
                live_at: Cursor::default(),
                queue: VecDeque::new(),
                taken: Vec::new(),
                skipped: 0,
                pushed: 0,
                others: Vec::new(),
            };
            for step in steps {
                match step {
                    Step::Push(length, is_own) => model.push(length, is_own),
                    Step::Broadcast => model.broadcast(),
                    Step::Take(bytes) => model.take(bytes),
                    Step::Drained => model.drained(),
                }
                if matches!(step, Step::Push(..)) {
                    // Those who are live are given it before the ring could lose it.
                    model.broadcast();
                }
                model.check();
            }
            if stops {
                model.stop();
                model.check();
                model.take(50);
                model.check();
            }
            while !model.queue.is_empty() || !model.consumer.is_live() {
                model.take(usize::MAX);
                model.drained();
            }
            model.check();
            let sum = model.consumer.sum(model.live_at, 0, model.rule, &model.ring);
            prop_assert_eq!(sum.waiting, 0, "it is quiet");
            prop_assert_eq!(sum.taken + model.skipped, sum.since_joined);
        }
    }
}
