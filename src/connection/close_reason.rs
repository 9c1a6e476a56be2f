//! Why a connection has closed.

use std::fmt;

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
    /// Any other error; the `error` event said which.
    Error,
}

impl CloseReason {
    pub(crate) const ALL: [CloseReason; 9] = [
        CloseReason::PeerEnded,
        CloseReason::PeerReset,
        CloseReason::EndedHere,
        CloseReason::DestroyedHere,
        CloseReason::Timeout,
        CloseReason::OutputLimit,
        CloseReason::Shutdown,
        CloseReason::ConnectFailed,
        CloseReason::Error,
    ];

    /// In one word, for statistics: `peer_ended`.
    pub fn name(self) -> &'static str {
        match self {
            CloseReason::PeerEnded => "peer_ended",
            CloseReason::PeerReset => "peer_reset",
            CloseReason::EndedHere => "ended_here",
            CloseReason::DestroyedHere => "destroyed_here",
            CloseReason::Timeout => "timeout",
            CloseReason::OutputLimit => "output_limit",
            CloseReason::Shutdown => "shutdown",
            CloseReason::ConnectFailed => "connect_failed",
            CloseReason::Error => "error",
        }
    }
}

impl fmt::Display for CloseReason {
    /// In words, for a log: `the other side ended first`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CloseReason::PeerEnded => "the other side ended first",
            CloseReason::PeerReset => "the other side reset the connection",
            CloseReason::EndedHere => "this side ended first",
            CloseReason::DestroyedHere => "it was destroyed here",
            CloseReason::Timeout => "nothing happened for too long",
            CloseReason::OutputLimit => "the other side did not read: an output limit was passed",
            CloseReason::Shutdown => "the loop was stopped",
            CloseReason::ConnectFailed => "the connection was not made",
            CloseReason::Error => "an error",
        })
    }
}
