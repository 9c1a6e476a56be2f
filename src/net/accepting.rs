//! How a server accepts: one connection after the other, and what is done where that fails.
//!
//! What an accept can fail with is a table, [`response_to`]: a client that is gone already is no reason to stop; a machine
//! that is out of descriptors turns clients away; anything else is a reason to wait. What keeps a server from accepting
//! is reported once, until it can accept again. It listens on.

use std::io;
use std::time::Duration;

use crate::base::error_kind::ErrorKind;
use crate::base::timers::Due;

/// The first pause of a server that cannot accept; each further one is twice as long, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The burst of one turn is doubled so often at most, to 64 connections: a flood of them must not starve those that are
/// there.
const MOST_DOUBLED: u32 = 6;

/// So many clients that are lost in a row are more than bad luck: a seccomp filter or a security module that forbids
/// accepting says EPERM each time, and takes nobody from the queue.
const LOST_IN_A_ROW: u32 = 64;

/// Where a server is with those that want to be accepted.
#[derive(Debug)]
pub(super) struct Accepting {
    /// On the ready list.
    pub listed: bool,
    /// It cannot take connections, and has reported that.
    has_reported: bool,
    /// In how many turns in a row there were connections to accept.
    turns: u32,
    /// How many may be accepted in this turn. At least 1 while listed.
    burst_left: u32,
    /// Since an accept has shown that it is no use to try again at once.
    pause: Option<Pause>,
    /// How many accepts in a row have failed for what is their client's own affair.
    lost: u32,
}

/// A server that could not accept.
#[derive(Clone, Copy, Debug)]
struct Pause {
    /// None while it tries again.
    until: Option<Due>,
    /// How long the next one will be, if this one was not enough.
    next: Duration,
    /// When the first of them has begun.
    since: Duration,
}

/// Where a server stands that may have more connections to accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Before the others of this turn.
    First,
    /// In the next turn.
    NextTurn,
}

/// What to do about an accept that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// Nobody waits.
    Nobody,
    /// It was that connection's own affair: take the next.
    Next,
    /// There is no descriptor: turn away the client that waits, so that it knows.
    Shed,
    /// There is no memory, or worse: try again in a while.
    Pause,
}

impl Accepting {
    pub fn new() -> Self {
        Accepting { listed: false, has_reported: false, turns: 0, burst_left: 1, pause: None, lost: 0 }
    }

    /// There are connections, or may be.
    pub fn begin(&mut self) {
        self.listed = true;
        self.turns = 0;
        self.burst_left = 1;
    }

    /// There may be more, and no edge will tell. libuv accepts one in a turn; so does this, but where connections wait
    /// for turns in a row, it accepts twice as many in every second turn.
    pub fn again(&mut self) -> Place {
        self.listed = true;
        self.burst_left -= 1;
        if self.burst_left > 0 {
            return Place::First;
        }
        self.turns += 1;
        self.burst_left = 1 << (self.turns / 2).min(MOST_DOUBLED);
        Place::NextTurn
    }

    /// A client was lost. Whether that was one too many in a row.
    pub fn lost_one(&mut self) -> bool {
        self.lost += 1;
        let too_many = self.lost >= LOST_IN_A_ROW;
        if too_many {
            self.lost = 0;
        }
        too_many
    }

    /// How long it is to pause now.
    pub fn pause_length(&self) -> Duration {
        self.pause.map_or(SHORTEST_PAUSE, |pause| pause.next)
    }

    /// It pauses. Gives the timer of a pause before this one.
    pub fn pause_until(&mut self, until: Due, now: Duration) -> Option<Due> {
        let next = (self.pause_length() * 2).min(LONGEST_PAUSE);
        let since = self.paused_since().unwrap_or(now);
        self.pause.replace(Pause { until: Some(until), next, since })?.until
    }

    /// The timer of its pause has come up.
    pub fn end_pause(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.until = None;
        }
    }

    /// Whatever kept it from accepting is over. Gives since when it was, and the timer of its pause.
    pub fn recovered(&mut self) -> Option<(Duration, Option<Due>)> {
        self.lost = 0;
        self.pause.take().map(|pause| (pause.since, pause.until))
    }

    /// Since when it cannot accept.
    pub fn paused_since(&self) -> Option<Duration> {
        self.pause.map(|pause| pause.since)
    }

    /// Whether trouble is to be reported: once, and not again before a connection could be taken.
    pub fn reports_trouble(&mut self) -> bool {
        !std::mem::replace(&mut self.has_reported, true)
    }

    /// Trouble that comes now is reported again.
    pub fn forget_trouble(&mut self) {
        self.has_reported = false;
    }

    pub fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// Whether it stands on the ready list as often as it says, and will try again after a pause. `has_timer`: an entry
    /// of the timers stands for its end.
    pub fn check(&self, listed: usize, has_timer: bool) -> Result<(), String> {
        if listed != usize::from(self.listed) {
            return Err(format!("it is on the ready list {listed} times"));
        }
        match self.pause.is_none() || self.listed || has_timer {
            true => Ok(()),
            false => Err("it pauses, and nothing will wake it".to_owned()),
        }
    }
}

/// The table. accept(2) on Linux passes on errors of the new connection's network, which are no error of the server.
pub(super) fn response_to(error: &io::Error) -> Response {
    match ErrorKind::of(error) {
        ErrorKind::WouldBlock => Response::Nobody,
        ErrorKind::Interrupted
        | ErrorKind::ConnectionAborted
        | ErrorKind::Protocol
        | ErrorKind::PermissionDenied
        | ErrorKind::NetworkDown
        | ErrorKind::NetworkUnreachable
        | ErrorKind::HostUnreachable
        | ErrorKind::Unsupported
        | ErrorKind::TimedOut => Response::Next,
        ErrorKind::TooManyOpenFiles => Response::Shed,
        _ => Response::Pause,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn each_error_of_accept_has_its_response() {
        for (errno, expected) in [
            (Errno::AGAIN, Response::Nobody),
            (Errno::INTR, Response::Next),
            (Errno::CONNABORTED, Response::Next),
            (Errno::PROTO, Response::Next),
            (Errno::PERM, Response::Next),
            (Errno::NETDOWN, Response::Next),
            (Errno::MFILE, Response::Shed),
            (Errno::NFILE, Response::Shed),
            (Errno::NOBUFS, Response::Pause),
            (Errno::NOMEM, Response::Pause),
            (Errno::INVAL, Response::Pause),
        ] {
            assert_eq!(response_to(&errno.into()), expected, "{errno:?}");
        }
    }
}
