//! One socket or file into another: what is read here is written there, and whoever is slow slows the source.
//!
//! ```text
//!   from ── data ──▶ write ──▶ to        write returned false: from is paused, until
//!    ▲                          │        the slowest of its destinations has drained
//!    └───────── drain ──────────┘
//! ```
//!
//! The rules are Node's to the letter, `readable.pipe` and `unpipe`: what flows and what stays paused after an `unpipe`,
//! which destinations are ended, what a pause of the user's does to a pipe. A destination that finishes, breaks or
//! closes is let go, and the source is not destroyed; a source that breaks does not end its destinations.

use super::Net;
use super::agenda::Task;
use super::conn::piping::{AtEnd, Drain, KeptForPipes, Pipe, PipeFlow};
use super::conn::read::Delivery;
use super::conn::write::WriteKind;
use super::event::{Chunk, Event};
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;
use crate::base::id::{Key, SocketId};
use crate::kernel::OpenMode;
use crate::net::trace::Kind;

impl Net {
    /// Pipes a socket into another, or into itself, which is an echo. When the source ends, the destination is ended.
    ///
    /// Into a socket that is destroyed or gone, nothing flows: as in Node, the source is paused at its first chunk.
    ///
    /// Standard output and standard error are not ended, as in Node: the process has them to its end.
    ///
    /// # Errors
    /// A source that is gone, or is a file that is written; a destination that is a file that is read.
    pub fn pipe(&mut self, from: SocketId, to: SocketId) -> Result<(), Error> {
        self.pipe_as(from, to, AtEnd::EndDestination)
    }

    /// As [`Net::pipe`], but the destination stays open when the source ends: Node's `{ end: false }`.
    ///
    /// # Errors
    /// Those of [`Net::pipe`].
    pub fn pipe_without_end(&mut self, from: SocketId, to: SocketId) -> Result<(), Error> {
        self.pipe_as(from, to, AtEnd::LeaveOpen)
    }

    fn pipe_as(&mut self, from: SocketId, to: SocketId, at_end: AtEnd) -> Result<(), Error> {
        self.check_pipe(from, to)?;
        self.cx.agenda.notes.add(from, Kind::Asked, || format!("piped into {to}"));
        let (pipe, needs_drain) = self.begin_pipe(from, to, at_end);
        if let Some(conn) = self.conns.get_mut(from) {
            conn.pipe_into(pipe, &mut self.cx);
            if needs_drain {
                conn.await_drain(to, &mut self.cx);
            } else {
                conn.resume(&mut self.cx);
            }
        }
        Ok(())
    }

    /// The destination's side of a new pipe. Whether it is full already.
    fn begin_pipe(&mut self, from: SocketId, to: SocketId, at_end: AtEnd) -> (Pipe, bool) {
        let number = self.cx.agenda.pipes_made;
        self.cx.agenda.pipes_made += 1;
        let drain = Drain::NotListenedFor;
        let mut pipe = Pipe { to, number, at_end, drain, after_listener: false, into_file: false };
        let Some(conn) = self.conns.get_mut(to) else { return (pipe, false) };
        conn.piping.get_or_insert_default().sources.push(from);
        if let Some(file) = conn.file() {
            pipe.into_file = true;
            if file.is_process_output() {
                pipe.at_end = AtEnd::LeaveOpen;
            }
        }
        (pipe, conn.connection.awaits_drain())
    }

    /// # Errors
    /// A source that is gone; a pipe that begins in a file that is written, or ends in one that is read.
    fn check_pipe(&self, from: SocketId, to: SocketId) -> Result<(), Error> {
        let mode = |id| Some(self.conns.get(id)?.file()?.mode);
        match (mode(from), mode(to)) {
            (Some(from), _) if !from.is_read() => {
                Err(Error::invalid("a pipe from a file that is written: open it with `OpenMode::Read`"))
            }
            (_, Some(OpenMode::Read)) => Err(Error::invalid(
                "a pipe into a file that is read: open it with `OpenMode::Write` or `OpenMode::Append`",
            )),
            _ if !self.conns.contains(from) => Err(Error::new(ErrorKind::Gone)),
            _ => Ok(()),
        }
    }

    /// Takes a pipe away, the oldest one to this destination. With the last, the source is paused.
    pub fn unpipe(&mut self, from: SocketId, to: SocketId) {
        let Some(conn) = self.conns.get_mut(from) else { return };
        let Some(resumes) = conn.unpipe(to, &mut self.cx) else { return };
        if let Some(piping) = self.conns.get_mut(to).and_then(|conn| conn.piping.as_mut()) {
            piping.sources.remove_first(|source| *source == from);
        }
        if resumes && let Some(conn) = self.conns.get_mut(from) {
            conn.destination_drained(to, &mut self.cx);
        }
    }

    /// Takes all pipes of a source away, and pauses it.
    pub fn unpipe_all(&mut self, from: SocketId) {
        for pipe in self.pipes_of(from) {
            self.unpipe(from, pipe.to);
        }
    }

    /// Where a socket is piped to.
    pub fn piped_to(&self, from: SocketId) -> Vec<SocketId> {
        self.pipes_of(from).into_iter().map(|pipe| pipe.to).collect()
    }

    // ---- inside -----------------------------------------------------------------------------------------------------

    /// A chunk of a source goes into its destinations, and to the user's handler: to each in the order in which they came.
    #[inline]
    pub(super) fn deliver(&mut self, from: SocketId, delivery: Delivery, chunk: Chunk) -> Option<Event> {
        match delivery.pipes {
            PipeFlow::Nowhere => {}
            PipeFlow::Into(to) => self.pipe_chunk_into(from, to, &chunk),
            PipeFlow::ByList => self.pipe_chunk_by_list(from, delivery.listener, &chunk),
        }
        if delivery.listener {
            return Some(Event::Data { socket: from, chunk });
        }
        self.buffer.take_back(chunk);
        None
    }

    /// Into the destinations that come before the handler, if there is one; the others have to wait until it has run.
    #[cold]
    fn pipe_chunk_by_list(&mut self, from: SocketId, listener: bool, chunk: &[u8]) {
        let (after, before) =
            self.pipes_of(from).into_iter().partition::<Vec<_>, _>(|pipe| listener && pipe.after_listener);
        for pipe in before {
            self.pipe_chunk_into(from, pipe.to, chunk);
        }
        if !after.is_empty() {
            let to = after.iter().map(|pipe| pipe.to).collect();
            self.kept_for_pipes = Some(KeptForPipes { from, to, chunk: chunk.to_vec() });
            self.cx.agenda.push_first([Task::PipeKept]);
        }
    }

    /// The handler has had its chunk, and the pipes after it have it now. Those that it has taken away have it too, as in
    /// Node: they were there when the chunk came.
    pub(super) fn pipe_kept(&mut self) {
        let Some(KeptForPipes { from, to, chunk }) = self.kept_for_pipes.take() else { return };
        for to in to {
            self.pipe_chunk_into(from, to, &chunk);
        }
    }

    /// As [`Net::deliver`], into one socket alone, with what the last read has left in the buffer, which stays where it is.
    #[inline(always)]
    pub(super) fn pipe_read_bytes(&mut self, from: Key, to: Key, length: usize) {
        let wrote = match self.conns.by_key_mut(to) {
            Some(conn) => conn.write(self.buffer.filled(length), None, WriteKind::PIPE, &mut self.cx),
            None => false,
        };
        if !wrote {
            self.await_drain(self.conns.id(from), self.conns.id(to));
        }
    }

    fn pipe_chunk_into(&mut self, from: SocketId, to: SocketId, chunk: &[u8]) {
        let conn = self.conns.get_mut(to);
        if !conn.is_some_and(|conn| conn.write(chunk, None, WriteKind::PIPE, &mut self.cx)) {
            self.await_drain(from, to);
        }
    }

    /// The source waits for a destination to drain.
    #[cold]
    fn await_drain(&mut self, from: SocketId, to: SocketId) {
        if let Some(conn) = self.conns.get_mut(from) {
            conn.await_drain(to, &mut self.cx);
        }
    }

    /// A destination has drained: its sources flow again, those that wait for no other.
    pub(super) fn resume_sources(&mut self, to: SocketId) {
        for from in self.sources_of(to) {
            if let Some(conn) = self.conns.get_mut(from).filter(|conn| conn.listens_for_drain_of(to)) {
                conn.destination_drained(to, &mut self.cx);
            }
        }
    }

    /// A source has ended: so do the destinations whose pipes say so; the other pipes are taken away. Those that were
    /// made since `before` were made too late.
    pub(super) fn end_pipes(&mut self, from: SocketId, before: u64) {
        for pipe in self.pipes_of(from).into_iter().filter(|pipe| pipe.number < before) {
            self.end_pipe(from, pipe);
        }
    }

    /// As [`Net::end_pipes`], for one pipe that was made after the end.
    pub(super) fn end_pipe_to(&mut self, from: SocketId, to: SocketId) {
        if let Some(pipe) = self.pipes_of(from).into_iter().find(|pipe| pipe.to == to) {
            self.end_pipe(from, pipe);
        }
    }

    fn end_pipe(&mut self, from: SocketId, pipe: Pipe) {
        match pipe.at_end {
            AtEnd::EndDestination => self.end(pipe.to, None),
            AtEnd::LeaveOpen => self.unpipe(from, pipe.to),
        }
    }

    /// A destination has finished, broken or closed: nobody pipes into it any more. Pipes that were made since `before`
    /// were made too late.
    pub(super) fn release_sources(&mut self, to: SocketId, before: u64) {
        for from in self.sources_of(to) {
            if self.pipes_of(from).iter().any(|pipe| pipe.to == to && pipe.number < before) {
                self.unpipe(from, to);
            }
        }
    }

    /// A source is gone for good. What was piped into it in the handler of its `close` stays piped: as in Node, such a
    /// source flows up to its first chunk.
    pub(super) fn leave_destinations(&mut self, from: SocketId) {
        for pipe in self.pipes_of(from) {
            if let Some(piping) = self.conns.get_mut(pipe.to).and_then(|conn| conn.piping.as_mut()) {
                while piping.sources.remove_first(|source| *source == from).is_some() {}
            }
        }
    }

    fn pipes_of(&self, from: SocketId) -> Vec<Pipe> {
        let piping = self.conns.get(from).and_then(|conn| conn.piping.as_ref());
        piping.map_or_else(Vec::new, |piping| piping.destinations.to_vec())
    }

    fn sources_of(&self, to: SocketId) -> Vec<SocketId> {
        let piping = self.conns.get(to).and_then(|conn| conn.piping.as_ref());
        piping.map_or_else(Vec::new, |piping| piping.sources.to_vec())
    }
}
