//! Several addresses of one host: which is tried next, and when. It is known as Happy Eyeballs (RFC 8305).
//!
//! ```text
//!   address 1 ──────────────────────────▶ connected: it is the one, and the others are closed
//!        └─ 250 ms, or it fails ─▶ address 2 ─────▶ …
//!                                      └─ 250 ms, or it fails ─▶ address 3 …
//! ```
//!
//! It knows no socket: it is asked what comes next ([`Race::next`]), and told what has become of it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// How the addresses of a name are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConnectAttempts {
    /// As RFC 8305 wants it: the next one is tried when the one before has failed, or has not connected in time, and the
    /// first that connects is it. An attempt that is late goes on.
    #[default]
    Overlapping,
    /// As Node does: one after the other. One that has not connected in time is closed, except for the last.
    OneByOne,
    /// The first address alone: Node without `autoSelectFamily`.
    FirstOnly,
}

/// How many attempts go on at the same time. A name may have a hundred addresses, each attempt has a descriptor, and a proxy has
/// thousands of clients. When there are so many, the oldest makes room: it has had a second by then.
const MOST_UNDER_WAY: usize = 4;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Begin(SocketAddr),
    /// The oldest attempt that goes on is to be closed: its time is over.
    CutOff,
    /// Nothing before this time; without one, until an attempt comes to its outcome.
    Wait(Option<Duration>),
    /// All addresses have failed.
    Lost,
}

#[derive(Debug)]
pub(crate) struct Race {
    manner: ConnectAttempts,
    delay: Duration,
    left: VecDeque<SocketAddr>,
    under_way: usize,
    /// When the next address has its turn, whatever those under way do.
    next: Option<Duration>,
    /// All that were tried, in order.
    attempted: Vec<SocketAddr>,
}

impl Race {
    pub fn new(addresses: Vec<SocketAddr>, manner: ConnectAttempts, delay: Duration) -> Self {
        let mut left = interleaved(addresses);
        if manner == ConnectAttempts::FirstOnly {
            left.truncate(1);
        }
        Race { manner, delay, left, under_way: 0, next: None, attempted: Vec::new() }
    }

    /// What comes next at this time.
    pub fn next(&mut self, now: Duration) -> Step {
        let is_due = self.next.is_some_and(|next| next <= now);
        match self.left.front().copied() {
            None if self.under_way == 0 => Step::Lost,
            None => Step::Wait(None),
            Some(_) if self.under_way > 0 && !is_due => Step::Wait(self.next),
            Some(_) if self.under_way > 0 && self.manner != ConnectAttempts::Overlapping => Step::CutOff,
            Some(_) if self.under_way >= MOST_UNDER_WAY => Step::CutOff,
            Some(address) => {
                self.left.pop_front();
                self.attempted.push(address);
                self.under_way += 1;
                self.next = (!self.left.is_empty()).then(|| now.saturating_add(self.delay));
                Step::Begin(address)
            }
        }
    }

    /// An attempt has failed, or was closed. The next address has its turn at once.
    pub fn failed(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
        self.next = self.next.map(|_| Duration::ZERO);
    }

    /// All that were tried, in order.
    pub fn attempted(&self) -> &[SocketAddr] {
        &self.attempted
    }
}

/// The family of the first address leads, and they take turns.
fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let leads_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (leading, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|one| one.is_ipv6() == leads_ipv6);
    let (mut leading, mut others) = (leading.into_iter(), others.into_iter());
    let mut all = VecDeque::new();
    loop {
        let pair = [leading.next(), others.next()];
        if pair == [None, None] {
            return all;
        }
        for address in pair.into_iter().flatten() {
            if !all.contains(&address) {
                all.push_back(address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(250);

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn at(text: &str) -> SocketAddr {
        let ip: std::net::IpAddr = text.parse().unwrap();
        (ip, 80).into()
    }

    fn race(addresses: &[&str], manner: ConnectAttempts) -> Race {
        Race::new(addresses.iter().map(|address| at(address)).collect(), manner, DELAY)
    }

    #[test]
    fn families_take_turns_and_the_first_one_leads() {
        let order = |addresses: &[&str]| {
            let order = interleaved(addresses.iter().map(|address| at(address)).collect());
            order.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order(&["::1", "::2", "::3", "1.1.1.1", "2.2.2.2"]), "::1 1.1.1.1 ::2 2.2.2.2 ::3");
        assert_eq!(order(&["1.1.1.1", "::1", "2.2.2.2", "1.1.1.1"]), "1.1.1.1 ::1 2.2.2.2");
        assert_eq!(order(&["1.1.1.1"]), "1.1.1.1");
        assert_eq!(order(&[]), "");
    }

    #[test]
    fn the_next_one_begins_when_its_time_has_come_and_the_others_go_on() {
        let mut race = race(&["::1", "1.1.1.1", "::2"], ConnectAttempts::Overlapping);
        assert_eq!(race.next(ms(0)), Step::Begin(at("::1")));
        assert_eq!(race.next(ms(0)), Step::Wait(Some(ms(250))));
        assert_eq!(race.next(ms(249)), Step::Wait(Some(ms(250))));
        assert_eq!(race.next(ms(250)), Step::Begin(at("1.1.1.1")));
        assert_eq!(race.next(ms(250)), Step::Wait(Some(ms(500))));
        assert_eq!(race.next(ms(500)), Step::Begin(at("::2")));
        assert_eq!(race.next(ms(9000)), Step::Wait(None));
        assert_eq!(race.attempted(), [at("::1"), at("1.1.1.1"), at("::2")]);
    }

    #[test]
    fn at_most_four_go_on_and_the_oldest_makes_room() {
        let mut race = race(&["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4", "5.5.5.5"], ConnectAttempts::Overlapping);
        for (number, address) in ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"].into_iter().enumerate() {
            assert_eq!(race.next(ms(250 * number as u64)), Step::Begin(at(address)));
        }
        assert_eq!(race.next(ms(999)), Step::Wait(Some(ms(1000))));
        assert_eq!(race.next(ms(1000)), Step::CutOff);
        race.failed();
        assert_eq!(race.next(ms(1000)), Step::Begin(at("5.5.5.5")));
        assert_eq!(race.next(ms(9000)), Step::Wait(None), "the last ones have all the time");
    }

    #[test]
    fn one_that_fails_is_followed_at_once() {
        let mut race = race(&["::1", "1.1.1.1", "::2"], ConnectAttempts::Overlapping);
        assert_eq!(race.next(ms(0)), Step::Begin(at("::1")));
        race.failed();
        assert_eq!(race.next(ms(10)), Step::Begin(at("1.1.1.1")));
        assert_eq!(race.next(ms(10)), Step::Wait(Some(ms(260))));
        race.failed();
        assert_eq!(race.next(ms(20)), Step::Begin(at("::2")));
        race.failed();
        assert_eq!(race.next(ms(30)), Step::Lost);
    }

    #[test]
    fn when_the_last_one_fails_those_before_it_are_waited_for() {
        let mut race = race(&["::1", "1.1.1.1"], ConnectAttempts::Overlapping);
        race.next(ms(0));
        race.next(ms(250));
        race.failed();
        assert_eq!(race.next(ms(300)), Step::Wait(None));
        race.failed();
        assert_eq!(race.next(ms(300)), Step::Lost);
    }

    #[test]
    fn one_by_one_an_attempt_is_cut_off_and_the_last_one_is_not() {
        let mut race = race(&["::1", "1.1.1.1"], ConnectAttempts::OneByOne);
        assert_eq!(race.next(ms(0)), Step::Begin(at("::1")));
        assert_eq!(race.next(ms(100)), Step::Wait(Some(ms(250))));
        assert_eq!(race.next(ms(250)), Step::CutOff);
        race.failed();
        assert_eq!(race.next(ms(250)), Step::Begin(at("1.1.1.1")));
        assert_eq!(race.next(ms(9000)), Step::Wait(None));
        race.failed();
        assert_eq!(race.next(ms(9000)), Step::Lost);
    }

    #[test]
    fn the_first_only_is_the_first_only() {
        let mut race = race(&["::1", "1.1.1.1"], ConnectAttempts::FirstOnly);
        assert_eq!(race.next(ms(0)), Step::Begin(at("::1")));
        race.failed();
        assert_eq!(race.next(ms(0)), Step::Lost);
    }
}
