//! Deadlines in order.
//!
//! A sorted map from the time at which something is due to what it is. It fires nothing and reads no clock: the net asks
//! what is due at a time. Whoever sets an entry keeps its [`Due`] and removes the entry by it, so no entry stands for
//! something that is gone. An entry can be early, never late: a connection's idle clock is moved by storing a number in the
//! connection (`connection/idle.rs`), not by touching the map, and its entry is set again when it comes up.
//!
//! Times have a resolution of one millisecond, rounded up, so that a timer is never early; and whatever was set within
//! the same millisecond for the same delay comes due together, in the order in which it was set. That is Node's
//! behaviour, and programs rely on it.

use std::collections::BTreeMap;
use std::ops::Bound;
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
    entries: BTreeMap<Due, K>,
    next_order: u64,
    /// How many entries were set.
    set: u64,
}

impl<K: Copy> Timers<K> {
    pub fn new() -> Self {
        Timers { entries: BTreeMap::new(), next_order: 0, set: 0 }
    }

    /// The time `delay` after `now`, after every time that was taken for the same millisecond before.
    #[inline]
    pub fn due_after(&mut self, now: Duration, delay: Duration) -> Due {
        let at = now + delay.clamp(Duration::from_millis(1), LONGEST);
        let millisecond = at.as_millis() as u64 + u64::from(!at.subsec_nanos().is_multiple_of(1_000_000));
        let order = self.next_order;
        self.next_order += 1;
        Due { millisecond, order }
    }

    pub fn insert(&mut self, due: Due, what: K) {
        self.set += 1;
        self.entries.insert(due, what);
    }

    /// An entry that `delay` after `now` is due.
    pub fn insert_after(&mut self, now: Duration, delay: Duration, what: K) -> Due {
        let due = self.due_after(now, delay);
        self.insert(due, what);
        due
    }

    pub fn remove(&mut self, due: Due) {
        self.entries.remove(&due);
    }

    /// The earliest entry after `before`, or of all.
    pub fn first_after(&self, before: Option<Due>) -> Option<(Due, K)> {
        let entry = match before {
            None => self.entries.first_key_value(),
            Some(before) => self.entries.range((Bound::Excluded(before), Bound::Unbounded)).next(),
        };
        entry.map(|(due, what)| (*due, *what))
    }

    /// Takes the earliest entry that is due at `now`.
    #[cfg(test)]
    pub fn pop(&mut self, now: Duration) -> Option<(Due, K)> {
        let first = self.first_after(None).filter(|(due, _)| due.time() <= now)?;
        self.remove(first.0);
        Some(first)
    }

    /// When the earliest entry is due.
    #[inline]
    pub fn next(&self) -> Option<Duration> {
        self.entries.first_key_value().map(|(due, _)| due.time())
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries were set so far.
    pub fn set_count(&self) -> u64 {
        self.set
    }

    /// All entries, the earliest first.
    pub fn iter(&self) -> impl Iterator<Item = (Due, K)> {
        self.entries.iter().map(|(due, what)| (*due, *what))
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
            timers.insert_after(ms(0), ms(delay), what);
        }
        assert_eq!(timers.pop(ms(9)), None);
        let order: String = std::iter::from_fn(|| timers.pop(ms(30)).map(|(_, what)| what)).collect();
        assert_eq!(order, "abcd");
    }

    #[test]
    fn a_timer_is_never_early() {
        let mut timers = Timers::new();
        let due = timers.insert_after(Duration::from_micros(100_900), ms(10), ());
        assert_eq!(due.millisecond, 111);
        assert_eq!(timers.pop(Duration::from_micros(110_999)), None);
        assert!(timers.pop(ms(111)).is_some());
    }

    #[test]
    fn a_timer_that_was_removed_is_gone_at_once() {
        let mut timers = Timers::new();
        let [first, second, _third] = [10, 20, 30].map(|delay| timers.insert_after(ms(0), ms(delay), delay));
        timers.remove(first);
        timers.remove(second);
        timers.remove(first);
        assert_eq!(timers.next(), Some(ms(30)));
        assert_eq!(timers.iter().count(), 1);
    }

    #[test]
    fn no_delay_is_one_millisecond_so_that_a_timer_cannot_hang_its_round() {
        let mut timers = Timers::<()>::new();
        assert_eq!(timers.due_after(ms(5), Duration::ZERO).millisecond, 6);
    }
}
