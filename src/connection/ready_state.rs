//! Which directions of a connection are open, in Node's words.

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
