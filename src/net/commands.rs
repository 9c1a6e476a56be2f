//! What a user asks of one connection.
//!
//! Each call looks the connection up once and has it do the work (`conn/`); it is legal at any time, and does nothing where
//! the socket is gone. Pipes are in `pipe.rs`, one message to many in `broadcast.rs`.

use std::time::Duration;

use super::Net;
use super::conn::Conn;
use super::conn::write::WriteKind;
use super::info::ConnectionInfo;
use super::options::{self, SocketOptions};
use super::output_limits::OutputLimits;
use super::paused_by::{Holder, holders};
use crate::address::endpoint::Endpoint;
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;
use crate::base::id::SocketId;
use crate::connection::{CallbackId, CloseReason, Connection, Stage};
use crate::kernel::KeepAlive;

impl Net {
    /// A socket that is not connected yet.
    ///
    /// # Errors
    /// An option out of its bounds.
    pub fn new_socket(&mut self, options: SocketOptions) -> Result<SocketId, Error> {
        options.check()?;
        let connection = Connection::new(options.high_water_mark, options.allow_half_open);
        let now = self.cx.second();
        Ok(self.conns.insert_with(|id| Conn::new(id, connection, now).with_options(&options, self.connect_defaults)))
    }

    /// Takes back a socket that nobody has seen.
    pub(crate) fn forget_fresh(&mut self, id: SocketId) {
        if self.conns.get(id).is_some_and(|conn| conn.connection.stage() == Stage::Fresh) {
            self.conns.remove(id);
        }
    }

    /// Takes a socket away at once, in whatever state it is: none of its events comes any more. Gives the callbacks that will
    /// not be run.
    pub(crate) fn take_away(&mut self, id: SocketId) -> Vec<CallbackId> {
        let Some((conn, cx)) = self.conn(id) else { return Vec::new() };
        conn.destroy(None, Some(CloseReason::Shutdown), cx);
        let callbacks = conn.connection.take_all_callbacks();
        self.release_sources(id, self.cx.agenda.pipes_made);
        self.remove(id);
        callbacks
    }

    /// Connects a socket that is fresh or closed. What goes wrong on the way is an event.
    ///
    /// # Errors
    /// Text that is no address; one of another family than the local address; a socket that is connecting, connected,
    /// closing, or gone: after `on_close` has returned there is no connecting again.
    #[doc(alias = "createConnection")]
    pub fn connect(&mut self, id: SocketId, to: impl TryInto<Endpoint, Error: Into<Error>>) -> Result<(), Error> {
        let to: Endpoint = to.try_into().map_err(Into::into)?;
        let to = to.to_connect_to();
        let conn = self.conns.get_mut(id).ok_or_else(|| Error::new(ErrorKind::Gone))?;
        let inherited = conn.server.and_then(|server| self.servers.get(server)?.options.tcp.keep_alive);
        conn.connect(to, inherited, &mut self.cx)
    }

    // ---- reading ---------------------------------------------------------------------------------------------------------

    /// Stops the `data` events. Reading goes on until read-ahead is full: the mark - 1 + 64 KiB at most.
    pub fn pause(&mut self, id: SocketId) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.pause(None, cx);
        }
    }

    /// As [`Net::pause`], and says why, in a word or two of the program's own: the table of connections shows it
    /// ([`PausedBy::User`](crate::PausedBy::User)), until it is resumed.
    pub fn pause_for(&mut self, id: SocketId, reason: &'static str) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.pause(Some(reason), cx);
        }
    }

    /// Lets `data` events come, from the next tick on, those that were kept first.
    pub fn resume(&mut self, id: SocketId) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.resume(cx);
        }
    }

    /// Has [`Event::Callback`](super::Event::Callback) with this number come when a read has found nothing more, or the
    /// end: all that the other side had sent until then was delivered. For a graceful stop: what it has said is heard, and
    /// what it says later is not waited for. A pause is respected: it does not come before `resume`. If the socket is
    /// destroyed first, it comes with an error.
    pub fn catch_up(&mut self, id: SocketId, callback: CallbackId) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.catch_up(callback, cx);
        }
    }

    /// Says that somebody takes the data of this socket, or that nobody does any more. As adding a `data` handler does
    /// in Node, it lets the data flow unless the socket was paused; removing it does not pause.
    pub fn listen_for_data(&mut self, id: SocketId, listening: bool) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.listen_for_data(listening, cx);
        }
    }

    // ---- writing ---------------------------------------------------------------------------------------------------------

    /// Writes: at once, or after what is queued already. True while the buffer is under the high-water mark after the
    /// attempt; if false, `drain` will tell when it is empty.
    ///
    /// After `end` it destroys the socket with an error, as in Node; after `destroy` it does nothing.
    #[inline]
    pub fn write(&mut self, id: SocketId, bytes: &[u8]) -> bool {
        self.conn(id).is_some_and(|(conn, cx)| conn.write(bytes, None, WriteKind::USER, cx))
    }

    /// As [`Net::write`]; [`Event::Callback`](super::Event::Callback) with this number tells when the kernel has taken
    /// all of it, or that it never will.
    pub fn write_with(&mut self, id: SocketId, bytes: &[u8], callback: CallbackId) -> bool {
        self.conn(id).is_some_and(|(conn, cx)| conn.write(bytes, Some(callback), WriteKind::USER, cx))
    }

    /// Holds writes back until as many [`Net::uncork`]s; then they go out as one. [`Net::end`] takes all corks away.
    pub fn cork(&mut self, id: SocketId) {
        if let Some((conn, _)) = self.conn(id) {
            conn.connection.cork();
        }
    }

    /// One cork less; with the last, all that was held goes out at once, gathered.
    pub fn uncork(&mut self, id: SocketId) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.uncork(cx);
        }
    }

    /// Ends the writing side: after all that was written, and any cork is taken away. `finish` tells when the kernel has
    /// taken it. Reading goes on.
    pub fn end(&mut self, id: SocketId, callback: Option<CallbackId>) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.end(callback, cx);
        }
    }

    /// Writes, then ends. What is true of [`Net::write`] after `end` is true of this.
    pub fn end_with(&mut self, id: SocketId, bytes: &[u8], callback: Option<CallbackId>) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.end_with(bytes, callback, cx);
        }
    }

    // ---- its end at once -------------------------------------------------------------------------------------------------

    /// Ends a connection at once. Unsent bytes are discarded; `close` follows.
    pub fn destroy(&mut self, id: SocketId) {
        self.destroy_because(id, CloseReason::DestroyedHere);
    }

    /// As [`Net::destroy`], with the reason that `close` is to give.
    pub fn destroy_because(&mut self, id: SocketId, reason: CloseReason) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.destroy(None, Some(reason), cx);
        }
    }

    /// As [`Net::destroy`], with an error that is emitted first.
    pub fn destroy_with(&mut self, id: SocketId, error: Error) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.destroy(Some(error), Some(CloseReason::DestroyedHere), cx);
        }
    }

    /// Destroys all sockets, with [`CloseReason::Shutdown`]. Servers that listen go on.
    pub fn destroy_all(&mut self) {
        for id in self.conns.ids().collect::<Vec<_>>() {
            self.destroy_because(id, CloseReason::Shutdown);
        }
    }

    /// Ends, and destroys when all is written: it does not wait for the other side's end.
    #[doc(alias = "destroySoon")]
    pub fn destroy_soon(&mut self, id: SocketId) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.destroy_soon(cx);
        }
    }

    /// Closes with a reset (RST). While connecting it waits for the connection; a socket that never was connected gets
    /// an error.
    #[doc(alias = "resetAndDestroy")]
    pub fn reset(&mut self, id: SocketId) {
        self.reset_because(id, CloseReason::DestroyedHere);
    }

    /// As [`Net::reset`], with the reason that `close` is to give.
    pub fn reset_because(&mut self, id: SocketId, reason: CloseReason) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.reset(reason, cx);
        }
    }

    // ---- its clock and its options ---------------------------------------------------------------------------------------

    /// Sets Node's idle clock: `timeout` is emitted when nothing moved for so long, once for each idle period. `None` or
    /// zero turns it off. It does nothing else to the socket, and does not keep the loop running.
    ///
    /// As in Node, a write in flight that moves holds it off, and one that stalls altogether gives `timeout` after twice
    /// the time. Resolution 1 ms, at most 2^31 - 1 ms.
    #[doc(alias = "setTimeout")]
    pub fn set_timeout(&mut self, id: SocketId, period: Option<Duration>) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.set_timeout(period, cx);
        }
    }

    /// TCP_NODELAY. Before the connection it is remembered; the same value again makes no system call.
    #[doc(alias = "setNoDelay")]
    pub fn set_no_delay(&mut self, id: SocketId, on: bool) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.set_no_delay(on, cx);
        }
    }

    /// Keep-alive probes, or `None` to turn them off. Before the connection it is remembered; the same value again makes
    /// no system call.
    ///
    /// # Errors
    /// A time or a count out of its bounds: see [`KeepAlive`].
    #[doc(alias = "setKeepAlive")]
    pub fn set_keep_alive(&mut self, id: SocketId, keep_alive: Option<KeepAlive>) -> Result<(), Error> {
        options::check_keep_alive(keep_alive)?;
        if let Some(conn) = self.conns.get_mut(id) {
            let inherited = conn.server.and_then(|server| self.servers.get(server)?.options.tcp.keep_alive);
            conn.set_keep_alive(keep_alive, inherited, &mut self.cx);
        }
        Ok(())
    }

    /// IP_TOS and IPV6_TCLASS: how routers are to treat what is sent. The two lowest bits are the system's own (ECN).
    /// Before the connection it is remembered.
    #[doc(alias = "setTypeOfService")]
    pub fn set_type_of_service(&mut self, id: SocketId, value: u8) {
        if let Some((conn, cx)) = self.conn(id) {
            conn.set_type_of_service(value, cx);
        }
    }

    /// TCP_USER_TIMEOUT, on Linux: when what was sent has no answer for so long, the connection is over with ETIMEDOUT.
    /// `None` is the system's own, some 15 minutes. Before the connection it is remembered.
    ///
    /// # Errors
    /// A time that is not from 1 ms to 2^31 - 1 ms.
    pub fn set_user_timeout(&mut self, id: SocketId, timeout: Option<Duration>) -> Result<(), Error> {
        options::check_user_timeout(timeout)?;
        if let Some((conn, cx)) = self.conn(id) {
            conn.set_user_timeout(timeout, cx);
        }
        Ok(())
    }

    /// Sets the output limits of a connection. What is queued already is judged at the next write.
    ///
    /// # Errors
    /// A soft limit above the hard one, or without time.
    pub fn set_output_limits(&mut self, id: SocketId, options: OutputLimits) -> Result<(), Error> {
        options.check()?;
        if let Some((conn, cx)) = self.conn(id) {
            conn.set_output_limits(options, cx);
        }
        Ok(())
    }

    /// Whether the socket keeps the loop running while it is active.
    #[doc(alias = "ref")]
    #[doc(alias = "unref")]
    pub fn set_ref(&mut self, id: SocketId, on: bool) {
        if let Some((conn, _)) = self.conn(id) {
            conn.referenced = on;
        }
    }

    // ---- questions -------------------------------------------------------------------------------------------------------

    /// What can be asked about a socket or a file.
    #[inline]
    pub fn connection(&self, id: SocketId) -> ConnectionInfo<'_> {
        ConnectionInfo::new(id, self.conns.get(id), &self.cx, Holder::AmongAll(&self.conns))
    }

    /// What can be asked about each socket and file: the table of connections, made in one pass. See [`ConnectionInfo`].
    ///
    /// ```
    /// # let event_loop = tidegate::EventLoop::new()?;
    /// let mut table: Vec<_> = event_loop.net.connections().collect();
    /// table.sort_by_key(|connection| std::cmp::Reverse(connection.unsent()));
    /// for connection in table.iter().take(50) {
    ///     println!("{} {}: {} bytes queued", connection.id(), connection.ready_state().name(), connection.unsent());
    /// }
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn connections(&self) -> impl Iterator<Item = ConnectionInfo<'_>> {
        let holders = holders(&self.conns);
        self.conns.iter().map(move |(id, conn)| {
            let holder = Holder::Known(holders.get(&id).copied());
            ConnectionInfo::new(id, Some(conn), &self.cx, holder)
        })
    }

    /// All sockets and files, in any state, in the order of their ids. It depends on nothing but what the loop has done so far.
    /// A place that is free is used again, so it is not the order in which they came. Those that stand apart are left out
    /// ([`ServerOptions::apart`](field@crate::ServerOptions::apart)).
    pub fn socket_ids(&self) -> impl Iterator<Item = SocketId> {
        self.conns.iter().filter(|(_, conn)| !conn.apart).map(|(id, _)| id)
    }

    /// How many sockets and files there are, in any state, without those that stand apart.
    pub fn sockets(&self) -> usize {
        self.conns.len() - self.cx.sockets_apart
    }
}
