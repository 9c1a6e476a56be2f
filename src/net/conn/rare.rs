//! What most connections never have: kept apart, so that they have a pointer less for each of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::dial::{Dial, Manner};
use super::file::FileEnd;
use crate::address::Address;
use crate::address::block_list::BlockList;
use crate::base::error::Error;
use crate::base::id::SocketId;
use crate::base::timers::Due;
use crate::connection::CallbackId;
use crate::kernel::{ConnectOptions, KeepAlive, TcpOptions};
use crate::net::options::SocketOptions;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// It is no socket but a file.
    pub file: Option<FileEnd>,
    /// How the write in flight, or the connect, has ended, which is emitted in the next flush.
    pub outcome: Option<Result<(), Error>>,
    /// Why shutdown(2) has failed, until a read says what is wrong with the connection.
    pub shutdown_error: Option<Error>,
    /// The callbacks of `catch_up`, until a read has found nothing.
    pub catching_up: Vec<CallbackId>,
    /// Bytes that were queued when it was destroyed.
    pub discarded: usize,
    /// Where a connect goes, if to an address.
    pub connecting_to: Option<Address>,
    /// Why it has failed, until that is told.
    pub connect_error: Option<Error>,
    /// Where it goes, if to a name.
    pub dial: Option<Box<Dial>>,
    /// The addresses of the name that were tried for the connection.
    pub attempted: Vec<SocketAddr>,
    /// When it is to be over.
    pub connect_limit: Option<Due>,
    /// As it was set. None: it never was, and is as the server's that has accepted it, or off.
    pub keep_alive: Option<Option<KeepAlive>>,
    pub setup: Setup,
    pub excess: Excess,
    /// While it has given its turn away.
    pub yielded: Option<Yielded>,
    /// When a write that the kernel had no memory for is tried again.
    pub retry: Option<Due>,
    /// Why its user has paused it.
    pub pause_reason: Option<&'static str>,
}

/// What is so of a connection that has none of it.
pub(super) static USUAL: Rare = Rare {
    file: None,
    outcome: None,
    shutdown_error: None,
    catching_up: Vec::new(),
    discarded: 0,
    connecting_to: None,
    connect_error: None,
    dial: None,
    attempted: Vec::new(),
    connect_limit: None,
    keep_alive: None,
    setup: Setup::USUAL,
    excess: Excess::NONE,
    yielded: None,
    retry: None,
    pause_reason: None,
};

/// Where a connection stands that is above its limits, or was.
#[derive(Debug, Default)]
pub(super) struct Excess {
    pub grace: Grace,
    /// Senders that are not read from because of this receiver.
    pub holding: Vec<SocketId>,
    /// It has passed a limit since it was flushed last: it is judged in the next flush.
    pub to_be_judged: bool,
    /// Senders that it has heard since then: they are held if it is still above its soft limit.
    pub heard: Vec<SocketId>,
    /// How many messages were dropped, and their bytes.
    pub dropped: (u64, u64),
}

impl Excess {
    pub const NONE: Excess =
        Excess { grace: Grace::UNUSED, holding: Vec::new(), to_be_judged: false, heard: Vec::new(), dropped: (0, 0) };

    /// Another connection begins.
    pub fn begin_anew(&mut self) {
        self.grace = Grace::UNUSED;
        self.to_be_judged = false;
        self.heard.clear();
        self.dropped = (0, 0);
    }
}

/// How much of its grace period a connection has used since nothing was queued for it. Who only dips under the soft limit
/// now and then has not caught up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Grace {
    /// Below the soft limit.
    Stopped { used: Duration },
    /// Above it since then. At `end` the whole period is used.
    Running { used: Duration, since: Duration, end: Due },
}

impl Grace {
    pub const UNUSED: Grace = Grace::Stopped { used: Duration::ZERO };
}

impl Default for Grace {
    fn default() -> Self {
        Grace::UNUSED
    }
}

/// A turn that was given away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Yielded {
    pub after: AfterYield,
    /// What was on the flush list: see [`Round::has_passed`](crate::base::round::Round::has_passed).
    pub flushes: u64,
}

/// How a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum AfterYield {
    /// Its kept chunks are delivered.
    Flow,
    /// Its user goes on, by [`Event::Continue`](crate::Event::Continue); and then its kept chunks.
    Event,
}

/// How a socket connects, where it is not as usual.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Setup {
    pub local_address: Option<IpAddr>,
    pub local_port: u16,
    /// Set before it connects: without no-delay and keep-alive.
    pub tcp: TcpOptions,
    pub block_list: Option<BlockList>,
    pub connect_timeout: Option<Duration>,
    pub manner: Manner,
}

impl Setup {
    pub const USUAL: Setup = Setup {
        local_address: None,
        local_port: 0,
        tcp: TcpOptions {
            no_delay: false,
            keep_alive: None,
            type_of_service: None,
            user_timeout: None,
            receive_buffer: None,
            send_buffer: None,
            urgent_inline: false,
        },
        block_list: None,
        connect_timeout: None,
        manner: Manner::USUAL,
    };

    pub fn of(options: &SocketOptions, usual: Manner) -> Self {
        Setup {
            local_address: options.local_address,
            local_port: options.local_port,
            tcp: options.tcp.before_connect(),
            block_list: options.block_list.clone(),
            connect_timeout: options.connect_timeout,
            manner: Manner::of(options, usual),
        }
    }

    /// Whether nothing has to be kept of it. All fields count, also those that are added one day.
    pub fn is_usual(&self) -> bool {
        *self == Setup::USUAL
    }

    pub fn blocks(&self, ip: IpAddr) -> bool {
        self.block_list.as_ref().is_some_and(|list| list.check(ip))
    }

    /// For a connect to this address.
    pub fn to_connect(&self, to: Address) -> ConnectOptions {
        let any = |to: SocketAddr| match to {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let wanted = self.local_address.is_some() || self.local_port != 0;
        let local = to.ip().filter(|_| wanted).map(|to| {
            let ip = self.local_address.unwrap_or_else(|| any(to));
            SocketAddr::new(ip, self.local_port)
        });
        ConnectOptions { local, tcp: self.tcp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_of_a_connect_is_usual_once_it_is_set() {
        let usual = SocketOptions::new();
        assert!(Setup::of(&usual, Manner::USUAL).is_usual() && Setup::default().is_usual());
        let options = [
            usual.clone().local_address(IpAddr::from(Ipv4Addr::LOCALHOST)),
            usual.clone().local_port(7000),
            usual.clone().block_list(BlockList::default()),
            usual.clone().connect_timeout(Duration::from_secs(1)),
            usual.clone().type_of_service(8),
            usual.clone().user_timeout(Duration::from_secs(1)),
            usual.clone().receive_buffer(4096),
            usual.clone().send_buffer(4096),
            usual.clone().urgent_inline(true),
            usual.clone().families(crate::address::families::Families::V4),
            usual.clone().hints(crate::address::hints::Hints::new().address_config(true)),
            usual.clone().attempts(crate::connection::race::ConnectAttempts::OneByOne),
            usual.clone().attempt_delay(Duration::from_millis(10)),
        ];
        for options in options {
            assert!(!Setup::of(&options, Manner::USUAL).is_usual(), "{options:?}");
        }
        // They are set when there is a connection, and kept elsewhere.
        let later = usual.no_delay(true).keep_alive(KeepAlive::new()).high_water_mark(1);
        assert!(Setup::of(&later, Manner::USUAL).is_usual());
    }
}
