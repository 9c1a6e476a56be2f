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
//! | file | |
//! | --- | --- |
//! | `mod.rs` | its stages, and what there is to it |
//! | `reading.rs`, `read_ahead.rs` | the reading half; what was read and not delivered |
//! | `writing.rs`, `callbacks.rs` | the writing half; who is told when a write is over |
//! | `write_queue.rs`, `segments.rs` | the bytes that wait; those that many wait for |
//! | `idle.rs` | Node's idle clock |
//! | `close_reason.rs`, `ready_state.rs` | words for its users |
//! | `invariants.rs`, `driver.rs` | what is true between two turns; a net of its own, for tests |
//!
//! A connection destroys itself when reading is at EndTold and writing at Finished. Where a rule looks odd it is
//! Node's, and the traces in `tests/conformance` know it.

mod callbacks;
mod close_reason;
#[cfg(any(test, fuzzing))]
#[cfg_attr(fuzzing, allow(dead_code, reason = "the fuzz targets use a part of it"))]
pub(crate) mod driver;
mod idle;
mod invariants;
mod read_ahead;
mod reading;
mod ready_state;
mod segments;
mod write_queue;
mod writing;

use std::time::Duration;

pub use callbacks::CallbackId;
pub use close_reason::CloseReason;
pub(crate) use idle::{Expiry, Idle};
pub(crate) use read_ahead::ReadAhead;
pub use ready_state::ReadyState;
pub(crate) use segments::{Segments, Span};
pub(crate) use write_queue::{Borders, Gone, WriteQueue};

use crate::base::error::{Code, Error};
use crate::base::timers::{Due, Timers};
use callbacks::Callbacks;

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
    /// A write returned false since the last `drain`.
    drain_owed: bool,
    after_write_scheduled: bool,
    /// None, until a write is not taken whole.
    outgoing: Option<Box<Outgoing>>,
    /// Most connections have no idle clock: those that were never given a time.
    pub idle: Option<Box<Idle>>,
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
    /// Never connected.
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

/// What is to be sent and has not been. Most connections never have any, so it is kept apart; once there, it stays.
#[derive(Debug, Default)]
struct Outgoing {
    unit: Unit,
    /// Writes that wait behind the unit, and their bytes.
    waiting: Waiting,
    /// The number of the last write that the queue may have to hold: by it a write that is dropped is found again.
    numbered: u64,
    corked: u32,
    /// Bytes of the write that waits for the connection. It outlives a destroy, as in Node, for `bytes_written` only.
    parked: usize,
    /// The bytes themselves, of the unit and of what waits behind it.
    queue: WriteQueue,
}

/// What a connection has to send that has nothing.
static NOTHING: Outgoing = Outgoing {
    unit: Unit::None,
    waiting: Waiting { writes: 0, bytes: 0 },
    numbered: 0,
    corked: 0,
    parked: 0,
    queue: WriteQueue::new(),
};

/// What is being written. Node hands one write to the kernel at a time, or all that were waiting as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Unit {
    #[default]
    None,
    /// It waits for the connection.
    Parked(usize),
    /// The kernel has refused a part of it; `unsent` is that part, `length` the whole.
    InFlight { length: usize, unsent: usize },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Waiting {
    writes: u32,
    bytes: usize,
}

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

impl Connection {
    /// One that is not connected. The mark is in bytes, at most 1 GiB.
    pub fn new(high_water_mark: usize, allow_half_open: bool) -> Self {
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
            drain_owed: false,
            after_write_scheduled: false,
            outgoing: None,
            idle: None,
            callbacks: None,
            error: None,
            high_water_mark: high_water_mark as u32,
            allow_half_open,
            bytes_read: 0,
            dispatched: 0,
            reason: CloseReason::PeerEnded,
        }
    }

    /// One that a server accepted. It begins to read at once, unless it is to begin paused.
    pub fn accepted(high_water_mark: usize, allow_half_open: bool, paused: bool) -> Self {
        Connection {
            stage: Stage::Connected,
            flow: if paused { Flow::Paused } else { Flow::Initial },
            armed: !paused,
            ..Connection::new(high_water_mark, allow_half_open)
        }
    }

    /// A file that is read: it has nothing to write, and nothing is read before somebody takes it.
    pub fn reading_file(high_water_mark: usize) -> Self {
        Connection { stage: Stage::Connected, writing: Writing::Finished, ..Connection::new(high_water_mark, true) }
    }

    /// A file that is written: its end was told already.
    pub fn writing_file(high_water_mark: usize) -> Self {
        Connection {
            stage: Stage::Connected,
            reading: Reading::EndTold,
            reason: CloseReason::EndedHere,
            ..Connection::new(high_water_mark, true)
        }
    }

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
            if let Some(outgoing) = &mut self.outgoing {
                outgoing.unit = Unit::None;
                outgoing.waiting = Waiting::default();
                outgoing.parked = 0;
            }
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

    /// Ends it at once. False if it was over already. The net closes the descriptor and owes the `close`.
    /// Without a reason, it is that both halves are over.
    pub fn destroy(&mut self, error: Option<Error>, reason: Option<CloseReason>, ticks: &mut impl Ticks) -> bool {
        if self.is_destroyed() {
            return false;
        }
        if self.outgoing().waiting.writes > 0
            || self.callbacks.as_ref().is_some_and(|callbacks| callbacks.has_any_for_end())
        {
            ticks.defer(Tick::FailWaiting);
        }
        let had_descriptor = self.stage != Stage::Fresh;
        let failed = error.is_some();
        self.reason = reason.unwrap_or(self.reason);
        if let Some(error) = error {
            self.error.get_or_insert_with(|| Box::new(error));
        }
        self.armed = false;
        if let Some(idle) = &mut self.idle {
            idle.stop();
        }
        self.set_stage(Stage::Destroyed { sealed: false, failed });
        ticks.defer(if failed { Tick::Error } else { Tick::Seal });
        if !had_descriptor {
            ticks.defer(Tick::Close);
        }
        true
    }

    /// The connection is there; `connect` is told next, then [`Connection::start`].
    pub fn connected(&mut self) {
        self.set_stage(Stage::Connected);
    }

    /// The `connect` handlers have run: what waited for the connection goes on. Says what is to be written.
    pub fn start(&mut self) -> Start {
        if self.stage != Stage::Connected {
            // A handler destroyed it: what was parked fails here, what stands behind it with it.
            if let Some(outgoing) = &mut self.outgoing {
                outgoing.parked = 0;
            }
            return match self.outgoing().unit {
                Unit::Parked(_) => Start::FailParked,
                _ => Start::Nothing,
            };
        }
        let start = match self.outgoing().unit {
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

    /// Told by [`Tick::Error`] and [`Tick::Seal`]: nothing is read any more.
    pub fn seal(&mut self) {
        if let Stage::Destroyed { failed, .. } = self.stage {
            self.set_stage(Stage::Destroyed { sealed: true, failed });
        }
    }

    /// `close` is told now. What it says.
    pub fn close(&mut self) -> (bool, CloseReason) {
        let failed = matches!(self.stage, Stage::Destroyed { failed: true, .. });
        self.set_stage(Stage::Closed);
        (failed, self.reason)
    }

    /// Sets the time of the idle clock: see [`Idle::set`].
    pub fn set_idle<K: Ord + Copy>(
        &mut self,
        period: Option<Duration>,
        now: Duration,
        timers: &mut Timers<K>,
    ) -> Option<Due> {
        if self.idle.is_none() && period.is_some() {
            let mut idle = Idle::default();
            if let Unit::InFlight { length, .. } = self.outgoing().unit {
                idle.write_in_flight(length);
            }
            self.idle = Some(Box::new(idle));
        }
        self.idle.as_mut()?.set(period, now, timers)
    }

    /// Something moved: see [`Idle::activity`].
    #[inline]
    pub fn activity<K: Ord + Copy>(&mut self, now: Duration, timers: &mut Timers<K>) -> Option<Due> {
        self.idle.as_mut()?.activity(now, timers)
    }

    pub fn stage(&self) -> Stage {
        self.stage
    }

    pub fn is_destroyed(&self) -> bool {
        matches!(self.stage, Stage::Destroyed { .. } | Stage::Closed)
    }

    fn is_sealed(&self) -> bool {
        matches!(self.stage, Stage::Destroyed { sealed: true, .. } | Stage::Closed)
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

    pub fn high_water_mark(&self) -> usize {
        self.high_water_mark as usize
    }

    pub fn error(&self) -> Option<&Error> {
        self.error.as_deref()
    }

    fn set_stage(&mut self, stage: Stage) {
        log::trace!("{:?} => {stage:?}", self.stage);
        self.stage = stage;
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
