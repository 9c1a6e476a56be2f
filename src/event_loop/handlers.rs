//! The handlers of one socket: what a user has hung on its events.
//!
//! Most sockets have a few, so they are a short list and not a place for each event. All of them are kept in one
//! form, which is given what happened; `socket.rs` makes it out of what a user gives, and `dispatch.rs` runs it. Nothing is
//! decided here but one rule: a handler is out of its place while it runs, and what was set or removed meanwhile beats
//! the put-back.

use crate::base::error::Error;
use crate::base::few::Few;
use crate::base::id::TimerId;
use crate::event_loop::socket::Socket;
use crate::net::Closed;
use crate::text::encoding::{Decoder, Encoding};
use crate::text::lines::{Line, Lines};

/// Something that happened to a socket, with what comes with it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told<'a> {
    Connect,
    Data(&'a [u8]),
    Text(&'a str),
    Line(&'a Line<'a>),
    End,
    Drain,
    Finish,
    Timeout,
    Error(&'a Error),
    Close(Closed),
}

/// Which event a handler is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
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
}

impl Told<'_> {
    #[inline]
    pub fn on(self) -> On {
        match self {
            Told::Connect => On::Connect,
            Told::Data(_) => On::Data,
            Told::Text(_) => On::Text,
            Told::Line(_) => On::Line,
            Told::End => On::End,
            Told::Drain => On::Drain,
            Told::Finish => On::Finish,
            Told::Timeout => On::Timeout,
            Told::Error(_) => On::Error,
            Told::Close(_) => On::Close,
        }
    }
}

pub(crate) type Handler<S> = Box<dyn FnMut(&mut Socket<'_, S>, Told<'_>)>;

/// What an event loop keeps for one socket.
pub(crate) struct SocketHooks<S> {
    /// One at most for each event. None: it is out, running.
    handlers: Few<(On, Option<Handler<S>>)>,
    /// What few have.
    pub more: Option<Box<More>>,
}

#[derive(Debug, Default)]
pub(crate) struct More {
    /// Of who reads text. Out of its place while the handler runs, as the handler is.
    pub decoder: Option<Decoder>,
    /// That of the decoder, and of the next one.
    pub encoding: Encoding,
    /// Of who reads lines.
    pub lines: Option<Lines>,
    /// To be cancelled when the socket closes.
    pub timers: Vec<TimerId>,
}

impl<S> Default for SocketHooks<S> {
    fn default() -> Self {
        SocketHooks { handlers: Few::None, more: None }
    }
}

impl<S> SocketHooks<S> {
    pub fn set(&mut self, on: On, handler: Handler<S>) {
        match self.handlers.iter_mut().find(|(other, _)| *other == on) {
            Some((_, place)) => *place = Some(handler),
            None => self.handlers.push((on, Some(handler))),
        }
    }

    pub fn remove(&mut self, on: On) {
        self.handlers.remove_first(|(other, _)| *other == on);
    }

    pub fn has(&self, on: On) -> bool {
        self.handlers.iter().any(|(other, _)| *other == on)
    }

    /// Whether anybody takes what comes in.
    pub fn listen_for_data(&self) -> bool {
        [On::Data, On::Text, On::Line].into_iter().any(|on| self.has(on))
    }

    /// Nobody takes it any more.
    pub fn remove_listeners_for_data(&mut self) {
        for on in [On::Data, On::Text, On::Line] {
            self.remove(on);
        }
    }

    /// Takes a handler out, to run it.
    #[inline]
    pub fn take(&mut self, on: On) -> Option<Handler<S>> {
        self.handlers.iter_mut().find(|(other, _)| *other == on)?.1.take()
    }

    /// It has run.
    #[inline]
    pub fn put_back(&mut self, on: On, handler: Handler<S>) {
        if let Some((_, place)) = self.handlers.iter_mut().find(|(other, _)| *other == on) {
            place.get_or_insert(handler);
        }
    }

    pub fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

impl More {
    /// A decoder that has seen nothing yet.
    pub fn begin_text(&mut self) {
        self.decoder = Some(Decoder::new(self.encoding));
    }

    /// A connection is over: half a character or line of it is not the next one's.
    pub fn forget_halves(&mut self) {
        if self.decoder.is_some() {
            self.begin_text();
        }
        if let Some(lines) = &mut self.lines {
            lines.finish();
        }
    }
}
