//! What a connect to a name has, until it has come to its outcome. `dialing.rs` says what happens.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::address::families::Families;
use crate::address::hints::Hints;
use crate::address::host_name::HostName;
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;
use crate::base::id::SocketId;
use crate::base::timers::Due;
use crate::connection::race::{ConnectAttempts, Race};
use crate::kernel::Handle;
use crate::net::cx::Cx;
use crate::net::event::{Event, Lookup};
use crate::net::lookup::Awaited;
use crate::net::options::SocketOptions;

/// RFC 8305 has a least delay, so that no attempt is as good as all at once. It is Node's.
const LEAST_DELAY: Duration = Duration::from_millis(10);

pub(in crate::net) fn long_enough(delay: Duration) -> Duration {
    delay.max(LEAST_DELAY)
}

/// How a socket connects to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Manner {
    pub families: Families,
    pub hints: Hints,
    pub attempts: ConnectAttempts,
    pub delay: Duration,
    /// The program looks its names up.
    pub own_lookup: bool,
}

impl Manner {
    pub const USUAL: Manner = Manner {
        families: Families::Both,
        hints: Hints::NONE,
        attempts: ConnectAttempts::Overlapping,
        delay: Duration::from_millis(250),
        own_lookup: false,
    };

    /// As these options say, and where they do not, as it is usual on this loop.
    pub fn of(options: &SocketOptions, usual: Manner) -> Self {
        Manner {
            families: options.families,
            hints: options.hints,
            attempts: options.attempts.unwrap_or(usual.attempts),
            delay: options.attempt_delay.map_or(usual.delay, long_enough),
            own_lookup: false,
        }
    }
}

impl Default for Manner {
    fn default() -> Self {
        Manner::USUAL
    }
}

/// A connect to a name, until it has come to its outcome.
#[derive(Debug)]
pub(super) struct Dial {
    pub host: HostName,
    pub port: u16,
    pub stage: Stage,
    pub to_emit: VecDeque<Told>,
    /// Its event was emitted, and it begins now.
    pub announced: Option<SocketAddr>,
    /// Those that go on, in the order in which they began.
    pub attempts: Vec<(SocketAddr, Handle)>,
    /// The one of them that has connected. It is the connection when what is to be emitted before it was emitted.
    pub winner: Option<(SocketAddr, Handle)>,
    pub failures: Vec<Error>,
    /// When the next address has its turn.
    pub next: Option<Due>,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Its turn has not come yet.
    Fresh,
    LookingUp(Awaited),
    Racing(Race),
    /// There are no addresses.
    Failed(Error),
}

#[derive(Debug)]
pub(super) enum Told {
    Lookup(Result<IpAddr, Error>),
    Attempt(SocketAddr),
    Failed(Error),
    TimedOut(SocketAddr),
}

impl Dial {
    pub fn new(host: HostName, port: u16) -> Self {
        Dial {
            host,
            port,
            stage: Stage::Fresh,
            to_emit: VecDeque::new(),
            announced: None,
            attempts: Vec::new(),
            winner: None,
            failures: Vec::new(),
            next: None,
        }
    }

    /// All addresses have failed. Those of `localhost` are one machine, and the first is the likeliest.
    pub fn error_of_all(&mut self) -> Error {
        let mut failures = std::mem::take(&mut self.failures);
        if self.host.is_localhost() {
            failures.truncate(1);
        }
        Error::of_attempts(self.host.as_str(), failures)
    }

    /// The error of a connect that had so much time in all, and what it was about: the look-up, or all addresses that were tried.
    pub fn timed_out(&mut self, limit: Duration) -> Error {
        match &self.stage {
            Stage::Fresh | Stage::LookingUp(_) => {
                let why = format!(": it was not looked up within {limit:?}");
                Error::of_lookup(ErrorKind::TimedOut, self.host.as_str(), &why)
            }
            Stage::Racing(_) => {
                let late = self.attempts.iter().map(|(address, _)| Error::connect_timed_out(limit).at(*address));
                self.failures.extend(late);
                self.error_of_all()
            }
            Stage::Failed(error) => error.clone(),
        }
    }

    pub fn end(self, cx: &mut Cx) {
        cx.clock.cancel(self.next);
        for (_, handle) in self.attempts {
            cx.close(handle);
        }
        self.stage.end(cx);
    }
}

impl Stage {
    pub fn end(self, cx: &mut Cx) {
        if let Stage::LookingUp(awaited) = self {
            cx.cancel_look_up(awaited);
        }
    }
}

impl Told {
    pub fn event(self, socket: SocketId, host: HostName) -> Event {
        match self {
            Told::Lookup(outcome) => Event::Lookup { socket, lookup: Box::new(Lookup { host, outcome }) },
            Told::Attempt(address) => Event::ConnectionAttempt { socket, address },
            Told::Failed(error) => Event::ConnectionAttemptFailed { socket, error },
            Told::TimedOut(address) => Event::ConnectionAttemptTimeout { socket, address },
        }
    }
}
