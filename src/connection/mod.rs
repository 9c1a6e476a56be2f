//! One connection as a pure state machine: what Node's `net.Socket` does, without a socket and without a clock.
//!
//! It is told what happened (`received`, `reached_end`, `progressed`, ...) and what the user wants (`write`, `end`,
//! `pause`, ...), and it answers what is to be done now. It never does anything itself: `net/conn/` makes the system calls,
//! and the events come from there. What is to happen *after* the current call, Node's next tick, is a [`ConnTask`].
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
//!   reading:  Open ──FIN──▶ EndSeen ──all delivered──▶ EndEmitted
//!             paused or not is another question: Flow = Initial | Paused | Flowing
//!
//!   writing:  Open ──end()──▶ Ending ──all written──▶ ShuttingDown ──shutdown(2)──▶ Shut ──task──▶ Finished
//!             one write, or all that were waiting, is on its way at a time: Current = None | Pending | InFlight
//! ```
//!
//! | file | |
//! | --- | --- |
//! | `mod.rs` | its stages, and what there is to it |
//! | `reading.rs`, `read_ahead.rs` | the reading half; what was read and not delivered |
//! | `writing.rs`, `ending.rs`, `failing.rs` | the writing half; its end; writes that fail |
//! | `callbacks.rs` | the callbacks of writes and of `end` |
//! | `outgoing.rs` | what is to be sent |
//! | `write_queue/` | its bytes: the queue; what of it is dropped; how its memory stays within a bound |
//! | `owned.rs`, `segments.rs` | bytes that one connection waits for; those that many wait for |
//! | `task.rs` | what comes next |
//! | `idle.rs` | Node's idle clock |
//! | `close_reason.rs`, `ready_state.rs` | words for its users |
//! | `invariants.rs` | what is true between two turns |
//!
//! A connection is over when reading is at EndEmitted and writing at Finished. Where a rule looks odd it is Node's, and the
//! traces in `tests/conformance` know it.

mod callbacks;
mod close_reason;
mod ending;
mod failing;
mod idle;
mod invariants;
mod outgoing;
mod owned;
pub(crate) mod race;
mod read_ahead;
mod reading;
mod ready_state;
mod segments;
mod task;
mod write_queue;
mod writing;

use std::time::Duration;

pub use callbacks::CallbackId;
pub use close_reason::CloseReason;
pub(crate) use idle::Idle;
pub(crate) use read_ahead::ReadAhead;
pub(crate) use reading::Received;
pub use ready_state::ReadyState;
pub(crate) use segments::{Segments, Span};
pub(crate) use task::{Change, ConnTask, Tasks};
#[cfg(any(test, fuzzing))]
pub(crate) use write_queue::SLACK;
pub(crate) use write_queue::{Evicted, WriteQueue};
pub(crate) use writing::{Admission, Last};

use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;
use crate::base::timers::Timers;
use callbacks::Callbacks;
use outgoing::{Current, Outgoing};
use reading::ReadHalf;
use writing::WriteHalf;

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stage: Stage,
    read: ReadHalf,
    write: WriteHalf,
    read_ahead: ReadAhead,
    /// None, until a write is not taken whole.
    outgoing: Option<Box<Outgoing>>,
    extras: Option<Box<Extras>>,
    bytes_read: u64,
    /// Bytes handed to the kernel's side, a write in flight in full.
    dispatched: u64,
    /// The bounds of both directions' buffers. Node's name for them.
    high_water_mark: u32,
    allow_half_open: bool,
    reason: CloseReason,
}

/// What few connections have. An idle connection is small because most of it is a pointer.
#[derive(Debug, Default)]
struct Extras {
    /// Of a connection that was given a time.
    idle: Option<Idle>,
    callbacks: Option<Callbacks>,
    /// What broke it first: given to `destroy`, or by a failed write. Kept until the next connect.
    error: Option<Error>,
    /// What `destroy` was given after a write had failed: this is emitted, and the callbacks have the other one.
    destroyed_by: Option<Error>,
}

/// What a connection has that has none of it.
static NO_EXTRAS: Extras = Extras { idle: None, callbacks: None, error: None, destroyed_by: None };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Never connected.
    Fresh,
    /// From `connect` to its outcome.
    Connecting,
    Connected,
    /// `close` will come. From `sealed` on no `data` and no `end` is emitted any more.
    Destroyed {
        sealed: bool,
        failed: bool,
    },
    /// `close` was emitted.
    Closed,
}

impl Connection {
    /// One that is not connected. The mark is in bytes, at most 1 GiB.
    pub fn new(high_water_mark: usize, allow_half_open: bool) -> Self {
        Connection {
            stage: Stage::Fresh,
            read: ReadHalf::new(),
            write: WriteHalf::new(),
            read_ahead: ReadAhead::default(),
            outgoing: None,
            extras: None,
            bytes_read: 0,
            dispatched: 0,
            high_water_mark: high_water_mark as u32,
            allow_half_open,
            reason: CloseReason::PeerEnded,
        }
    }

    /// One that a server accepted. It begins to read at once, unless it is to begin paused.
    pub fn accepted(high_water_mark: usize, allow_half_open: bool, paused: bool) -> Self {
        let connection = Connection { stage: Stage::Connected, ..Connection::new(high_water_mark, allow_half_open) };
        if paused {
            return Connection { read: ReadHalf::paused(), ..connection };
        }
        let mut connection = connection;
        connection.arm();
        connection
    }

    /// A file that is read: it has nothing to write, and nothing is read before somebody takes it.
    pub fn reading_file(high_water_mark: usize) -> Self {
        Connection { stage: Stage::Connected, write: WriteHalf::finished(), ..Connection::new(high_water_mark, true) }
    }

    /// A file that is written: its end was emitted already.
    pub fn writing_file(high_water_mark: usize) -> Self {
        Connection {
            stage: Stage::Connected,
            read: ReadHalf::ended(),
            outgoing: Some(Box::new(Outgoing::in_pieces())),
            reason: CloseReason::EndedHere,
            ..Connection::new(high_water_mark, true)
        }
    }

    /// A file that is read and written: nothing is read before somebody takes it.
    pub fn two_way_file(high_water_mark: usize) -> Self {
        Connection {
            stage: Stage::Connected,
            outgoing: Some(Box::new(Outgoing::in_pieces())),
            ..Connection::new(high_water_mark, true)
        }
    }

    /// Begins to connect, for the first time or again. What the user has set stays; what the last connection left goes.
    pub fn connect(&mut self, tasks: &mut impl Tasks) -> Result<(), Error> {
        match self.stage {
            Stage::Fresh | Stage::Closed => {}
            Stage::Connecting => return Err(Error::invalid("the socket is connecting already")),
            Stage::Connected => return Err(Error::invalid("the socket is connected already")),
            Stage::Destroyed { .. } => {
                return Err(Error::invalid("the socket is closing: connect again inside `close`, not before"));
            }
        }
        if self.stage == Stage::Closed {
            let left = self.fail_all(ErrorKind::ClosedBeforeConnection);
            if left > 0 {
                tasks.push(ConnTask::Callbacks(left));
            }
            self.forget_what_waits();
            self.read_ahead.clear();
        }
        self.read.begin();
        self.write.begin();
        self.bytes_read = 0;
        self.dispatched = 0;
        if let Some(extras) = &mut self.extras {
            extras.error = None;
            extras.destroyed_by = None;
        }
        self.reason = CloseReason::PeerEnded;
        self.set_stage(Stage::Connecting, tasks);
        Ok(())
    }

    /// The connection is there; `connect` is emitted next, then [`Connection::start`] is called.
    pub fn connected(&mut self, tasks: &mut impl Tasks) {
        self.set_stage(Stage::Connected, tasks);
    }

    /// The `connect` handlers have run: what waited for the connection goes on. Says what is to be written.
    pub fn start(&mut self) -> Start {
        if self.stage != Stage::Connected {
            // A handler destroyed it: what was pending fails here, and what waits after it.
            return if self.forget_pending() { Start::FailPending } else { Start::Nothing };
        }
        self.read_from_connection();
        match self.is_pending() {
            true => Start::WritePending,
            false if self.awaits_shutdown() => Start::Shutdown,
            false => Start::Nothing,
        }
    }

    /// Ends it at once. False if it was over already. The caller closes the descriptor, and sees to it that `close` comes.
    /// Without a reason, it is that both halves are over.
    pub fn destroy<K: Copy>(
        &mut self,
        error: Option<Error>,
        reason: Option<CloseReason>,
        tasks: &mut impl Tasks,
        timers: &mut Timers<K>,
    ) -> bool {
        if self.is_destroyed() {
            return false;
        }
        let end_has_callbacks = self.callbacks().is_some_and(|callbacks| callbacks.has_any_for_end());
        if self.outgoing().waits() || end_has_callbacks {
            tasks.push(ConnTask::FailWaiting);
        }
        let had_descriptor = self.stage != Stage::Fresh;
        let failed = error.is_some();
        self.reason = reason.unwrap_or(self.reason);
        if let Some(error) = error {
            match self.has_failed() {
                true => self.extras_mut().destroyed_by = Some(error),
                false => self.fail(error),
            }
        }
        self.disarm();
        if let Some(idle) = self.idle_mut() {
            idle.stop(timers);
        }
        self.set_stage(Stage::Destroyed { sealed: false, failed }, tasks);
        tasks.push(if failed { ConnTask::Error } else { ConnTask::Seal });
        if !had_descriptor {
            tasks.push(ConnTask::Close);
        }
        true
    }

    /// By [`ConnTask::Error`] and [`ConnTask::Seal`]: nothing is read any more.
    pub fn seal(&mut self, tasks: &mut impl Tasks) {
        if let Stage::Destroyed { failed, .. } = self.stage {
            self.set_stage(Stage::Destroyed { sealed: true, failed }, tasks);
        }
    }

    /// `close` is emitted now. What it says.
    pub fn close(&mut self, tasks: &mut impl Tasks) -> (bool, CloseReason) {
        let failed = matches!(self.stage, Stage::Destroyed { failed: true, .. });
        self.set_stage(Stage::Closed, tasks);
        (failed, self.reason)
    }

    /// Both halves are over.
    pub fn is_over(&self) -> bool {
        self.end_was_emitted() && self.is_finished()
    }

    /// Sets the time of the idle clock: see [`Idle::set`].
    pub fn set_idle<K: Copy>(&mut self, period: Option<Duration>, now: Duration, timers: &mut Timers<K>, what: K) {
        if self.idle().is_none() && period.is_some() {
            let mut idle = Idle::default();
            if let Current::InFlight { length, .. } = self.outgoing().current {
                idle.write_in_flight(length);
            }
            self.extras_mut().idle = Some(idle);
        }
        if let Some(idle) = self.idle_mut() {
            idle.set(period, now, timers, what);
        }
    }

    /// Something moved: see [`Idle::activity`].
    pub fn activity<K: Copy>(&mut self, now: Duration, timers: &mut Timers<K>, what: K) {
        if let Some(idle) = self.idle_mut() {
            idle.activity(now, timers, what);
        }
    }

    /// Its idle clock came up: see [`Idle::expire`].
    pub fn expire_idle<K: Copy>(&mut self, now: Duration, timers: &mut Timers<K>, what: K) -> bool {
        let unsent = self.unsent_in_flight();
        self.idle_mut().is_some_and(|idle| idle.expire(unsent, now, timers, what))
    }

    #[inline]
    pub fn idle(&self) -> Option<&Idle> {
        self.extras.as_ref()?.idle.as_ref()
    }

    fn idle_mut(&mut self) -> Option<&mut Idle> {
        self.extras.as_mut()?.idle.as_mut()
    }

    pub fn stage(&self) -> Stage {
        self.stage
    }

    pub fn is_connecting(&self) -> bool {
        self.stage == Stage::Connecting
    }

    pub fn is_connected(&self) -> bool {
        self.stage == Stage::Connected
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
        self.extras().error.as_ref()
    }

    /// What its `error` event says.
    pub fn error_to_emit(&self) -> Option<&Error> {
        self.extras().destroyed_by.as_ref().or(self.error())
    }

    /// Whether something has broken it, which may not have been emitted yet.
    #[inline]
    fn has_failed(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.error.is_some())
    }

    /// The first error stays.
    fn fail(&mut self, error: Error) {
        self.extras_mut().error.get_or_insert(error);
    }

    fn extras(&self) -> &Extras {
        self.extras.as_deref().unwrap_or(&NO_EXTRAS)
    }

    fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    fn set_stage(&mut self, stage: Stage, tasks: &mut impl Tasks) {
        self.stage = stage;
        tasks.tell(Change::Stage(stage, self.reason));
    }
}

/// What waited for the connection. See [`Connection::start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Nothing,
    /// The write that was pending goes out.
    WritePending,
    Shutdown,
    FailPending,
}
