//! What comes out of a net.
//!
//! Each event is for one socket, server, timer or signal, by id. They come one at a time: between two of them the user
//! may do anything, to any socket, and what that causes comes later, never inside.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::ops::Deref;

use super::lookup::LookupRequest;
use crate::address::host_name::HostName;
use crate::base::error::Error;
use crate::base::id::{ServerId, SocketId, TimerId};
use crate::connection::{CallbackId, CloseReason};

/// One thing that happened. Node's names, Node's order.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A server listens.
    Listening(ServerId),
    /// A server accepted a connection.
    Connection {
        /// Which server.
        server: ServerId,
        /// The new socket.
        socket: SocketId,
    },
    /// A server had as many connections as it may: this one was closed at once.
    Drop {
        /// Which server.
        server: ServerId,
        /// Who it was.
        dropped: Dropped,
    },
    /// Accepting failed for a reason that is not the client's, and the server listens on. Or the name that it was to listen on could
    /// not be looked up, or its address could not be bound: then it does not listen.
    ServerError {
        /// Which server.
        server: ServerId,
        /// What happened.
        error: Error,
    },
    /// A server neither listens nor has connections.
    ServerClose(ServerId),
    /// A socket is connected.
    Connect(SocketId),
    /// The program is to look a name up, and to answer by [`Net::answer_lookup`](super::Net::answer_lookup): see
    /// [`Net::set_lookup`](super::Net::set_lookup).
    LookupWanted(Box<LookupRequest>),
    /// A name has this address, or cannot be looked up. It comes once for each address, before the first attempt.
    Lookup {
        /// Which socket.
        socket: SocketId,
        /// The name, and an address of it or an error.
        lookup: Box<Lookup>,
    },
    /// A socket tries this address: that of the connect, or one of the name's. It comes just before connect(2), and not for a Unix
    /// socket.
    ConnectionAttempt {
        /// Which socket.
        socket: SocketId,
        /// The address.
        address: SocketAddr,
    },
    /// An address has failed; the next one of the name has its turn, if there is one.
    ConnectionAttemptFailed {
        /// Which socket.
        socket: SocketId,
        /// Why, with the address.
        error: Error,
    },
    /// An address of a name was given up, since it had not connected in time and there is another one: see
    /// [`ConnectAttempts::OneByOne`](crate::ConnectAttempts::OneByOne).
    ConnectionAttemptTimeout {
        /// Which socket.
        socket: SocketId,
        /// The address.
        address: SocketAddr,
    },
    /// Bytes came. Give the chunk back with [`Net::recycle`](super::Net::recycle).
    Data {
        /// Which socket.
        socket: SocketId,
        /// The bytes.
        chunk: Chunk,
    },
    /// The other side has ended, and all that it sent before was delivered.
    End(SocketId),
    /// All writes were taken, after one of them had returned false.
    Drain(SocketId),
    /// `end` was called, and all writes and the end were taken.
    Finish(SocketId),
    /// Nothing moved for the time of `set_timeout`.
    Timeout(SocketId),
    /// The connection broke, or could not be made. `Close` follows.
    Error {
        /// Which socket.
        socket: SocketId,
        /// Why.
        error: Error,
    },
    /// It is over: once for each connection, and last.
    Close {
        /// Which socket.
        socket: SocketId,
        /// How it ended.
        closed: Closed,
    },
    /// The callback of a write, an `end` or a `catch_up` is due.
    Callback {
        /// Which socket.
        socket: SocketId,
        /// The number that was given with the write.
        callback: CallbackId,
        /// Whether the kernel took the bytes.
        outcome: Result<(), Error>,
    },
    /// A socket that has given its turn away ([`Net::yield_turn`](super::Net::yield_turn)) has it again.
    Continue(SocketId),
    /// A timer is due.
    Timer(TimerId),
    /// What [`Net::next_tick`](super::Net::next_tick) or [`Net::next_turn`](super::Net::next_turn) was given.
    Tick(u64),
    /// A signal came.
    Signal(i32),
    /// Another thread has called [`Waker::wake`](super::Waker::wake), once or more often since this event came last.
    Wake,
}

/// What a look-up has found, in its event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The name.
    pub host: HostName,
    /// An address of it. An error has the code ENOTFOUND or EAI_AGAIN, or is that of the program's own look-up. The socket's `error` follows.
    pub outcome: Result<IpAddr, Error>,
}

/// The bytes of one `data` event: up to 64 KiB.
///
/// It carries the net's one read buffer out to the handler, so that no byte is copied and the net is free for calls
/// meanwhile. A chunk that is not given back costs the net a new buffer.
#[derive(Debug, Default)]
pub struct Chunk {
    pub(super) buffer: Vec<u8>,
    pub(super) length: usize,
}

impl Deref for Chunk {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(buffer: Vec<u8>) -> Self {
        Chunk { length: buffer.len(), buffer }
    }
}

/// How a connection ended, in its `close` event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Whether it was destroyed by an error; then `error` came before.
    #[doc(alias = "hadError")]
    pub had_error: bool,
    /// Why.
    pub reason: CloseReason,
    /// Bytes that were queued, and thrown away because the kernel never took them. A write that fails at its first
    /// attempt was never queued: its error tells.
    pub unsent: usize,
}

/// A connection that a server did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The server's end; `None` for a Unix socket.
    pub local: Option<SocketAddr>,
    /// The client's end; `None` for a Unix socket.
    pub remote: Option<SocketAddr>,
}
