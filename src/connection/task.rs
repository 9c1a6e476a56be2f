//! What comes next for a connection: Node's `process.nextTick`, and the steps that follow an event.
//!
//! A connection never calls anybody. What is to happen after the current call is a task. Tasks run in order, before the
//! loop's next piece of work. A task that gives rise to an event puts what follows the event first in the queue, so the
//! order of everything that happens is the order of one queue. `net/conn/tasks.rs` says what each task does.

use std::fmt;

use super::reading::{Flow, Reading};
use super::writing::Writing;
use super::{CloseReason, Stage};

/// What comes next for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnTask {
    /// `connectionAttempt` is emitted, then [`ConnTask::Attempt`]; or a name is looked up.
    Connect,
    /// connect(2) goes out.
    Attempt,
    /// `connectionAttemptFailed` is emitted, then [`ConnTask::ConnectFailed`].
    AttemptFailed,
    /// The connection is destroyed.
    ConnectFailed,
    /// A connect to a name goes on.
    Dial,
    /// `connect` was emitted: what waited for the connection goes out.
    AfterConnect,
    /// A reset that waited for the connection.
    Reset,

    /// `resume` takes effect.
    Resume,
    /// `end` is emitted, if nothing has come between.
    End,
    /// `end` was emitted: unless half-open is allowed, this side ends too.
    AfterEnd,
    /// The other side has ended, and half-open is off: so does this side.
    EndWriting,

    /// Writes were taken: `drain` if it is needed, and so many callbacks.
    AfterWrite(u32),
    /// The callbacks of a write have run: an `end` may wait for it.
    WriteDone,
    /// A write failed at once: so many callbacks, then [`ConnTask::FailWaiting`] and [`ConnTask::DestroyFailed`].
    WriteFailed(u32),
    /// The callbacks of a failed write have run: the connection is destroyed.
    DestroyFailed,
    /// So many callbacks are due, one at a time.
    Callbacks(u32),
    /// Writes that wait fail: the connection was destroyed, or a write before them has failed.
    FailWaiting,
    /// Their callbacks have run.
    ForgetFailed,

    /// shutdown(2) was done: the callbacks of `end`, then [`ConnTask::EmitFinish`].
    Finish,
    EmitFinish,
    /// `finish` was emitted: a `destroy_soon` waited for it.
    AfterFinish,
    /// Both halves may be over now.
    DestroyIfOver,

    /// Nothing is read any more, then [`ConnTask::EmitError`].
    Error,
    EmitError,
    /// Nothing is read any more.
    Seal,
    /// The write in flight fails, then [`ConnTask::EmitClose`].
    Close,
    EmitClose,
    /// `close` was emitted: what is left of it goes, unless it connects again.
    AfterClose,
}

/// Where the tasks of one connection go: to the end of the queue.
pub(crate) trait Tasks {
    fn push(&mut self, task: ConnTask);

    /// A state of the connection has changed. The one function that changes it tells it, for the trace.
    fn tell(&mut self, change: Change);
}

/// A state of a connection has changed, and is this now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Stage(Stage, CloseReason),
    Reading(Reading),
    Writing(Writing),
    Flow(Flow),
}

impl Change {
    /// Whether the end of the writing half has gone out: what waits for that may go on.
    pub fn is_end_sent(self) -> bool {
        matches!(self, Change::Writing(Writing::Shut | Writing::Finished))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Change::Stage(Stage::Destroyed { sealed: false, .. }, reason) => return write!(f, "destroyed: {reason}"),
            Change::Stage(Stage::Destroyed { sealed: true, .. }, _) => "nothing of it is read any more",
            Change::Stage(Stage::Fresh, _) => "not connected",
            Change::Stage(Stage::Connecting, _) => "connecting",
            Change::Stage(Stage::Connected, _) => "connected",
            Change::Stage(Stage::Closed, _) => "closed",
            Change::Reading(Reading::Open) => "reading: open",
            Change::Reading(Reading::EndSeen) => "reading: the peer's end was seen",
            Change::Reading(Reading::EndEmitted) => "reading: over",
            Change::Writing(Writing::Open) => "writing: open",
            Change::Writing(Writing::Ending) => "writing: its end waits for what was written before",
            Change::Writing(Writing::ShuttingDown) => "writing: all is written, its end is next",
            Change::Writing(Writing::Shut) => "writing: its end was sent",
            Change::Writing(Writing::Finished) => "writing: over",
            Change::Flow(Flow::Initial) => "nobody has asked for its data",
            Change::Flow(Flow::Paused) => "paused",
            Change::Flow(Flow::Flowing) => "its data flows",
        };
        f.write_str(words)
    }
}
