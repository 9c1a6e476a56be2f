//! The writing half: writes on their way into the kernel, their callbacks, and the end behind them.
//!
//! ```text
//!   write ──▶ [ waiting: any number of writes ] ──▶ [ unit: in flight ] ──▶ kernel ──▶ callbacks, drain, finish
//!                corked, or behind a unit             parked while connecting
//! ```
//!
//! Node hands one write to the kernel at a time, or all that waited as one; the bytes of both lie in the write queue.

use super::{
    Admission, Borders, CallbackId, CloseReason, Connection, Finish, Gone, Last, NOTHING, Outgoing, Reading, Segments,
    Span, Stage, Tick, Ticks, Unit, Waiting, WriteQueue, Writing,
};
use crate::base::error::{Code, Error};

impl Outgoing {
    /// Nothing is on its way, waits or is held back: a write that comes has nothing before it.
    #[inline]
    fn is_idle(&self) -> bool {
        self.unit == Unit::None && self.waiting.writes == 0 && self.corked == 0
    }
}

impl Connection {
    /// A write of `length` bytes. The net does what the answer says, then asks [`Connection::write_returns`].
    pub fn write(
        &mut self,
        length: usize,
        last: Last,
        callback: Option<CallbackId>,
        ticks: &mut impl Ticks,
    ) -> Admission {
        if self.writing != Writing::Open {
            let followed_peer = self.reading == Reading::EndTold && !self.allow_half_open;
            let ended_by_peer = followed_peer && last == Last::No;
            let code = if ended_by_peer { Code::EndedByOtherParty } else { Code::WriteAfterEnd };
            self.refuse(callback, code, ticks);
            return if self.is_destroyed() { Admission::Refused } else { Admission::Destroy(code) };
        }
        if self.is_destroyed() {
            self.refuse(callback, Code::Destroyed, ticks);
            return Admission::Refused;
        }
        let number = (length > 0).then(|| self.next_number());
        // What a broadcast left for the flush goes first.
        if !self.outgoing().is_idle() || self.error.is_some() {
            let waiting = &mut self.outgoing_mut().waiting;
            waiting.writes += 1;
            waiting.bytes += length;
            if let Some(callback) = callback {
                self.callbacks_mut().add_waiting(number, callback);
            }
            return Admission::Queue;
        }
        if let Some(callback) = callback {
            self.callbacks_mut().add_to_unit(callback);
        }
        self.begin(length, ticks)
    }

    /// A unit whose callbacks are there begins its way.
    fn begin(&mut self, length: usize, ticks: &mut impl Ticks) -> Admission {
        match self.stage {
            Stage::Connecting => {
                let outgoing = self.outgoing_mut();
                outgoing.unit = Unit::Parked(length);
                outgoing.parked = length;
                Admission::Queue
            }
            Stage::Connected => {
                self.outgoing_mut().unit = Unit::InFlight { length, unsent: length };
                Admission::Now
            }
            _ => {
                self.failed_at_once(Error::new(Code::SocketClosed), ticks);
                Admission::Refused
            }
        }
    }

    /// Keeps what the kernel has not taken of the write that was just admitted.
    pub fn keep(&mut self, bytes: &[u8], borders: Borders) {
        let outgoing = self.outgoing_mut();
        outgoing.queue.push(bytes, borders, outgoing.numbered);
    }

    /// Whether a write goes to the kernel now, with nothing before it.
    #[inline(always)]
    pub fn writes_at_once(&self) -> bool {
        self.stage == Stage::Connected
            && self.writing == Writing::Open
            && self.error.is_none()
            && self.outgoing.as_ref().is_none_or(|outgoing| outgoing.is_idle())
    }

    /// A write of [`Connection::writes_at_once`] was taken whole.
    #[inline]
    pub fn wrote_at_once(&mut self, length: usize, ticks: &mut impl Ticks) {
        self.dispatched += length as u64;
        // As in `schedule_after_write`, less what is known here: every message comes by.
        if self.drain_owed && !self.after_write_scheduled {
            self.after_write_scheduled = true;
            ticks.defer(Tick::AfterWrite(0));
        }
    }

    /// A write of [`Connection::writes_at_once`] was not taken whole.
    pub fn begin_unit(&mut self, length: usize) {
        self.next_number();
        self.outgoing_mut().unit = Unit::InFlight { length, unsent: length };
    }

    /// What `write` returns: whether the buffer is under its mark. If not, `drain` is owed.
    pub fn write_returns(&mut self) -> bool {
        let room = self.has_room();
        self.drain_owed |= !room;
        room && !self.is_destroyed() && self.error.is_none()
    }

    /// A write was refused though nothing is wrong: `drain` will tell when there is room.
    pub fn owe_drain(&mut self) {
        self.drain_owed = true;
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
        self.drain_owed |= !self.has_room();
        true
    }

    pub fn cork(&mut self) {
        self.outgoing_mut().corked += 1;
    }

    /// One cork less. The net looks whether [`Connection::next_unit`] has something.
    pub fn uncork(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.corked = outgoing.corked.saturating_sub(1);
        }
    }

    /// Fully uncorks, as `end` does. To be called before [`Connection::end`].
    pub fn uncork_for_end(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.corked = 0;
        }
    }

    /// No more will be written. The net looks what [`Connection::finish_if_done`] says.
    pub fn end(&mut self, callback: Option<CallbackId>, ticks: &mut impl Ticks) {
        if self.is_destroyed() && self.writing != Writing::Finished {
            return self.refuse(callback, Code::Destroyed, ticks);
        }
        if self.writing == Writing::Open && self.error.is_none() {
            self.writing = Writing::Ending;
            if self.reading == Reading::Open {
                self.reason = CloseReason::EndedHere;
            }
        } else if let Some(callback) = callback
            && self.writing == Writing::Finished
        {
            return self.refuse(Some(callback), Code::AlreadyFinished, ticks);
        }
        if let Some(callback) = callback {
            self.callbacks_mut().add_to_end(callback);
        }
    }

    /// The write that waited for the connection goes out.
    pub fn begin_parked(&mut self) {
        if let Unit::Parked(length) = self.outgoing().unit {
            let outgoing = self.outgoing_mut();
            outgoing.parked = 0;
            outgoing.unit = Unit::InFlight { length, unsent: length };
            self.dispatched += length as u64;
            self.stalls_at(length);
        }
    }

    /// The last thing before `close`: the write in flight fails, and what waits behind it. Says how many callbacks are
    /// ready.
    pub fn cancel_in_flight(&mut self) -> u32 {
        match self.outgoing().unit {
            Unit::InFlight { .. } => self.unit_failed(Error::new(Code::Canceled)),
            _ => 0,
        }
    }

    /// `close` was told: a write that still waits for the connection fails. Says how many callbacks are ready.
    pub fn fail_parked(&mut self, code: Code) -> u32 {
        match self.outgoing().unit {
            Unit::Parked(_) => self.unit_failed(Error::new(code)),
            _ => 0,
        }
    }

    /// The first attempt at a unit: `sent` bytes of it were taken. True if that was all of it.
    #[inline]
    pub fn dispatched(&mut self, sent: usize, ticks: &mut impl Ticks) -> bool {
        let Some(outgoing) = &mut self.outgoing else { return false };
        let Unit::InFlight { length, .. } = outgoing.unit else { return false };
        self.dispatched += length as u64;
        if sent < length {
            outgoing.unit = Unit::InFlight { length, unsent: length - sent };
            self.stalls_at(length);
            return false;
        }
        outgoing.unit = Unit::None;
        let callbacks = self.unit_callbacks_ready();
        self.schedule_after_write(callbacks, ticks);
        true
    }

    /// The first attempt at a unit failed. Its callbacks and the destroy follow on a tick.
    pub fn failed_at_once(&mut self, error: Error, ticks: &mut impl Ticks) {
        if let Unit::InFlight { length, .. } = self.outgoing().unit {
            self.dispatched += length as u64;
        }
        let callbacks = self.unit_failed_itself(error);
        ticks.defer(Tick::WriteFailed(callbacks));
    }

    /// A later attempt took `sent` bytes of the unit in flight. It is over when [`Connection::completed`] says so.
    pub fn progressed(&mut self, sent: usize) {
        if let Some(outgoing) = &mut self.outgoing
            && let Unit::InFlight { unsent, .. } = &mut outgoing.unit
        {
            *unsent = unsent.saturating_sub(sent);
        }
    }

    /// The unit in flight is over; the next one goes out, then [`Connection::after_write`]. Says how many callbacks are
    /// ready.
    pub fn completed(&mut self) -> u32 {
        self.forget_unit();
        self.stalls_at(0);
        self.unit_callbacks_ready()
    }

    /// A later attempt failed. Says how many callbacks are ready; the destroy follows behind them.
    pub fn failed(&mut self, error: Error) -> u32 {
        self.stalls_at(0);
        self.unit_failed(error)
    }

    /// [`Tick::WriteFailed`]: what waits behind the failed write fails too. Says how many callbacks are ready.
    pub fn fail_waiting(&mut self) -> u32 {
        if let Some(outgoing) = &mut self.outgoing {
            if outgoing.unit != Unit::None {
                return 0;
            }
            outgoing.waiting = Waiting::default();
        }
        let error = self.error.as_ref().map_or_else(|| Error::new(Code::Destroyed), |error| (**error).clone());
        let Some(callbacks) = &mut self.callbacks else { return 0 };
        let outcome = Err(error);
        callbacks.waiting_is_over(&outcome) + callbacks.end_is_over(&outcome)
    }

    /// All that waits becomes the next unit, if there is no other and nothing holds it back. Its bytes lie in the queue
    /// already; the net does with them what the answer says.
    pub fn next_unit(&mut self, ticks: &mut impl Ticks) -> Admission {
        if !self.has_unit_ready() {
            return Admission::Queue;
        }
        let length = std::mem::take(&mut self.outgoing_mut().waiting).bytes;
        if let Some(callbacks) = &mut self.callbacks {
            callbacks.begin_unit();
        }
        self.begin(length, ticks)
    }

    /// Whether something waits that nothing holds back.
    #[inline]
    pub fn has_unit_ready(&self) -> bool {
        let outgoing = self.outgoing();
        outgoing.waiting.writes > 0
            && outgoing.unit == Unit::None
            && outgoing.corked == 0
            && !self.is_destroyed()
            && self.error.is_none()
    }

    /// A tick is to tell of so many callbacks, or of `drain`, where it is owed and nothing is left.
    fn schedule_after_write(&mut self, callbacks: u32, ticks: &mut impl Ticks) {
        if callbacks > 0 || (self.drain_owed && self.length() == 0 && !self.after_write_scheduled) {
            self.after_write_scheduled = true;
            ticks.defer(Tick::AfterWrite(callbacks));
        }
    }

    /// A write is over: whether `drain` is to be told. The callbacks follow it.
    pub fn after_write(&mut self) -> bool {
        self.after_write_scheduled = false;
        let drain = self.needs_drain() && self.length() == 0;
        self.drain_owed &= !drain;
        drain
    }

    /// Whether all is written that `end` waits for: then it says how to shut down.
    pub fn finish_if_done(&mut self, ticks: &mut impl Ticks) -> Finish {
        let done = self.writing == Writing::Ending
            && !self.is_destroyed()
            && self.error.is_none()
            && self.outgoing().unit == Unit::None
            && self.outgoing().waiting.writes == 0;
        if !done {
            return Finish::NotYet;
        }
        self.set_writing(Writing::ShuttingDown);
        match self.stage {
            Stage::Connected => Finish::Shutdown,
            Stage::Connecting => Finish::NotYet,
            _ => {
                self.shut(ticks);
                Finish::NotYet
            }
        }
    }

    /// shutdown(2) was done: `finish` follows on a tick.
    pub fn shut(&mut self, ticks: &mut impl Ticks) {
        if self.writing == Writing::ShuttingDown && !self.is_destroyed() && self.error.is_none() {
            self.set_writing(Writing::Shut);
            ticks.defer(Tick::Finish);
        }
    }

    /// [`Tick::Finish`]: the callbacks of `end` are ready, so many; `finish` follows.
    pub fn finished(&mut self) -> u32 {
        self.set_writing(Writing::Finished);
        self.callbacks.as_mut().map_or(0, |callbacks| callbacks.end_is_over(&Ok(())))
    }

    /// A message that waits was dropped by an output limit: it was never written. If it was the last one, no write will
    /// complete and tell `drain`.
    pub fn dropped(&mut self, gone: &Gone, ticks: &mut impl Ticks) {
        let waiting = &mut self.outgoing_mut().waiting;
        waiting.bytes = waiting.bytes.saturating_sub(gone.bytes);
        waiting.writes = waiting.writes.saturating_sub(gone.messages);
        if let Some(callbacks) = &mut self.callbacks {
            for callback in callbacks.take_waiting(&gone.writes) {
                self.callback_due(callback, Err(Error::new(Code::OutputLimit)), ticks);
            }
        }
        self.schedule_after_write(0, ticks);
    }

    pub fn is_finished(&self) -> bool {
        self.writing == Writing::Finished
    }

    pub fn awaits_shutdown(&self) -> bool {
        self.writing == Writing::ShuttingDown && self.stage == Stage::Connected
    }

    /// Whether the kernel holds up a write.
    #[inline]
    pub fn is_in_flight(&self) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| matches!(outgoing.unit, Unit::InFlight { .. }))
    }

    /// Whether a write waits for the connection.
    pub fn is_parked(&self) -> bool {
        matches!(self.outgoing().unit, Unit::Parked(_))
    }

    /// What is left of the write in flight.
    pub fn unsent_in_flight(&self) -> usize {
        match self.outgoing().unit {
            Unit::InFlight { unsent, .. } => unsent,
            _ => 0,
        }
    }

    /// What is left of the write in flight, or of the one that waits for the connection.
    pub fn unsent_in_unit(&self) -> usize {
        match self.outgoing().unit {
            Unit::None => 0,
            Unit::Parked(unsent) | Unit::InFlight { unsent, .. } => unsent,
        }
    }

    /// Node's `writable`: `write` is allowed.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.writing == Writing::Open && !self.is_destroyed() && self.error.is_none()
    }

    pub fn needs_drain(&self) -> bool {
        self.drain_owed && self.writing == Writing::Open && !self.is_destroyed()
    }

    /// Node's `bufferSize` and `writableLength`: bytes of all writes that are not completed; one in flight counts whole.
    #[inline]
    pub fn length(&self) -> usize {
        let outgoing = self.outgoing();
        let unit = match outgoing.unit {
            Unit::None => 0,
            Unit::Parked(length) | Unit::InFlight { length, .. } => length,
        };
        unit + outgoing.waiting.bytes
    }

    #[inline]
    fn has_room(&self) -> bool {
        let length = self.length();
        length == 0 || length < self.high_water_mark()
    }

    /// Bytes of all writes so far, sent or not, of this connection.
    pub fn bytes_written(&self) -> u64 {
        let outgoing = self.outgoing();
        self.dispatched + (outgoing.waiting.bytes + outgoing.parked) as u64
    }

    /// The idle clock is told how much of a write is in flight; 0 for none.
    fn stalls_at(&mut self, length: usize) {
        if let Some(idle) = &mut self.idle {
            idle.write_in_flight(length);
        }
    }

    fn forget_unit(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.unit = Unit::None;
        }
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
        log::trace!("writing: {:?} => {writing:?}", self.writing);
        self.writing = writing;
    }

    /// The unit fails, and all that waits behind it. Says how many callbacks are ready.
    fn unit_failed(&mut self, error: Error) -> u32 {
        self.unit_failed_itself(error) + self.fail_waiting()
    }

    fn unit_failed_itself(&mut self, error: Error) -> u32 {
        self.forget_unit();
        self.error.get_or_insert_with(|| Box::new(error.clone()));
        self.callbacks.as_mut().map_or(0, |callbacks| callbacks.unit_is_over(&Err(error)))
    }

    #[inline]
    fn unit_callbacks_ready(&mut self) -> u32 {
        self.callbacks.as_mut().map_or(0, |callbacks| callbacks.unit_is_over(&Ok(())))
    }
}
