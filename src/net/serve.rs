//! A socket that is ready: its connect comes to an end (`connect.rs`), it is read from, its queue goes on.
//!
//! One socket is served at a time, in steps, and between two steps the deferred work runs: what a handler does about a
//! chunk takes effect before the next chunk is read. The order of the steps is libuv's `uv__stream_io`.

use std::io::ErrorKind;

use super::event::{Chunk, Event};
use super::turn::Step;
use super::{Alarm, Net, READ_BUFFER};
use crate::base::error::{Error, Syscall};
use crate::base::id::SocketId;
use crate::connection::Received;
use crate::kernel::{Token, Whose};

/// Bytes read from one connection in one turn, by reads that come back full: libuv's 32 reads of 64 KiB. One that sends as
/// fast as it can holds the others up for no longer than these take, 0.2 to 0.6 ms. With less, a sender on the same machine
/// fills its own buffer meanwhile, and the kernel then sends on the reader's time: an eighth of this costs three times
/// the processor (`docs/benchmarks.md`).
const BYTES_IN_A_TURN: usize = 2 * 1024 * 1024;

/// The socket whose turn it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serving {
    id: SocketId,
    next: Next,
    /// How many more bytes it may read.
    bytes_left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// It was called, and does not stand in line any more.
    Begin,
    Read,
    Write,
    Shutdown,
}

impl Net {
    /// Sockets in their turn, step by step, up to an event or to something deferred: most turns come to an end without
    /// either.
    #[inline]
    pub(super) fn serve(&mut self) -> Step {
        if let Some(signal) = self.signals.pop_front() {
            return Step::Event(Event::Signal(signal));
        }
        loop {
            let step = self.serve_one();
            if !matches!(step, Step::Worked) || !self.nothing_deferred() {
                return step;
            }
        }
    }

    /// One step of the socket whose turn it is, or the next socket.
    #[inline]
    fn serve_one(&mut self) -> Step {
        if let Some(serving) = self.serving {
            return self.go_on_serving(serving);
        }
        match self.ready.call().map(Token::whose) {
            Some(Whose::Socket(id)) => self.read_once(Serving { id, next: Next::Begin, bytes_left: BYTES_IN_A_TURN }),
            Some(Whose::Server(id)) => self.accept_one(id),
            None => Step::Over,
        }
    }

    fn go_on_serving(&mut self, serving: Serving) -> Step {
        match serving.next {
            Next::Begin | Next::Read => self.read_once(serving),
            Next::Write => match self.sockets.get(serving.id) {
                Some(link) if link.wants_to_write() => {
                    self.serving = Some(Serving { next: Next::Shutdown, ..serving });
                    self.go_on_writing(serving.id)
                }
                _ => {
                    self.served(serving.id);
                    Step::Worked
                }
            },
            Next::Shutdown => {
                // libuv shuts down right behind a write that it was waiting to write, and not in the next flush.
                self.shutdown_if_wanted(serving.id);
                self.served(serving.id);
                Step::Worked
            }
        }
    }

    /// Its turn is over; if there is more to do, it stands in line again.
    fn served(&mut self, id: SocketId) {
        self.serving = None;
        if self.sockets.get(id).is_some_and(|link| link.has_work()) {
            self.make_ready(id);
        }
    }

    /// One read, and what becomes of it. A connect comes to its end here too; what is to be written has its turn behind
    /// that.
    ///
    /// This is where every byte comes through, so the link is looked up once for all that is done before a pipe or a
    /// handler has its say.
    #[inline(always)]
    fn read_once(&mut self, serving: Serving) -> Step {
        let id = serving.id;
        let Some(link) = self.sockets.get_mut(id) else {
            self.serving = None;
            return Step::Worked;
        };
        link.listed &= serving.next != Next::Begin;
        let (true, Some(handle)) = (link.wants_to_read(), link.handle) else {
            return self.read_nothing_now(serving);
        };
        let most = link.most_in_one_read();
        let Some(buffer) = self.buffer.get_mut(..most) else {
            self.buffer = vec![0; most.max(READ_BUFFER)];
            // Once more, with room.
            self.serving = Some(Serving { next: Next::Read, ..serving });
            return Step::Worked;
        };
        let length = match self.kernel.read(handle, buffer) {
            Ok(length) if length > 0 => length,
            nothing => {
                self.serving = Some(Serving { next: Next::Write, ..serving });
                self.read_nothing(id, nothing.err());
                return Step::Worked;
            }
        };
        // A file has one read in a turn: see `file.rs`.
        let full = length == most && link.file.is_none();
        if full || most > READ_BUFFER {
            self.read_wide |= most > READ_BUFFER;
            link.adapt(length, most);
        }
        if !full && !link.latches.ended && !link.looks_for_nothing() {
            // A short read has emptied the socket, and the next byte will be a new edge: no read is needed to find out.
            // Where the peer's end was told, it stands behind these bytes and there will be no other edge.
            link.latches.readable = false;
        }
        // Most sockets that are ready are so for reading, and one read was all.
        if link.latches.readable || link.connection.is_in_flight() {
            let bytes_left = serving.bytes_left.saturating_sub(length);
            let next = if full && bytes_left > 0 { Next::Read } else { Next::Write };
            self.serving = Some(Serving { next, bytes_left, ..serving });
        } else {
            self.serving = None;
        }
        if let Some(due) = link.connection.activity(self.counted_from, &mut self.timers) {
            self.timers.push(due, Alarm::Idle(id));
        }
        if link.connection.received(&self.buffer[..length]) == Received::Done {
            return Step::Worked;
        }
        if let Some(to) = link.sole_destination() {
            self.pipe_read_bytes(id, to, length);
            return Step::Worked;
        }
        let (flow, heard) = (link.pipe_flow(), link.listener);
        let chunk = Chunk { buffer: std::mem::take(&mut self.buffer), length };
        self.pipe_chunk(id, flow, &chunk);
        if heard {
            return Step::Event(Event::Data { socket: id, chunk });
        }
        self.buffer = chunk.buffer;
        Step::Worked
    }

    /// It is not to be read from, or cannot be.
    #[cold]
    fn read_nothing_now(&mut self, serving: Serving) -> Step {
        if self.sockets.get(serving.id).is_some_and(|link| link.is_connecting()) {
            self.serving = None;
            return self.finish_connect(serving.id).map_or(Step::Worked, Step::Event);
        }
        self.serving = Some(Serving { next: Next::Write, ..serving });
        Step::Worked
    }

    /// A read found the peer's end, nothing, or an error.
    fn read_nothing(&mut self, id: SocketId, error: Option<std::io::Error>) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        let Some(error) = error else {
            link.latches.readable = false;
            self.reached_end(id);
            return self.caught_up(id);
        };
        match error.kind() {
            ErrorKind::WouldBlock => {
                link.latches.readable = false;
                match link.rare_if_any().and_then(|rare| rare.unshut.take()) {
                    Some(error) => self.broke(id, error),
                    None => self.caught_up(id),
                }
            }
            // It stays ready, for the next turn.
            ErrorKind::Interrupted => {}
            _ => self.broke(id, Error::system(&error, Syscall::Read)),
        }
    }

    fn reached_end(&mut self, id: SocketId) {
        self.touch(id);
        if let Some((link, mut later)) = self.link(id) {
            link.connection.reached_end(&mut later);
        }
    }
}
