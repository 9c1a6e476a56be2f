//! Each event to the handler that waits for it.
//!
//! A handler is out of its place while it runs, so it may replace or remove itself: what it has set meanwhile stays.
//! Handlers are never called from inside a user's call: whatever a call causes comes as an event of its own, later.
//! What comes in is told up to three times: as bytes, as text and as lines. A server's own events are run by `server.rs`.

use std::borrow::Cow;

use crate::base::id::{ServerId, SocketId, TimerId};
use crate::event_loop::Loop;
use crate::event_loop::handlers::{More, Told};
use crate::event_loop::hooks::TimerHook;
use crate::event_loop::server::Server;
use crate::event_loop::socket::Socket;
use crate::net::Event;
use crate::text::encoding::Decoder;

impl<S> Loop<'_, S> {
    pub(crate) fn dispatch(&mut self, event: Event) {
        match event {
            Event::Data { socket, chunk } => {
                self.with_socket(socket, |socket| socket.hears(Told::Data(&chunk)));
                self.net.recycle(chunk);
            }
            Event::Connection { server, socket } => self.connection(server, socket),
            Event::Connect(id) => self.with_socket(id, |it| it.hears(Told::Connect)),
            Event::End(id) => self.with_socket(id, |it| it.hears(Told::End)),
            Event::Drain(id) => self.with_socket(id, |it| it.hears(Told::Drain)),
            Event::Finish(id) => self.with_socket(id, |it| it.hears(Told::Finish)),
            Event::Timeout(id) => self.with_socket(id, |it| it.hears(Told::Timeout)),
            Event::Error { socket, error } => self.with_socket(socket, |socket| socket.hears(Told::Error(&error))),
            Event::Close { socket, closed } => {
                for timer in self.hooks.take_timers(socket) {
                    self.cancel(timer);
                }
                self.count_loss(socket, &closed);
                self.with_socket(socket, |socket| socket.hears(Told::Close(closed)));
                if self.net.is_over(socket) {
                    for timer in self.hooks.remove_socket(socket) {
                        self.cancel(timer);
                    }
                }
                self.has_closed(socket);
            }
            Event::Callback { socket, callback, outcome } => {
                if let Some(callback) = self.hooks.take_callback(callback) {
                    self.with_socket(socket, |socket| callback(socket, outcome));
                }
            }
            Event::Listening(id) => self.with_server(id, |it| it.tell_listening()),
            Event::Drop { server, dropped } => self.with_server(server, |server| server.tell_drop(dropped)),
            Event::ServerError { server, error } => self.with_server(server, |server| server.tell_error(&error)),
            Event::ServerClose(id) => self.with_server(id, |it| it.tell_close()),
            Event::Timer(id) => self.timer(id),
            Event::Tick(number) => {
                if let Some(handler) = self.hooks.take_tick(number) {
                    handler(self);
                }
            }
            Event::Signal(signal) => self.signal(signal),
        }
    }

    #[inline]
    fn with_socket(&mut self, id: SocketId, tell: impl FnOnce(&mut Socket<'_, S>)) {
        if let Some(mut socket) = self.socket(id) {
            tell(&mut socket);
        }
    }

    fn with_server(&mut self, id: ServerId, tell: impl FnOnce(&mut Server<'_, S>)) {
        if let Some(mut server) = self.server(id) {
            tell(&mut server);
        }
    }

    fn connection(&mut self, server: ServerId, id: SocketId) {
        self.hooks.add_socket(id);
        let handler = self.hooks.servers.get_mut(&server).and_then(|hooks| hooks.connection.take());
        let Some(mut handler) = handler else { return };
        self.with_socket(id, |socket| handler(socket));
        if let Some(hooks) = self.hooks.servers.get_mut(&server) {
            hooks.connection.get_or_insert(handler);
        }
    }

    fn timer(&mut self, id: TimerId) {
        match self.hooks.timers.remove(&id) {
            Some(TimerHook::Once(handler)) => handler(self),
            Some(TimerHook::Every(mut handler)) => {
                handler(self);
                if self.net.timer_exists(id) {
                    self.hooks.timers.insert(id, TimerHook::Every(handler));
                }
            }
            None => {}
        }
    }

    fn signal(&mut self, signal: i32) {
        let Some(mut handler) = self.hooks.signals.get_mut(&signal).and_then(Option::take) else { return };
        handler(self);
        if let Some(place) = self.hooks.signals.get_mut(&signal) {
            place.get_or_insert(handler);
        }
    }
}

impl<S> Socket<'_, S> {
    /// Runs the handler of what happened.
    #[inline]
    pub(crate) fn hears(&mut self, told: Told<'_>) {
        match told {
            Told::Data(chunk) => {
                self.tell(told);
                if self.more().is_some() {
                    self.tell_text(|decoder| decoder.decode(chunk));
                    self.tell_lines(chunk);
                }
            }
            Told::End => {
                self.tell_text(|decoder| decoder.finish().into());
                self.tell_last_line();
                self.tell(told);
            }
            Told::Error(error) => {
                if !self.tell(told) {
                    self.net.count_unheard(error);
                }
            }
            Told::Close(_) => {
                if let Some(more) = self.more() {
                    more.forget_halves();
                }
                self.tell(told);
            }
            _ => {
                self.tell(told);
            }
        }
    }

    /// The decoder is out of its place while the handler runs, as the handler is.
    #[inline]
    fn tell_text<'t>(&mut self, decode: impl FnOnce(&mut Decoder) -> Cow<'t, str>) {
        let Some(mut decoder) = self.more().and_then(|more| more.decoder.take()) else { return };
        let text = decode(&mut decoder);
        if !text.is_empty() {
            self.tell(Told::Text(&text));
        }
        self.set(|hooks| {
            hooks.more_mut().decoder.get_or_insert(decoder);
        });
    }

    /// What follows a line is not looked at before its handler has returned, which may have destroyed the socket or set
    /// another bound.
    #[inline]
    fn tell_lines(&mut self, mut chunk: &[u8]) {
        while let Some(lines) = self.more().and_then(|more| more.lines.as_mut()) {
            let mut pushed = lines.push(chunk);
            let Some(line) = pushed.next() else { return };
            chunk = pushed.rest();
            self.tell(Told::Line(&line));
            if self.is_destroyed() {
                return;
            }
        }
    }

    fn tell_last_line(&mut self) {
        if let Some(line) = self.more().and_then(|more| more.lines.as_mut()?.finish()) {
            self.tell(Told::Line(&line));
        }
    }

    #[inline]
    fn more(&mut self) -> Option<&mut More> {
        self.hooks.of_socket(self.id)?.more.as_deref_mut()
    }

    /// Takes a handler out, runs it, and puts it back unless it was replaced or removed meanwhile. False if there is
    /// none.
    #[inline]
    fn tell(&mut self, told: Told<'_>) -> bool {
        let Some(mut handler) = self.hooks.of_socket(self.id).and_then(|hooks| hooks.take(told.on())) else {
            return false;
        };
        handler(self, told);
        if let Some(hooks) = self.hooks.of_socket(self.id) {
            hooks.put_back(told.on(), handler);
        }
        true
    }
}
