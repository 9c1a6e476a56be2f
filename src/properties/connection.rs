//! The state machine of a connection, against sums and orders.

use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;
use crate::connection::{CallbackId, CloseReason, Stage};
use crate::net::harness::Harness;

/// A connection whose user, peer and kernel do what the bytes say, one after another; then all is brought to its end.
pub fn check(bytes: &[u8]) {
    let mut draw = Draw { bytes };
    let mark = [0, 1, 50, 1000][draw.below(4)];
    let half_open = draw.below(2) == 0;
    let mut harness = if draw.below(2) == 0 {
        Harness::accepted_with(mark, half_open, draw.below(4) == 0)
    } else {
        Harness::connecting_with(mark, half_open)
    };
    harness.room(draw.below(300));
    let mut model = Model::default();
    let (mut seen, mut answered, mut delivered) = (0, Vec::new(), 0);
    while !draw.is_empty() {
        // A user may do several things in one handler; the kernel is only asked when all ticks have run.
        let operation = draw.below(18);
        if operation >= 9 {
            harness.run();
            model.check(&harness, &mut seen, &mut answered, &mut delivered);
        }
        let live = harness.connection().stage() == Stage::Connected;
        match operation {
            0..=3 => {
                let length = draw.below(120);
                if harness.connection().is_writable() {
                    let callback = model.writes.len() as CallbackId;
                    model.writes.push(length);
                    let returned = harness.write(length, callback);
                    model.owes_drain |= !returned;
                    let room = harness.connection().length() == 0 || harness.connection().length() < mark;
                    assert_eq!(returned, room && harness.connection().error().is_none());
                }
            }
            4 => harness.cork(),
            5 => harness.uncork(),
            6 => harness.pause(),
            // What flows while nobody listens is lost, which is the user's own doing.
            7 if harness.connection().is_listening() => harness.resume(),
            8 => harness.listen(),
            9..=11 if live && harness.connection().is_armed() => {
                let length = 1 + draw.below(200);
                model.received += length;
                harness.receive(length);
            }
            12 if live && harness.connection().is_armed() && draw.below(3) == 0 => {
                model.peer_ended = true;
                harness.peer_ends();
            }
            13 | 14 if live => harness.has_room(draw.below(200)),
            15 if harness.connection().stage() == Stage::Connecting => harness.connected(),
            16 if draw.below(6) == 0 => {
                model.ended = true;
                harness.end(None);
            }
            17 if draw.below(25) == 0 => match draw.below(2) {
                0 => harness.destroy(None, Some(CloseReason::DestroyedHere)),
                _ => harness.destroy(Some(Error::new(ErrorKind::Other)), Some(CloseReason::Error)),
            },
            _ => {}
        }
        model.check(&harness, &mut seen, &mut answered, &mut delivered);
    }
    let mut end = |harness: &Harness, model: &mut Model| model.check(harness, &mut seen, &mut answered, &mut delivered);
    bring_to_its_end(&mut harness, &mut model, &mut end);
    answered.sort_unstable();
    assert!(answered.iter().copied().eq(0..model.writes.len() as u64), "each callback once: {answered:?}");
}

/// All corks pulled, all room there is, everybody listening.
fn bring_to_its_end(harness: &mut Harness, model: &mut Model, check: &mut dyn FnMut(&Harness, &mut Model)) {
    harness.run();
    if harness.connection().stage() == Stage::Connecting {
        harness.connected();
    }
    check(harness, model);
    if harness.connection().stage() == Stage::Connected {
        harness.listen();
        harness.resume();
        harness.run();
        model.ended = true;
        harness.end(None);
        harness.has_room(usize::MAX);
        if !model.peer_ended {
            model.peer_ended = true;
            harness.peer_ends();
        }
        harness.run();
        assert!(harness.connection().is_destroyed(), "both halves are over: {:?}", harness.emitted);
        assert_eq!(harness.emitted.iter().filter(|event| *event == "finish").count(), 1);
        assert_eq!(harness.emitted.iter().filter(|event| *event == "end").count(), 1);
        assert_eq!(harness.peer.borrow().shutdowns, 1);
    }
    harness.close();
    check(harness, model);
    assert!(harness.emitted.last().is_some_and(|event| event.starts_with("close") || event.contains(' ')));
}

/// Choices, as long as there are bytes to make them of; then always the first.
struct Draw<'a> {
    bytes: &'a [u8],
}

impl Draw<'_> {
    fn below(&mut self, bound: usize) -> usize {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        usize::from(*first) % bound
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// What a user has done and was told, as sums and orders.
#[derive(Default)]
struct Model {
    /// Lengths of the writes that were admitted, by their callback.
    writes: Vec<usize>,
    received: usize,
    owes_drain: bool,
    ended: bool,
    peer_ended: bool,
}

impl Model {
    /// Looks at what was told since the last look.
    fn check(&mut self, harness: &Harness, seen: &mut usize, answered: &mut Vec<u64>, delivered: &mut usize) {
        for event in &harness.emitted[*seen..] {
            let mut words = event.split(' ');
            match (words.next().unwrap(), words.next()) {
                ("data", Some(length)) => *delivered += length.parse::<usize>().unwrap(),
                ("end", None) => {
                    assert!(self.peer_ended, "an end that nobody sent");
                    assert_eq!(*delivered, self.received, "end before the last byte");
                }
                ("drain", None) => {
                    assert!(self.owes_drain && !self.ended, "a drain that is not owed");
                    self.owes_drain = false;
                }
                ("finish", None) => assert!(self.ended || self.peer_ended),
                ("connect" | "error" | "close(true)" | "close(false)", _) => {}
                (callback, Some(outcome)) => {
                    let callback = callback.parse::<u64>().unwrap();
                    assert!(!answered.contains(&callback), "callback {callback} twice");
                    if outcome == "ok" {
                        assert!(answered.iter().all(|earlier| *earlier < callback), "callback {callback} out of order");
                        let before: usize = self.writes[..=callback as usize].iter().sum();
                        assert!(harness.taken() >= before, "callback {callback} before its bytes");
                    }
                    answered.push(callback);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        *seen = harness.emitted.len();
        assert!(*delivered <= self.received);
        let connection = &harness.connection();
        if !connection.is_destroyed() && connection.error().is_none() {
            let written: usize = self.writes.iter().sum();
            assert_eq!(connection.bytes_written(), written as u64);
            assert_eq!(connection.queue().unsent(), written - harness.taken());
            assert!(connection.length() >= written - harness.taken(), "what is unsent counts");
            assert_eq!(connection.length() == 0, written == harness.taken());
            assert_eq!(connection.bytes_read(), self.received as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(super::super::some(2000))]

        #[test]
        fn whatever_is_done_every_order_and_every_sum_is_kept(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            check(&bytes);
        }
    }
}
