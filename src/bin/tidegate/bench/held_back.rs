//! Whether a room holds its senders back, as `tidegate chat` does by `--flood`: it reads a guest that sends many lines more
//! slowly. Then the run measures that limit, and not the room.
//!
//! A room that is slow, or far away, is so for everybody. So when a line of a sender has waited for a while, a guest that has
//! said nothing sends a line that does not count. If that line is there at once, and the other one still waits, it is the
//! sender who is held back.

use std::time::Duration;

use tidegate::SocketId;

/// How often it is looked whether a sender waits.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A shorter wait is no reason to suspect anything.
const SUSPICIOUS: Duration = Duration::from_millis(3);

/// So many times faster was the line of the other guest.
const FASTER: u32 = 4;

/// Once may be chance, and twice too: on a busy machine a line of one guest may well overtake that of another.
const ENOUGH: u32 = 3;

/// If senders are held back, one of them waits at nearly every look. One look of so many is enough.
const ONE_OF: u32 = 4;

#[derive(Debug)]
pub struct HeldBack {
    /// Those that only receive.
    guests: Vec<Option<SocketId>>,
    next_guest: usize,
    /// The line that is under way to find out.
    line: Option<Line>,
    looks: u32,
    sent: u32,
    faster: u32,
    evidence: Option<Evidence>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    since: Duration,
    /// The sender whose line waits, and since when.
    sender: usize,
    waits_since: Duration,
}

/// How long a line of a sender has waited, and how long the line of another guest took meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub waited: Duration,
    pub other: Duration,
}

impl HeldBack {
    pub fn new(guests: usize) -> Self {
        HeldBack { guests: vec![None; guests], next_guest: 0, line: None, looks: 0, sent: 0, faster: 0, evidence: None }
    }

    /// A guest came, or with None has gone.
    pub fn set_guest(&mut self, number: usize, id: Option<SocketId>) {
        if let Some(guest) = self.guests.get_mut(number) {
            *guest = id;
        }
    }

    /// Looks at the sender whose line has waited for the longest time, if any line waits. Returns the guest that is to send a line now.
    pub fn look(&mut self, waits: Option<(usize, Duration)>, now: Duration, far: Duration) -> Option<SocketId> {
        if self.line.is_some() {
            return None;
        }
        self.looks += 1;
        let (sender, waits_since) = waits.filter(|(_, since)| now.saturating_sub(*since) >= SUSPICIOUS + far)?;
        let count = self.guests.len();
        let mut in_turn = (0..count).map(|step| (self.next_guest + step) % count);
        let guest = in_turn.find(|guest| self.guests[*guest].is_some())?;
        self.next_guest = guest + 1;
        self.line = Some(Line { since: now, sender, waits_since });
        self.sent += 1;
        self.guests[guest]
    }

    /// A line of this sender has come.
    #[inline]
    pub fn heard(&mut self, sender: usize) {
        if let Some(line) = &mut self.line
            && line.sender == sender
        {
            line.waits_since = Duration::MAX; // it waits no more
        }
    }

    /// The line of the other guest has come, for the first time or again. `far` is how long any line takes at least.
    pub fn arrived(&mut self, now: Duration, far: Duration) {
        let Some(line) = self.line.take() else { return };
        let (waited, other) = (now.saturating_sub(line.waits_since), now.saturating_sub(line.since));
        if other.saturating_sub(far) * FASTER < waited.saturating_sub(far) {
            self.faster += 1;
            self.evidence = Some(Evidence { waited, other });
        }
    }

    pub fn evidence(&self) -> Option<Evidence> {
        let is_rule = self.faster * 2 >= self.sent && self.sent * ONE_OF >= self.looks;
        self.evidence.filter(|_| self.faster >= ENOUGH && is_rule)
    }
}

#[cfg(test)]
mod tests {
    use tidegate::EventLoop;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn with_a_guest() -> HeldBack {
        let mut event_loop = EventLoop::new().unwrap();
        let id = event_loop.connect("127.0.0.1:1", |_| {}).unwrap();
        let mut held = HeldBack::new(3);
        held.set_guest(1, Some(id));
        held
    }

    /// What is known after three looks, each after a wait of 50 ms, when the line of the other guest took so long.
    fn after(took: Duration, far: Duration, heard: bool) -> Option<Evidence> {
        let mut held = with_a_guest();
        for at in [100, 200, 300].map(|at| at * MS) {
            assert!(held.look(Some((0, at - 50 * MS)), at, far).is_some());
            if heard {
                held.heard(0);
            }
            held.arrived(at + took, far);
        }
        held.evidence()
    }

    #[test]
    fn a_line_that_overtakes_another_is_evidence() {
        assert_eq!(after(MS, Duration::ZERO, false), Some(Evidence { waited: 51 * MS, other: MS }));
        assert_eq!(after(21 * MS, 20 * MS, false), Some(Evidence { waited: 71 * MS, other: 21 * MS }));
        assert_eq!(after(40 * MS, Duration::ZERO, false), None, "it is slow for everybody");
        assert_eq!(after(MS, Duration::ZERO, true), None, "the other line came first");
    }

    #[test]
    fn a_short_wait_is_not_suspicious_and_once_is_no_evidence() {
        let mut held = with_a_guest();
        assert!(held.look(Some((0, 98 * MS)), 100 * MS, Duration::ZERO).is_none());
        assert!(held.look(Some((0, 88 * MS)), 100 * MS, 10 * MS).is_none(), "it is far away");
        assert!(held.look(Some((0, 50 * MS)), 100 * MS, Duration::ZERO).is_some());
        assert!(held.look(Some((0, 50 * MS)), 100 * MS, Duration::ZERO).is_none(), "one line at a time");
        held.arrived(101 * MS, Duration::ZERO);
        held.arrived(101 * MS, Duration::ZERO);
        assert_eq!(held.evidence(), None);
    }

    #[test]
    fn what_happens_now_and_then_is_chance() {
        let mut held = with_a_guest();
        for at in (1..=20).map(|at| at * 100 * MS) {
            let waits = (at.as_millis() % 500 == 0).then_some((0, at - 5 * MS));
            held.look(waits, at, Duration::ZERO);
            held.arrived(at, Duration::ZERO);
        }
        assert_eq!((held.faster, held.evidence()), (4, None));
    }
}
