//! Numbers, a model of a connection, and random steps.

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
        consumer.was_told(gap, Told { end: 0, line: 40 });
        while consumer.next(&ring, ring.head(), 1).is_some() {}
        assert!(consumer.joins_the_live(ring.head()));
        consumer.goes_back(ring.head(), unsent, true, &ring);
        assert_eq!((consumer.torn(), consumer.cursor().map(|at| at.frame)), (torn, Some(1)));
        assert_eq!(consumer.skips(rule, ring.head(), &ring).frames, again);
        let sum = consumer.sum(ring.head(), 0, rule, &ring);
        assert_eq!((sum.since_joined, sum.waiting, sum.skipped.frames), (3, 2, 1));
    }
}

/// A disk that stays full: nothing of what should end the torn line goes out.
#[test]
fn a_torn_line_stays_torn_until_its_end_has_gone_out() {
    let rule = Rule { slow: Slow::DropOldest, queue: 30 };
    for (line, unsent, torn) in [
        (40, 41, Torn::Gap),
        (40, 40, Torn::Nothing), // its end has gone out, and nothing of the line
        (40, 39, Torn::Gap),
        (40, 0, Torn::Nothing),
        (0, 1, Torn::Gap),
        (0, 0, Torn::Nothing),
    ] {
        let mut ring = Ring::new(1000);
        ring.push([b"123456789\n", b""], None);
        let mut consumer = Consumer::new(Cursor::default(), None);
        while consumer.next(&ring, ring.head(), 20).is_some() {}
        assert!(consumer.joins_the_live(ring.head()));
        consumer.goes_back(ring.head(), 4, true, &ring);
        assert_eq!(consumer.torn(), Torn::Frame(6));
        (0..5).for_each(|_| ring.push([b"123456789\n", b""], None));
        let gap = consumer.skips(rule, ring.head(), &ring);
        assert_eq!(gap.frames, 3);
        consumer.was_told(gap, Told { end: 1, line });
        consumer.goes_back(ring.head(), unsent, true, &ring);
        assert_eq!(consumer.torn(), torn, "{unsent} of 1 and {line}");
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
            self.consumer.was_told(gap, Told { end: 0, line: 25 });
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
