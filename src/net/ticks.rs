//! What happens between two pieces of work: Node's next ticks, and the rest of what an event interrupted.
//!
//! A tick may give rise to several events: a write that completes tells `drain`, then runs callbacks, then perhaps
//! shuts down. An event is handed out the moment it comes up, so the rest is kept in one [`Then`] and goes on when the
//! next event is asked for, before the next tick. There is never more than one, because a handler only defers.

use std::collections::VecDeque;

use super::Net;
use super::event::{Chunk, Closed, Event};
use super::link::ResetPlace;
use crate::base::error::{Code, Error};
use crate::base::id::{ServerId, SocketId};
use crate::connection::{AfterEnd, CloseReason, Finish, Stage, Start, Tick, Ticks};

/// Work that goes before everything else.
#[derive(Debug)]
pub(super) enum Deferred {
    Socket(SocketId, Tick),
    /// A closed socket is forgotten, when its last callbacks have run.
    Forget(SocketId),
    Listening(ServerId),
    ServerClose(ServerId),
    /// A pipe was made from a socket whose end was told already.
    PipeEnd(SocketId, SocketId),
    User(u64),
}

/// The ticks of one connection on their way into the queue.
pub(super) struct Later<'a> {
    pub id: SocketId,
    pub queue: &'a mut VecDeque<Deferred>,
}

impl Ticks for Later<'_> {
    #[inline]
    fn defer(&mut self, tick: Tick) {
        self.queue.push_back(Deferred::Socket(self.id, tick));
    }
}

/// What is left to do when the handler of an event has run. A number bounds the pipes that hear the event: those that
/// were there before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// More kept chunks may flow.
    Flow,
    /// `end` was told: pipes end, half-open ends.
    AfterEnd(u64),
    /// `connect` was told: what waited for the connection goes out.
    AfterConnect,
    /// `drain` was told: pipes flow again; then the callbacks.
    AfterDrain(u32),
    /// So many callbacks are due, and then this.
    Callbacks(u32, Tail),
    /// `finish` was told: pipes let go, and with the end told it is over.
    AfterFinish(u64),
    /// `close` was told: what is left of it goes, unless it connects again.
    AfterClose(u64),
}

/// What follows the callbacks of a write or an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    Nothing,
    /// A write is over: an `end` may wait for it.
    AfterWrite,
    /// A write has failed.
    Destroy,
    /// `finish` is told.
    Finish,
    /// `close` is told.
    Close,
    /// `close` was told.
    Forget,
}

impl Net {
    /// Does all that is deferred, up to the first event.
    #[inline]
    pub(super) fn run_deferred(&mut self) -> Option<Event> {
        if self.nothing_deferred() { None } else { self.run_what_is_deferred() }
    }

    #[inline]
    pub(super) fn nothing_deferred(&self) -> bool {
        self.then.is_none() && self.deferred.is_empty()
    }

    fn run_what_is_deferred(&mut self) -> Option<Event> {
        loop {
            let event = if let Some((id, then)) = self.then.take() {
                self.go_on(id, then)
            } else {
                match self.deferred.pop_front()? {
                    Deferred::Socket(id, tick) => self.tick(id, tick),
                    Deferred::Listening(id) => {
                        self.servers.get(id).filter(|s| s.is_listening()).map(|_| Event::Listening(id))
                    }
                    Deferred::Forget(id) => {
                        self.forget_if_closed(id);
                        None
                    }
                    Deferred::ServerClose(id) => self.servers.contains(id).then_some(Event::ServerClose(id)),
                    Deferred::PipeEnd(from, to) => {
                        self.pipe_ended(from, to);
                        None
                    }
                    Deferred::User(number) => Some(Event::Tick(number)),
                }
            };
            if event.is_some() {
                return event;
            }
        }
    }

    fn tick(&mut self, id: SocketId, tick: Tick) -> Option<Event> {
        let (link, _) = self.link(id)?;
        let connection = &mut link.connection;
        match tick {
            Tick::Connect => {
                self.start_connect(id);
                None
            }
            Tick::Resume => {
                connection.resume_now();
                self.flow(id)
            }
            Tick::End => {
                if !connection.tell_end() {
                    return None;
                }
                self.then = Some((id, Then::AfterEnd(self.next_pipe)));
                Some(Event::End(id))
            }
            Tick::EndWriting => {
                if connection.is_writable() {
                    self.end(id, None);
                }
                None
            }
            Tick::AfterWrite(callbacks) => self.after_write(id, callbacks),
            Tick::WriteFailed(callbacks) => {
                let callbacks = callbacks + connection.fail_waiting();
                self.callbacks(id, callbacks, Tail::Destroy)
            }
            Tick::Finish => {
                let callbacks = connection.finished();
                self.callbacks(id, callbacks, Tail::Finish)
            }
            Tick::Error => {
                connection.seal();
                let error = connection.error().cloned().unwrap_or_else(|| Error::new(Code::Other));
                self.release_pipes_into(id, self.next_pipe);
                Some(Event::Error { socket: id, error })
            }
            Tick::Seal => {
                connection.seal();
                None
            }
            Tick::FailWaiting => {
                let callbacks = connection.fail_waiting();
                self.callbacks(id, callbacks, Tail::Nothing)
            }
            Tick::Callbacks(callbacks) => self.callbacks(id, callbacks, Tail::Nothing),
            Tick::Close => self.close(id),
            Tick::Reset => {
                self.reset(id);
                None
            }
        }
    }

    fn go_on(&mut self, id: SocketId, then: Then) -> Option<Event> {
        match then {
            Then::Flow => self.flow(id),
            Then::AfterEnd(before) => {
                self.after_end(id, before);
                None
            }
            Then::AfterConnect => self.after_connect(id),
            Then::AfterDrain(callbacks) => {
                self.drained_pipes(id);
                self.callbacks(id, callbacks, Tail::AfterWrite)
            }
            Then::Callbacks(callbacks, tail) => self.callbacks(id, callbacks, tail),
            Then::AfterFinish(before) => {
                self.after_finish(id, before);
                None
            }
            Then::AfterClose(before) => self.after_close(id, before),
        }
    }

    /// Tells the next kept chunk, if it flows.
    pub(super) fn flow(&mut self, id: SocketId) -> Option<Event> {
        loop {
            let (link, mut later) = self.link(id)?;
            let chunk = link.connection.flow(&mut later);
            let Some(chunk) = chunk else {
                self.look_for_more(id);
                self.list_if_readable(id);
                return None;
            };
            let (flow, heard) = (link.pipe_flow(), link.listener);
            self.list_if_readable(id);
            self.pipe_chunk(id, flow, &chunk);
            if heard {
                self.then = Some((id, Then::Flow));
                return Some(Event::Data { socket: id, chunk: Chunk::from(chunk) });
            }
        }
    }

    fn after_end(&mut self, id: SocketId, before: u64) {
        self.end_pipes(id, before);
        let Some((link, mut later)) = self.link(id) else { return };
        if link.connection.after_end(&mut later) == AfterEnd::Destroy {
            self.destroy_as(id, None, None);
        }
    }

    fn after_connect(&mut self, id: SocketId) -> Option<Event> {
        match self.sockets.get(id)?.reset_when_connected {
            None => {}
            Some(ResetPlace::BeforeTheWrite) => self.reset(id),
            Some(ResetPlace::BehindTheWrite) => self.deferred.push_front(Deferred::Socket(id, Tick::Reset)),
        }
        let link = self.sockets.get_mut(id)?;
        let start = link.connection.start();
        link.latches.readable |= !link.rare().catching_up.is_empty();
        self.list_if_readable(id);
        match start {
            Start::Nothing => {
                // A broadcast may have waited.
                self.dispatch_waiting(id);
                self.finish_if_done(id);
                None
            }
            Start::Dispatch => self.dispatch_parked(id),
            Start::Shutdown => {
                self.shutdown_later(id);
                None
            }
            Start::FailParked => {
                let callbacks = self.sockets.get_mut(id)?.connection.fail_parked(Code::SocketClosed);
                self.callbacks(id, callbacks, Tail::Nothing)
            }
        }
    }

    /// `drain` if it is owed, so many callbacks, and what an `end` waits for.
    pub(super) fn after_write(&mut self, id: SocketId, callbacks: u32) -> Option<Event> {
        if self.sockets.get_mut(id)?.connection.after_write() {
            self.then = Some((id, Then::AfterDrain(callbacks)));
            return Some(Event::Drain(id));
        }
        self.callbacks(id, callbacks, Tail::AfterWrite)
    }

    /// So many callbacks, one at a time, then the tail.
    pub(super) fn callbacks(&mut self, id: SocketId, left: u32, tail: Tail) -> Option<Event> {
        if left > 0 {
            let (callback, outcome) = self.sockets.get_mut(id)?.connection.take_callback()?;
            self.then = Some((id, Then::Callbacks(left - 1, tail)));
            return Some(Event::Callback { socket: id, callback, outcome });
        }
        match tail {
            Tail::Nothing => None,
            Tail::AfterWrite => {
                if self.sockets.get(id)?.connection.is_destroyed() {
                    let callbacks = self.sockets.get_mut(id)?.connection.fail_waiting();
                    return self.callbacks(id, callbacks, Tail::Nothing);
                }
                self.finish_if_done(id);
                None
            }
            Tail::Destroy => {
                let error = self.sockets.get(id)?.connection.error().cloned();
                // None: a write before any connection, and a connect right behind it has forgotten the error.
                self.broke(id, error.unwrap_or_else(|| Error::new(Code::SocketClosed)));
                None
            }
            Tail::Finish => {
                self.then = Some((id, Then::AfterFinish(self.next_pipe)));
                Some(Event::Finish(id))
            }
            Tail::Close => self.tell_close(id),
            Tail::Forget => {
                self.forget_if_closed(id);
                None
            }
        }
    }

    fn after_finish(&mut self, id: SocketId, before: u64) {
        let Some(link) = self.sockets.get(id) else { return };
        if link.destroy_on_finish {
            self.destroy_as(id, None, Some(CloseReason::DestroyedHere));
        }
        self.release_pipes_into(id, before);
        if self.sockets.get(id).is_some_and(|link| link.connection.end_was_told()) {
            self.destroy_as(id, None, None);
        }
    }

    /// The last round of a connection: the write in flight fails, `close` is told.
    pub(super) fn close(&mut self, id: SocketId) -> Option<Event> {
        let callbacks = self.sockets.get_mut(id)?.connection.cancel_in_flight();
        self.callbacks(id, callbacks, Tail::Close)
    }

    fn tell_close(&mut self, id: SocketId) -> Option<Event> {
        let link = self.sockets.get_mut(id)?;
        let (had_error, reason) = link.connection.close();
        let unsent = link.rare().thrown_away;
        self.then = Some((id, Then::AfterClose(self.next_pipe)));
        Some(Event::Close { socket: id, closed: Closed { had_error, reason, unsent } })
    }

    fn after_close(&mut self, id: SocketId, before: u64) -> Option<Event> {
        self.release_pipes_into(id, before);
        let link = self.sockets.get_mut(id)?;
        if link.connection.stage() != Stage::Closed {
            // It connects again, and what is parked is the new connection's.
            return None;
        }
        link.leaving = true;
        let callbacks = link.connection.fail_parked(Code::ClosedBeforeConnection);
        self.callbacks(id, callbacks, Tail::Forget)
    }

    /// The id becomes stale, unless the socket connects again.
    fn forget_if_closed(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get(id) else { return };
        if link.connection.has_callbacks_due() {
            self.deferred.push_back(Deferred::Forget(id));
        } else if link.connection.stage() == Stage::Closed {
            self.remove_from_pipes(id);
            self.sockets.remove(id);
        }
    }

    /// An `end` that waited for the last write goes on.
    pub(super) fn finish_if_done(&mut self, id: SocketId) {
        if let Some((link, mut later)) = self.link(id)
            && link.connection.finish_if_done(&mut later) == Finish::Shutdown
        {
            self.shutdown_later(id);
        }
    }
}
