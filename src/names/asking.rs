//! One question: which server is asked next, how, and for how long.
//!
//! ```text
//!   server 1 ──silence, refusal──▶ server 2 ── … ──▶ server 1 again, as often as `attempts` says ──▶ nobody has answered
//!      │ cut short: the same by TCP; EDNS is not known: the same without it
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use super::{Answer, ResolvConf};
use crate::base::error::Error;

/// How a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// By one datagram.
    Datagram,
    /// By TCP.
    Stream,
}

/// A server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub server: SocketAddr,
    pub transport: Transport,
    /// Whether it is asked with EDNS.
    pub extensions: bool,
}

/// Why there is no answer yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setback {
    /// The answer did not fit.
    Truncated,
    NoExtensions,
    Failed,
    Refused,
    /// It has not answered.
    Silent,
    /// It cannot be reached.
    Unreachable(Error),
}

#[derive(Debug)]
pub(super) struct Asking {
    servers: Vec<SocketAddr>,
    /// How long each attempt may take.
    pub timeout: Duration,
    /// When the present attempt began.
    pub asked_at: Duration,
    present: Attempt,
    /// How many were begun with a server's turn.
    turns: usize,
    most_turns: usize,
    /// What is to be said when all attempts have been made: what the last one has said that has answered.
    verdict: Answer,
}

impl Asking {
    /// Begins with this server of the list. If there are several, each has its part of the time-out: whoever connects to a name
    /// gives it some seconds, and the first server may be dead.
    pub fn new(conf: &ResolvConf, first: usize) -> Option<Self> {
        let mut servers = conf.servers.clone();
        let length = servers.len().max(1);
        servers.rotate_left(first % length);
        let present = Attempt::at(*servers.first()?);
        let most_turns = servers.len() * conf.attempts as usize;
        let timeout = conf.timeout / u32::try_from(length).unwrap_or(1);
        Some(Asking {
            servers,
            timeout,
            asked_at: Duration::ZERO,
            present,
            turns: 1,
            most_turns,
            verdict: Answer::NoServer(None),
        })
    }

    pub fn present(&self) -> Attempt {
        self.present
    }

    /// The next attempt. None: all have been made.
    pub fn after(&mut self, setback: Setback) -> Option<Attempt> {
        match setback {
            Setback::Truncated if self.present.transport == Transport::Datagram => {
                self.present.transport = Transport::Stream;
                return Some(self.present);
            }
            Setback::NoExtensions if self.present.extensions => {
                self.present.extensions = false;
                return Some(self.present);
            }
            Setback::Failed => self.verdict = Answer::ServersFail,
            Setback::Truncated | Setback::NoExtensions | Setback::Refused => self.verdict = Answer::ServersRefuse,
            Setback::Unreachable(error) if matches!(self.verdict, Answer::NoServer(_)) => {
                self.verdict = Answer::NoServer(Some(error));
            }
            Setback::Unreachable(_) | Setback::Silent => {}
        }
        if self.turns == self.most_turns {
            return None;
        }
        self.present = Attempt::at(*self.servers.get(self.turns % self.servers.len())?);
        self.turns += 1;
        Some(self.present)
    }

    /// What is to be said when all attempts have been made.
    pub fn verdict(&self) -> Answer {
        self.verdict.clone()
    }
}

impl Attempt {
    fn at(server: SocketAddr) -> Self {
        Attempt { server, transport: Transport::Datagram, extensions: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(servers: usize, attempts: u32) -> ResolvConf {
        let servers = (1..=servers).map(|number| SocketAddr::from(([192, 0, 2, number as u8], 53))).collect();
        ResolvConf { servers, attempts, ..ResolvConf::default() }
    }

    /// The last numbers of the servers that are asked, if all are silent.
    fn order(conf: &ResolvConf, first: usize) -> Vec<u8> {
        let mut asking = Asking::new(conf, first).unwrap();
        let mut asked = vec![asking.present()];
        asked.extend(std::iter::from_fn(|| asking.after(Setback::Silent)));
        let last = |attempt: &Attempt| match attempt.server {
            SocketAddr::V4(server) => server.ip().octets()[3],
            SocketAddr::V6(_) => 0,
        };
        asked.iter().map(last).collect()
    }

    #[test]
    fn all_servers_are_asked_in_order_and_then_again() {
        assert_eq!(order(&conf(1, 2), 0), [1, 1]);
        assert_eq!(order(&conf(3, 2), 0), [1, 2, 3, 1, 2, 3]);
        assert_eq!(order(&conf(2, 1), 0), [1, 2]);
        assert_eq!(order(&conf(3, 1), 4), [2, 3, 1], "another one is the first");
    }

    #[test]
    fn an_answer_that_was_cut_is_asked_for_by_tcp_once() {
        let mut asking = Asking::new(&conf(2, 1), 0).unwrap();
        let first = asking.present();
        let by_tcp = asking.after(Setback::Truncated).unwrap();
        assert_eq!(by_tcp, Attempt { transport: Transport::Stream, ..first });
        let next = asking.after(Setback::Truncated).unwrap();
        assert_eq!((next.server.to_string().as_str(), next.transport), ("192.0.2.2:53", Transport::Datagram));
    }

    #[test]
    fn a_server_without_edns_is_asked_without_it_once() {
        let mut asking = Asking::new(&conf(1, 1), 0).unwrap();
        assert!(asking.present().extensions);
        assert!(!asking.after(Setback::NoExtensions).unwrap().extensions);
        assert_eq!(asking.after(Setback::NoExtensions), None);
        assert_eq!(asking.verdict(), Answer::ServersRefuse);
    }

    #[test]
    fn a_refusal_is_told_apart_from_silence() {
        let mut asking = Asking::new(&conf(2, 1), 0).unwrap();
        assert!(asking.after(Setback::Silent).is_some());
        assert_eq!(asking.verdict(), Answer::NoServer(None));
        assert_eq!(asking.after(Setback::Failed), None);
        assert_eq!(asking.verdict(), Answer::ServersFail);
    }
}
