//! A view on one socket, and the handlers that it fills.
//!
//! The view is borrowed for a moment; what is kept is the [`SocketId`]. It decides nothing: the commands are the net's.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::address::endpoint::Endpoint;
use crate::base::error::Error;
use crate::base::id::{ServerId, SocketId, TimerId};
use crate::connection::{CloseReason, ReadyState};
use crate::event_loop::Loop;
use crate::event_loop::handlers::{Handlers, Payload, SocketEvent, SocketHandlers};
use crate::kernel::{KeepAlive, PeerCred};
use crate::net::{Closed, Net, OutputLimits};
use crate::text::encoding::Encoding;
use crate::text::lines::{Line, Lines};

/// A connection, as a handler sees it. Node's `net.Socket`.
///
/// Or a file, which is a socket with one half: see [`Loop::open`]. What is about addresses, connecting and TCP's options
/// does nothing for a file.
///
/// Each event has one handler; setting another replaces it. All calls are legal at any time.
pub struct Socket<'a, S> {
    /// The application's own.
    pub state: &'a mut S,
    /// The engine: its commands and questions are there for everybody.
    pub net: &'a mut Net,
    pub(crate) handlers: &'a mut Handlers<S>,
    pub(crate) id: SocketId,
}

impl<S> Socket<'_, S> {
    /// Its name, to keep and to find it by.
    pub fn id(&self) -> SocketId {
        self.id
    }

    /// The loop that it lives on.
    pub fn event_loop(&mut self) -> Loop<'_, S> {
        Loop { state: self.state, net: self.net, handlers: self.handlers }
    }

    /// The server that accepted it.
    pub fn server(&self) -> Option<ServerId> {
        self.net.server_of(self.id)
    }

    // ---- commands -----------------------------------------------------------------------------------------------------

    /// Connects, for the first time or, inside `on_close`, again: id and handlers are kept, the counters start anew.
    ///
    /// # Errors
    /// Text that is no address; a socket that is connecting, connected or closing. What goes wrong on the way is an
    /// `error` event.
    pub fn connect(&mut self, to: impl TryInto<Endpoint, Error: Into<Error>>) -> Result<(), Error> {
        self.net.connect(self.id, to)
    }

    /// Writes: at once, or behind what is queued already. True while the buffer is under the high-water mark after the
    /// attempt; if false, `drain` will tell when it is empty. What is written is never lost for a false: it is queued.
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

    /// As [`Socket::write`]; `written` runs when the kernel has taken all of it, which is not when the other side has
    /// it, or with the error that it never will.
    pub fn write_then(
        &mut self,
        bytes: impl AsRef<[u8]>,
        written: impl FnOnce(&mut Socket<'_, S>, Result<(), Error>) + 'static,
    ) -> bool {
        let callback = self.handlers.add_callback(Box::new(written));
        self.net.write_with(self.id, bytes.as_ref(), callback)
    }

    /// Ends the writing side, after all that was written; reading goes on. `finish` tells when it is done.
    pub fn end(&mut self) {
        self.net.end(self.id, None);
    }

    /// Writes, then ends.
    pub fn end_with(&mut self, bytes: impl AsRef<[u8]>) {
        self.net.end_with(self.id, bytes.as_ref(), None);
    }

    /// Ends; `ended` runs just before `finish`, or with the error that there is none.
    pub fn end_then(&mut self, ended: impl FnOnce(&mut Socket<'_, S>, Result<(), Error>) + 'static) {
        let callback = self.handlers.add_callback(Box::new(ended));
        self.net.end(self.id, Some(callback));
    }

    /// Ends the connection at once; unsent bytes are thrown away. `close` follows.
    pub fn destroy(&mut self) {
        self.net.destroy(self.id);
    }

    /// As [`Socket::destroy`], with the reason that `close` is to give.
    pub fn destroy_because(&mut self, reason: CloseReason) {
        self.net.destroy_because(self.id, reason);
    }

    /// As [`Socket::destroy`], with an error that is told first.
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

    /// Runs `caught_up` when a read has found nothing more, or the end: all that the other side had sent until then was
    /// delivered. For a graceful stop: what it has said is heard, what it says later is not waited for. A pause is
    /// respected. If the socket is destroyed first, it runs with an error.
    pub fn catch_up(&mut self, caught_up: impl FnOnce(&mut Socket<'_, S>, Result<(), Error>) + 'static) {
        let callback = self.handlers.add_callback(Box::new(caught_up));
        self.net.catch_up(self.id, callback);
    }

    /// Stops the `data` events. Reading goes on until read-ahead is full; none at all if it pauses before the first read.
    pub fn pause(&mut self) {
        self.net.pause(self.id);
    }

    /// Lets `data` events come, from the next tick on.
    pub fn resume(&mut self) {
        self.net.resume(self.id);
    }

    /// Holds writes back until as many [`Socket::uncork`]s; then they go out as one.
    pub fn cork(&mut self) {
        self.net.cork(self.id);
    }

    /// One cork less; with the last, all that was held goes out at once.
    pub fn uncork(&mut self) {
        self.net.uncork(self.id);
    }

    /// Pipes this socket into another or into a file, or into itself, which is an echo; its end ends the other, unless
    /// that is standard output.
    ///
    /// # Errors
    /// This socket is gone; a file of the other direction. Into one that is gone nothing flows: this one is paused at its first chunk.
    pub fn pipe(&mut self, to: SocketId) -> Result<(), Error> {
        self.net.pipe(self.id, to, true)
    }

    /// As [`Socket::pipe`], but the other stays open at the end of this one: Node's `{ end: false }`.
    ///
    /// # Errors
    /// This socket is gone.
    pub fn pipe_without_end(&mut self, to: SocketId) -> Result<(), Error> {
        self.net.pipe(self.id, to, false)
    }

    /// Takes a pipe away. With the last, this socket is paused.
    pub fn unpipe(&mut self, to: SocketId) {
        self.net.unpipe(self.id, to);
    }

    /// Sets the idle clock: `timeout` is told when nothing moved for so long. `None` turns it off.
    #[doc(alias = "setTimeout")]
    pub fn set_timeout(&mut self, period: Option<Duration>) {
        self.net.set_timeout(self.id, period);
    }

    /// TCP_NODELAY: small writes go out at once.
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

    /// TCP_USER_TIMEOUT, on Linux: when what was sent has no answer for so long, the connection is over with ETIMEDOUT.
    ///
    /// # Errors
    /// A time that is not from 1 ms to 2^31 - 1 ms.
    pub fn set_user_timeout(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        self.net.set_user_timeout(self.id, timeout)
    }

    /// Sets the output limits.
    ///
    /// # Errors
    /// A soft limit above the hard one, or without time.
    pub fn set_output_limits(&mut self, limits: OutputLimits) -> Result<(), Error> {
        self.net.set_output_limits(self.id, limits)
    }

    /// Whether it keeps the loop running while it is active.
    #[doc(alias = "ref")]
    #[doc(alias = "unref")]
    pub fn set_ref(&mut self, on: bool) {
        self.net.set_ref(self.id, on);
    }

    /// Runs `handler` once, after `delay`, unless the socket closes before.
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

    /// Takes a timer back, of this socket or of any other. False if it is gone already.
    #[doc(alias = "clearTimeout")]
    pub fn cancel(&mut self, timer: TimerId) -> bool {
        self.event_loop().cancel(timer)
    }

    // ---- questions ----------------------------------------------------------------------------------------------------

    /// Bytes of all writes that are not completed; one in flight counts whole.
    #[doc(alias = "bufferSize")]
    #[doc(alias = "writableLength")]
    pub fn buffer_size(&self) -> usize {
        self.net.buffer_size(self.id)
    }

    /// Bytes taken from the kernel, delivered or not.
    #[doc(alias = "bytesRead")]
    pub fn bytes_read(&self) -> u64 {
        self.net.bytes_read(self.id)
    }

    /// Bytes of all writes, sent or not. Of a file: what the kernel has taken.
    #[doc(alias = "bytesWritten")]
    pub fn bytes_written(&self) -> u64 {
        self.net.bytes_written(self.id)
    }

    /// Which directions are open.
    #[doc(alias = "readyState")]
    pub fn ready_state(&self) -> ReadyState {
        self.net.ready_state(self.id)
    }

    /// Whether it is connecting.
    #[doc(alias = "connecting")]
    pub fn is_connecting(&self) -> bool {
        self.net.is_connecting(self.id)
    }

    /// Whether it is destroyed.
    #[doc(alias = "destroyed")]
    pub fn is_destroyed(&self) -> bool {
        self.net.is_destroyed(self.id)
    }

    /// Whether `pause` was called and `resume` was not.
    #[doc(alias = "isPaused")]
    pub fn is_paused(&self) -> bool {
        self.net.is_paused(self.id)
    }

    /// Whether `write` is allowed.
    #[doc(alias = "writable")]
    #[doc(alias = "writableEnded")]
    pub fn is_writable(&self) -> bool {
        self.net.is_writable(self.id)
    }

    /// Whether `data` or `end` can still come.
    #[doc(alias = "readable")]
    #[doc(alias = "readableEnded")]
    pub fn is_readable(&self) -> bool {
        self.net.is_readable(self.id)
    }

    /// This side's address, while connected; `None` for a Unix socket.
    #[doc(alias = "localAddress")]
    #[doc(alias = "localPort")]
    #[doc(alias = "localFamily")]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.net.local_address(self.id)
    }

    /// The other side's address, from the connection on; `None` for a Unix socket. It is kept after the close.
    #[doc(alias = "remoteAddress")]
    #[doc(alias = "remotePort")]
    #[doc(alias = "remoteFamily")]
    pub fn remote_address(&self) -> Option<SocketAddr> {
        self.net.remote_address(self.id)
    }

    /// What the system has for its type of service, while connected; before, what was set. `None` for a Unix socket.
    #[doc(alias = "getTypeOfService")]
    pub fn type_of_service(&self) -> Option<u8> {
        self.net.type_of_service(self.id)
    }

    /// Who is at the other end of a Unix socket, while connected. `None` for TCP, and where the system does not tell.
    ///
    /// ```
    /// # use tidegate::EventLoop;
    /// # let mut event_loop = EventLoop::new()?;
    /// # let path = std::env::temp_dir().join(format!("tidegate-peer-cred-{}", std::process::id()));
    /// # let path = format!("unix:{}", path.display());
    /// event_loop.listen(path.as_str(), |socket| {
    ///     if socket.peer_cred().is_none_or(|peer| peer.uid != 0) {
    ///         socket.destroy(); // root alone
    ///     }
    /// })?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn peer_cred(&self) -> Option<PeerCred> {
        self.net.peer_cred(self.id)
    }

    /// What `set_timeout` was given last.
    pub fn timeout(&self) -> Option<Duration> {
        self.net.timeout(self.id)
    }

    // ---- events -------------------------------------------------------------------------------------------------------

    /// Bytes came, up to 64 KiB. A handler for data lets them flow, unless the socket was paused.
    pub fn on_data(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>, &[u8]) + 'static) {
        self.on(SocketEvent::Data, move |socket, payload| {
            if let Payload::Bytes(chunk) = payload {
                handler(socket, chunk);
            }
        });
        self.net.listen_for_data(self.id, true);
    }

    /// Takes the handler for data away. Data that flows without one is lost, as in Node: pause first.
    pub fn off_data(&mut self) {
        let mut listens = false;
        self.set(|handlers| {
            handlers.remove(SocketEvent::Data);
            listens = handlers.has_reader();
        });
        self.net.listen_for_data(self.id, listens);
    }

    /// In which encoding `on_text` reads the bytes. It begins anew: half a character that was held is forgotten.
    #[doc(alias = "setEncoding")]
    pub fn set_encoding(&mut self, encoding: Encoding) {
        self.set(|handlers| {
            let rare = handlers.rare_mut();
            rare.encoding = encoding;
            rare.begin_text();
        });
    }

    /// Text came: the bytes in the encoding of [`Socket::set_encoding`], UTF-8 if none was set, right also where a
    /// character is split between chunks; what is no character becomes U+FFFD.
    pub fn on_text(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>, &str) + 'static) {
        self.set(|handlers| {
            // Another handler goes on with the characters where the first one was.
            let is_first = !handlers.has(SocketEvent::Text);
            let rare = handlers.rare_mut();
            if is_first && rare.decoder.is_none() {
                rare.begin_text();
            }
        });
        self.on(SocketEvent::Text, move |socket, payload| {
            if let Payload::Text(text) = payload {
                handler(socket, text);
            }
        });
        self.net.listen_for_data(self.id, true);
    }

    /// A line came, without its end, which is LF or CRLF; the last one also without any, before `end` is told. Lines are of
    /// `at_most` so many bytes, and that is also the memory that half a line can cost: of a longer one the beginning comes,
    /// with [`Line::is_too_long`], and the rest is dropped. A second call replaces the handler and the bound.
    ///
    /// Lines that came in one chunk are told one after the other, a `pause` or an `end` in between or not: who answers asks
    /// [`Socket::is_writable`] first. A `destroy` ends them. Who needs to stop between two, or has a [`Net`] only, cuts them
    /// with [`Lines`].
    ///
    /// ```
    /// # use tidegate::EventLoop;
    /// # let mut event_loop = EventLoop::new()?;
    /// event_loop.listen("127.0.0.1:0", |socket| {
    ///     socket.on_line(1000, |socket, line| {
    ///         if line.is_too_long() {
    ///             return socket.destroy();
    ///         }
    ///         socket.write(format!("{} bytes\n", line.bytes().len()));
    ///     });
    /// })?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    #[doc(alias = "readline")]
    pub fn on_line(&mut self, at_most: usize, mut handler: impl FnMut(&mut Socket<'_, S>, &Line<'_>) + 'static) {
        self.set(|handlers| {
            handlers.rare_mut().lines.get_or_insert_with(|| Lines::at_most(at_most)).set_bound(at_most)
        });
        self.on(SocketEvent::Line, move |socket, payload| {
            if let Payload::Line(line) = payload {
                handler(socket, line);
            }
        });
        self.net.listen_for_data(self.id, true);
    }

    /// It is connected.
    #[doc(alias = "ready")]
    pub fn on_connect(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>) + 'static) {
        self.on(SocketEvent::Connect, move |socket, _| handler(socket));
    }

    /// The other side has ended, and all that it sent before was delivered. Unless half-open is allowed, this side
    /// ends on the next tick; a write in this handler still goes out.
    pub fn on_end(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>) + 'static) {
        self.on(SocketEvent::End, move |socket, _| handler(socket));
    }

    /// All writes were taken, after one of them had returned false.
    pub fn on_drain(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>) + 'static) {
        self.on(SocketEvent::Drain, move |socket, _| handler(socket));
    }

    /// `end` was called, and all writes and the end were taken.
    pub fn on_finish(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>) + 'static) {
        self.on(SocketEvent::Finish, move |socket, _| handler(socket));
    }

    /// Nothing moved for the time of `set_timeout`. Nothing else happens: close it here, if that is what it is for.
    pub fn on_timeout(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>) + 'static) {
        self.on(SocketEvent::Timeout, move |socket, _| handler(socket));
    }

    /// The connection broke, or could not be made; `close` follows. Without a handler the error is counted and logged.
    pub fn on_error(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>, &Error) + 'static) {
        self.on(SocketEvent::Error, move |socket, payload| {
            if let Payload::Error(error) = payload {
                handler(socket, error);
            }
        });
    }

    /// It is over: once for each connection, and last. The id becomes stale when this handler returns without a new
    /// [`Socket::connect`].
    pub fn on_close(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>, Closed) + 'static) {
        self.on(SocketEvent::Close, move |socket, payload| {
            if let Payload::Closed(closed) = payload {
                handler(socket, closed);
            }
        });
    }

    fn on(&mut self, event: SocketEvent, handler: impl FnMut(&mut Socket<'_, S>, Payload<'_>) + 'static) {
        self.set(|handlers| handlers.set(event, Box::new(handler)));
    }

    pub(crate) fn set(&mut self, set: impl FnOnce(&mut SocketHandlers<S>)) {
        if let Some(handlers) = self.handlers.of_socket(self.id) {
            set(handlers);
        }
    }
}

impl<S> fmt::Debug for Socket<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", &self.id).field("state", &self.ready_state()).finish_non_exhaustive()
    }
}
