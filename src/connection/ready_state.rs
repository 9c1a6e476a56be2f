//! Words for the states of a connection: which directions are open, in Node's, and each state in its own.

use super::reading::{Flow, Reading};
use super::writing::Writing;
use super::{Connection, Stage};

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

impl Stage {
    pub fn name(self) -> &'static str {
        match self {
            Stage::Fresh => "fresh",
            Stage::Connecting => "connecting",
            Stage::Connected => "connected",
            Stage::Destroyed { .. } => "destroyed",
            Stage::Closed => "closed",
        }
    }
}

impl Connection {
    /// The reading half.
    pub fn reading_name(&self) -> &'static str {
        match self.read.state {
            Reading::Open => "open",
            Reading::EndSeen => "end seen",
            Reading::EndEmitted => "over",
        }
    }

    /// The writing half.
    pub fn writing_name(&self) -> &'static str {
        match self.write.state {
            Writing::Open => "open",
            Writing::Ending => "ending",
            Writing::ShuttingDown => "shutting down",
            Writing::Shut => "shut",
            Writing::Finished => "over",
        }
    }

    pub fn flow_name(&self) -> &'static str {
        match self.read.flow {
            Flow::Initial => "initial",
            Flow::Paused => "paused",
            Flow::Flowing => "flowing",
        }
    }
}
