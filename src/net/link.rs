//! A connection with what the engine knows of it: its descriptor, its latches, its place in the lists.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::READ_BUFFER;
use super::options::SocketOptions;
use super::{file::FileEnd, limits::Limits, pipe::PipeFlow, pipe::Piping};
use crate::address::Address;
use crate::block_list::BlockList;
use crate::connection::{CallbackId, Connection, Stage};
use crate::endpoint::Candidates;
use crate::error::Error;
use crate::id::ServerId;
use crate::kernel::{ConnectOptions, Handle, KeepAlive, Kernel, Readiness, SocketOption, Tuning};

/// The read buffer is doubled so often at most, to 1 MiB: fewer calls for who moves much.
const MOST_DOUBLED: u8 = 4;

/// One socket of the net.
#[derive(Debug)]
pub(super) struct Link {
    pub connection: Connection,
    /// From connect(2) or accept(2) until destroyed.
    pub handle: Option<Handle>,
    pub server: Option<ServerId>,
    /// That of TCP only: the other end of a Unix socket has none.
    pub remote: Option<SocketAddr>,
    /// A Unix socket, as far as is known: from the connection on.
    pub is_unix: bool,
    /// What the kernel has told and nobody has used yet: edges are told once, so they are kept here.
    pub latches: Readiness,

    /// On the ready list.
    pub listed: bool,
    /// On the flush list.
    pub to_be_flushed: bool,
    /// How the write in flight has ended, to be told in the next flush.
    pub outcome: Option<Box<Result<(), Error>>>,
    /// shutdown(2) is to be done.
    pub shutdown_wanted: bool,
    /// Why shutdown(2) has failed, until a read has told what is wrong with the connection.
    pub unshut: Option<Box<Error>>,
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
    pub keep_alive: Option<KeepAlive>,
    /// How often the read buffer is doubled for it, as the source of a pipe.
    pub doubled: u8,
    /// How many receivers hold this sender up.
    pub held_by: u32,
    /// The callbacks of `catch_up`, until a read has found nothing.
    #[expect(clippy::box_collection, reason = "nearly every connection has none: a pointer is a third of a list")]
    pub catching_up: Option<Box<Vec<CallbackId>>>,
    /// Bytes that were queued when it was destroyed.
    pub thrown_away: usize,
    /// Where a connect goes.
    pub connecting_to: Option<Box<Candidates>>,
    pub piping: Option<Box<Piping>>,
    /// It is no socket but a file.
    pub file: Option<Box<FileEnd>>,
    pub limits: Option<Box<Limits>>,
    /// What hardly any socket has.
    pub setup: Option<Box<Setup>>,
}

/// How a socket connects, where it is not as usual.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    pub local_address: Option<IpAddr>,
    pub local_port: u16,
    pub tuning: Tuning,
    pub block_list: Option<BlockList>,
}

impl Setup {
    /// `None` for what is usual.
    pub fn of(options: &SocketOptions) -> Option<Box<Self>> {
        let setup = Setup {
            local_address: options.local_address,
            local_port: options.local_port,
            tuning: options.tuning(),
            block_list: options.block_list.clone(),
        };
        let usual = setup.local_address.is_none()
            && setup.local_port == 0
            && setup.tuning == Tuning::default()
            && setup.block_list.is_none();
        (!usual).then(|| Box::new(setup))
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
        ConnectOptions { local, tuning: self.tuning }
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
        Link {
            no_delay: options.no_delay,
            keep_alive: options.keep_alive,
            limits: Limits::new(options.output_limits),
            setup: Setup::of(options),
            ..Link::new(connection)
        }
    }

    pub fn new(connection: Connection) -> Self {
        Link {
            connection,
            handle: None,
            server: None,
            remote: None,
            is_unix: false,
            latches: Readiness::default(),
            listed: false,
            to_be_flushed: false,
            outcome: None,
            shutdown_wanted: false,
            unshut: None,
            listener: false,
            referenced: true,
            leaving: false,
            destroy_on_finish: false,
            reset_when_connected: None,
            reset: false,
            no_delay: false,
            keep_alive: None,
            doubled: 0,
            held_by: 0,
            catching_up: None,
            thrown_away: 0,
            connecting_to: None,
            piping: None,
            file: None,
            limits: None,
            setup: None,
        }
    }

    /// Forgets what the last connection left.
    pub fn begin_connect(&mut self, to: Candidates) {
        self.connecting_to = Some(Box::new(to));
        self.remote = None;
        self.is_unix = false;
        self.server = None;
        self.latches = Readiness::default();
        self.outcome = None;
        self.shutdown_wanted = false;
        self.unshut = None;
        self.destroy_on_finish = false;
        self.reset_when_connected = None;
        self.reset = false;
        self.thrown_away = 0;
        if let Some(limits) = &mut self.limits {
            limits.begin_anew();
        }
    }

    /// Whom it is connected to is known.
    pub fn set_remote(&mut self, address: Address) {
        self.remote = address.ip();
        self.is_unix = address.unix().is_some();
    }

    /// Sets what waited for the connection.
    pub fn set_options_at_connection(&self, kernel: &mut dyn Kernel, handle: Handle) {
        if self.no_delay {
            super::set_option(kernel, handle, SocketOption::NoDelay(true));
        }
        if self.keep_alive.is_some() {
            super::set_option(kernel, handle, SocketOption::KeepAlive(self.keep_alive));
        }
    }

    pub fn blocks(&self, ip: IpAddr) -> bool {
        let list = self.setup.as_ref().and_then(|setup| setup.block_list.as_ref());
        list.is_some_and(|list| list.check(ip))
    }

    /// What the next connect sets, to be changed.
    pub fn tuning_mut(&mut self) -> &mut Tuning {
        &mut self.setup.get_or_insert_default().tuning
    }

    /// Remembers what the kernel has told.
    #[inline]
    pub fn latch(&mut self, found: Readiness) {
        self.latches.readable |= found.readable | found.hung_up;
        self.latches.writable |= found.writable | found.hung_up;
        self.latches.ended |= found.ended;
        self.latches.hung_up |= found.hung_up;
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
        self.catching_up.is_some() || self.unshut.is_some() || self.file.is_some() || self.is_unix
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_read_buffer_grows_while_it_is_filled_and_shrinks_again() {
        let mut link = Link::new(Connection::accepted(READ_BUFFER as u32, false, false));
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
