//! The writing half: writes on their way into the kernel, their callbacks, and the end after them.
//!
//! ```text
//!   write ──▶ [ waiting: any number of writes ] ──▶ [ current: in flight ] ──▶ kernel ──▶ callbacks, drain, finish
//!                corked, or after the current one      pending while connecting
//! ```
//!
//! Node hands one write to the kernel at a time, or all that waited as one; the bytes of both lie in the write queue.

use super::callbacks::Place;
use super::outgoing::{Current, Waiting};
use super::{CallbackId, ConnTask, Connection, Evicted, Segments, Span, Stage, Tasks};
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;

/// The state of the writing half of a connection.
#[derive(Debug)]
pub(super) struct WriteHalf {
    pub state: Writing,
    /// A write returned false since the last `drain`. It may be so long before a task for it is in the queue.
    drain_needed: bool,
    /// A [`ConnTask::AfterWrite`] is in the queue, which emits `drain`: a second one would be too much.
    after_write_scheduled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    Open,
    Ending,
    ShuttingDown,
    Shut,
    Finished,
}

/// How a write was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Try the kernel now, and tell [`Connection::dispatched`] what it took.
    Now,
    /// Keep the bytes in the queue.
    Queue,
    /// It will not be written; what follows is a task.
    Refused,
    /// As refused, and the connection is to be destroyed with this error.
    Destroy(ErrorKind),
}

/// Whether a write is the last one, given to `end`. Node words its error otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    No,
    Yes,
}

impl WriteHalf {
    pub fn new() -> Self {
        WriteHalf { state: Writing::Open, drain_needed: false, after_write_scheduled: false }
    }

    /// That of a file that is read.
    pub fn finished() -> Self {
        WriteHalf { state: Writing::Finished, ..WriteHalf::new() }
    }

    /// Another connection begins.
    pub fn begin(&mut self) {
        self.state = Writing::Open;
    }
}

impl Connection {
    /// A write of `length` bytes. When the answer is carried out, [`Connection::write_returns`] says what the user gets.
    pub fn write(
        &mut self,
        length: usize,
        last: Last,
        callback: Option<CallbackId>,
        tasks: &mut impl Tasks,
    ) -> Admission {
        if let Some(kind) = self.refusal(last) {
            if let Some(callback) = callback {
                self.refuse(callback, kind, tasks);
            }
            return if self.is_destroyed() { Admission::Refused } else { Admission::Destroy(kind) };
        }
        let number = (length > 0).then(|| self.next_number());
        // What a broadcast left for the flush goes first.
        if !self.outgoing().is_idle() || self.has_failed() {
            let waiting = &mut self.outgoing_mut().waiting;
            waiting.writes += 1;
            waiting.bytes += length;
            let until = waiting.bytes;
            if let Some(callback) = callback {
                self.callbacks_mut().add_waiting(callback, number, until);
            }
            return Admission::Queue;
        }
        if let Some(callback) = callback {
            self.callbacks_mut().add_to_current(callback);
        }
        self.begin(length, tasks)
    }

    /// Why a write is refused, if it is.
    pub fn refusal(&self, last: Last) -> Option<ErrorKind> {
        if self.write.state == Writing::Open {
            return self.is_destroyed().then_some(ErrorKind::Destroyed);
        }
        let followed_peer = self.end_was_emitted() && !self.allow_half_open;
        Some(match last {
            Last::No if followed_peer => ErrorKind::EndedByOtherParty,
            _ => ErrorKind::WriteAfterEnd,
        })
    }

    /// A write whose callbacks are there becomes the current one.
    #[inline]
    fn begin(&mut self, length: usize, tasks: &mut impl Tasks) -> Admission {
        match self.stage {
            Stage::Connecting => {
                let outgoing = self.outgoing_mut();
                outgoing.current = Current::Pending(length);
                outgoing.pending = length;
                Admission::Queue
            }
            Stage::Connected => {
                self.outgoing_mut().current = Current::InFlight { length, unsent: length };
                Admission::Now
            }
            _ => self.refuse_without_connection(tasks),
        }
    }

    /// Keeps what the kernel has not taken of the write that was just admitted.
    pub fn keep(&mut self, bytes: &[u8], segments: &mut Segments) {
        let outgoing = self.outgoing_mut();
        outgoing.queue.push(bytes, outgoing.numbered, segments);
    }

    /// What a flush has left of its broadcasts is kept: see `settle` of the write queue.
    pub fn settle(&mut self, segments: &mut Segments) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.queue.settle(segments);
        }
    }

    /// Whether a write goes to the kernel now, with nothing before it.
    #[inline(always)]
    pub fn writes_at_once(&self) -> bool {
        self.stage == Stage::Connected
            && self.write.state == Writing::Open
            && !self.has_failed()
            && self.outgoing.as_ref().is_none_or(|outgoing| outgoing.is_idle() && !outgoing.in_pieces)
    }

    /// Whether nothing is before a write.
    pub fn is_free_to_write(&self) -> bool {
        self.stage == Stage::Connected
            && self.write.state == Writing::Open
            && !self.has_failed()
            && self.outgoing().is_idle()
    }

    /// A write of [`Connection::writes_at_once`] was taken whole.
    #[inline]
    pub fn wrote_at_once(&mut self, length: usize, tasks: &mut impl Tasks) {
        self.dispatched += length as u64;
        // As in `schedule_after_write`, less what is known here: every message comes by.
        if self.write.drain_needed && !self.write.after_write_scheduled {
            self.write.after_write_scheduled = true;
            tasks.push(ConnTask::AfterWrite(0));
        }
    }

    /// A write of [`Connection::writes_at_once`] was not taken whole.
    pub fn begin_write(&mut self, length: usize) {
        self.next_number();
        self.outgoing_mut().current = Current::InFlight { length, unsent: length };
    }

    /// What `write` returns: whether the buffer is under its mark. If not, `drain` will follow.
    pub fn write_returns(&mut self) -> bool {
        let room = self.has_room();
        self.write.drain_needed |= !room;
        room && !self.is_destroyed() && !self.has_failed()
    }

    /// A write was refused though nothing is wrong: `drain` will tell when there is room.
    pub fn need_drain(&mut self) {
        self.write.drain_needed = true;
    }

    /// As [`Connection::queue_message`], for most messages of a room in which much is said: each goes right after the last one,
    /// nothing is in flight, and no mark is reached. `most` is how much may be queued. Says whether it was queued.
    #[inline(always)]
    pub fn queue_next_message(&mut self, message: Span, most: usize) -> bool {
        let follows = self.outgoing.as_ref().is_some_and(|outgoing| outgoing.queue.is_followed_by(message));
        if !follows || !self.is_writable() || !self.is_connected() {
            return false;
        }
        let mark = self.high_water_mark();
        let Some(outgoing) = &mut self.outgoing else { return false };
        let bytes = outgoing.waiting.bytes + message.len();
        if outgoing.current != Current::None || bytes >= mark || bytes > most {
            return false;
        }
        outgoing.queue.extend_newest(message);
        outgoing.waiting = Waiting { writes: outgoing.waiting.writes + 1, bytes };
        true
    }

    /// A message of a broadcast: as a write that waits for the flush. False if this connection cannot be written to;
    /// then nothing has changed, and it is nobody's mistake.
    #[inline]
    pub fn queue_message(&mut self, message: Span, segments: &mut Segments) -> bool {
        if !self.is_writable() || self.stage == Stage::Fresh {
            return false;
        }
        let outgoing = self.outgoing_mut();
        outgoing.waiting.writes += 1;
        outgoing.waiting.bytes += message.len();
        outgoing.queue.push_shared(message, segments);
        self.write.drain_needed |= !self.has_room();
        true
    }

    pub fn cork(&mut self) {
        self.outgoing_mut().corked += 1;
    }

    /// One cork less. With the last, [`Connection::next_write`] has what waited.
    pub fn uncork(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.corked = outgoing.corked.saturating_sub(1);
        }
    }

    /// Takes all corks away, as `end` does.
    pub fn uncork_all(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.corked = 0;
        }
    }

    /// The write that waited for the connection goes out.
    pub fn begin_pending(&mut self) {
        if let Current::Pending(length) = self.outgoing().current {
            let outgoing = self.outgoing_mut();
            outgoing.pending = 0;
            outgoing.current = Current::InFlight { length, unsent: length };
            self.dispatched += length as u64;
            self.stalls_at(length);
        }
    }

    /// The first attempt at the current write: `sent` bytes of it were taken.
    #[inline]
    pub fn dispatched(&mut self, sent: usize, tasks: &mut impl Tasks) {
        let Some(outgoing) = &mut self.outgoing else { return };
        let Current::InFlight { length, .. } = outgoing.current else { return };
        self.dispatched += length as u64;
        if sent < length {
            outgoing.current = Current::InFlight { length, unsent: length - sent };
            return self.stalls_at(length);
        }
        outgoing.current = Current::None;
        let callbacks = self.current_callbacks_ready(Place::Last);
        self.schedule_after_write(callbacks, tasks);
    }

    /// A later attempt took `sent` bytes of the write in flight. With the last of them, [`Connection::completed`] follows.
    pub fn progressed(&mut self, sent: usize) {
        if let Some(outgoing) = &mut self.outgoing
            && let Current::InFlight { unsent, .. } = &mut outgoing.current
        {
            *unsent = unsent.saturating_sub(sent);
        }
    }

    /// The write in flight is over. Says how many callbacks are ready.
    pub fn completed(&mut self) -> u32 {
        self.forget_current();
        self.stalls_at(0);
        self.current_callbacks_ready(Place::First)
    }

    /// All that waits becomes the current write, if there is no other and nothing holds it back. Its bytes lie in the queue
    /// already.
    #[inline]
    pub fn next_write(&mut self, tasks: &mut impl Tasks) -> Admission {
        if !self.has_write_ready() {
            return Admission::Queue;
        }
        let length = std::mem::take(&mut self.outgoing_mut().waiting).bytes;
        if let Some(callbacks) = self.callbacks() {
            callbacks.begin_current();
        }
        self.begin(length, tasks)
    }

    /// Whether something waits that nothing holds back.
    #[inline]
    pub fn has_write_ready(&self) -> bool {
        let outgoing = self.outgoing();
        outgoing.waiting.writes > 0
            && outgoing.current == Current::None
            && outgoing.corked == 0
            && !self.is_destroyed()
            && !self.has_failed()
    }

    /// So many callbacks are to run, or `drain` is to be emitted, where it is needed and nothing is left.
    #[inline]
    fn schedule_after_write(&mut self, callbacks: u32, tasks: &mut impl Tasks) {
        if callbacks > 0 || (self.write.drain_needed && self.length() == 0 && !self.write.after_write_scheduled) {
            self.write.after_write_scheduled = true;
            tasks.push(ConnTask::AfterWrite(callbacks));
        }
    }

    /// A write is over: whether `drain` is emitted. The callbacks follow it.
    pub fn emits_drain(&mut self) -> bool {
        self.write.after_write_scheduled = false;
        let drain = self.needs_drain() && self.length() == 0;
        self.write.drain_needed &= !drain;
        drain
    }

    /// A message that waits was dropped by an output limit: it was never written. If it was the last one, no write will
    /// complete and emit `drain`.
    pub fn evicted(&mut self, evicted: &Evicted, tasks: &mut impl Tasks) {
        let waiting = &mut self.outgoing_mut().waiting;
        waiting.bytes = waiting.bytes.saturating_sub(evicted.bytes);
        waiting.writes = waiting.writes.saturating_sub(1);
        if let Some(write) = evicted.write {
            self.evicted_write(write, tasks);
        }
        self.schedule_after_write(0, tasks);
    }

    fn evicted_write(&mut self, write: u64, tasks: &mut impl Tasks) {
        // The numbers in a queue follow each other.
        let numbered = &mut self.outgoing_mut().numbered;
        *numbered -= u64::from(*numbered == write);
        if let Some(callback) = self.callbacks().and_then(|callbacks| callbacks.take_waiting(write)) {
            self.callback_due(callback, Err(Error::new(ErrorKind::OutputLimit)), tasks);
        }
    }

    #[cfg(test)]
    pub fn writing(&self) -> String {
        format!("{:?}", self.write.state)
    }

    /// Node's `writable`: `write` is allowed.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.write.state == Writing::Open && !self.is_destroyed() && !self.has_failed()
    }

    /// Node's `writableNeedDrain`: a write has returned false, and no `drain` came since. A socket that connects again keeps it,
    /// as in Node, and has its `drain` after the first write.
    pub fn needs_drain(&self) -> bool {
        self.write.drain_needed && self.write.state == Writing::Open && !self.is_destroyed()
    }

    /// Whether a `drain` will come without another write. Where it would not, nobody must wait for it.
    pub fn awaits_drain(&self) -> bool {
        self.needs_drain() && (self.length() > 0 || self.write.after_write_scheduled)
    }

    #[inline]
    fn has_room(&self) -> bool {
        let length = self.length();
        length == 0 || length < self.high_water_mark()
    }

    /// Tells the idle clock how much of a write is in flight; 0 for none.
    pub(super) fn stalls_at(&mut self, length: usize) {
        if let Some(idle) = self.idle_mut() {
            idle.write_in_flight(length);
        }
    }

    fn next_number(&mut self) -> u64 {
        let outgoing = self.outgoing_mut();
        outgoing.numbered += 1;
        outgoing.numbered
    }

    #[inline]
    fn current_callbacks_ready(&mut self, place: Place) -> u32 {
        self.callbacks().map_or(0, |callbacks| callbacks.current_is_over(&Ok(()), place))
    }
}
