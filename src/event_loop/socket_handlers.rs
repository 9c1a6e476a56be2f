//! The handlers of one socket: which events there are, how a handler is set, and what is kept.
//!
//! All handlers are kept in one form, which is given what comes with the event. `dispatch.rs` runs them.

use std::net::SocketAddr;

use crate::base::error::Error;
use crate::base::few::Few;
use crate::base::id::TimerId;
use crate::event_loop::socket::Socket;
use crate::net::{Closed, Lookup, LookupRequest};
use crate::text::encoding::{Decoder, Encoding};
use crate::text::line::Line;
use crate::text::lines::Lines;

impl<S> Socket<'_, S> {
    /// Bytes have arrived, up to 64 KiB. A handler for data lets them flow, unless the socket was paused.
    pub fn on_data(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>, &[u8]) + 'static) {
        self.on(SocketEvent::Data, move |socket, payload| {
            if let Payload::Bytes(chunk) = payload {
                handler(socket, chunk);
            }
        });
        self.net.listen_for_data(self.id, true);
    }

    /// Removes the handler for data. Data that flows without one is lost, as in Node: pause first.
    pub fn off_data(&mut self) {
        let mut listens = false;
        self.set(|handlers| {
            handlers.remove(SocketEvent::Data);
            listens = handlers.has_reader();
        });
        self.net.listen_for_data(self.id, listens);
    }

    /// Sets the encoding in which `on_text` reads the bytes. Half a character that was held is discarded.
    #[doc(alias = "setEncoding")]
    pub fn set_encoding(&mut self, encoding: Encoding) {
        self.set(|handlers| {
            let rare = handlers.rare_mut();
            rare.encoding = encoding;
            rare.begin_text();
        });
    }

    /// Text has arrived: the bytes in the encoding of [`Socket::set_encoding`], or else in UTF-8. A character that is split
    /// between two chunks comes as a whole. What is no character becomes U+FFFD.
    pub fn on_text(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>, &str) + 'static) {
        self.set(|handlers| {
            // A handler that replaces another goes on with the half character that the decoder holds.
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

    /// A line has arrived. It comes without its end, which is LF or CRLF. The last line needs no end; it comes before `end`.
    ///
    /// A line has at most `at_most` bytes, and half a line takes no more memory than that. A longer one comes as its
    /// beginning, with [`Line::is_too_long`], and the rest of it is dropped. A second call replaces the handler and the bound.
    ///
    /// All lines of a chunk come, also after a `pause` or an `end`: check [`Socket::is_writable`] before you answer. After a
    /// `destroy` none comes. When the time of the turn is up ([`Net::time_is_up`](crate::Net::time_is_up)), the others have
    /// their turn before the next line, and the socket is not read from until then. To stop between two lines, or without an
    /// event loop, use [`Lines`].
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

    /// The socket is connected.
    #[doc(alias = "ready")]
    pub fn on_connect(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>) + 'static) {
        self.on(SocketEvent::Connect, move |socket, _| handler(socket));
    }

    /// Looks the names up that the socket connects to, in place of the loop: Node's `lookup`. It is asked once for each connect to
    /// a name or to `localhost`, one tick after the connect. It answers by [`Net::answer_lookup`](crate::Net::answer_lookup), at
    /// once or later. A second call replaces it.
    ///
    /// ```
    /// # use tidegate::EventLoop;
    /// # let mut event_loop = EventLoop::new()?;
    /// event_loop.connect("db.internal:5432", |socket| {
    ///     socket.set_lookup(|socket, wanted| {
    ///         let found = match wanted.host.as_str() {
    ///             "db.internal" => Ok(vec![[127, 0, 0, 1].into()]),
    ///             _ => Err(wanted.not_found()),
    ///         };
    ///         socket.net.answer_lookup(wanted.id, found);
    ///     });
    /// })?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    #[doc(alias = "lookup")]
    pub fn set_lookup(&mut self, mut lookup: impl FnMut(&mut Socket<'_, S>, &LookupRequest) + 'static) {
        self.on(SocketEvent::LookupWanted, move |socket, payload| {
            if let Payload::Wanted(request) = payload {
                lookup(socket, request);
            }
        });
        self.net.set_lookup(self.id, true);
    }

    /// The name that the socket connects to has this address, or cannot be looked up. It comes once for each address, before
    /// the first attempt.
    pub fn on_lookup(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>, &Lookup) + 'static) {
        self.on(SocketEvent::Lookup, move |socket, payload| {
            if let Payload::Lookup(lookup) = payload {
                handler(socket, lookup);
            }
        });
    }

    /// An address is tried: that of the connect, or one of the name's. It comes just before connect(2), and not for a Unix socket.
    #[doc(alias = "connectionAttempt")]
    pub fn on_connection_attempt(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>, SocketAddr) + 'static) {
        self.on(SocketEvent::Attempt, move |socket, payload| {
            if let Payload::Address(address) = payload {
                handler(socket, address);
            }
        });
    }

    /// An address has failed. The error has the address.
    #[doc(alias = "connectionAttemptFailed")]
    pub fn on_connection_attempt_failed(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>, &Error) + 'static) {
        self.on(SocketEvent::AttemptFailed, move |socket, payload| {
            if let Payload::Error(error) = payload {
                handler(socket, error);
            }
        });
    }

    /// An address of the name was given up, since there is another one: see
    /// [`ConnectAttempts::OneByOne`](crate::ConnectAttempts::OneByOne).
    #[doc(alias = "connectionAttemptTimeout")]
    pub fn on_connection_attempt_timeout(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>, SocketAddr) + 'static) {
        self.on(SocketEvent::AttemptTimeout, move |socket, payload| {
            if let Payload::Address(address) = payload {
                handler(socket, address);
            }
        });
    }

    /// The other side has ended, and all that it sent before was delivered. Unless half-open is allowed, this side ends on
    /// the next tick. A write in this handler is still sent.
    pub fn on_end(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>) + 'static) {
        self.on(SocketEvent::End, move |socket, _| handler(socket));
    }

    /// A write had returned false, and now the buffer is empty.
    pub fn on_drain(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>) + 'static) {
        self.on(SocketEvent::Drain, move |socket, _| handler(socket));
    }

    /// `end` was called, and the kernel has taken all writes and the end.
    pub fn on_finish(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>) + 'static) {
        self.on(SocketEvent::Finish, move |socket, _| handler(socket));
    }

    /// Nothing was read or written for the time of `set_timeout`. Nothing else happens: close the socket here if you want it
    /// closed.
    pub fn on_timeout(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>) + 'static) {
        self.on(SocketEvent::Timeout, move |socket, _| handler(socket));
    }

    /// Gives the turn of this socket to the others, and runs `go_on` when it has it again: see
    /// [`Net::yield_turn`](crate::Net::yield_turn). It is for a handler that works through much by itself, and has seen that
    /// [`Net::time_is_up`](crate::Net::time_is_up). Until then the socket has no `data` and no `end`. A second call replaces
    /// `go_on`. If the socket closes before, it does not run.
    ///
    /// ```
    /// # use tidegate::{EventLoop, Socket};
    /// fn work(socket: &mut Socket<'_, ()>, mut left: Vec<u32>) {
    ///     while let Some(task) = left.pop() {
    ///         socket.write(format!("{}\n", task * task));
    ///         if socket.net.time_is_up() {
    ///             return socket.yield_turn(|socket| work(socket, left));
    ///         }
    ///     }
    /// }
    /// # let mut event_loop = EventLoop::new()?;
    /// event_loop.listen("127.0.0.1:0", |socket| work(socket, (0..1000).collect()))?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn yield_turn(&mut self, go_on: impl FnOnce(&mut Socket<'_, S>) + 'static) {
        let mut go_on = Some(go_on);
        self.on(SocketEvent::Continue, move |socket, _| {
            if let Some(go_on) = go_on.take() {
                go_on(socket);
            }
        });
        self.net.yield_turn(self.id);
    }

    /// The connection broke, or could not be made. `close` follows. Without a handler the error is counted and logged.
    pub fn on_error(&mut self, mut handler: impl FnMut(&mut Socket<'_, S>, &Error) + 'static) {
        self.on(SocketEvent::Error, move |socket, payload| {
            if let Payload::Error(error) = payload {
                handler(socket, error);
            }
        });
    }

    /// The connection is over. This event comes once for each connection, and last. When the handler has returned, the id is
    /// stale, unless it has called [`Socket::connect`].
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

/// The events of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketEvent {
    LookupWanted,
    Lookup,
    Attempt,
    AttemptFailed,
    AttemptTimeout,
    Connect,
    Data,
    Text,
    Line,
    End,
    Drain,
    Finish,
    Timeout,
    Error,
    Close,
    /// Its turn, which it had given away.
    Continue,
}

/// What comes with an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload<'a> {
    Nothing,
    Bytes(&'a [u8]),
    Text(&'a str),
    Line(&'a Line<'a>),
    Error(&'a Error),
    Closed(Closed),
    Wanted(&'a LookupRequest),
    Lookup(&'a Lookup),
    Address(SocketAddr),
}

pub(crate) type SocketHandler<S> = Box<dyn FnMut(&mut Socket<'_, S>, Payload<'_>)>;

/// What an event loop keeps for one socket.
pub(crate) struct SocketHandlers<S> {
    /// At most one for each event. Most sockets have a few, so this is a short list. None: it runs.
    list: Few<(SocketEvent, Option<SocketHandler<S>>)>,
    /// What few sockets have.
    pub rare: Option<Box<Rare>>,
}

#[derive(Debug, Default)]
pub(crate) struct Rare {
    /// For `on_text`.
    pub decoder: Option<Decoder>,
    /// That of the decoder, and of the next one.
    pub encoding: Encoding,
    /// For `on_line`.
    pub lines: Option<Lines>,
    /// What is left of a chunk, when the time of the turn was up between two lines.
    pub uncut: Vec<u8>,
    /// To be cancelled when the socket closes.
    pub timers: Vec<TimerId>,
}

impl<S> Default for SocketHandlers<S> {
    fn default() -> Self {
        SocketHandlers { list: Few::None, rare: None }
    }
}

impl<S> SocketHandlers<S> {
    pub fn set(&mut self, event: SocketEvent, handler: SocketHandler<S>) {
        match self.place(event) {
            Some(place) => *place = Some(handler),
            None => self.list.push((event, Some(handler))),
        }
    }

    pub fn remove(&mut self, event: SocketEvent) {
        self.list.remove_first(|(other, _)| *other == event);
    }

    /// Takes a handler that runs once.
    pub fn take(&mut self, event: SocketEvent) -> Option<SocketHandler<S>> {
        self.list.remove_first(|(other, _)| *other == event)?.1
    }

    #[inline]
    pub fn place(&mut self, event: SocketEvent) -> Option<&mut Option<SocketHandler<S>>> {
        self.list.iter_mut().find(|(other, _)| *other == event).map(|(_, place)| place)
    }

    /// Whether there is a handler, which may be running.
    pub fn has(&self, event: SocketEvent) -> bool {
        self.list.iter().any(|(other, _)| *other == event)
    }

    /// Whether anything takes what comes in.
    pub fn has_reader(&self) -> bool {
        [SocketEvent::Data, SocketEvent::Text, SocketEvent::Line].into_iter().any(|event| self.has(event))
    }

    pub fn remove_readers(&mut self) {
        for event in [SocketEvent::Data, SocketEvent::Text, SocketEvent::Line] {
            self.remove(event);
        }
    }

    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

impl Rare {
    /// A decoder that has seen nothing yet.
    pub fn begin_text(&mut self) {
        self.decoder = Some(Decoder::new(self.encoding));
    }

    /// The next line that ends within `rest`; what follows it is left there. None if no line ends there, or without a
    /// handler for lines.
    #[inline]
    pub fn next_line<'c>(&mut self, rest: &mut &'c [u8]) -> Option<Line<'c>> {
        let mut pushed = self.lines.as_mut()?.push(rest);
        let line = pushed.next();
        *rest = pushed.rest();
        line
    }

    /// A connection is over: half a character, half a line and lines that were not cut do not belong
    /// to the next one.
    pub fn drop_unfinished(&mut self) {
        if self.decoder.is_some() {
            self.begin_text();
        }
        if let Some(lines) = &mut self.lines {
            lines.finish();
        }
        self.uncut = Vec::new();
    }
}
