//! What can be asked of a socket. Nothing changes here, and a socket that is gone has an answer too.

use std::net::SocketAddr;
use std::time::Duration;

use super::Net;
use crate::base::id::{ServerId, SocketId};
use crate::connection::{Connection, ReadyState, Stage};
use crate::kernel::PeerCred;

impl Net {
    /// Whether it is over for good: `close` was emitted, and it does not connect again.
    pub(crate) fn is_over(&self, id: SocketId) -> bool {
        self.conns.get(id).is_none_or(|conn| conn.connection.stage() == Stage::Closed)
    }

    /// Whether the id still names a socket.
    pub fn exists(&self, id: SocketId) -> bool {
        self.conns.contains(id)
    }

    /// Bytes of all writes that are not completed; one in flight counts whole. 0 for a socket that is gone.
    #[doc(alias = "bufferSize")]
    #[doc(alias = "writableLength")]
    pub fn buffer_size(&self, id: SocketId) -> usize {
        self.ask(id, Connection::length)
    }

    /// Bytes that the kernel has not taken yet.
    pub fn unsent(&self, id: SocketId) -> usize {
        self.ask(id, |connection| connection.queue().unsent())
    }

    /// Bytes that were read and not delivered yet.
    #[doc(alias = "readableLength")]
    pub fn read_ahead(&self, id: SocketId) -> usize {
        self.ask(id, Connection::read_ahead)
    }

    /// Bytes taken from the kernel, delivered or not.
    #[doc(alias = "bytesRead")]
    pub fn bytes_read(&self, id: SocketId) -> u64 {
        self.ask(id, Connection::bytes_read)
    }

    /// Bytes of all writes, sent or not. Of a file: what the kernel has taken.
    #[doc(alias = "bytesWritten")]
    pub fn bytes_written(&self, id: SocketId) -> u64 {
        match self.conns.get(id).and_then(|conn| conn.file.as_ref()) {
            Some(file) => file.written,
            None => self.ask(id, Connection::bytes_written),
        }
    }

    /// Which directions are open. [`ReadyState::Closed`] for a socket that is gone.
    #[doc(alias = "readyState")]
    pub fn ready_state(&self, id: SocketId) -> ReadyState {
        self.conns.get(id).map_or(ReadyState::Closed, |conn| conn.connection.ready_state())
    }

    /// Whether it is connecting.
    #[doc(alias = "connecting")]
    pub fn is_connecting(&self, id: SocketId) -> bool {
        self.ask(id, Connection::is_connecting)
    }

    /// Whether it is not connected: fresh, connecting or closed.
    #[doc(alias = "pending")]
    pub fn is_pending(&self, id: SocketId) -> bool {
        self.conns.get(id).is_none_or(|conn| conn.connection.stage() != Stage::Connected)
    }

    /// Whether it is destroyed; true also for a socket that is gone.
    #[doc(alias = "destroyed")]
    pub fn is_destroyed(&self, id: SocketId) -> bool {
        self.conns.get(id).is_none_or(|conn| conn.connection.is_destroyed())
    }

    /// Whether `pause` was called and `resume` was not.
    #[doc(alias = "isPaused")]
    pub fn is_paused(&self, id: SocketId) -> bool {
        self.ask(id, Connection::is_paused)
    }

    /// Whether data would be heard: somebody takes it, or the user has paused, and so may still ask for it.
    pub(crate) fn is_heard(&self, id: SocketId) -> bool {
        self.ask(id, |connection| connection.is_listening() || connection.is_paused())
    }

    /// Whether `data` or `end` can still come.
    #[doc(alias = "readable")]
    pub fn is_readable(&self, id: SocketId) -> bool {
        self.ask(id, Connection::is_readable)
    }

    /// Whether `write` is allowed.
    #[doc(alias = "writable")]
    pub fn is_writable(&self, id: SocketId) -> bool {
        self.ask(id, Connection::is_writable)
    }

    /// Whether `finish` was emitted.
    #[doc(alias = "writableFinished")]
    pub fn is_finished(&self, id: SocketId) -> bool {
        self.ask(id, Connection::is_finished)
    }

    /// Whether `drain` will come.
    #[doc(alias = "writableNeedDrain")]
    pub fn needs_drain(&self, id: SocketId) -> bool {
        self.ask(id, Connection::needs_drain)
    }

    /// The mark, in bytes.
    #[doc(alias = "writableHighWaterMark")]
    #[doc(alias = "readableHighWaterMark")]
    pub fn high_water_mark(&self, id: SocketId) -> usize {
        self.ask(id, Connection::high_water_mark)
    }

    /// What `set_timeout` was given last.
    pub fn timeout(&self, id: SocketId) -> Option<Duration> {
        self.conns.get(id)?.connection.idle()?.period()
    }

    /// This side's address, while connected; `None` for a Unix socket.
    #[doc(alias = "localAddress")]
    #[doc(alias = "localPort")]
    #[doc(alias = "localFamily")]
    pub fn local_address(&self, id: SocketId) -> Option<SocketAddr> {
        let handle = self.conns.get(id)?.handle_if_connected()?;
        self.cx.kernel.local_address(handle).ok()?.ip()
    }

    /// The other side's address, from the connection on; `None` for a Unix socket. It is kept after the close.
    #[doc(alias = "remoteAddress")]
    #[doc(alias = "remotePort")]
    #[doc(alias = "remoteFamily")]
    pub fn remote_address(&self, id: SocketId) -> Option<SocketAddr> {
        self.conns.get(id)?.remote.ip()
    }

    /// Who is at the other end of a Unix socket, while connected. `None` for TCP, and where the system does not tell.
    pub fn peer_cred(&self, id: SocketId) -> Option<PeerCred> {
        let handle = self.conns.get(id).filter(|conn| conn.remote.is_unix())?.handle_if_connected()?;
        self.cx.kernel.peer_cred(handle).ok()
    }

    /// What the system has for its type of service, while connected; before, what was set. `None` for a Unix socket.
    #[doc(alias = "getTypeOfService")]
    pub fn type_of_service(&self, id: SocketId) -> Option<u8> {
        let conn = self.conns.get(id)?;
        match conn.handle_if_connected() {
            Some(handle) => self.cx.kernel.type_of_service(handle).ok(),
            None => conn.type_of_service(),
        }
    }

    /// The server that accepted it.
    pub fn server_of(&self, id: SocketId) -> Option<ServerId> {
        self.conns.get(id)?.server
    }

    /// Whether it is a file.
    pub fn is_file(&self, id: SocketId) -> bool {
        self.conns.get(id).is_some_and(|conn| conn.file.is_some())
    }

    /// All sockets and files, in any state.
    pub fn socket_ids(&self) -> impl Iterator<Item = SocketId> {
        self.conns.ids()
    }

    /// How many sockets and files there are, in any state.
    pub fn sockets(&self) -> usize {
        self.conns.len()
    }

    fn ask<T: Default>(&self, id: SocketId, question: impl FnOnce(&Connection) -> T) -> T {
        self.conns.get(id).map_or_else(T::default, |conn| question(&conn.connection))
    }
}
