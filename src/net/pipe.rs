//! One socket or file into another: what is read here is written there, and whoever is slow slows the source.
//!
//! ```text
//!   from ── data ──▶ write ──▶ to        write returned false: from is paused, until
//!    ▲                          │        the slowest of its destinations has drained
//!    └───────── drain ──────────┘
//! ```
//!
//! The rules are Node's to the letter, `readable.pipe` and `unpipe`: what flows and what stays paused after an `unpipe`,
//! who is ended and who is not, what a pause of the user's does to a pipe. A destination that finishes, breaks or
//! closes is let go, and the source is not destroyed; a source that breaks does not end its destinations.

use super::output::Write;
use super::ticks::Deferred;
use super::{Net, READ_BUFFER};
use crate::base::error::{Code, Error};
use crate::base::few::Few;
use crate::base::id::SocketId;

/// What a socket has to do with pipes. Few have anything, so it is kept apart.
#[derive(Debug, Default)]
pub(super) struct Piping {
    destinations: Few<Pipe>,
    /// Who pipes into this socket, once for each pipe.
    sources: Few<SocketId>,
}

#[derive(Clone, Copy, Debug)]
struct Pipe {
    to: SocketId,
    /// Pipes are numbered as they are made. One that is made in the handler of an event does not hear that event.
    number: u64,
    /// Whether the source's end ends the destination.
    end: bool,
    /// It has waited once: from then on each `drain` of the destination lets the source flow.
    hears_drain: bool,
    /// Its `write` returned false since the last chunk: the source waits for its `drain`.
    awaited: bool,
    /// The destination is a file: it gets no more than one of its pieces at once.
    into_file: bool,
}

/// Where the chunks of a source go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PipeFlow {
    Nowhere,
    /// The usual case, without a look at the list.
    Into(SocketId),
    IntoSeveral,
}

impl Piping {
    pub fn has_destinations(&self) -> bool {
        !self.destinations.is_empty()
    }

    /// As [`Piping::flow`], if there is a single pipe.
    #[inline]
    pub fn sole_destination(&mut self) -> Option<SocketId> {
        match &mut self.destinations {
            Few::One(pipe) => {
                pipe.awaited = false;
                Some(pipe.to)
            }
            _ => None,
        }
    }

    /// A chunk is about to be delivered: where to. Who waited for a `drain` waits for the next one.
    #[inline]
    pub fn flow(&mut self) -> PipeFlow {
        match &mut self.destinations {
            Few::None => PipeFlow::Nowhere,
            Few::One(pipe) => {
                pipe.awaited = false;
                PipeFlow::Into(pipe.to)
            }
            Few::Several(several) => {
                several.iter_mut().for_each(|pipe| pipe.awaited = false);
                PipeFlow::IntoSeveral
            }
        }
    }

    fn awaits_any(&self) -> bool {
        self.destinations.iter().any(|pipe| pipe.awaited)
    }

    /// Whether all that is read goes into one socket, however much it is.
    pub fn takes_all(&self) -> bool {
        matches!(self.destinations[..], [pipe] if !pipe.into_file)
    }

    /// As it is with one pipe.
    #[cfg(test)]
    pub fn into_one() -> Self {
        let to = SocketId { slot: 0, generation: 0 };
        let pipe = Pipe { to, number: 0, end: true, hears_drain: false, awaited: false, into_file: false };
        Piping { destinations: Few::One(pipe), sources: Few::None }
    }

    fn position(&self, to: SocketId) -> Option<usize> {
        self.destinations.iter().position(|pipe| pipe.to == to)
    }
}

impl Net {
    /// Both ends of each pipe know of it.
    pub(super) fn check_pipes(&self) -> Result<(), String> {
        for (from, link) in self.sockets.iter() {
            let Some(piping) = &link.piping else { continue };
            for Pipe { to, .. } in piping.destinations.iter() {
                let Some(destination) = self.sockets.get(*to) else { continue };
                let there = piping.destinations.iter().filter(|pipe| pipe.to == *to).count();
                let sources = destination.piping.iter().flat_map(|piping| piping.sources.iter());
                let here = sources.filter(|source| **source == from).count();
                if here != there {
                    return Err(format!("{from:?} has {there} pipes into {to:?}, which knows of {here}"));
                }
            }
        }
        Ok(())
    }

    /// Pipes a socket into another, or into itself, which is an echo. With `end`, the destination is ended when the
    /// source ends.
    ///
    /// Into a socket that is destroyed or gone, nothing flows: as in Node, the source is paused at its first chunk.
    ///
    /// Standard output and standard error are not ended, as in Node: the process has them to its end.
    ///
    /// # Errors
    /// A source that is gone, or is a file that is written; a destination that is a file that is read.
    pub fn pipe(&mut self, from: SocketId, to: SocketId, end: bool) -> Result<(), Error> {
        self.check_pipe(from, to)?;
        let end = end && !self.is_standard(to);
        let into_file = self.is_file(to);
        let number = self.next_pipe;
        let (link, mut later) = self.link(from).ok_or_else(|| Error::new(Code::Gone))?;
        let piping = link.piping.get_or_insert_default();
        link.piped_to_several |= piping.destinations.len() == 1;
        piping.destinations.push(Pipe { to, number, end, hears_drain: false, awaited: false, into_file });
        link.connection.set_listening(true, &mut later);
        let ended = link.connection.end_was_told();
        if let Some(link) = self.sockets.get_mut(to) {
            link.piping.get_or_insert_default().sources.push(from);
        }
        self.next_pipe += 1;
        if ended {
            self.deferred.push_back(Deferred::PipeEnd(from, to));
        }
        if self.needs_drain(to) {
            self.await_drain(from, to);
        } else {
            self.resume(from);
        }
        Ok(())
    }

    /// Takes a pipe away, the oldest one to this destination. With the last, the source is paused.
    pub fn unpipe(&mut self, from: SocketId, to: SocketId) {
        let Some(link) = self.sockets.get_mut(from) else { return };
        let Some(piping) = &mut link.piping else { return };
        let waits = link.piped_to_several || piping.awaits_any();
        let Some(pipe) = piping.destinations.remove_first(|pipe| pipe.to == to) else { return };
        let last = piping.destinations.is_empty();
        if last {
            link.connection.pause();
        }
        let listener = link.listener;
        if let Some((link, mut later)) = self.link(from)
            && last
            && !listener
        {
            link.connection.set_listening(false, &mut later);
        }
        if let Some(piping) = self.sockets.get_mut(to).and_then(|link| link.piping.as_mut()) {
            piping.sources.remove_first(|source| *source == from);
        }
        if pipe.hears_drain && waits {
            self.drained(from, to);
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

    /// The loop is about to sleep: a large buffer that nobody has used since it last did is given back.
    pub(super) fn give_back_the_wide_buffer(&mut self) {
        if self.buffer.len() > READ_BUFFER && !self.read_wide {
            self.buffer = Vec::new();
        }
        self.read_wide = false;
    }

    /// A chunk of a source goes into all its destinations.
    #[inline]
    pub(super) fn pipe_chunk(&mut self, from: SocketId, flow: PipeFlow, chunk: &[u8]) {
        match flow {
            PipeFlow::Nowhere => {}
            PipeFlow::Into(to) => self.pipe_chunk_into(from, to, chunk),
            PipeFlow::IntoSeveral => {
                for pipe in self.pipes_of(from) {
                    self.pipe_chunk_into(from, pipe.to, chunk);
                }
            }
        }
    }

    /// As [`Net::pipe_chunk`], into one socket, with what lies in the read buffer.
    #[inline(always)]
    pub(super) fn pipe_read_bytes(&mut self, from: SocketId, to: SocketId, length: usize) {
        if !self.write_read_bytes(to, length) {
            self.await_drain(from, to);
        }
    }

    fn pipe_chunk_into(&mut self, from: SocketId, to: SocketId, chunk: &[u8]) {
        if !self.write_as(to, chunk, None, Write::PIPE) {
            self.await_drain(from, to);
        }
    }

    /// The source waits for a destination to drain.
    #[cold]
    fn await_drain(&mut self, from: SocketId, to: SocketId) {
        let Some(link) = self.sockets.get_mut(from) else { return };
        let Some(piping) = &mut link.piping else { return };
        let Some(at) = piping.position(to) else { return };
        link.piped_to_several &= piping.destinations.len() > 1;
        let pipe = &mut piping.destinations[at];
        pipe.hears_drain = true;
        pipe.awaited = true;
        link.connection.pause();
    }

    /// A destination has drained: its sources flow again, those that wait for nobody else.
    pub(super) fn drained_pipes(&mut self, to: SocketId) {
        for from in self.sources_of(to) {
            let piping = self.sockets.get(from).and_then(|link| link.piping.as_ref());
            if piping.is_some_and(|piping| piping.destinations.iter().any(|pipe| pipe.to == to && pipe.hears_drain)) {
                self.drained(from, to);
            }
        }
    }

    fn drained(&mut self, from: SocketId, to: SocketId) {
        let Some((link, mut later)) = self.link(from) else { return };
        let Some(piping) = &mut link.piping else { return };
        piping.destinations.iter_mut().filter(|pipe| pipe.to == to).for_each(|pipe| pipe.awaited = false);
        if !piping.awaits_any() && link.connection.is_listening() {
            link.connection.resume(&mut later);
        }
    }

    /// A source has ended: so do the destinations whose pipes say so; the other pipes are taken away. Those that were
    /// made since `before` did not hear it.
    pub(super) fn end_pipes(&mut self, from: SocketId, before: u64) {
        for pipe in self.pipes_of(from).into_iter().filter(|pipe| pipe.number < before) {
            self.end_pipe(from, pipe);
        }
    }

    /// As [`Net::end_pipes`], for one pipe that was made after the end.
    pub(super) fn pipe_ended(&mut self, from: SocketId, to: SocketId) {
        if let Some(pipe) = self.pipes_of(from).into_iter().find(|pipe| pipe.to == to) {
            self.end_pipe(from, pipe);
        }
    }

    fn end_pipe(&mut self, from: SocketId, pipe: Pipe) {
        if pipe.end {
            self.end(pipe.to, None);
        } else {
            self.unpipe(from, pipe.to);
        }
    }

    /// A destination has finished, broken or closed: nobody pipes into it any more. Pipes that were made since `before`
    /// did not hear it.
    pub(super) fn release_pipes_into(&mut self, to: SocketId, before: u64) {
        for from in self.sources_of(to) {
            if self.pipes_of(from).iter().any(|pipe| pipe.to == to && pipe.number < before) {
                self.unpipe(from, to);
            }
        }
    }

    /// A source is gone for good.
    pub(super) fn remove_from_pipes(&mut self, from: SocketId) {
        self.release_pipes_into(from, self.next_pipe);
        for pipe in self.pipes_of(from) {
            if let Some(piping) = self.sockets.get_mut(pipe.to).and_then(|link| link.piping.as_mut()) {
                while piping.sources.remove_first(|source| *source == from).is_some() {}
            }
        }
    }

    fn pipes_of(&self, from: SocketId) -> Vec<Pipe> {
        let piping = self.sockets.get(from).and_then(|link| link.piping.as_ref());
        piping.map_or_else(Vec::new, |piping| piping.destinations.to_vec())
    }

    fn sources_of(&self, to: SocketId) -> Vec<SocketId> {
        let piping = self.sockets.get(to).and_then(|link| link.piping.as_ref());
        piping.map_or_else(Vec::new, |piping| piping.sources.to_vec())
    }
}
