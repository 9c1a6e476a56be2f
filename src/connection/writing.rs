//! The writing half: writes on their way into the kernel, their callbacks, and the end after them.
//!
//! ```text
//!   write ──▶ [ waiting: any number of writes ] ──▶ [ current: in flight ] ──▶ kernel ──▶ callbacks, drain, finish
//!                corked, or after the current one      pending while connecting
//! ```
//!
//! Node hands one write to the kernel at a time, or all that waited as one; the bytes of both lie in the write queue.

use super::{
    Boundaries, CallbackId, CloseReason, ConnTask, Connection, Evicted, Segments, Span, Stage, Tasks, WriteQueue,
};
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;

/// The state of the writing half of a connection.
#[derive(Debug)]
pub(super) struct WriteHalf {
    state: Writing,
    /// A write returned false since the last `drain`. It may be so long before a task for it is in the queue.
    drain_needed: bool,
    /// A [`ConnTask::AfterWrite`] is in the queue, which emits `drain`: a second one would be too much.
    after_write_scheduled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    Ending,
    ShuttingDown,
    Shut,
    Finished,
}

/// What is to be sent and has not been. Most connections never have any, so it is kept apart; once there, it stays.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub current: Current,
    /// Writes that wait after the current one, and their bytes.
    waiting: Waiting,
    /// The number of the last write that the queue may have to hold: by it a write that is dropped is found again.
    numbered: u64,
    corked: u32,
    /// It goes out in pieces, one a turn, and never at once: what a file has.
    in_pieces: bool,
    /// Bytes of the write that waits for the connection. It outlives a destroy, as in Node, for `bytes_written` only.
    pending: usize,
    /// The bytes themselves, of the current write and of those that wait after it.
    queue: WriteQueue,
}

/// What a connection has to send that has nothing.
static NOTHING: Outgoing = Outgoing {
    current: Current::None,
    waiting: Waiting { writes: 0, bytes: 0 },
    numbered: 0,
    corked: 0,
    in_pieces: false,
    pending: 0,
    queue: WriteQueue::new(),
};

/// What is being written. Node hands one write to the kernel at a time, or all that were waiting as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Current {
    #[default]
    None,
    /// It waits for the connection.
    Pending(usize),
    /// The kernel has refused a part of it; `unsent` is that part, `length` the whole.
    InFlight { length: usize, unsent: usize },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Waiting {
    writes: u32,
    bytes: usize,
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

impl Outgoing {
    /// Of a file that is written: no write goes to the kernel at once.
    pub fn in_pieces() -> Self {
        Outgoing { in_pieces: true, ..Outgoing::default() }
    }

    /// Whether writes wait after the current one.
    pub fn waits(&self) -> bool {
        self.waiting.writes > 0
    }

    /// Whether the numbers agree with each other, and with the bytes that are there. `is_over`: none are to be there.
    pub fn check(&self, is_over: bool) -> Result<(), String> {
        self.queue.check()?;
        let current = match self.current {
            Current::None => 0,
            Current::Pending(unsent) | Current::InFlight { unsent, .. } => unsent,
        };
        let unsent = if is_over { 0 } else { current + self.waiting.bytes };
        if self.queue.unsent() != unsent {
            return Err(format!("{unsent} bytes are counted as unsent, {} are queued", self.queue.unsent()));
        }
        if let Current::InFlight { length, unsent } = self.current
            && unsent > length
        {
            return Err(format!("{unsent} of {length} bytes in flight are unsent"));
        }
        match self.waiting {
            Waiting { writes: 0, bytes: 1.. } => Err(format!("{} bytes wait that nobody wrote", self.waiting.bytes)),
            _ => Ok(()),
        }
    }

    /// Nothing is on its way, waits or is held back: a write that comes has nothing before it.
    #[inline]
    fn is_idle(&self) -> bool {
        self.current == Current::None && self.waiting.writes == 0 && self.corked == 0
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
        if self.write.state != Writing::Open {
            let followed_peer = self.end_was_emitted() && !self.allow_half_open;
            let ended_by_peer = followed_peer && last == Last::No;
            let kind = if ended_by_peer { ErrorKind::EndedByOtherParty } else { ErrorKind::WriteAfterEnd };
            self.refuse(callback, kind, tasks);
            return if self.is_destroyed() { Admission::Refused } else { Admission::Destroy(kind) };
        }
        if self.is_destroyed() {
            self.refuse(callback, ErrorKind::Destroyed, tasks);
            return Admission::Refused;
        }
        let number = (length > 0).then(|| self.next_number());
        // What a broadcast left for the flush goes first.
        if !self.outgoing().is_idle() || self.has_failed() {
            let waiting = &mut self.outgoing_mut().waiting;
            waiting.writes += 1;
            waiting.bytes += length;
            if let Some(callback) = callback {
                self.callbacks_mut().add_waiting(number, callback);
            }
            return Admission::Queue;
        }
        if let Some(callback) = callback {
            self.callbacks_mut().add_to_current(callback);
        }
        self.begin(length, tasks)
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

    #[cold]
    fn refuse_without_connection(&mut self, tasks: &mut impl Tasks) -> Admission {
        self.failed_at_once(Error::new(ErrorKind::SocketClosed), tasks);
        Admission::Refused
    }

    /// Keeps what the kernel has not taken of the write that was just admitted.
    pub fn keep(&mut self, bytes: &[u8], boundaries: Boundaries) {
        let outgoing = self.outgoing_mut();
        outgoing.queue.push(bytes, boundaries, outgoing.numbered);
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

    /// No more will be written. [`Connection::finish_if_done`] says when all is.
    pub fn end(&mut self, callback: Option<CallbackId>, tasks: &mut impl Tasks) {
        if self.is_destroyed() && self.write.state != Writing::Finished {
            return self.refuse(callback, ErrorKind::Destroyed, tasks);
        }
        if self.write.state == Writing::Open && !self.has_failed() {
            self.set_writing(Writing::Ending);
            if !self.has_ended() {
                self.reason = CloseReason::EndedHere;
            }
        } else if let Some(callback) = callback
            && self.write.state == Writing::Finished
        {
            return self.refuse(Some(callback), ErrorKind::AlreadyFinished, tasks);
        }
        if let Some(callback) = callback {
            self.callbacks_mut().add_to_end(callback);
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

    /// The last thing before `close`: the write in flight fails, and what waits after it. Says how many callbacks are
    /// ready.
    pub fn cancel_in_flight(&mut self) -> u32 {
        match self.outgoing().current {
            Current::InFlight { .. } => self.current_failed(Error::new(ErrorKind::Canceled)),
            _ => 0,
        }
    }

    /// `close` was emitted: a write that still waits for the connection fails. Says how many callbacks are ready.
    pub fn fail_pending(&mut self, kind: ErrorKind) -> u32 {
        match self.outgoing().current {
            Current::Pending(_) => self.current_failed(Error::new(kind)),
            _ => 0,
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
        let callbacks = self.current_callbacks_ready();
        self.schedule_after_write(callbacks, tasks);
    }

    /// The first attempt at the current write failed. Its callbacks and the destroy follow as a task.
    pub fn failed_at_once(&mut self, error: Error, tasks: &mut impl Tasks) {
        if let Current::InFlight { length, .. } = self.outgoing().current {
            self.dispatched += length as u64;
        }
        let callbacks = self.current_failed_itself(error);
        tasks.push(ConnTask::WriteFailed(callbacks));
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
        self.current_callbacks_ready()
    }

    /// A later attempt failed. Says how many callbacks are ready; the destroy follows them.
    pub fn failed(&mut self, error: Error) -> u32 {
        self.stalls_at(0);
        self.current_failed(error)
    }

    /// [`ConnTask::WriteFailed`]: what waits after the failed write fails too. Says how many callbacks are ready.
    pub fn fail_waiting(&mut self) -> u32 {
        if let Some(outgoing) = &mut self.outgoing {
            if outgoing.current != Current::None {
                return 0;
            }
            outgoing.waiting = Waiting::default();
        }
        let error = self.error().cloned().unwrap_or_else(|| Error::new(ErrorKind::Destroyed));
        let Some(callbacks) = self.callbacks() else { return 0 };
        let outcome = Err(error);
        callbacks.waiting_is_over(&outcome) + callbacks.end_is_over(&outcome)
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

    /// Goes on with an `end` when all is written that it waits for. Whether shutdown(2) is to be done now.
    pub fn finish_if_done(&mut self, tasks: &mut impl Tasks) -> bool {
        let outgoing = self.outgoing();
        let done = self.write.state == Writing::Ending
            && !self.is_destroyed()
            && !self.has_failed()
            && outgoing.current == Current::None
            && outgoing.waiting.writes == 0;
        if !done {
            return false;
        }
        self.set_writing(Writing::ShuttingDown);
        match self.stage {
            Stage::Connected => return true,
            // The connection will ask for it: see `Connection::start`.
            Stage::Connecting => {}
            _ => self.shut(tasks),
        }
        false
    }

    /// shutdown(2) was done: `finish` follows as a task.
    pub fn shut(&mut self, tasks: &mut impl Tasks) {
        if self.write.state == Writing::ShuttingDown && !self.is_destroyed() && !self.has_failed() {
            self.set_writing(Writing::Shut);
            tasks.push(ConnTask::Finish);
        }
    }

    /// [`ConnTask::Finish`]: the callbacks of `end` are ready, so many; `finish` follows.
    pub fn finished(&mut self) -> u32 {
        self.set_writing(Writing::Finished);
        self.callbacks().map_or(0, |callbacks| callbacks.end_is_over(&Ok(())))
    }

    /// A message that waits was dropped by an output limit: it was never written. If it was the last one, no write will
    /// complete and emit `drain`.
    pub fn evicted(&mut self, evicted: &Evicted, tasks: &mut impl Tasks) {
        let waiting = &mut self.outgoing_mut().waiting;
        waiting.bytes = waiting.bytes.saturating_sub(evicted.bytes);
        waiting.writes = waiting.writes.saturating_sub(evicted.messages);
        if let Some(callbacks) = self.callbacks() {
            for callback in callbacks.take_waiting(&evicted.writes) {
                self.callback_due(callback, Err(Error::new(ErrorKind::OutputLimit)), tasks);
            }
        }
        self.schedule_after_write(0, tasks);
    }

    pub fn is_finished(&self) -> bool {
        self.write.state == Writing::Finished
    }

    pub fn awaits_shutdown(&self) -> bool {
        self.write.state == Writing::ShuttingDown && self.stage == Stage::Connected
    }

    #[cfg(test)]
    pub fn writing(&self) -> String {
        format!("{:?}", self.write.state)
    }

    /// Whether `end` was called, by its user or because the other side has ended.
    #[inline]
    pub fn end_was_called(&self) -> bool {
        self.write.state != Writing::Open
    }

    /// Whether the kernel holds up a write.
    #[inline]
    pub fn is_in_flight(&self) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| matches!(outgoing.current, Current::InFlight { .. }))
    }

    /// Whether a write waits for the connection.
    pub fn is_pending(&self) -> bool {
        matches!(self.outgoing().current, Current::Pending(_))
    }

    /// What is left of the write in flight.
    pub fn unsent_in_flight(&self) -> usize {
        match self.outgoing().current {
            Current::InFlight { unsent, .. } => unsent,
            _ => 0,
        }
    }

    /// What is left of the write in flight, or of the one that waits for the connection.
    pub fn unsent_in_current(&self) -> usize {
        match self.outgoing().current {
            Current::None => 0,
            Current::Pending(unsent) | Current::InFlight { unsent, .. } => unsent,
        }
    }

    /// Node's `writable`: `write` is allowed.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.write.state == Writing::Open && !self.is_destroyed() && !self.has_failed()
    }

    pub fn needs_drain(&self) -> bool {
        self.write.drain_needed && self.write.state == Writing::Open && !self.is_destroyed()
    }

    /// Node's `bufferSize` and `writableLength`: bytes of all writes that are not completed; one in flight counts whole.
    #[inline]
    pub fn length(&self) -> usize {
        let outgoing = self.outgoing();
        let current = match outgoing.current {
            Current::None => 0,
            Current::Pending(length) | Current::InFlight { length, .. } => length,
        };
        current + outgoing.waiting.bytes
    }

    #[inline]
    fn has_room(&self) -> bool {
        let length = self.length();
        length == 0 || length < self.high_water_mark()
    }

    /// Bytes of all writes so far, sent or not, of this connection.
    pub fn bytes_written(&self) -> u64 {
        let outgoing = self.outgoing();
        self.dispatched + (outgoing.waiting.bytes + outgoing.pending) as u64
    }

    /// The idle clock is told how much of a write is in flight; 0 for none.
    fn stalls_at(&mut self, length: usize) {
        if let Some(idle) = self.idle_mut() {
            idle.write_in_flight(length);
        }
    }

    fn forget_current(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.current = Current::None;
        }
    }

    /// What the last connection left is not the next one's.
    pub(super) fn forget_what_waits(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.current = Current::None;
            outgoing.waiting = Waiting::default();
            outgoing.pending = 0;
        }
        self.write.drain_needed = false;
    }

    /// There will be no connection for what waits for it. Whether something does.
    pub(super) fn forget_pending(&mut self) -> bool {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.pending = 0;
        }
        self.is_pending()
    }

    #[inline]
    pub(super) fn outgoing(&self) -> &Outgoing {
        self.outgoing.as_deref().unwrap_or(&NOTHING)
    }

    #[inline]
    fn outgoing_mut(&mut self) -> &mut Outgoing {
        self.outgoing.get_or_insert_default()
    }

    /// The bytes that are queued.
    #[inline]
    pub fn queue(&self) -> &WriteQueue {
        &self.outgoing().queue
    }

    /// The bytes that are queued, to be changed.
    #[inline]
    pub fn queue_mut(&mut self) -> &mut WriteQueue {
        &mut self.outgoing_mut().queue
    }

    /// None of what is queued will be sent.
    pub fn clear_queue(&mut self, segments: &mut Segments) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.queue.clear(segments);
        }
    }

    fn next_number(&mut self) -> u64 {
        let outgoing = self.outgoing_mut();
        outgoing.numbered += 1;
        outgoing.numbered
    }

    fn set_writing(&mut self, writing: Writing) {
        log::trace!("writing: {:?} => {writing:?}", self.write.state);
        self.write.state = writing;
    }

    /// The current write fails, and all that waits after it. Says how many callbacks are ready.
    fn current_failed(&mut self, error: Error) -> u32 {
        self.current_failed_itself(error) + self.fail_waiting()
    }

    fn current_failed_itself(&mut self, error: Error) -> u32 {
        self.forget_current();
        self.fail(&error);
        self.callbacks().map_or(0, |callbacks| callbacks.current_is_over(&Err(error)))
    }

    #[inline]
    fn current_callbacks_ready(&mut self) -> u32 {
        self.callbacks().map_or(0, |callbacks| callbacks.current_is_over(&Ok(())))
    }
}
