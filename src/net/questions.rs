//! What can be asked of a socket. Nothing changes here, and a socket that is gone has an answer too.

use std::net::SocketAddr;
use std::time::Duration;

use super::Net;
use crate::base::id::{ServerId, SocketId};
use crate::connection::{Connection, ReadyState, Stage};
use crate::kernel::PeerCred;

impl Net {
    /// Whether it is over for good: `close` was told, and it does not connect again.
    pub(crate) fn is_over(&self, id: SocketId) -> bool {
        self.sockets.get(id).is_none_or(|link| link.connection.stage() == Stage::Closed)
    }

    /// Whether the id still names a socket.
    pub fn exists(&self, id: SocketId) -> bool {
        self.sockets.contains(id)
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
        match self.sockets.get(id).and_then(|link| link.file.as_ref()) {
            Some(file) => file.written(),
            None => self.ask(id, Connection::bytes_written),
        }
    }

    /// Which directions are open. [`ReadyState::Closed`] for a socket that is gone.
    #[doc(alias = "readyState")]
    pub fn ready_state(&self, id: SocketId) -> ReadyState {
        self.sockets.get(id).map_or(ReadyState::Closed, |link| link.connection.ready_state())
    }

    /// Whether it is connecting.
    #[doc(alias = "connecting")]
    pub fn is_connecting(&self, id: SocketId) -> bool {
        self.ask(id, |connection| connection.stage() == Stage::Connecting)
    }

    /// Whether it is not connected: fresh, connecting or closed.
    #[doc(alias = "pending")]
    pub fn is_pending(&self, id: SocketId) -> bool {
        self.sockets.get(id).is_none_or(|link| link.connection.stage() != Stage::Connected)
    }

    /// Whether it is destroyed; true also for a socket that is gone.
    #[doc(alias = "destroyed")]
    pub fn is_destroyed(&self, id: SocketId) -> bool {
        self.sockets.get(id).is_none_or(|link| link.connection.is_destroyed())
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

    /// Whether `finish` was told.
    #[doc(alias = "writableFinished")]
    pub fn is_finished(&self, id: SocketId) -> bool {
        self.ask(id, Connection::is_finished)
    }

    /// Whether `drain` is owed.
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
        self.sockets.get(id)?.connection.idle.as_ref()?.period()
    }

    /// This side's address, while connected; `None` for a Unix socket.
    #[doc(alias = "localAddress")]
    #[doc(alias = "localPort")]
    #[doc(alias = "localFamily")]
    pub fn local_address(&self, id: SocketId) -> Option<SocketAddr> {
        let handle = self.sockets.get(id)?.handle_if_connected()?;
        self.kernel.local_address(handle).ok()?.ip()
    }

    /// The other side's address, from the connection on; `None` for a Unix socket. It is kept after the close.
    #[doc(alias = "remoteAddress")]
    #[doc(alias = "remotePort")]
    #[doc(alias = "remoteFamily")]
    pub fn remote_address(&self, id: SocketId) -> Option<SocketAddr> {
        self.sockets.get(id)?.remote.ip()
    }

    /// Who is at the other end of a Unix socket, while connected. `None` for TCP, and where the system does not tell.
    pub fn peer_cred(&self, id: SocketId) -> Option<PeerCred> {
        let handle = self.sockets.get(id).filter(|link| link.remote.is_unix())?.handle_if_connected()?;
        self.kernel.peer_cred(handle).ok()
    }

    /// What the system has for its type of service, while connected; before, what was set. `None` for a Unix socket.
    #[doc(alias = "getTypeOfService")]
    pub fn type_of_service(&self, id: SocketId) -> Option<u8> {
        let link = self.sockets.get(id)?;
        match link.handle_if_connected() {
            Some(handle) => self.kernel.type_of_service(handle).ok(),
            None => link.rare().setup.tcp.type_of_service,
        }
    }

    /// The server that accepted it.
    pub fn server_of(&self, id: SocketId) -> Option<ServerId> {
        self.sockets.get(id)?.server
    }

    /// All sockets and files, in any state.
    pub fn socket_ids(&self) -> impl Iterator<Item = SocketId> {
        self.sockets.iter().map(|(id, _)| id)
    }

    /// How many sockets and files there are, in any state.
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }
}
