//! Reading: from the kernel into the one buffer of the loop, and on to a pipe, a handler or read-ahead.
//!
//! ```text
//!   kernel ──read_once──▶ a pipe takes all ──▶ ReadOutcome::Pipe
//!                     ├──▶ somebody listens ──▶ ReadOutcome::Deliver
//!                     └──▶ paused, or nobody ──▶ read-ahead ──resume──▶ next_kept
//! ```
//!
//! It goes on in the turns of one socket (`serve.rs`): read, then write, then shut down. That is libuv's `uv__stream_io`.

use std::io;

use super::piping::PipeFlow;
use super::rare::AfterYield;
use super::{Conn, ReadSize, Remote};
use crate::base::error::{Error, Syscall};
use crate::base::error_kind::ErrorKind;
use crate::base::id::{Id, Key, SocketId};
use crate::connection::{CallbackId, Received};
use crate::net::cx::Cx;
use crate::net::read_buffer::{READ_BUFFER, ReadBuffer};
use crate::net::serving::{ServeStep, Serving};
use crate::net::statistics::Budget;

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum ReadOutcome {
    /// Nothing is left to be done with what came.
    Done,
    /// There was no read.
    NoRead(NoRead),
    /// So many bytes in the buffer go to this one, and to nobody else.
    Pipe(Key, usize),
    /// So many bytes in the buffer are delivered.
    Deliver(Delivery, usize),
}

/// What a socket that is not read from has its turn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum NoRead {
    /// To write, at most.
    Write,
    /// It has connected, or not: see [`Conn::finish_connect`].
    Connect,
    /// It had given its turn away, and goes on.
    GoOn(AfterYield),
}

impl NoRead {
    fn next_step(self) -> Option<ServeStep> {
        match self {
            NoRead::Write => Some(ServeStep::Write),
            NoRead::Connect => None,
            NoRead::GoOn(_) => Some(ServeStep::Read),
        }
    }
}

/// To whom a chunk goes: pipes, and the user's handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) struct Delivery {
    pub pipes: PipeFlow,
    pub listener: bool,
}

impl Conn {
    /// One read, and what becomes of it. A connect comes to its outcome here too; what is to be written comes after it.
    /// `next` is how it goes on with this socket; nothing is set there when its turn is over.
    ///
    /// Every byte comes through here.
    #[inline(always)]
    pub fn read_once(
        &mut self,
        turn: Serving,
        next: &mut Option<Serving>,
        buffer: &mut ReadBuffer,
        cx: &mut Cx,
    ) -> ReadOutcome {
        if turn.is_first() {
            self.lists.ready = false;
        }
        let (true, Some(handle)) = (self.wants_to_read(), self.handle) else {
            return self.read_nothing_now(turn, next, cx);
        };
        if cx.memory.stops_reading_ahead && self.waits_for_memory(cx) {
            return self.read_nothing_now(turn, next, cx);
        }
        let most = self.most_in_one_read();
        let Some(room) = buffer.room(most) else {
            buffer.grow(most);
            // Once more, with room.
            *next = Some(turn.then(ServeStep::Read));
            return ReadOutcome::Done;
        };
        let length = match cx.kernel.read(handle, room) {
            Ok(length) if length > 0 => length,
            nothing => {
                *next = Some(turn.then(ServeStep::Write));
                self.read_nothing(nothing.err(), cx);
                return ReadOutcome::Done;
            }
        };
        let full = (length == most || most > READ_BUFFER) && {
            cx.time.spend(length / 1024);
            self.adapt_read_size(length, most, buffer)
        };
        if !full && !self.latches.has_more && !self.looks_for_nothing() {
            // A short read has emptied the socket, and the next byte will be a new edge: no read is needed to find out.
            // Where the peer's end was reported, it stands after these bytes and there will be no other edge.
            self.latches.readable = false;
        }
        // Most sockets that are ready are so for reading, and one read was all.
        if self.latches.readable || self.connection.is_in_flight() {
            let after = turn.after_read(length, full);
            if full && after.next == ServeStep::Write {
                cx.cut(Budget::Bytes);
            }
            *next = Some(after);
        }
        cx.time.spend(1);
        self.touch(cx);
        if self.connection.received(length) == Received::Hold {
            let before = self.connection.read_ahead_held();
            self.connection.keep_or_lose(buffer.filled(length));
            cx.memory.read_ahead_changed(before, self.connection.read_ahead_held());
            return ReadOutcome::Done;
        }
        match self.sole_destination() {
            Some(to) => ReadOutcome::Pipe(to.key(), length),
            None => ReadOutcome::Deliver(self.delivery(), length),
        }
    }

    /// It is not to be read from, or cannot be.
    // Inlined, since what the usual read takes in memory would have to be there for it.
    #[inline(always)]
    fn read_nothing_now(&mut self, turn: Serving, next: &mut Option<Serving>, cx: &mut Cx) -> ReadOutcome {
        let no_read = self.has_its_turn(turn.is_first(), cx);
        *next = no_read.next_step().map(|step| turn.then(step));
        ReadOutcome::NoRead(no_read)
    }

    #[cold]
    fn has_its_turn(&mut self, is_first: bool, cx: &mut Cx) -> NoRead {
        if is_first && let Some(after) = self.go_on_if_flushed(cx) {
            return NoRead::GoOn(after);
        }
        if self.connection.is_connecting() {
            return NoRead::Connect;
        }
        if self.may_be_gone() {
            self.look_whether_gone(cx);
        }
        NoRead::Write
    }

    /// A read found the peer's end, nothing, or an error.
    fn read_nothing(&mut self, error: Option<io::Error>, cx: &mut Cx) {
        let Some(error) = error else {
            self.latches.readable = false;
            self.touch(cx);
            self.connection.reached_end(&mut cx.agenda.of(self.id));
            return self.caught_up(cx);
        };
        match error.kind() {
            io::ErrorKind::WouldBlock => {
                cx.count(|tally| tally.reads_blocked += 1);
                self.latches.readable = false;
                match self.rare_if_any().and_then(|rare| rare.shutdown_error.take()) {
                    Some(error) => self.broke(error, cx),
                    None => self.caught_up(cx),
                }
            }
            // It stays ready, for the next turn.
            io::ErrorKind::Interrupted => {}
            _ => self.broke(Error::system(&error, Syscall::Read), cx),
        }
    }

    /// The next chunk that was kept, if it flows, and to whom it goes.
    pub fn next_kept(&mut self, cx: &mut Cx) -> Option<(Vec<u8>, Delivery)> {
        let before = self.connection.read_ahead_held();
        let kept = self.connection.next_kept(&mut cx.agenda.of(self.id));
        cx.memory.read_ahead_changed(before, self.connection.read_ahead_held());
        if kept.is_none() {
            self.look_for_more(cx);
        }
        let kept = kept.map(|chunk| (chunk, self.delivery()));
        self.watch_if_readable(cx);
        kept
    }

    // ---- what the user asks for ------------------------------------------------------------------------------------------

    /// A handler for data came or went: see [`Net::listen_for_data`](crate::Net::listen_for_data).
    pub fn listen_for_data(&mut self, listening: bool, cx: &mut Cx) {
        if listening && !self.listener {
            // The pipes that are there come before it.
            let pipes = self.piping.iter_mut().flat_map(|piping| piping.destinations.iter_mut());
            pipes.for_each(|pipe| pipe.after_listener = false);
        }
        self.listener = listening;
        let anybody = listening || self.is_piped();
        if listening || !anybody {
            self.connection.set_listening(anybody, &mut self.tasks(cx));
        }
    }

    pub fn has_listener(&self) -> bool {
        self.listener
    }

    /// Its user pauses it, for this reason.
    pub fn pause(&mut self, reason: Option<&'static str>, cx: &mut Cx) {
        self.connection.pause(&mut cx.agenda.of(self.id));
        match reason {
            Some(_) => self.rare_mut().pause_reason = reason,
            None => self.forget_pause_reason(),
        }
    }

    pub fn resume(&mut self, cx: &mut Cx) {
        self.forget_pause_reason();
        self.connection.resume(&mut cx.agenda.of(self.id));
    }

    fn forget_pause_reason(&mut self) {
        if let Some(rare) = self.rare_if_any() {
            rare.pause_reason = None;
        }
    }

    /// Why its user has paused it, if it was said.
    pub fn pause_reason(&self) -> Option<&'static str> {
        self.rare().pause_reason
    }

    /// Has the callback come when a read has found nothing more: see [`Net::catch_up`](crate::Net::catch_up).
    pub fn catch_up(&mut self, callback: CallbackId, cx: &mut Cx) {
        if self.connection.is_destroyed() {
            let outcome = Err(Error::new(ErrorKind::Destroyed));
            return self.connection.callback_due(callback, outcome, &mut cx.agenda.of(self.id));
        }
        self.rare_mut().catching_up.push(callback);
        self.look_for_more(cx);
        self.watch_if_readable(cx);
    }

    /// A receiver does not hold this sender up any more.
    pub fn release(&mut self, cx: &mut Cx) {
        self.held_by = self.held_by.saturating_sub(1);
        if self.waits_for_its_turn() {
            self.make_ready(cx);
        }
        self.watch_if_readable(cx);
    }

    // ---- inside ----------------------------------------------------------------------------------------------------------

    /// A read has found nothing more. What was read and not delivered is still to come.
    fn caught_up(&mut self, cx: &mut Cx) {
        if self.connection.read_ahead() > 0 || self.has_yielded() {
            return;
        }
        let Some(rare) = self.rare_if_any() else { return };
        for callback in std::mem::take(&mut rare.catching_up) {
            self.connection.callback_due(callback, Ok(()), &mut cx.agenda.of(self.id));
        }
    }

    /// Whoever is to catch up has nothing left that was read: the next read tells whether there is more.
    fn look_for_more(&mut self, cx: &mut Cx) {
        if self.rare().catching_up.is_empty() || self.has_yielded() {
            return;
        }
        if self.connection.has_ended() {
            self.caught_up(cx);
        } else if self.connection.is_connected() {
            self.latches.readable = true;
        }
    }

    /// It has connected: whoever is to catch up has a read made.
    pub(super) fn read_if_catching_up(&mut self) {
        self.latches.readable |= !self.rare().catching_up.is_empty();
    }

    /// Whether a read that finds nothing would mean something: to whoever is to catch up, and where shutdown(2) has failed.
    /// And of a file, where a short one means nothing; and of a Unix socket, where Linux makes a read stop short of what
    /// follows descriptors that the peer passes.
    #[inline]
    fn looks_for_nothing(&self) -> bool {
        matches!(self.remote, Remote::Unix | Remote::File)
            || self.rare.as_ref().is_some_and(|rare| !rare.catching_up.is_empty() || rare.shutdown_error.is_some())
    }

    /// The most bytes that are read from it at once.
    #[inline]
    fn most_in_one_read(&self) -> usize {
        match self.read_size {
            ReadSize::Usual => READ_BUFFER,
            _ => self.most_in_one_unusual_read(),
        }
    }

    /// The piece of a file; or more, while reads come back full and all that is read goes through one pipe: such a chunk is
    /// never kept, and never seen.
    fn most_in_one_unusual_read(&self) -> usize {
        match (self.file(), &self.piping) {
            (Some(file), _) => file.piece(),
            (None, Some(piping)) if piping.takes_all() && !self.listener && self.connection.is_flowing() => {
                self.read_size.bytes()
            }
            _ => READ_BUFFER,
        }
    }

    /// A read of at most `most` bytes has given `length`: the next may be larger, or is to be smaller. Whether it came back
    /// full, so that there may be more. A file has one read in a turn, and never looks full: see `file.rs`.
    #[cold]
    pub(super) fn adapt_read_size(&mut self, length: usize, most: usize, buffer: &mut ReadBuffer) -> bool {
        if most > READ_BUFFER {
            buffer.note_wide_read();
        }
        if length == most && most == self.read_size.bytes() && self.is_piped() {
            self.read_size = self.read_size.doubled();
        } else if length < most / 4 {
            self.read_size = self.read_size.halved();
        }
        length == most && self.read_size != ReadSize::Piece
    }

    /// A chunk is about to be delivered, to one pipe and nobody else: where to.
    #[inline]
    fn sole_destination(&mut self) -> Option<SocketId> {
        if self.listener { None } else { self.piping.as_mut()?.sole_destination() }
    }

    /// A chunk is about to be delivered: to whom.
    #[inline]
    fn delivery(&mut self) -> Delivery {
        let pipes = self.piping.as_mut().map_or(PipeFlow::Nowhere, |piping| piping.flow());
        Delivery { pipes, listener: self.listener }
    }
}
