//! Deadlines in order.
//!
//! A binary heap of `(due, order, what)`. It fires nothing and reads no clock: the net asks what is due at a time. An
//! entry can be early, never late: a connection's idle clock is moved by storing a number in the connection
//! (`connection/idle.rs`), not by touching the heap, and the entry is put back at its real time when it comes up.
//!
//! Times have a resolution of one millisecond, rounded up, so that a timer is never early; and whatever was set within
//! the same millisecond for the same delay comes due together, in the order in which it was set. That is Node's
//! behaviour, and programs rely on it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// The longest delay: 2^31 - 1 ms, some 24.8 days. Node clips there too.
pub(crate) const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// A point on the loop's clock in whole milliseconds, with the place among those of the same millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    pub millisecond: u64,
    pub order: u64,
}

impl Due {
    pub fn time(self) -> Duration {
        Duration::from_millis(self.millisecond)
    }
}

/// Entries of the kind `K`, by the time at which they are due.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Due, K)>>,
    next_order: u64,
    /// How many entries of the heap stand for nothing any more. They are dropped as they come up, or all at once when
    /// they are the greater part: a timer that is set and cancelled for ever must not fill the memory.
    stale: usize,
}

impl<K: Ord + Copy> Timers<K> {
    pub fn new() -> Self {
        Timers { heap: BinaryHeap::new(), next_order: 0, stale: 0 }
    }

    /// The time `delay` after `now`, in order behind every time that was taken for the same millisecond before.
    #[inline]
    pub fn after(&mut self, now: Duration, delay: Duration) -> Due {
        let at = now + delay.clamp(Duration::from_millis(1), LONGEST);
        let millisecond = at.as_millis() as u64 + u64::from(!at.subsec_nanos().is_multiple_of(1_000_000));
        let order = self.next_order;
        self.next_order += 1;
        Due { millisecond, order }
    }

    pub fn push(&mut self, due: Due, what: K) {
        self.heap.push(Reverse((due, what)));
    }

    /// Takes the earliest entry that is due at `now`.
    pub fn pop(&mut self, now: Duration) -> Option<(Due, K)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// When the earliest entry is due.
    pub fn next(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((due, _))| due.time())
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Due, K)> {
        self.heap.iter().map(|Reverse(entry)| *entry)
    }

    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// As [`Timers::next`], after the entries before it that stand for nothing were dropped.
    pub fn next_live(&mut self, is_live: impl Fn(Due, K) -> bool) -> Option<Duration> {
        while self.stale > 0
            && let Some(Reverse((due, what))) = self.heap.peek()
            && !is_live(*due, *what)
        {
            self.heap.pop();
            self.stale -= 1;
        }
        self.next()
    }

    /// Says that an entry of the heap stands for nothing any more. `is_live` says of each whether it still does, when
    /// it is time to drop the others.
    pub fn forget_one(&mut self, is_live: impl Fn(Due, K) -> bool) {
        self.stale += 1;
        if self.stale > 64 && self.stale * 2 > self.heap.len() {
            self.heap.retain(|Reverse((due, what))| is_live(*due, *what));
            self.stale = 0;
        }
    }

    /// Says that an entry which [`Timers::pop`] gave stood for nothing.
    pub fn dropped_stale(&mut self) {
        self.stale = self.stale.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn what_is_due_comes_in_order_of_time_then_of_setting() {
        let mut timers = Timers::new();
        for (delay, what) in [(30, 'c'), (10, 'a'), (30, 'd'), (20, 'b')] {
            let due = timers.after(ms(0), ms(delay));
            timers.push(due, what);
        }
        assert_eq!(timers.pop(ms(9)), None);
        let order: String = std::iter::from_fn(|| timers.pop(ms(30)).map(|(_, what)| what)).collect();
        assert_eq!(order, "abcd");
    }

    #[test]
    fn a_timer_is_never_early() {
        let mut timers = Timers::new();
        let due = timers.after(Duration::from_micros(100_900), ms(10));
        assert_eq!(due.millisecond, 111);
        timers.push(due, ());
        assert_eq!(timers.pop(Duration::from_micros(110_999)), None);
        assert!(timers.pop(ms(111)).is_some());
    }

    #[test]
    fn a_timer_that_was_cancelled_wakes_nobody() {
        let mut timers = Timers::new();
        for (delay, what) in [(10, 'a'), (20, 'b'), (30, 'c')] {
            let due = timers.after(ms(0), ms(delay));
            timers.push(due, what);
        }
        timers.forget_one(|_, what| what == 'c');
        timers.forget_one(|_, what| what == 'c');
        assert_eq!(timers.next(), Some(ms(10)));
        assert_eq!(timers.next_live(|_, what| what == 'c'), Some(ms(30)));
    }

    #[test]
    fn no_delay_is_one_millisecond_so_that_a_timer_cannot_hang_its_round() {
        let mut timers = Timers::<()>::new();
        assert_eq!(timers.after(ms(5), Duration::ZERO).millisecond, 6);
    }

    #[test]
    fn a_timer_that_is_set_and_cancelled_for_ever_does_not_fill_the_memory() {
        let mut timers = Timers::new();
        for n in 0..100_000u32 {
            let due = timers.after(ms(0), ms(3_600_000));
            timers.push(due, n);
            timers.forget_one(|_, what| what > n);
        }
        assert!(timers.heap.len() < 200, "{} entries for no timer at all", timers.heap.len());
    }
}
