//! Comings and goings: told one by one, and in a storm together.
//!
//! Telling each of a thousand arrivals to each of a thousand guests is a million lines. So only the first few in any
//! tenth of a second are told one by one; the others are counted, and told in one line when the tenth is over.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate::Socket;

use super::Room;

/// So many are told one by one...
const ONE_BY_ONE: usize = 5;
/// ...in any span of this length.
const SPAN: Duration = Duration::from_millis(100);

/// What has been told, and what is yet to be told.
#[derive(Debug, Default)]
pub struct Announcements {
    /// When the latest single ones were told, at most [`ONE_BY_ONE`].
    told: VecDeque<Duration>,
    joined: u32,
    left: u32,
}

/// What to do about a coming or going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Now,
    /// Together with others, when the span is over that the first of them begins.
    Together {
        first: bool,
    },
}

/// The newcomer was told himself; this is for the others.
pub fn joined(socket: &mut Socket<'_, Room>, name: &str) {
    announce(socket, name, "joined", |announcements| &mut announcements.joined);
}

pub fn left(socket: &mut Socket<'_, Room>, name: &str) {
    announce(socket, name, "left", |announcements| &mut announcements.left);
}

fn announce(
    socket: &mut Socket<'_, Room>,
    name: &str,
    what: &str,
    counter: impl FnOnce(&mut Announcements) -> &mut u32,
) {
    let (me, now, room) = (socket.id(), socket.net.now(), &mut *socket.state);
    match room.announcements.told(now) {
        Told::Now => {
            let told = format!("* {name} {what}; {} online\n", room.online.len());
            socket.net.broadcast(room.online.values().copied().filter(|id| *id != me), told);
        }
        Told::Together { first } => {
            *counter(&mut room.announcements) += 1;
            if !first {
                return;
            }
            let timer = socket.event_loop().after(SPAN, |on| {
                if let Some(told) = on.state.announcements.together(on.state.online.len()) {
                    on.net.broadcast(on.state.online.values().copied(), told);
                }
            });
            socket.net.set_timer_ref(timer, false);
        }
    }
}

impl Announcements {
    fn told(&mut self, now: Duration) -> Told {
        if self.joined + self.left > 0 {
            return Told::Together { first: false };
        }
        while self.told.front().is_some_and(|told| *told + SPAN <= now) {
            self.told.pop_front();
        }
        if self.told.len() >= ONE_BY_ONE {
            return Told::Together { first: true };
        }
        self.told.push_back(now);
        Told::Now
    }

    /// The line for all that were counted.
    fn together(&mut self, online: usize) -> Option<String> {
        let (joined, left) = (std::mem::take(&mut self.joined), std::mem::take(&mut self.left));
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
    fn the_first_five_in_any_tenth_of_a_second_are_told_one_by_one() {
        let mut announcements = Announcements::default();
        for now in [0, 10, 20, 30, 99] {
            assert_eq!(announcements.told(ms(now)), Told::Now);
        }
        assert_eq!(announcements.told(ms(99)), Told::Together { first: true });
        assert_eq!(announcements.told(ms(100)), Told::Now, "the one at 0 is a tenth of a second ago");
        assert_eq!(announcements.told(ms(105)), Told::Together { first: true });
    }

    #[test]
    fn the_rest_is_told_together() {
        let mut announcements = Announcements::default();
        for _ in 0..ONE_BY_ONE {
            assert_eq!(announcements.told(ms(0)), Told::Now);
        }
        announcements.joined += 37;
        announcements.left += 12;
        assert_eq!(announcements.told(ms(1)), Told::Together { first: false });
        assert_eq!(announcements.together(4821).as_deref(), Some("* 37 joined, 12 left; 4821 online\n"));
        assert_eq!(announcements.together(4821), None);
    }
}
