//! What a node has to say and has not read back, in the order of its sequence.

use std::collections::VecDeque;
use std::time::Duration;

use super::entry::What;

/// What an entry costs beside its text: its place here, its fields, and what the engine writes around them.
const OVERHEAD: usize = 200;

#[derive(Debug)]
pub struct Outbox {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    most_bytes: usize,
    /// The last sequence, and all lines up to it.
    sequence: u64,
    lines: u64,
    /// All lines up to the last entry that was read back.
    lines_read_back: u64,
    /// The last sequence that was published since all began anew.
    published: u64,
}

#[derive(Debug)]
pub struct Waiting {
    pub sequence: u64,
    pub lines: u64,
    pub what: What,
    pub since: Duration,
    /// The guests here know it.
    pub is_told: bool,
}

/// What has become of entries of this node when one of them was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReadBack {
    /// None if it was dropped before.
    pub entry: Option<(bool, Duration)>,
    /// How many that stood before it will not come.
    pub skipped: usize,
    pub skipped_hello: bool,
    /// Lines among them that the guests here do not know.
    pub untold_lines: u64,
}

impl Outbox {
    pub fn new(most_bytes: usize) -> Self {
        Outbox {
            waiting: VecDeque::new(),
            bytes: 0,
            most_bytes,
            sequence: 0,
            lines: 0,
            lines_read_back: 0,
            published: 0,
        }
    }

    /// Returns its sequence.
    pub fn push(&mut self, what: What, is_told: bool, now: Duration) -> u64 {
        self.sequence += 1;
        self.lines += u64::from(what.is_line());
        self.bytes += cost(&what);
        self.waiting.push_back(Waiting { sequence: self.sequence, lines: self.lines, what, since: now, is_told });
        self.sequence
    }

    /// All is to be published again.
    pub fn begins_anew(&mut self) {
        self.published = 0;
    }

    /// What was said of other nodes, and who has which name, may not be so any more. It is found out anew.
    pub fn takes_back_what_may_be_old(&mut self) {
        let is_old = |what: &What| matches!(what, What::List(_) | What::Dead { .. });
        for waiting in self.waiting.iter_mut().filter(|waiting| is_old(&waiting.what)) {
            self.bytes -= cost(&waiting.what);
            waiting.what = What::Alive;
            self.bytes += cost(&waiting.what);
        }
    }

    pub fn next_to_publish(&self) -> Option<&Waiting> {
        let at = self.waiting.partition_point(|waiting| waiting.sequence <= self.published);
        self.waiting.get(at)
    }

    /// Something that was published has not been read back.
    pub fn is_under_way(&self) -> bool {
        self.oldest_sequence().is_some_and(|oldest| oldest <= self.published)
    }

    pub fn is_published(&mut self, sequence: u64) {
        self.published = sequence;
    }

    /// An entry of this node was read in the stream. What stands before it has come or will not come any more. `lines`: all of
    /// this node up to it.
    pub fn read_back(&mut self, sequence: u64, lines: u64) -> ReadBack {
        let mut back = ReadBack::default();
        self.lines_read_back = lines;
        while self.oldest_sequence().is_some_and(|oldest| oldest <= sequence)
            && let Some(waiting) = self.waiting.pop_front()
        {
            self.bytes -= cost(&waiting.what);
            if waiting.sequence == sequence {
                back.entry = Some((waiting.is_told, waiting.since));
                break;
            }
            back.skipped += 1;
            back.skipped_hello |= waiting.what == What::Hello;
            back.untold_lines += u64::from(waiting.what.is_line() && !waiting.is_told);
        }
        back
    }

    /// For what is not urgent.
    pub fn has_room(&self) -> bool {
        self.bytes <= self.most_bytes / 2
    }

    pub fn is_too_full(&self) -> bool {
        self.bytes > self.most_bytes && self.waiting.len() > 1
    }

    /// Takes the oldest away, but not the hello that all begins with.
    pub fn drop_oldest(&mut self) -> Option<Waiting> {
        let dropped = self.waiting.remove(self.oldest_to_drop())?;
        self.bytes -= cost(&dropped.what);
        Some(dropped)
    }

    fn oldest_to_drop(&self) -> usize {
        usize::from(self.waiting.front().is_some_and(|first| first.sequence == 1))
    }

    /// The guests here do not know the one that would be dropped. Claims and joins are made again.
    pub fn is_oldest_to_be_told(&self) -> bool {
        let oldest = self.waiting.get(self.oldest_to_drop());
        oldest.is_some_and(|oldest| !oldest.is_told && matches!(oldest.what, What::Say { .. } | What::Leave { .. }))
    }

    fn oldest_sequence(&self) -> Option<u64> {
        self.waiting.front().map(|waiting| waiting.sequence)
    }

    pub fn oldest(&self) -> Option<Duration> {
        self.waiting.front().map(|waiting| waiting.since)
    }

    /// From now on nothing has waited.
    pub fn begin_waiting(&mut self, now: Duration) {
        self.waiting.iter_mut().for_each(|waiting| waiting.since = now);
    }

    /// What the guests here do not know yet. They are told.
    pub fn tell_all(&mut self) -> Vec<(u64, What)> {
        let untold = self.waiting.iter_mut().filter(|waiting| !waiting.is_told);
        untold
            .map(|waiting| {
                waiting.is_told = true;
                (waiting.sequence, waiting.what.clone())
            })
            .collect()
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Those that were dropped are among them.
    pub fn lines_not_read_back(&self) -> u64 {
        self.lines.saturating_sub(self.lines_read_back)
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn cost(what: &What) -> usize {
    let text = match what {
        What::Say { text, .. } => text.len(),
        What::Claim { name, .. } => name.len(),
        What::List(list) => list.guests.len() * 100,
        _ => 0,
    };
    OVERHEAD + text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn say(text: &str) -> What {
        What::Say { guest: 1, text: text.into() }
    }

    fn publish_all(outbox: &mut Outbox) -> Vec<u64> {
        let mut all = Vec::new();
        while let Some(next) = outbox.next_to_publish() {
            let sequence = next.sequence;
            outbox.is_published(sequence);
            all.push(sequence);
        }
        all
    }

    #[test]
    fn a_new_connection_publishes_all_that_was_not_read_back() {
        let mut outbox = Outbox::new(10_000);
        for _ in 0..4 {
            outbox.push(say("x"), false, NOW);
        }
        assert_eq!(publish_all(&mut outbox), [1, 2, 3, 4]);
        outbox.push(say("y"), false, NOW);
        assert_eq!(publish_all(&mut outbox), [5]);
        assert_eq!(outbox.read_back(1, 1).entry, Some((false, NOW)));
        assert_eq!(outbox.read_back(2, 2).skipped, 0);
        outbox.begins_anew();
        assert_eq!(publish_all(&mut outbox), [3, 4, 5]);
    }

    #[test]
    fn what_may_be_old_is_not_published_again() {
        let mut outbox = Outbox::new(10_000);
        for what in [say("a"), What::Dead { boot: 7 }] {
            outbox.push(what, true, NOW);
        }
        publish_all(&mut outbox);
        outbox.takes_back_what_may_be_old();
        outbox.begins_anew();
        assert_eq!(outbox.next_to_publish().unwrap().what, say("a"));
        outbox.is_published(1);
        assert_eq!(outbox.next_to_publish().unwrap().what, What::Alive, "it has the same number");
    }

    #[test]
    fn what_is_skipped_is_counted_by_who_knows_it() {
        let mut outbox = Outbox::new(10_000);
        for (what, is_told) in
            [(say("a"), true), (say("b"), false), (What::Alive, true), (say("c"), false), (say("d"), true)]
        {
            outbox.push(what, is_told, NOW);
        }
        let back = outbox.read_back(4, 3);
        let expected = ReadBack { entry: Some((false, NOW)), skipped: 3, skipped_hello: false, untold_lines: 1 };
        assert_eq!(back, expected);
        assert_eq!(outbox.read_back(4, 3), ReadBack::default());
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn the_oldest_goes_but_not_the_first_hello() {
        let mut outbox = Outbox::new(3 * (OVERHEAD + 10));
        outbox.push(What::Hello, true, NOW);
        for number in 0..10 {
            outbox.push(say(&format!("line {number:05}")), true, NOW);
            while outbox.is_too_full() {
                assert_eq!(outbox.drop_oldest().unwrap().sequence, number);
            }
            assert!(outbox.bytes() <= 3 * (OVERHEAD + 10));
        }
        assert_eq!(publish_all(&mut outbox), [1, 10, 11]);
        outbox.read_back(1, 0);
        assert_eq!(outbox.lines_not_read_back(), 10, "those that were dropped too");
        assert_eq!(outbox.drop_oldest().unwrap().sequence, 10);
    }

    #[test]
    fn only_a_line_or_a_leave_that_would_be_dropped_is_told_before() {
        let mut outbox = Outbox::new(10_000);
        outbox.push(What::Hello, true, NOW);
        outbox.push(say("a"), true, NOW);
        outbox.push(What::Claim { guest: 1, name: "anna".into() }, false, NOW);
        outbox.push(say("b"), false, NOW);
        assert_eq!([(); 3].map(|()| (outbox.is_oldest_to_be_told(), outbox.drop_oldest()).0), [false, false, true]);
    }

    #[test]
    fn what_waits_is_told_once() {
        let mut outbox = Outbox::new(10_000);
        outbox.push(say("a"), true, NOW);
        outbox.push(say("b"), false, NOW);
        assert_eq!(outbox.tell_all(), [(2, say("b"))]);
        assert!(outbox.tell_all().is_empty());
    }
}
