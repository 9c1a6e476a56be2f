//! A connection with what the engine knows of it: its descriptor, its latches, its place in the lists.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::READ_BUFFER;
use super::limits::{self, Excess, Limits};
use super::options::SocketOptions;
use super::{file::FileEnd, pipe::PipeFlow, pipe::Piping};
use crate::address::Address;
use crate::address::block_list::BlockList;
use crate::address::endpoint::Candidates;
use crate::base::error::Error;
use crate::base::id::{ServerId, SocketId};
use crate::connection::{CallbackId, Connection, Stage};
use crate::kernel::{ConnectOptions, Handle, KeepAlive, Kernel, Readiness, SocketOption, TcpOptions};

/// The read buffer is doubled so often at most, to 1 MiB: fewer calls for who moves much.
const MOST_DOUBLED: u8 = 4;

/// One socket of the net.
#[derive(Debug)]
pub(super) struct Link {
    pub connection: Connection,
    /// From connect(2) or accept(2) until destroyed.
    pub handle: Option<Handle>,
    pub server: Option<ServerId>,
    /// The other end, from the connection on.
    pub remote: Remote,
    /// What the kernel has told and nobody has used yet: edges are told once, so they are kept here.
    pub latches: Readiness,

    /// On the ready list.
    pub listed: bool,
    /// On the flush list.
    pub to_be_flushed: bool,
    /// shutdown(2) is to be done.
    pub shutdown_wanted: bool,
    /// The user has a handler for data; a pipe is another consumer.
    pub listener: bool,
    pub referenced: bool,
    /// `on_close` has returned without a connect: there will be no other.
    pub leaving: bool,
    pub destroy_on_finish: bool,
    pub reset_when_connected: Option<ResetPlace>,
    /// Closes with a reset.
    pub reset: bool,
    pub no_delay: bool,
    /// Whether it had several pipes since it last waited for the drain of a single one. Node keeps a set then, and an
    /// empty set is something to wait for where nothing is not.
    pub piped_to_several: bool,
    /// How often the read buffer is doubled for it, as the source of a pipe.
    pub doubled: u8,
    /// How many receivers hold this sender up.
    pub held_by: u32,
    pub piping: Option<Box<Piping>>,
    /// It is no socket but a file.
    pub file: Option<Box<FileEnd>>,
    pub limits: Option<Limits>,
    pub rare: Option<Box<Rare>>,
}

/// What most connections never have, so that they have a pointer less for each.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// How the write in flight has ended, to be told in the next flush.
    pub outcome: Option<Result<(), Error>>,
    /// Why shutdown(2) has failed, until a read has told what is wrong with the connection.
    pub unshut: Option<Error>,
    /// The callbacks of `catch_up`, until a read has found nothing. Nobody catches up with none.
    pub catching_up: Vec<CallbackId>,
    /// Bytes that were queued when it was destroyed.
    pub thrown_away: usize,
    /// Where a connect goes.
    pub connecting_to: Option<Candidates>,
    /// As it was set. None: it never was, and is as the server's that has accepted it, or off.
    pub keep_alive: Option<Option<KeepAlive>>,
    pub setup: Setup,
    pub excess: Excess,
}

/// What is so of a link that has none of it.
static USUAL: Rare = Rare {
    outcome: None,
    unshut: None,
    catching_up: Vec::new(),
    thrown_away: 0,
    connecting_to: None,
    keep_alive: None,
    excess: Excess::NONE,
    setup: Setup {
        local_address: None,
        local_port: 0,
        tcp: TcpOptions {
            no_delay: false,
            keep_alive: None,
            type_of_service: None,
            user_timeout: None,
            receive_buffer: None,
            send_buffer: None,
        },
        block_list: None,
    },
};

/// The other end of a connection.
#[derive(Debug, Default)]
pub(super) enum Remote {
    /// There is none yet.
    #[default]
    Unknown,
    V4(SocketAddrV4),
    /// Apart: it is as large as all the rest of most links that have one.
    V6(Box<SocketAddrV6>),
    /// It has no address.
    Unix,
    /// There is no other end.
    File,
}

impl From<Address> for Remote {
    fn from(address: Address) -> Self {
        match address.ip() {
            Some(SocketAddr::V4(address)) => Remote::V4(address),
            Some(SocketAddr::V6(address)) => Remote::V6(Box::new(address)),
            None => Remote::Unix,
        }
    }
}

impl Remote {
    pub fn is_unix(&self) -> bool {
        matches!(self, Remote::Unix)
    }

    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Remote::V4(address) => Some((*address).into()),
            Remote::V6(address) => Some((**address).into()),
            Remote::Unknown | Remote::Unix | Remote::File => None,
        }
    }
}

/// How a socket connects, where it is not as usual.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    pub local_address: Option<IpAddr>,
    pub local_port: u16,
    /// Set before it connects: without no-delay and keep-alive.
    pub tcp: TcpOptions,
    pub block_list: Option<BlockList>,
}

impl Setup {
    pub fn of(options: &SocketOptions) -> Self {
        Setup {
            local_address: options.local_address,
            local_port: options.local_port,
            tcp: options.tcp.set_before_connect(),
            block_list: options.block_list.clone(),
        }
    }

    fn is_usual(&self) -> bool {
        self.local_address.is_none()
            && self.local_port == 0
            && self.tcp == TcpOptions::default()
            && self.block_list.is_none()
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

/// When a reset that waits for the connection has its turn, once there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResetPlace {
    BeforeTheWrite,
    BehindTheWrite,
}

impl Link {
    pub fn unconnected(connection: Connection, options: &SocketOptions) -> Self {
        let (setup, keep_alive) = (Setup::of(options), options.tcp.keep_alive);
        let is_usual = setup.is_usual() && keep_alive.is_none();
        Link {
            no_delay: options.tcp.no_delay,
            limits: limits::limits(options.output_limits),
            rare: (!is_usual).then(|| Box::new(Rare { setup, keep_alive: Some(keep_alive), ..Rare::default() })),
            ..Link::new(connection)
        }
    }

    pub fn new(connection: Connection) -> Self {
        Link {
            connection,
            handle: None,
            server: None,
            remote: Remote::Unknown,
            latches: Readiness::default(),
            listed: false,
            to_be_flushed: false,
            shutdown_wanted: false,
            listener: false,
            referenced: true,
            leaving: false,
            destroy_on_finish: false,
            reset_when_connected: None,
            reset: false,
            no_delay: false,
            piped_to_several: false,
            doubled: 0,
            held_by: 0,
            piping: None,
            file: None,
            limits: None,
            rare: None,
        }
    }

    /// Forgets what the last connection left.
    pub fn begin_connect(&mut self, to: Candidates) {
        let rare = self.rare_mut();
        rare.connecting_to = Some(to);
        rare.outcome = None;
        rare.unshut = None;
        rare.thrown_away = 0;
        rare.excess.begin_anew();
        self.remote = Remote::Unknown;
        self.server = None;
        self.latches = Readiness::default();
        self.shutdown_wanted = false;
        self.destroy_on_finish = false;
        self.reset_when_connected = None;
        self.reset = false;
    }

    #[inline]
    pub fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&USUAL)
    }

    /// To be changed; where there is nothing to be taken away, [`Link::rare_if_any`] makes nothing.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    #[inline]
    pub fn rare_if_any(&mut self) -> Option<&mut Rare> {
        self.rare.as_deref_mut()
    }

    /// Sets what waited for the connection.
    pub fn set_options_at_connection(&self, kernel: &mut dyn Kernel, handle: Handle) {
        if self.no_delay {
            set_option(kernel, handle, SocketOption::NoDelay(true));
        }
        let keep_alive = self.rare().keep_alive.flatten();
        if keep_alive.is_some() {
            set_option(kernel, handle, SocketOption::KeepAlive(keep_alive));
        }
    }

    pub fn blocks(&self, ip: IpAddr) -> bool {
        self.rare().setup.block_list.as_ref().is_some_and(|list| list.check(ip))
    }

    /// What the next connect sets, to be changed.
    pub fn tcp_mut(&mut self) -> &mut TcpOptions {
        &mut self.rare_mut().setup.tcp
    }

    /// Remembers what the kernel has told.
    #[inline]
    pub fn latch(&mut self, found: Readiness) {
        if found.hung_up {
            // Both will tell why.
            self.latches =
                Readiness { readable: true, writable: true, ended: found.ended | self.latches.ended, ..found };
            return;
        }
        self.latches.readable |= found.readable;
        self.latches.writable |= found.writable;
        self.latches.ended |= found.ended;
    }

    /// Whether there is something to do now.
    #[inline]
    pub fn has_work(&self) -> bool {
        self.wants_to_read() || self.wants_to_write() || (self.latches.writable && self.is_connecting())
    }

    #[inline]
    pub fn wants_to_read(&self) -> bool {
        self.latches.readable && self.connection.is_armed() && self.held_by == 0
    }

    #[inline]
    pub fn wants_to_write(&self) -> bool {
        self.latches.writable && self.connection.unsent_in_flight() > 0
    }

    /// Whether a read that finds nothing would mean something: to who is to catch up, and where shutdown(2) has failed.
    /// And of a file, where a short one means nothing; and of a Unix socket, where Linux makes a read stop short of what
    /// is behind descriptors that the peer passes.
    #[inline]
    pub fn looks_for_nothing(&self) -> bool {
        matches!(self.remote, Remote::Unix | Remote::File)
            || self.rare.as_ref().is_some_and(|rare| !rare.catching_up.is_empty() || rare.unshut.is_some())
    }

    pub fn is_connecting(&self) -> bool {
        self.connection.stage() == Stage::Connecting
    }

    pub fn handle_if_connected(&self) -> Option<Handle> {
        self.handle.filter(|_| self.connection.stage() == Stage::Connected)
    }

    /// The most bytes that are read from it at once: the read buffer, the piece of a file, or what its pipe takes while
    /// nobody else hears it.
    #[inline]
    pub fn most_in_one_read(&self) -> usize {
        match &self.file {
            Some(file) => file.piece(),
            None if self.doubled == 0 => READ_BUFFER,
            None => self.most_in_one_piped_read(),
        }
    }

    /// More while reads come back full and all that is read goes through one pipe: such a chunk is never kept, and never
    /// seen.
    fn most_in_one_piped_read(&self) -> usize {
        match &self.piping {
            Some(piping) if piping.takes_all() && !self.listener && self.connection.is_flowing() => {
                READ_BUFFER << self.doubled
            }
            _ => READ_BUFFER,
        }
    }

    /// A read of at most `most` bytes has given `length`: the next may be larger, or is to be smaller.
    pub fn adapt(&mut self, length: usize, most: usize) {
        if length == most && most == READ_BUFFER << self.doubled && self.is_piped() {
            self.doubled = (self.doubled + 1).min(MOST_DOUBLED);
        } else if length < most / 4 {
            self.doubled = self.doubled.saturating_sub(1);
        }
    }

    /// A chunk is about to be delivered, to one pipe and nobody else: where to.
    #[inline]
    pub fn sole_destination(&mut self) -> Option<SocketId> {
        if self.listener { None } else { self.piping.as_mut()?.sole_destination() }
    }

    /// A chunk is about to be delivered: which pipes it goes through.
    #[inline]
    pub fn pipe_flow(&mut self) -> PipeFlow {
        self.piping.as_mut().map_or(PipeFlow::Nowhere, |piping| piping.flow())
    }

    pub fn is_piped(&self) -> bool {
        self.piping.as_ref().is_some_and(|piping| piping.has_destinations())
    }

    /// Referenced and active: connecting, reading, or with a write or an end under way (libuv's rule).
    pub fn keeps_alive(&self) -> bool {
        self.referenced
            && match self.connection.stage() {
                Stage::Connecting => true,
                Stage::Connected => {
                    self.connection.is_armed() || self.connection.is_in_flight() || self.shutdown_wanted
                }
                Stage::Fresh | Stage::Destroyed { .. } | Stage::Closed => false,
            }
    }
}

/// Sets an option, and lets it be where the system will not: a peer that is gone already makes it fail, and that peer's
/// connection tells so itself. Node ignores it too.
pub(super) fn set_option(kernel: &mut dyn Kernel, handle: Handle, option: SocketOption) {
    if let Err(error) = kernel.set_option(handle, option) {
        log::debug!("{option:?} was not set: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_read_buffer_grows_while_it_is_filled_and_shrinks_again() {
        let mut link = Link::new(Connection::accepted(READ_BUFFER, false, false));
        link.piping = Some(Box::new(Piping::into_one()));
        let mut most = Vec::new();
        for filled in [1, 1, 1, 1, 1, 2, 8, 8, 8, 8, 8, 1] {
            let size = READ_BUFFER << link.doubled;
            most.push(size / READ_BUFFER);
            link.adapt(size / filled, size);
        }
        assert_eq!(most, [1, 2, 4, 8, 16, 16, 16, 8, 4, 2, 1, 1]);
        assert_eq!(link.doubled, 1);
        // A read that was narrow for another reason, a pause for example, says nothing of the wide ones.
        link.adapt(READ_BUFFER, READ_BUFFER);
        assert_eq!(link.doubled, 1);
    }
}
