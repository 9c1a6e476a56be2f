//! `--inspect`: what it answers, to whom, and that nothing that is done to it harms the role.

/// What is answered is what the loop does.
mod answers;
/// Clients that ask wrongly, slowly, endlessly, or that do not read.
mod attacks;
/// Its start, the stop of the role, and a recording of both.
mod lifecycle;
/// Who may ask.
mod who_may_ask;

use std::net::SocketAddr;

use crate::support::Daemon;
use crate::support::http::{self, Answer};

/// A role that can be looked at.
struct Inspected {
    role: Daemon,
    at: SocketAddr,
    key: String,
}

impl Inspected {
    #[track_caller]
    fn role(role: &str, flags: &[&str]) -> Self {
        Inspected::of(Daemon::role(role, &[&["--inspect", "127.0.0.1:0"], flags].concat()))
    }

    /// Where it can be looked at is in the log.
    #[track_caller]
    fn of(role: Daemon) -> Self {
        let line = role.logs("the address of the page", |line| line.contains("inspect: http://"));
        let (_, address) = line.split_once("http://").unwrap();
        let (at, key) = address.split_once("/?key=").unwrap();
        assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
        Inspected { role, at: at.parse().unwrap(), key: key.to_owned() }
    }

    /// With the key.
    #[track_caller]
    fn asks(&self, target: &str) -> Answer {
        let separator = if target.contains('?') { '&' } else { '?' };
        http::get(self.at, &format!("{target}{separator}key={}", self.key))
    }

    #[track_caller]
    fn metrics(&self) -> Answer {
        http::get(self.at, "/metrics")
    }
}
