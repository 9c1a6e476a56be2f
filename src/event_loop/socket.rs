//! A view on one socket: what a handler can ask of it, and about it. Its events are in `socket_handlers.rs`.
//!
//! A view is borrowed for a moment. It decides nothing: all commands are the net's.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::address::endpoint::Endpoint;
use crate::base::error::Error;
use crate::base::id::{ServerId, SocketId, TimerId};
use crate::connection::{CloseReason, ReadyState};
use crate::event_loop::Loop;
use crate::event_loop::handlers::Handlers;
use crate::kernel::{KeepAlive, PeerCred};
use crate::net::{Net, OutputLimits};

/// A connection, as a handler sees it. Node's `net.Socket`.
///
/// Or a file, which is a socket with one half: see [`Loop::open`]. What is about addresses, connecting and TCP's options
/// does nothing for a file.
///
/// The view is lent for a moment. To find the socket again, keep its [`SocketId`]. Each event has one handler; another one
/// replaces it. All calls are allowed at any time.
pub struct Socket<'a, S> {
    /// The application's own state.
    pub state: &'a mut S,
    /// The engine. Its commands and questions are by id.
    pub net: &'a mut Net,
    pub(crate) handlers: &'a mut Handlers<S>,
    pub(crate) id: SocketId,
}

impl<S> Socket<'_, S> {
    /// Its id, which can be copied and kept.
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// The loop that it lives on.
    pub fn event_loop(&mut self) -> Loop<'_, S> {
        Loop { state: self.state, net: self.net, handlers: self.handlers }
    }

    /// The server that accepted it.
    pub fn server(&self) -> Option<ServerId> {
        self.net.connection(self.id).server()
    }

    // ---- commands -----------------------------------------------------------------------------------------------------

    /// Connects. Inside `on_close` it connects again: the id and the handlers stay, and the counters begin at zero.
    ///
    /// # Errors
    /// Text that is no address; a socket that is connecting, connected or closing. A connect that fails later is an
    /// `error` event.
    pub fn connect(&mut self, to: impl TryInto<Endpoint, Error: Into<Error>>) -> Result<(), Error> {
        self.net.connect(self.id, to)
    }

    /// Writes at once, or queues the bytes after those that are queued already. True if the buffer is below the high-water
    /// mark after that. If it is false, nothing is lost; `drain` comes when the buffer is empty.
    ///
    /// ```
    /// # use tidegate::EventLoop;
    /// # let mut event_loop = EventLoop::new()?;
    /// event_loop.listen("127.0.0.1:0", |socket| {
    ///     if !socket.write(&[b'x'; 100_000]) {
    ///         socket.on_drain(|socket| socket.end());
    ///     }
    /// })?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    #[inline]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.net.write(self.id, bytes.as_ref())
    }

    /// As [`Socket::write`]. `written` runs when the kernel has taken all of it; the other side may not have it yet. If the
    /// kernel never takes it, `written` runs with the error.
    pub fn write_then(
        &mut self,
        bytes: impl AsRef<[u8]>,
        written: impl FnOnce(&mut Socket<'_, S>, Result<(), Error>) + 'static,
    ) -> bool {
        let callback = self.handlers.add_callback(Box::new(written));
        self.net.write_with(self.id, bytes.as_ref(), callback)
    }

    /// Ends the writing side, after all that was written. Reading goes on. `finish` comes when it is done.
    pub fn end(&mut self) {
        self.net.end(self.id, None);
    }

    /// Writes, then ends.
    pub fn end_with(&mut self, bytes: impl AsRef<[u8]>) {
        self.net.end_with(self.id, bytes.as_ref(), None);
    }

    /// Ends. `ended` runs just before `finish`. If there is no `finish`, it runs with the error.
    pub fn end_then(&mut self, ended: impl FnOnce(&mut Socket<'_, S>, Result<(), Error>) + 'static) {
        let callback = self.handlers.add_callback(Box::new(ended));
        self.net.end(self.id, Some(callback));
    }

    /// Ends the connection at once. Bytes that are not sent yet are discarded. `close` follows.
    pub fn destroy(&mut self) {
        self.net.destroy(self.id);
    }

    /// As [`Socket::destroy`], with the reason that `close` is to give.
    pub fn destroy_because(&mut self, reason: CloseReason) {
        self.net.destroy_because(self.id, reason);
    }

    /// As [`Socket::destroy`], with an `error` event before the `close`.
    pub fn destroy_with(&mut self, error: Error) {
        self.net.destroy_with(self.id, error);
    }

    /// Ends, and destroys when all is written, without waiting for the other side's end.
    #[doc(alias = "destroySoon")]
    pub fn destroy_soon(&mut self) {
        self.net.destroy_soon(self.id);
    }

    /// Closes with a reset (RST). While connecting it waits for the connection.
    #[doc(alias = "resetAndDestroy")]
    pub fn reset(&mut self) {
        self.net.reset(self.id);
    }

    /// As [`Socket::reset`], with the reason that `close` is to give.
    pub fn reset_because(&mut self, reason: CloseReason) {
        self.net.reset_because(self.id, reason);
    }

    /// Runs `caught_up` when a read finds nothing more, or the end: all that has arrived by then was delivered. A graceful
    /// stop handles that, and does not wait for what arrives later. While the socket is paused, nothing is read. If it is
    /// destroyed first, `caught_up` runs with an error.
    pub fn catch_up(&mut self, caught_up: impl FnOnce(&mut Socket<'_, S>, Result<(), Error>) + 'static) {
        let callback = self.handlers.add_callback(Box::new(caught_up));
        self.net.catch_up(self.id, callback);
    }

    /// Stops the `data` events. The socket reads ahead until that buffer is full. If it is paused before its first read, it
    /// does not read at all.
    pub fn pause(&mut self) {
        self.net.pause(self.id);
    }

    /// As [`Socket::pause`], and says why: see [`Net::pause_for`](crate::Net::pause_for).
    pub fn pause_for(&mut self, reason: &'static str) {
        self.net.pause_for(self.id, reason);
    }

    /// Lets `data` events come, from the next tick on.
    pub fn resume(&mut self) {
        self.net.resume(self.id);
    }

    /// Holds writes back until [`Socket::uncork`] was called as often. Then they go out as one.
    pub fn cork(&mut self) {
        self.net.cork(self.id);
    }

    /// Takes one [`Socket::cork`] back. With the last one, all that was held back is written at once.
    pub fn uncork(&mut self) {
        self.net.uncork(self.id);
    }

    /// Pipes this socket into another, into a file, or into itself, which is an echo. When this one ends, the destination is
    /// ended too, unless it is standard output.
    ///
    /// Into a socket that is gone, nothing flows: this one is paused at its first chunk.
    ///
    /// # Errors
    /// This socket is gone; a file that can only be written to as the source, or only be read as the destination.
    pub fn pipe(&mut self, to: SocketId) -> Result<(), Error> {
        self.net.pipe(self.id, to)
    }

    /// As [`Socket::pipe`], but the destination stays open when this one ends: Node's `{ end: false }`.
    ///
    /// # Errors
    /// Those of [`Socket::pipe`].
    pub fn pipe_without_end(&mut self, to: SocketId) -> Result<(), Error> {
        self.net.pipe_without_end(self.id, to)
    }

    /// Takes a pipe away. With the last one, this socket is paused.
    pub fn unpipe(&mut self, to: SocketId) {
        self.net.unpipe(self.id, to);
    }

    /// Sets the idle clock: `timeout` comes when nothing was read or written for this long. `None` turns it off.
    #[doc(alias = "setTimeout")]
    pub fn set_timeout(&mut self, period: Option<Duration>) {
        self.net.set_timeout(self.id, period);
    }

    /// TCP_NODELAY: small writes are sent at once.
    #[doc(alias = "setNoDelay")]
    pub fn set_no_delay(&mut self, on: bool) {
        self.net.set_no_delay(self.id, on);
    }

    /// Keep-alive probes, or `None` to turn them off.
    ///
    /// # Errors
    /// A time or a count out of its bounds: see [`KeepAlive`].
    #[doc(alias = "setKeepAlive")]
    pub fn set_keep_alive(&mut self, keep_alive: Option<KeepAlive>) -> Result<(), Error> {
        self.net.set_keep_alive(self.id, keep_alive)
    }

    /// IP_TOS and IPV6_TCLASS: how routers are to treat what is sent. The two lowest bits are the system's own (ECN).
    #[doc(alias = "setTypeOfService")]
    pub fn set_type_of_service(&mut self, value: u8) {
        self.net.set_type_of_service(self.id, value);
    }

    /// TCP_USER_TIMEOUT, on Linux: if nobody acknowledges what was sent for this long, the connection breaks with ETIMEDOUT.
    ///
    /// # Errors
    /// A time that is not from 1 ms to 2^31 - 1 ms.
    pub fn set_user_timeout(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        self.net.set_user_timeout(self.id, timeout)
    }

    /// Sets the output limits.
    ///
    /// # Errors
    /// A soft limit above the hard one, or without a time.
    pub fn set_output_limits(&mut self, limits: OutputLimits) -> Result<(), Error> {
        self.net.set_output_limits(self.id, limits)
    }

    /// What the trace calls it, and whoever else names connections: [`Net::set_label`](crate::Net::set_label).
    pub fn set_label(&mut self, label: &str) {
        self.net.set_label(self.id, label);
    }

    /// Whether it keeps the loop running while it is active.
    #[doc(alias = "ref")]
    #[doc(alias = "unref")]
    pub fn set_ref(&mut self, on: bool) {
        self.net.set_ref(self.id, on);
    }

    /// Runs `handler` once, after `delay`. If the socket closes before that, the timer is cancelled.
    pub fn after(&mut self, delay: Duration, handler: impl FnOnce(&mut Socket<'_, S>) + 'static) -> TimerId {
        let id = self.id;
        let timer = self.event_loop().after(delay, move |event_loop| {
            if let Some(mut socket) = event_loop.socket(id) {
                handler(&mut socket);
            }
        });
        if let Some(handlers) = self.handlers.of_socket(id) {
            let timers = &mut handlers.rare_mut().timers;
            timers.retain(|timer| self.net.timer_exists(*timer));
            timers.push(timer);
        }
        timer
    }

    /// Cancels a timer, of this socket or of any other. False if it is gone already.
    #[doc(alias = "clearTimeout")]
    pub fn cancel(&mut self, timer: TimerId) -> bool {
        self.event_loop().cancel(timer)
    }

    // ---- questions ----------------------------------------------------------------------------------------------------

    /// Bytes of all writes that are not completed. A write that is partly sent counts as a whole.
    #[doc(alias = "bufferSize")]
    #[doc(alias = "writableLength")]
    pub fn buffer_size(&self) -> usize {
        self.net.connection(self.id).buffer_size()
    }

    /// Bytes taken from the kernel, delivered or not.
    #[doc(alias = "bytesRead")]
    pub fn bytes_read(&self) -> u64 {
        self.net.connection(self.id).bytes_read()
    }

    /// Bytes of all writes, sent or not. For a file: the bytes that the kernel has taken.
    #[doc(alias = "bytesWritten")]
    pub fn bytes_written(&self) -> u64 {
        self.net.connection(self.id).bytes_written()
    }

    /// Which directions are open.
    #[doc(alias = "readyState")]
    pub fn ready_state(&self) -> ReadyState {
        self.net.connection(self.id).ready_state()
    }

    /// Whether it is connecting.
    #[doc(alias = "connecting")]
    pub fn is_connecting(&self) -> bool {
        self.net.connection(self.id).is_connecting()
    }

    /// Whether it is destroyed.
    #[doc(alias = "destroyed")]
    pub fn is_destroyed(&self) -> bool {
        self.net.connection(self.id).is_destroyed()
    }

    /// Whether `pause` was called and `resume` was not.
    #[doc(alias = "isPaused")]
    pub fn is_paused(&self) -> bool {
        self.net.connection(self.id).is_paused()
    }

    /// Whether `write` is allowed.
    #[doc(alias = "writable")]
    #[doc(alias = "writableEnded")]
    pub fn is_writable(&self) -> bool {
        self.net.connection(self.id).is_writable()
    }

    /// Whether `data` or `end` can still come.
    #[doc(alias = "readable")]
    #[doc(alias = "readableEnded")]
    pub fn is_readable(&self) -> bool {
        self.net.connection(self.id).is_readable()
    }

    /// This side's address, while connected; `None` for a Unix socket.
    #[doc(alias = "localAddress")]
    #[doc(alias = "localPort")]
    #[doc(alias = "localFamily")]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.net.connection(self.id).local_address()
    }

    /// The other side's address, also after the close; `None` before the connection, and for a Unix socket.
    #[doc(alias = "remoteAddress")]
    #[doc(alias = "remotePort")]
    #[doc(alias = "remoteFamily")]
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.net.connection(self.id).remote_address()
    }

    /// The type of service that the system has for it. Before it is connected, the one that was set. `None` for a Unix socket.
    #[doc(alias = "getTypeOfService")]
    pub fn type_of_service(&self) -> Option<u8> {
        self.net.connection(self.id).type_of_service()
    }

    /// The process at the other end of a Unix socket, while connected. `None` for TCP, and where the system does not tell.
    ///
    /// ```
    /// # use tidegate::EventLoop;
    /// # let mut event_loop = EventLoop::new()?;
    /// # let path = std::env::temp_dir().join(format!("tidegate-peer-cred-{}", std::process::id()));
    /// # let path = format!("unix:{}", path.display());
    /// event_loop.listen(path.as_str(), |socket| {
    ///     if socket.peer_cred().is_none_or(|peer| peer.uid != 0) {
    ///         socket.destroy(); // only root may connect
    ///     }
    /// })?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn peer_cred(&self) -> Option<PeerCred> {
        self.net.connection(self.id).peer_cred()
    }

    /// The period that `set_timeout` was given last.
    pub fn timeout(&self) -> Option<Duration> {
        self.net.connection(self.id).timeout()
    }
}

impl<S> fmt::Debug for Socket<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", &self.id).field("state", &self.ready_state()).finish_non_exhaustive()
    }
}
