//! A connection with what the engine knows of it: its descriptor, its latches, its place in the lists.

use std::net::SocketAddr;

use super::options::SocketOptions;
use super::{file::FileEnd, limits::Limits, pipe::Piping};
use crate::connection::{CallbackId, Connection, Stage};
use crate::endpoint::Candidates;
use crate::error::Error;
use crate::id::ServerId;
use crate::kernel::{Handle, KeepAlive, Readiness};

/// One socket of the net.
#[derive(Debug)]
pub(super) struct Link {
    pub connection: Connection,
    /// From connect(2) or accept(2) until destroyed.
    pub handle: Option<Handle>,
    pub server: Option<ServerId>,
    pub remote: Option<SocketAddr>,
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
            ..Link::new(connection)
        }
    }

    pub fn new(connection: Connection) -> Self {
        Link {
            connection,
            handle: None,
            server: None,
            remote: None,
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
            held_by: 0,
            catching_up: None,
            thrown_away: 0,
            connecting_to: None,
            piping: None,
            file: None,
            limits: None,
        }
    }

    /// Forgets what the last connection left.
    pub fn begin_connect(&mut self, to: Candidates) {
        self.connecting_to = Some(Box::new(to));
        self.remote = None;
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
    /// And of a file, where a short one means nothing.
    #[inline]
    pub fn looks_for_nothing(&self) -> bool {
        self.catching_up.is_some() || self.unshut.is_some() || self.file.is_some()
    }

    pub fn is_connecting(&self) -> bool {
        self.connection.stage() == Stage::Connecting
    }

    pub fn handle_if_connected(&self) -> Option<Handle> {
        self.handle.filter(|_| self.connection.stage() == Stage::Connected)
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
