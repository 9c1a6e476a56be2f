//! Announcements of joins and leaves, batched if there are many.
//!
//! A thousand joins, each announced to a thousand guests, are a million lines. So only the first few in any tenth of a
//! second are announced one by one. The others are counted, and announced in one line when the tenth of a second is over.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use tidegate::{Loop, SocketId};

use super::Room;

/// How many are announced one by one in any [`INTERVAL`].
const MAX_SINGLE: usize = 5;

const INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub struct Announcements {
    /// When the latest single announcements were made, at most [`MAX_SINGLE`].
    single: VecDeque<Duration>,
    /// What the next batch will announce.
    joined: u32,
    left: u32,
    /// How many are online after the last of them.
    online: u64,
}

/// What to do about a join or a leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Announce,
    /// Begin a batch, which is announced after an interval.
    BeginBatch,
    AddToBatch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Joined,
    Left,
}

/// Tells all but one, who gets a line of its own. So many are `online` now.
pub fn announce(on: &mut Loop<'_, Room>, except: Option<SocketId>, name: &str, what: What, online: u64) {
    let now = on.net.now();
    match on.state.announcements.plan(now) {
        Plan::Announce => {
            let line = format!("* {name} {what}; {online} online\n");
            on.state.online.tell(on.net, except, &line);
        }
        Plan::AddToBatch => on.state.announcements.add(what, online),
        Plan::BeginBatch => {
            on.state.announcements.add(what, online);
            let timer = on.after(INTERVAL, |on| {
                if let Some(line) = on.state.announcements.take_batch() {
                    on.state.online.tell(on.net, None, &line);
                }
            });
            on.net.set_timer_ref(timer, false);
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Joined => "joined",
            What::Left => "left",
        })
    }
}

impl Announcements {
    fn plan(&mut self, now: Duration) -> Plan {
        if self.joined + self.left > 0 {
            return Plan::AddToBatch;
        }
        while self.single.front().is_some_and(|single| *single + INTERVAL <= now) {
            self.single.pop_front();
        }
        if self.single.len() >= MAX_SINGLE {
            return Plan::BeginBatch;
        }
        self.single.push_back(now);
        Plan::Announce
    }

    fn add(&mut self, what: What, online: u64) {
        *match what {
            What::Joined => &mut self.joined,
            What::Left => &mut self.left,
        } += 1;
        self.online = online;
    }

    /// The line for the whole batch.
    fn take_batch(&mut self) -> Option<String> {
        let (joined, left, online) = (std::mem::take(&mut self.joined), std::mem::take(&mut self.left), self.online);
        (joined + left > 0).then(|| format!("* {joined} joined, {left} left; {online} online\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_first_five_in_any_tenth_of_a_second_are_announced_one_by_one() {
        let mut announcements = Announcements::default();
        for now in [0, 10, 20, 30, 99] {
            assert_eq!(announcements.plan(ms(now)), Plan::Announce);
        }
        assert_eq!(announcements.plan(ms(99)), Plan::BeginBatch);
        assert_eq!(announcements.plan(ms(100)), Plan::Announce, "the one at 0 is a tenth of a second ago");
        assert_eq!(announcements.plan(ms(105)), Plan::BeginBatch);
    }

    #[test]
    fn the_rest_is_announced_together() {
        let mut announcements = Announcements::default();
        for _ in 0..MAX_SINGLE {
            assert_eq!(announcements.plan(ms(0)), Plan::Announce);
        }
        (0..37).for_each(|n| announcements.add(What::Joined, 4800 + n));
        (0..12).for_each(|n| announcements.add(What::Left, 4832 - n));
        assert_eq!(announcements.plan(ms(1)), Plan::AddToBatch);
        assert_eq!(announcements.take_batch().as_deref(), Some("* 37 joined, 12 left; 4821 online\n"));
        assert_eq!(announcements.take_batch(), None);
    }
}
