//! Runs the handlers of each event.
//!
//! No handler is called from inside a user's call: what a call causes comes as an event of its own, later. A chunk is
//! emitted up to three times: as bytes, as text and as lines. The events of a server are emitted by `server.rs`.

use std::borrow::Cow;

use crate::base::id::{ServerId, SocketId, TimerId};
use crate::event_loop::Loop;
use crate::event_loop::handlers::{TimerHandler, finally, run};
use crate::event_loop::server::Server;
use crate::event_loop::socket::Socket;
use crate::event_loop::socket_handlers::{Payload, Rare, SocketEvent};
use crate::net::{Closed, Event, LookupAsker};
use crate::text::encoding::Decoder;

impl<S> Loop<'_, S> {
    pub(crate) fn dispatch(&mut self, event: Event) {
        match event {
            Event::Data { socket, chunk } => {
                self.with_socket(socket, |socket| socket.emit_data(&chunk));
                self.net.recycle(chunk);
            }
            Event::Connection { server, socket } => self.connection(server, socket),
            Event::Connect(id) => self.with_socket(id, |it| it.emit_only(SocketEvent::Connect)),
            Event::LookupWanted(request) => match request.id.asker() {
                LookupAsker::Socket(id) => self.with_socket(id, |socket| {
                    socket.emit(SocketEvent::LookupWanted, Payload::Wanted(&request));
                }),
                LookupAsker::Server(id) => self.with_server(id, |server| server.emit_lookup_wanted(&request)),
            },
            Event::Lookup { socket, lookup } => self.with_socket(socket, |socket| {
                socket.emit(SocketEvent::Lookup, Payload::Lookup(&lookup));
            }),
            Event::ConnectionAttempt { socket, address } => self.with_socket(socket, |socket| {
                socket.emit(SocketEvent::Attempt, Payload::Address(address));
            }),
            Event::ConnectionAttemptFailed { socket, error } => self.with_socket(socket, |socket| {
                socket.emit(SocketEvent::AttemptFailed, Payload::Error(&error));
            }),
            Event::ConnectionAttemptTimeout { socket, address } => self.with_socket(socket, |socket| {
                socket.emit(SocketEvent::AttemptTimeout, Payload::Address(address));
            }),
            Event::End(id) => self.with_socket(id, |it| it.emit_end()),
            Event::Drain(id) => self.with_socket(id, |it| it.emit_only(SocketEvent::Drain)),
            Event::Finish(id) => self.with_socket(id, |it| it.emit_only(SocketEvent::Finish)),
            Event::Timeout(id) => self.with_socket(id, |it| it.emit_only(SocketEvent::Timeout)),
            Event::Error { socket, error } => self.with_socket(socket, |socket| {
                if !socket.emit(SocketEvent::Error, Payload::Error(&error)) {
                    socket.net.count_unhandled(&error);
                }
            }),
            Event::Continue(id) => self.with_socket(id, |it| it.go_on()),
            Event::Close { socket, closed } => self.close(socket, closed),
            Event::Callback { socket, callback, outcome } => {
                if let Some(callback) = self.handlers.take_callback(callback) {
                    self.with_socket(socket, |socket| callback(socket, outcome));
                }
            }
            Event::Listening(id) => self.with_server(id, |it| it.emit_listening()),
            Event::Drop { server, dropped } => self.with_server(server, |server| server.emit_drop(dropped)),
            Event::ServerError { server, error } => self.with_server(server, |server| server.emit_error(&error)),
            Event::ServerClose(id) => self.with_server(id, |it| it.emit_close()),
            Event::Timer(id) => self.timer(id),
            Event::Tick(number) => {
                if let Some(handler) = self.handlers.take_tick(number) {
                    handler(self);
                }
            }
            Event::Signal(signal) => {
                run(self, |it| it.handlers.signals.get_mut(&signal), |handler, it| handler(it));
            }
            Event::Wake => {
                run(self, |it| Some(&mut it.handlers.wake), |handler, it| handler(it));
            }
        }
    }

    #[inline]
    fn with_socket(&mut self, id: SocketId, emit: impl FnOnce(&mut Socket<'_, S>)) {
        if let Some(mut socket) = self.socket(id) {
            emit(&mut socket);
        }
    }

    fn with_server(&mut self, id: ServerId, emit: impl FnOnce(&mut Server<'_, S>)) {
        if let Some(mut server) = self.server(id) {
            emit(&mut server);
        }
    }

    fn connection(&mut self, server: ServerId, id: SocketId) {
        self.handlers.add_socket(id);
        self.has_opened(id);
        run(
            self,
            |it| it.handlers.servers.get_mut(&server).map(|handlers| &mut handlers.connection),
            |handler, it| it.with_socket(id, |socket| handler(socket)),
        );
    }

    /// The handlers and timers of the socket go with it, unless its handler has connected it again.
    fn close(&mut self, id: SocketId, closed: Closed) {
        self.cancel_timers_of(id);
        self.count_loss(id, &closed);
        finally(
            self,
            |it| it.with_socket(id, |socket| socket.emit_close(closed)),
            |it| {
                if it.net.connection(id).is_over() {
                    it.cancel_timers_of(id);
                    it.handlers.remove_socket(id);
                } else {
                    it.has_opened(id);
                }
                it.has_closed(id);
            },
        );
    }

    pub(super) fn cancel_timers_of(&mut self, id: SocketId) {
        for timer in self.handlers.take_timers(id) {
            self.cancel(timer);
        }
    }

    fn timer(&mut self, id: TimerId) {
        if let Some(TimerHandler::Every(_)) = self.handlers.timers.get(&id) {
            run(self, |it| it.handlers.repeating_timer(id), |handler, it| handler(it));
            if !self.net.timer_exists(id) {
                self.handlers.timers.remove(&id);
            }
        } else if let Some(TimerHandler::Once(handler)) = self.handlers.timers.remove(&id) {
            handler(self);
        }
    }
}

impl<S> Socket<'_, S> {
    /// Runs the handler of an event. False if there is none.
    #[inline]
    fn emit(&mut self, event: SocketEvent, payload: Payload<'_>) -> bool {
        run(
            self,
            |socket| socket.handlers.of_socket(socket.id)?.place(event),
            |handler, socket| handler(socket, payload),
        )
    }

    fn emit_only(&mut self, event: SocketEvent) {
        self.emit(event, Payload::Nothing);
    }

    #[inline]
    fn emit_data(&mut self, chunk: &[u8]) {
        self.emit(SocketEvent::Data, Payload::Bytes(chunk));
        if self.rare().is_some() {
            self.emit_text(|decoder| decoder.decode(chunk));
            self.emit_lines(chunk);
        }
    }

    fn emit_end(&mut self) {
        self.emit_text(|decoder| decoder.finish().into());
        if let Some(line) = self.rare().and_then(|rare| rare.lines.as_mut()?.finish()) {
            self.emit(SocketEvent::Line, Payload::Line(&line));
        }
        self.emit_only(SocketEvent::End);
    }

    fn emit_close(&mut self, closed: Closed) {
        if let Some(rare) = self.rare() {
            rare.drop_unfinished();
        }
        self.set(|handlers| handlers.remove(SocketEvent::Continue));
        self.emit(SocketEvent::Close, Payload::Closed(closed));
    }

    /// The text may borrow from the chunk, and never borrows from the decoder: the handler may set another encoding.
    #[inline]
    fn emit_text<'t>(&mut self, decode: impl FnOnce(&mut Decoder) -> Cow<'t, str>) {
        let Some(decoder) = self.rare().and_then(|rare| rare.decoder.as_mut()) else { return };
        let text = decode(decoder);
        if !text.is_empty() {
            self.emit(SocketEvent::Text, Payload::Text(&text));
        }
    }

    /// A handler may destroy the socket or set another bound, so the rest of the chunk is looked at after it has returned.
    /// When the time of the turn is up, the rest waits. If a handler panics, the other lines of the chunk are lost. They are
    /// lost as a whole: half of one is never taken for a line.
    #[inline]
    fn emit_lines(&mut self, chunk: &[u8]) {
        finally(
            (self, chunk),
            |(socket, rest)| {
                while let Some(line) = socket.rare().and_then(|rare| rare.next_line(rest)) {
                    socket.emit(SocketEvent::Line, Payload::Line(&line));
                    if socket.is_destroyed() {
                        return;
                    }
                    if !rest.is_empty() && socket.net.time_is_up() {
                        return socket.cut_later(std::mem::take(rest));
                    }
                }
            },
            |(socket, rest)| {
                while !rest.is_empty() && socket.rare().and_then(|rare| rare.next_line(rest)).is_some() {}
            },
        );
    }

    /// What is left of a chunk is cut into lines in a later turn. Until then the socket is not read from, so it is at most a
    /// chunk.
    #[cold]
    fn cut_later(&mut self, rest: &[u8]) {
        if let Some(rare) = self.rare() {
            rare.uncut = rest.to_vec();
        }
        self.net.yield_turn(self.id);
    }

    /// The socket had given its turn away, and has it again.
    fn go_on(&mut self) {
        if let Some(rare) = self.rare() {
            let uncut = std::mem::take(&mut rare.uncut);
            self.emit_lines(&uncut);
        }
        if self.rare().is_some_and(|rare| !rare.uncut.is_empty()) {
            return; // given away once more
        }
        let handler = self.handlers.of_socket(self.id).and_then(|handlers| handlers.take(SocketEvent::Continue));
        if let Some(mut handler) = handler {
            handler(self, Payload::Nothing);
        }
    }

    #[inline]
    fn rare(&mut self) -> Option<&mut Rare> {
        self.handlers.of_socket(self.id)?.rare.as_deref_mut()
    }
}
