//! One connection as a pure state machine: what Node's `net.Socket` does, without a socket and without a clock.
//!
//! It is told what happened (`received`, `reached_end`, `progressed`, ...) and what the user wants (`write`, `end`,
//! `pause`, ...), and it answers what is to be done now. It never does anything itself: the net (`net/`) makes the
//! system calls and hands out the events. What is to happen *after* the current call, Node's next tick, goes into
//! [`Tick`]s, which the net runs before its next piece of work.
//!
//! ```text
//!           connect()          connected()
//!   Fresh ────────────▶ Connecting ────────▶ Connected        accepted: begins here
//!     │                     │                    │
//!     │ destroy             │ destroy, failed    │ destroy, or both halves below are over
//!     ▼                     ▼                    ▼
//!   Destroyed ─────────────────────────────────────────▶ Closed ──▶ (connect() again, inside `close`)
//!                  the `close` event, once and last
//!
//!   reading:  Open ──FIN──▶ EndSeen ──all delivered──▶ EndTold
//!             paused or not is another question: Flow = Initial | Paused | Flowing
//!
//!   writing:  Open ──end()──▶ Ending ──all written──▶ ShuttingDown ──shutdown(2)──▶ Shut ──tick──▶ Finished
//!             one write, or all that were waiting, is in flight at a time: Unit = None | Parked | InFlight
//! ```
//!
//! A connection destroys itself when reading is at EndTold and writing at Finished. Where a rule looks odd it is
//! Node's, and the traces in `tests/conformance` know it.

mod idle;
mod read_ahead;
mod write_queue;

use std::collections::VecDeque;

pub(crate) use idle::{Expiry, Idle};
pub(crate) use read_ahead::ReadAhead;
pub(crate) use write_queue::{Borders, Segments, WriteQueue};

use crate::error::{Code, Error};

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stage: Stage,
    reading: Reading,
    flow: Flow,
    /// Whether anybody takes the data: a `data` handler, or a pipe.
    listening: bool,
    /// Whether the kernel is read from. It stops when read-ahead reaches the mark, not when the user pauses.
    armed: bool,
    /// A read was asked for before there was a connection: it begins even if the user has paused meanwhile.
    read_when_connected: bool,
    resume_scheduled: bool,
    read_ahead: ReadAhead,

    writing: Writing,
    unit: Unit,
    /// Writes that wait behind the unit, and their bytes.
    waiting: Waiting,
    corked: u32,
    /// A write returned false since the last `drain`.
    drain_owed: bool,
    after_write_scheduled: bool,
    /// Bytes of the write that waits for the connection. It outlives a destroy, as in Node, for `bytes_written` only.
    parked: usize,

    /// The bytes themselves, of the unit and of what waits behind it.
    pub queue: WriteQueue,
    pub idle: Idle,
    callbacks: Option<Box<Callbacks>>,

    /// What broke it: given to `destroy`, or by a failed write. Kept until the next connect.
    error: Option<Box<Error>>,
    /// The bounds of both directions' buffers. Node's name for them.
    high_water_mark: u32,
    allow_half_open: bool,
    bytes_read: u64,
    /// Bytes handed to the kernel's side, a unit in flight in full.
    dispatched: u64,
    reason: CloseReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Never connected, or reborn by nothing yet.
    Fresh,
    /// From `connect` to its end, the lookup of the address included.
    Connecting,
    Connected,
    /// `close` is owed. From `sealed` on no `data` and no `end` is told any more.
    Destroyed {
        sealed: bool,
        failed: bool,
    },
    /// `close` was told.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Open,
    EndSeen,
    EndTold,
}

/// Node's `readableFlowing`: null, false, true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Initial,
    Paused,
    Flowing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Open,
    Ending,
    ShuttingDown,
    Shut,
    Finished,
}

/// What is being written. Node hands one write to the kernel at a time, or all that were waiting as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    None,
    /// It waits for the connection.
    Parked(usize),
    /// The kernel has refused a part of it; `unsent` is that part, `length` the whole.
    InFlight {
        length: usize,
        unsent: usize,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Waiting {
    /// The number of the oldest of them; writes that waited are numbered as they come.
    first: u64,
    writes: u32,
    bytes: usize,
}

/// The callbacks of writes and of `end`. Most connections never have any.
#[derive(Debug, Default)]
struct Callbacks {
    unit: Vec<CallbackId>,
    /// With the numbers of their writes.
    waiting: Vec<(u64, CallbackId)>,
    end: Vec<CallbackId>,
    /// Those whose turn has come, with their outcome.
    ready: VecDeque<(CallbackId, Result<(), Error>)>,
}

/// Names a callback of a write or an `end`; whoever gave the callback knows what it stands for.
pub type CallbackId = u64;

/// Something that happens after the current call and before the loop's next piece of work: Node's `nextTick`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// connect(2) goes out.
    Connect,
    /// `resume` takes effect.
    Resume,
    /// `end` is told, if nothing has come between.
    End,
    /// The other side has ended, and half-open is off: so do we.
    EndWriting,
    /// Writes were taken at once: `drain`, and so many callbacks.
    AfterWrite(u32),
    /// A write failed at once: its callbacks, then destroy.
    WriteFailed(u32),
    /// `finish`.
    Finish,
    /// `error`, after which nothing is read.
    Error,
    /// Nothing is read any more.
    Seal,
    /// Queued writes fail: the connection was destroyed.
    FailWaiting,
    /// So many callbacks that are due by themselves.
    Callbacks(u32),
    /// `close` of a socket that never had a descriptor.
    Close,
    /// A reset that waited for the connection.
    Reset,
}

/// Where a [`Tick`] goes.
pub(crate) trait Ticks {
    fn defer(&mut self, tick: Tick);
}

/// Why a connection is closed, in its `close` event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The other side ended first, and this side followed.
    PeerEnded,
    /// The other side reset the connection.
    PeerReset,
    /// This side ended first, and the other side followed.
    EndedHere,
    /// `destroy` or `reset` was called here.
    DestroyedHere,
    /// Nothing happened for too long: the idle timeout of a server that closes such connections, or ETIMEDOUT.
    Timeout,
    /// The other side did not read, and an output limit said that this was enough.
    OutputLimit,
    /// The loop was stopped.
    Shutdown,
    /// The connection was never made.
    ConnectFailed,
    /// Any other error; the `error` event told which.
    Error,
}

/// How a write was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Try the kernel now, and tell [`Connection::dispatched`] what it took.
    Now,
    /// Keep the bytes in the queue.
    Queue,
    /// It will not be written; what follows is deferred.
    Refused,
    /// As refused, and the connection is to be destroyed with this error.
    Destroy(Code),
}

/// Whether a write is the last one, given to `end`. Node words its error otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    No,
    Yes,
}

/// What to do with a chunk that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Tell `data`, or write it into the pipes.
    Deliver,
    /// It was kept for `resume`, or nobody wants it.
    Done,
}

/// How `socket.readyState` reads in Node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadyState {
    /// Connecting.
    Opening,
    /// Both directions are open; also before the first `connect`.
    Open,
    /// This side has ended.
    ReadOnly,
    /// The other side has ended.
    WriteOnly,
    /// Neither direction is open.
    Closed,
}

impl Waiting {
    /// None of them waits any more.
    fn clear(&mut self) {
        *self = Waiting { first: self.first + u64::from(self.writes), ..Waiting::default() };
    }
}

impl ReadyState {
    /// Node's word for it: `"open"`, `"readOnly"`.
    pub fn name(self) -> &'static str {
        match self {
            ReadyState::Opening => "opening",
            ReadyState::Open => "open",
            ReadyState::ReadOnly => "readOnly",
            ReadyState::WriteOnly => "writeOnly",
            ReadyState::Closed => "closed",
        }
    }
}

impl Connection {
    pub fn new(high_water_mark: u32, allow_half_open: bool) -> Self {
        Connection {
            stage: Stage::Fresh,
            reading: Reading::Open,
            flow: Flow::Initial,
            listening: false,
            armed: false,
            read_when_connected: false,
            resume_scheduled: false,
            read_ahead: ReadAhead::default(),
            writing: Writing::Open,
            unit: Unit::None,
            waiting: Waiting::default(),
            corked: 0,
            drain_owed: false,
            after_write_scheduled: false,
            parked: 0,
            queue: WriteQueue::default(),
            idle: Idle::default(),
            callbacks: None,
            error: None,
            high_water_mark,
            allow_half_open,
            bytes_read: 0,
            dispatched: 0,
            reason: CloseReason::PeerEnded,
        }
    }

    /// One that a server accepted. It begins to read at once, unless it is to begin paused.
    pub fn accepted(high_water_mark: u32, allow_half_open: bool, paused: bool) -> Self {
        Connection {
            stage: Stage::Connected,
            flow: if paused { Flow::Paused } else { Flow::Initial },
            armed: !paused,
            ..Connection::new(high_water_mark, allow_half_open)
        }
    }

    // ---- commands -----------------------------------------------------------------------------------------------

    /// Begins to connect, for the first time or again. What the user has set stays; what the last connection left goes.
    pub fn connect(&mut self, ticks: &mut impl Ticks) -> Result<(), Error> {
        match self.stage {
            Stage::Fresh | Stage::Closed => {}
            Stage::Connecting => return Err(Error::invalid("the socket is connecting already")),
            Stage::Connected => return Err(Error::invalid("the socket is connected already")),
            Stage::Destroyed { .. } => {
                return Err(Error::invalid("the socket is closing: connect again inside `close`, not before"));
            }
        }
        if self.stage == Stage::Closed {
            let left = self.fail_all(Code::ClosedBeforeConnection);
            if left > 0 {
                ticks.defer(Tick::Callbacks(left));
            }
            self.unit = Unit::None;
            self.waiting = Waiting::default();
            self.parked = 0;
            self.drain_owed = false;
            self.read_ahead.clear();
        }
        self.reading = Reading::Open;
        self.writing = Writing::Open;
        self.error = None;
        self.reason = CloseReason::PeerEnded;
        self.bytes_read = 0;
        self.dispatched = 0;
        self.set_stage(Stage::Connecting);
        ticks.defer(Tick::Connect);
        Ok(())
    }

    /// A handler for data came or went. The first one makes it flow, unless the user has paused.
    pub fn set_listening(&mut self, listening: bool, ticks: &mut impl Ticks) {
        self.listening = listening;
        if listening && self.flow != Flow::Paused {
            self.resume(ticks);
        }
    }

    pub fn pause(&mut self) {
        if !self.is_destroyed() {
            self.flow = Flow::Paused;
        }
    }

    pub fn resume(&mut self, ticks: &mut impl Ticks) {
        if self.is_destroyed() || self.flow == Flow::Flowing {
            return;
        }
        self.flow = Flow::Flowing;
        if !self.resume_scheduled {
            self.resume_scheduled = true;
            ticks.defer(Tick::Resume);
        }
    }

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
        // What a broadcast left for the flush goes first.
        let behind_others = self.unit != Unit::None || self.waiting.writes > 0;
        if behind_others || self.error.is_some() || self.corked > 0 {
            let number = self.waiting.first + u64::from(self.waiting.writes);
            self.waiting.writes += 1;
            self.waiting.bytes += length;
            if let Some(callback) = callback {
                self.callbacks.get_or_insert_default().waiting.push((number, callback));
            }
            return Admission::Queue;
        }
        self.keep_callback(callback, |callbacks| &mut callbacks.unit);
        match self.stage {
            Stage::Connecting => {
                self.unit = Unit::Parked(length);
                self.parked = length;
                Admission::Queue
            }
            Stage::Connected => {
                self.unit = Unit::InFlight { length, unsent: length };
                Admission::Now
            }
            _ => {
                self.failed_at_once(Error::new(Code::SocketClosed), ticks);
                Admission::Refused
            }
        }
    }

    /// Whether a write goes to the kernel now, with nothing before it.
    #[inline]
    pub fn writes_at_once(&self) -> bool {
        self.stage == Stage::Connected
            && self.writing == Writing::Open
            && self.unit == Unit::None
            && self.waiting.writes == 0
            && self.corked == 0
            && self.error.is_none()
    }

    /// A write of [`Connection::writes_at_once`] was taken whole.
    #[inline]
    pub fn wrote_at_once(&mut self, length: usize, ticks: &mut impl Ticks) {
        self.dispatched += length as u64;
        if self.drain_owed && !self.after_write_scheduled {
            self.after_write_scheduled = true;
            ticks.defer(Tick::AfterWrite(0));
        }
    }

    /// A write of [`Connection::writes_at_once`] was not taken whole.
    pub fn begin_unit(&mut self, length: usize) {
        self.unit = Unit::InFlight { length, unsent: length };
    }

    /// What `write` returns: whether the buffer is under its mark. If not, `drain` is owed.
    pub fn write_returns(&mut self) -> bool {
        let room = self.has_room();
        self.drain_owed |= !room;
        room && !self.is_destroyed() && self.error.is_none()
    }

    /// A message of a broadcast: as a write that waits for the flush. False if this connection cannot be written to;
    /// then nothing has changed, and it is nobody's mistake.
    #[inline]
    pub fn admit_message(&mut self, length: usize) -> bool {
        if !self.is_writable() || self.stage == Stage::Fresh {
            return false;
        }
        self.waiting.writes += 1;
        self.waiting.bytes += length;
        self.drain_owed |= !self.has_room();
        true
    }

    pub fn cork(&mut self) {
        self.corked += 1;
    }

    /// One cork less. The net looks whether [`Connection::next_unit`] has something.
    pub fn uncork(&mut self) {
        self.corked = self.corked.saturating_sub(1);
    }

    /// Fully uncorks, as `end` does. To be called before [`Connection::end`].
    pub fn uncork_for_end(&mut self) {
        self.corked = 0;
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
        self.keep_callback(callback, |callbacks| &mut callbacks.end);
    }

    /// Ends it at once. False if it was over already. The net closes the descriptor and owes the `close`.
    /// Without a reason, it is that both halves are over.
    pub fn destroy(&mut self, error: Option<Error>, reason: Option<CloseReason>, ticks: &mut impl Ticks) -> bool {
        if self.is_destroyed() {
            return false;
        }
        if self.waiting.writes > 0 || self.callbacks.as_ref().is_some_and(|callbacks| !callbacks.end.is_empty()) {
            ticks.defer(Tick::FailWaiting);
        }
        let had_descriptor = self.stage != Stage::Fresh;
        let failed = error.is_some();
        self.reason = reason.unwrap_or(self.reason);
        if let Some(error) = error {
            self.error.get_or_insert_with(|| Box::new(error));
        }
        self.armed = false;
        self.idle.stop();
        self.set_stage(Stage::Destroyed { sealed: false, failed });
        ticks.defer(if failed { Tick::Error } else { Tick::Seal });
        if !had_descriptor {
            ticks.defer(Tick::Close);
        }
        true
    }

    // ---- what happened: connecting and closing --------------------------------------------------------------------

    /// The connection is there; `connect` is told next, then [`Connection::start`].
    pub fn connected(&mut self) {
        self.set_stage(Stage::Connected);
    }

    /// The `connect` handlers have run: what waited for the connection goes on. Says what is to be written.
    pub fn start(&mut self) -> Start {
        if self.stage != Stage::Connected {
            // A handler destroyed it: what was parked fails here, what stands behind it with it.
            self.parked = 0;
            return match self.unit {
                Unit::Parked(_) => Start::FailParked,
                _ => Start::Nothing,
            };
        }
        let start = match self.unit {
            Unit::Parked(_) => Start::Dispatch,
            _ if self.writing == Writing::ShuttingDown => Start::Shutdown,
            _ => Start::Nothing,
        };
        if self.read_when_connected || self.flow != Flow::Paused {
            self.read_when_connected = false;
            self.arm();
        }
        start
    }

    /// The write that waited for the connection goes out.
    pub fn begin_parked(&mut self) {
        if let Unit::Parked(length) = self.unit {
            self.parked = 0;
            self.unit = Unit::InFlight { length, unsent: length };
            self.dispatched += length as u64;
            self.idle.write_in_flight(length);
        }
    }

    /// Told by [`Tick::Error`] and [`Tick::Seal`]: nothing is read any more.
    pub fn seal(&mut self) {
        if let Stage::Destroyed { failed, .. } = self.stage {
            self.set_stage(Stage::Destroyed { sealed: true, failed });
        }
    }

    /// The last thing before `close`: the write in flight fails, and what waits behind it. Says how many callbacks are
    /// ready.
    pub fn cancel_in_flight(&mut self) -> u32 {
        match self.unit {
            Unit::InFlight { .. } => self.unit_failed(Error::new(Code::Canceled)),
            _ => 0,
        }
    }

    /// `close` is told now. What it says.
    pub fn close(&mut self) -> (bool, CloseReason) {
        let failed = matches!(self.stage, Stage::Destroyed { failed: true, .. });
        self.set_stage(Stage::Closed);
        (failed, self.reason)
    }

    /// `close` was told: a write that still waits for the connection fails. Says how many callbacks are ready.
    pub fn fail_parked(&mut self, code: Code) -> u32 {
        match self.unit {
            Unit::Parked(_) => self.unit_failed(Error::new(code)),
            _ => 0,
        }
    }

    // ---- what happened: reading -----------------------------------------------------------------------------------

    /// `chunk` was read.
    #[inline]
    pub fn received(&mut self, chunk: &[u8]) -> Received {
        self.bytes_read += chunk.len() as u64;
        if self.error.is_some() {
            // A failed write will destroy it in a moment. Node throws the bytes away too.
            self.armed = false;
            return Received::Done;
        }
        match self.flow {
            Flow::Flowing if self.listening => Received::Deliver,
            Flow::Flowing => Received::Done,
            Flow::Initial | Flow::Paused => {
                self.read_ahead.push(chunk);
                self.armed = self.below_read_mark();
                Received::Done
            }
        }
    }

    /// The peer's end was read. `end` follows when all is delivered, even if nobody listens and the user has paused.
    pub fn reached_end(&mut self, ticks: &mut impl Ticks) {
        self.armed = false;
        if self.reading == Reading::Open {
            self.reading = Reading::EndSeen;
            if self.read_ahead.length() == 0 {
                ticks.defer(Tick::End);
            }
        }
    }

    /// [`Tick::Resume`]: reading begins again, and what was kept flows: see [`Connection::flow`].
    pub fn resume_now(&mut self) {
        self.arm_below_mark();
        self.resume_scheduled = false;
    }

    /// The next kept chunk, if it flows. None ends the flow.
    pub fn flow(&mut self, ticks: &mut impl Ticks) -> Option<Vec<u8>> {
        loop {
            if self.flow != Flow::Flowing {
                return None;
            }
            let before = self.read_ahead.length();
            let Some(chunk) = self.read_ahead.pop() else {
                self.arm_below_mark();
                return None;
            };
            if before - chunk.len() < self.high_water_mark as usize {
                self.arm();
            }
            if self.reading == Reading::EndSeen && self.read_ahead.length() == 0 {
                ticks.defer(Tick::End);
            }
            if self.listening && !self.is_sealed() {
                return Some(chunk);
            }
        }
    }

    /// [`Tick::End`]: whether `end` is to be told.
    pub fn tell_end(&mut self) -> bool {
        let tell = self.reading == Reading::EndSeen
            && self.read_ahead.length() == 0
            && self.error.is_none()
            && !self.is_sealed();
        if tell {
            self.reading = Reading::EndTold;
        }
        tell
    }

    /// `end` was told. What follows from it.
    pub fn after_end(&mut self, ticks: &mut impl Ticks) -> AfterEnd {
        if self.is_writable() && !self.allow_half_open {
            ticks.defer(Tick::EndWriting);
        } else if self.writing == Writing::Finished {
            return AfterEnd::Destroy;
        }
        AfterEnd::Nothing
    }

    // ---- what happened: writing -----------------------------------------------------------------------------------

    /// The first attempt at a unit: `sent` bytes of it were taken. True if that was all of it.
    #[inline]
    pub fn dispatched(&mut self, sent: usize, ticks: &mut impl Ticks) -> bool {
        let Unit::InFlight { length, .. } = self.unit else { return false };
        self.dispatched += length as u64;
        if sent < length {
            self.unit = Unit::InFlight { length, unsent: length - sent };
            self.idle.write_in_flight(length);
            return false;
        }
        self.unit = Unit::None;
        let callbacks = self.unit_callbacks_ready();
        if callbacks > 0 || (self.drain_owed && self.length() == 0 && !self.after_write_scheduled) {
            self.after_write_scheduled = true;
            ticks.defer(Tick::AfterWrite(callbacks));
        }
        true
    }

    /// The first attempt at a unit failed. Its callbacks and the destroy follow on a tick.
    pub fn failed_at_once(&mut self, error: Error, ticks: &mut impl Ticks) {
        if let Unit::InFlight { length, .. } = self.unit {
            self.dispatched += length as u64;
        }
        let callbacks = self.unit_failed_itself(error);
        ticks.defer(Tick::WriteFailed(callbacks));
    }

    /// A later attempt took `sent` bytes of the unit in flight. It is over when [`Connection::completed`] says so.
    pub fn progressed(&mut self, sent: usize) {
        if let Unit::InFlight { unsent, .. } = &mut self.unit {
            *unsent = unsent.saturating_sub(sent);
        }
    }

    /// The unit in flight is over; the next one goes out, then [`Connection::after_write`]. Says how many callbacks are
    /// ready.
    pub fn completed(&mut self) -> u32 {
        self.unit = Unit::None;
        self.idle.write_completed();
        self.unit_callbacks_ready()
    }

    /// A later attempt failed. Says how many callbacks are ready; the destroy follows behind them.
    pub fn failed(&mut self, error: Error) -> u32 {
        self.idle.write_completed();
        self.unit_failed(error)
    }

    /// [`Tick::WriteFailed`]: what waits behind the failed write fails too. Says how many callbacks are ready.
    pub fn fail_waiting(&mut self) -> u32 {
        if self.unit != Unit::None {
            return 0;
        }
        self.waiting.clear();
        let outcome = |otherwise| match &self.error {
            Some(error) => (**error).clone(),
            None => Error::new(otherwise),
        };
        let outcome = outcome(Code::Destroyed);
        let Some(callbacks) = self.callbacks.as_mut() else { return 0 };
        let failed = callbacks.waiting.drain(..).map(|(_, callback)| callback).chain(callbacks.end.drain(..));
        let before = callbacks.ready.len();
        callbacks.ready.extend(failed.map(|callback| (callback, Err(outcome.clone()))));
        (callbacks.ready.len() - before) as u32
    }

    /// All that waits becomes the next unit, if there is no other and nothing holds it back. Says whether
    /// there is one now.
    pub fn next_unit(&mut self) -> bool {
        if self.waiting.writes == 0
            || self.unit != Unit::None
            || self.corked > 0
            || self.stage != Stage::Connected
            || self.error.is_some()
        {
            return false;
        }
        let length = self.waiting.bytes;
        self.waiting.clear();
        self.unit = Unit::InFlight { length, unsent: length };
        if let Some(callbacks) = &mut self.callbacks {
            callbacks.unit.extend(callbacks.waiting.drain(..).map(|(_, callback)| callback));
        }
        true
    }

    /// A write is over: whether `drain` is to be told. The callbacks follow it.
    pub fn after_write(&mut self) -> bool {
        self.after_write_scheduled = false;
        let drain = self.drain_owed && self.writing == Writing::Open && !self.is_destroyed() && self.length() == 0;
        if drain {
            self.drain_owed = false;
        }
        drain
    }

    /// Whether all is written that `end` waits for: then it says how to shut down.
    pub fn finish_if_done(&mut self, ticks: &mut impl Ticks) -> Finish {
        let done = self.writing == Writing::Ending
            && !self.is_destroyed()
            && self.error.is_none()
            && self.unit == Unit::None
            && self.waiting.writes == 0;
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
        let Some(callbacks) = self.callbacks.as_mut() else { return 0 };
        let before = callbacks.ready.len();
        callbacks.ready.extend(callbacks.end.drain(..).map(|callback| (callback, Ok(()))));
        (callbacks.ready.len() - before) as u32
    }

    /// A callback is due on the next tick.
    pub fn callback_due(&mut self, callback: CallbackId, outcome: Result<(), Error>, ticks: &mut impl Ticks) {
        self.callbacks.get_or_insert_default().ready.push_back((callback, outcome));
        ticks.defer(Tick::Callbacks(1));
    }

    /// All callbacks that no outcome has come for get this one. Says how many.
    fn fail_all(&mut self, code: Code) -> u32 {
        let Some(callbacks) = self.callbacks.as_mut() else { return 0 };
        let waiting = callbacks.waiting.drain(..).map(|(_, callback)| callback);
        let all = callbacks.unit.drain(..).chain(waiting).chain(callbacks.end.drain(..));
        let before = callbacks.ready.len();
        callbacks.ready.extend(all.map(|callback| (callback, Err(Error::new(code)))));
        (callbacks.ready.len() - before) as u32
    }

    /// Whether the outcome of a callback is still to be told.
    pub fn has_callbacks_due(&self) -> bool {
        self.callbacks.as_ref().is_some_and(|callbacks| !callbacks.ready.is_empty())
    }

    /// Takes the next callback whose turn has come.
    pub fn take_callback(&mut self) -> Option<(CallbackId, Result<(), Error>)> {
        let callbacks = self.callbacks.as_mut()?;
        let next = callbacks.ready.pop_front();
        if callbacks.ready.is_empty()
            && callbacks.unit.is_empty()
            && callbacks.waiting.is_empty()
            && callbacks.end.is_empty()
        {
            self.callbacks = None;
        }
        next
    }

    /// The oldest message that waits was dropped by an output limit: it was never written.
    pub fn dropped(&mut self, length: usize, ticks: &mut impl Ticks) {
        let number = self.waiting.first;
        self.waiting.first += 1;
        if let Some(callbacks) = &mut self.callbacks
            && callbacks.waiting.first().is_some_and(|(of, _)| *of == number)
        {
            let (_, callback) = callbacks.waiting.remove(0);
            self.callback_due(callback, Err(Error::new(Code::OutputLimit)), ticks);
        }
        self.waiting.bytes = self.waiting.bytes.saturating_sub(length);
        self.waiting.writes = self.waiting.writes.saturating_sub(1).max(u32::from(self.waiting.bytes > 0));
    }

    // ---- questions ------------------------------------------------------------------------------------------------

    pub fn stage(&self) -> Stage {
        self.stage
    }

    pub fn is_destroyed(&self) -> bool {
        matches!(self.stage, Stage::Destroyed { .. } | Stage::Closed)
    }

    fn is_sealed(&self) -> bool {
        matches!(self.stage, Stage::Destroyed { sealed: true, .. } | Stage::Closed)
    }

    /// Whether the kernel is to be read from.
    #[inline]
    pub fn is_armed(&self) -> bool {
        self.armed
    }

    pub fn is_paused(&self) -> bool {
        self.flow == Flow::Paused
    }

    pub fn is_listening(&self) -> bool {
        self.listening
    }

    /// Whether the peer's end was read.
    pub fn has_ended(&self) -> bool {
        self.reading != Reading::Open
    }

    pub fn end_was_told(&self) -> bool {
        self.reading == Reading::EndTold
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
        matches!(self.unit, Unit::InFlight { .. })
    }

    /// Whether a write waits for the connection.
    pub fn is_parked(&self) -> bool {
        matches!(self.unit, Unit::Parked(_))
    }

    /// What is left of the write in flight.
    pub fn unsent_in_flight(&self) -> usize {
        match self.unit {
            Unit::InFlight { unsent, .. } => unsent,
            _ => 0,
        }
    }

    /// Node's `readable`: `data` or `end` can still come.
    pub fn is_readable(&self) -> bool {
        !self.is_destroyed() && self.reading != Reading::EndTold
    }

    /// Node's `writable`: `write` is allowed.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.writing == Writing::Open && !self.is_destroyed() && self.error.is_none()
    }

    pub fn needs_drain(&self) -> bool {
        self.drain_owed && self.writing == Writing::Open && !self.is_destroyed()
    }

    pub fn ready_state(&self) -> ReadyState {
        match (self.stage, self.is_readable(), self.is_writable()) {
            (Stage::Connecting, ..) => ReadyState::Opening,
            (_, true, true) => ReadyState::Open,
            (_, true, false) => ReadyState::ReadOnly,
            (_, false, true) => ReadyState::WriteOnly,
            (_, false, false) => ReadyState::Closed,
        }
    }

    /// Node's `bufferSize` and `writableLength`: bytes of all writes that are not completed; one in flight counts whole.
    #[inline]
    pub fn length(&self) -> usize {
        let unit = match self.unit {
            Unit::None => 0,
            Unit::Parked(length) | Unit::InFlight { length, .. } => length,
        };
        unit + self.waiting.bytes
    }

    #[inline]
    fn has_room(&self) -> bool {
        let length = self.length();
        length == 0 || length < self.high_water_mark as usize
    }

    pub fn high_water_mark(&self) -> usize {
        self.high_water_mark as usize
    }

    pub fn read_ahead(&self) -> usize {
        self.read_ahead.length()
    }

    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// Bytes of all writes so far, sent or not, of this connection.
    pub fn bytes_written(&self) -> u64 {
        self.dispatched + (self.waiting.bytes + self.parked) as u64
    }

    pub fn error(&self) -> Option<&Error> {
        self.error.as_deref()
    }

    // ---- inside -----------------------------------------------------------------------------------------------------

    fn set_stage(&mut self, stage: Stage) {
        log::trace!("{:?} => {stage:?}", self.stage);
        self.stage = stage;
    }

    fn set_writing(&mut self, writing: Writing) {
        log::trace!("writing: {:?} => {writing:?}", self.writing);
        self.writing = writing;
    }

    fn below_read_mark(&self) -> bool {
        let length = self.read_ahead.length();
        length == 0 || length < self.high_water_mark as usize
    }

    fn arm_below_mark(&mut self) {
        if self.below_read_mark() {
            self.arm();
        }
    }

    /// Reads from the kernel from now on, or from the connection on.
    fn arm(&mut self) {
        if self.reading != Reading::Open || self.is_destroyed() || self.error.is_some() {
            return;
        }
        match self.stage {
            Stage::Connected => self.armed = true,
            _ => self.read_when_connected = true,
        }
    }

    /// The unit fails, and all that waits behind it. Says how many callbacks are ready.
    fn unit_failed(&mut self, error: Error) -> u32 {
        self.unit_failed_itself(error) + self.fail_waiting()
    }

    fn unit_failed_itself(&mut self, error: Error) -> u32 {
        self.unit = Unit::None;
        self.error.get_or_insert_with(|| Box::new(error.clone()));
        let Some(callbacks) = self.callbacks.as_mut() else { return 0 };
        let count = callbacks.unit.len() as u32;
        callbacks.ready.extend(callbacks.unit.drain(..).map(|callback| (callback, Err(error.clone()))));
        count
    }

    #[inline]
    fn unit_callbacks_ready(&mut self) -> u32 {
        let Some(callbacks) = self.callbacks.as_mut() else { return 0 };
        let count = callbacks.unit.len() as u32;
        callbacks.ready.extend(callbacks.unit.drain(..).map(|callback| (callback, Ok(()))));
        count
    }

    fn refuse(&mut self, callback: Option<CallbackId>, code: Code, ticks: &mut impl Ticks) {
        if let Some(callback) = callback {
            self.callback_due(callback, Err(Error::new(code)), ticks);
        }
    }

    fn keep_callback(
        &mut self,
        callback: Option<CallbackId>,
        place: impl FnOnce(&mut Callbacks) -> &mut Vec<CallbackId>,
    ) {
        if let Some(callback) = callback {
            place(self.callbacks.get_or_insert_default()).push(callback);
        }
    }
}

/// What waited for the connection. See [`Connection::start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Nothing,
    /// The write that was parked goes out.
    Dispatch,
    Shutdown,
    FailParked,
}

/// See [`Connection::after_end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterEnd {
    Nothing,
    Destroy,
}

/// See [`Connection::finish_if_done`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    NotYet,
    Shutdown,
}

#[cfg(test)]
mod tests;
