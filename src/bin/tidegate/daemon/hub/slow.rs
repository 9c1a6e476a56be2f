//! What happens to a consumer that does not keep up: `--slow`.

use super::ring::{Cursor, Ring};
use crate::cli::Slow;

/// The rule, with its bound.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub slow: Slow,
    /// How many bytes a consumer may be behind.
    pub queue: u64,
}

/// What a consumer that is behind makes the hub do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Nothing,
    Disconnect,
    /// The producers wait.
    Pause,
}

impl Rule {
    /// Where a consumer goes on that has taken all that it was given. What lies between is skipped. It is not after the place of
    /// those who are live: there it joins them.
    pub fn goes_on_at(&self, cursor: Cursor, live_at: Cursor, ring: &Ring) -> Cursor {
        let is_too_far = ring.ahead_of(cursor).bytes > self.queue;
        let wanted = match self.slow {
            Slow::DropOldest => ring.within(self.queue),
            Slow::DropNewest if is_too_far => ring.head(),
            Slow::DropNewest | Slow::Disconnect | Slow::Pause => cursor,
        };
        // An output that is not connected does not hold the ring, whatever the rule is.
        cursor.max(wanted).max(ring.oldest()).min(live_at)
    }

    /// A consumer that is behind has its cursor there.
    pub fn verdict(&self, cursor: Cursor, ring: &Ring) -> Verdict {
        let behind = ring.ahead_of(cursor).bytes;
        match self.slow {
            Slow::Disconnect if behind > self.queue => Verdict::Disconnect,
            Slow::Pause if behind >= self.queue => Verdict::Pause,
            _ => Verdict::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten frames of ten bytes.
    fn ring() -> Ring {
        let mut ring = Ring::new(1000);
        (0..10).for_each(|_| ring.push([b"123456789\n", b""], None));
        ring
    }

    fn at(frame: u64) -> Cursor {
        Cursor { frame, byte: frame * 10 }
    }

    #[test]
    fn each_rule_says_where_a_consumer_goes_on() {
        let ring = ring();
        for (slow, queue, from, to) in [
            (Slow::DropOldest, 30, 2, 7),
            (Slow::DropOldest, 39, 2, 7),
            (Slow::DropOldest, 30, 7, 7),
            (Slow::DropOldest, 30, 9, 9),
            (Slow::DropNewest, 30, 2, 10),
            (Slow::DropNewest, 30, 7, 7),
            (Slow::DropNewest, 30, 6, 10),
            (Slow::Disconnect, 30, 2, 2),
            (Slow::Pause, 30, 2, 2),
        ] {
            assert_eq!(Rule { slow, queue }.goes_on_at(at(from), ring.head(), &ring), at(to), "{slow:?} from {from}");
        }
    }

    #[test]
    fn nobody_goes_on_after_the_place_of_those_who_are_live() {
        let ring = ring();
        for slow in [Slow::DropOldest, Slow::DropNewest] {
            assert_eq!(Rule { slow, queue: 10 }.goes_on_at(at(2), at(8), &ring), at(8), "{slow:?}");
        }
    }

    #[test]
    fn whom_the_ring_has_overtaken_goes_on_at_its_oldest_frame() {
        let mut ring = Ring::new(10);
        let line = vec![b'x'; 16 * 1024];
        (0..5).for_each(|_| ring.push([&line, b""], None));
        for slow in [Slow::Disconnect, Slow::Pause] {
            assert_eq!(Rule { slow, queue: 10 }.goes_on_at(at(0), ring.head(), &ring), ring.oldest());
        }
    }

    #[test]
    fn only_two_rules_do_anything_before_that() {
        let ring = ring();
        let verdict = |slow, queue| Rule { slow, queue }.verdict(at(5), &ring);
        assert_eq!(
            [verdict(Slow::Disconnect, 50), verdict(Slow::Disconnect, 49)],
            [Verdict::Nothing, Verdict::Disconnect]
        );
        assert_eq!([verdict(Slow::Pause, 51), verdict(Slow::Pause, 50)], [Verdict::Nothing, Verdict::Pause]);
        assert_eq!([verdict(Slow::DropOldest, 1), verdict(Slow::DropNewest, 1)], [Verdict::Nothing; 2]);
    }
}
