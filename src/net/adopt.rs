//! Sockets that somebody else made: a listening one from a service manager, a connection from another library.
//!
//! They come as `OwnedFd`, or as whatever turns into one, std's listeners and streams among it; never as an integer,
//! whose owner nobody knows. A descriptor of another kind is an `Err` at once, and it is closed.

use std::os::fd::OwnedFd;

use super::Net;
use super::conn::{Conn, Remote};
use super::options::SocketOptions;
use crate::base::error::{Error, Syscall};
use crate::base::id::{ServerId, SocketId};
use crate::connection::Connection;

impl Net {
    /// Listens on a socket that listens already, of TCP or of a Unix domain. `listening` follows on a tick.
    ///
    /// Its backlog, its mode and its path are as they were made, and the path is not removed at the close. The options
    /// of accepted sockets are this server's.
    ///
    /// # Errors
    /// A descriptor that is no stream socket or does not listen; a server that listens already; a kernel without
    /// descriptors.
    pub fn listen_fd(&mut self, id: ServerId, listener: impl Into<OwnedFd>) -> Result<(), Error> {
        let tcp = self.server_that_may_listen(id)?.tcp;
        let handle = self.cx.kernel.adopt_listener(listener.into(), &tcp);
        let handle = handle.map_err(|error| Error::system(&error, Syscall::Listen))?;
        self.begin_listening(id, handle).map_err(|error| Error::system(&error, Syscall::Listen))
    }

    /// A socket that is connected already, of TCP or of a Unix domain. Reading begins at once, as with one that was
    /// accepted; there is no `connect`.
    ///
    /// Its peer may have ended it or reset it by then: what had come before is delivered, and then the end or the error.
    /// The system has forgotten the address of a peer that has reset.
    ///
    /// # Errors
    /// A descriptor that is no stream socket or was never connected; an option out of its bounds; a kernel without
    /// descriptors.
    pub fn adopt_socket(&mut self, socket: impl Into<OwnedFd>, options: SocketOptions) -> Result<SocketId, Error> {
        options.check()?;
        let adopted = self.cx.kernel.adopt_stream(socket.into(), &options.tcp.before_connect());
        let (handle, remote) = adopted.map_err(|error| Error::system(&error, Syscall::Connect))?;
        let remote = remote.map_or(Remote::Unknown, Remote::from);
        let connection = Connection::accepted(options.high_water_mark, options.allow_half_open, false);
        let now = self.cx.second();
        let conn =
            |id| Conn::new(id, connection, now).connected(handle, remote).with_options(&options, self.connect_defaults);
        let id = self.conns.insert_with(conn);
        if let Err(error) = self.cx.kernel.register(handle, id.into()) {
            self.cx.kernel.close(handle);
            self.conns.remove(id);
            return Err(Error::system(&error, Syscall::Register));
        }
        if let Some((conn, cx)) = self.conn(id) {
            conn.set_options_at_connection(handle, cx);
            conn.watch(cx);
        }
        Ok(id)
    }
}
