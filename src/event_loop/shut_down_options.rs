//! How a loop is shut down, and what is said of it afterwards.

use std::time::Duration;

use crate::kernel::setters::setters;

/// How [`Loop::shut_down_with`](crate::Loop::shut_down_with) ends a loop.
///
/// ```
/// use std::time::Duration;
/// use tidegate::ShutDownOptions;
///
/// let options = ShutDownOptions::new().patience(Duration::from_secs(10)).linger(Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutDownOptions {
    /// What is not closed after this time is destroyed. Default 10 s.
    pub patience: Duration,
    /// A socket has caught up when a read finds nothing more, and nothing arrives for this long after it. It should be
    /// longer than a round trip to the peer, which may have had no room to send into. Default 200 ms, and never more than
    /// a quarter of the patience. A peer that sends again and again is waited for no longer than a second, or half of the
    /// patience if that is shorter.
    pub quiet: Duration,
    /// An ended socket is destroyed when it has sent everything, and then nothing arrives for this long. Default: it is
    /// not, and waits for its peer as long as the patience lasts. One that is still heard, as [`ShutDownOptions::discard`] is off,
    /// stays as long as it is paused, or has something that its handlers have not heard.
    pub linger: Option<Duration>,
    /// Whether what arrives after the end of a socket is discarded. Default true. Otherwise its handlers hear it until its `close`, and
    /// look whether it [is writable](crate::Socket::is_writable) before they answer: for a program that passes it on to somebody who
    /// is not ended yet ([`SocketOptions::outlasts`](field@crate::SocketOptions::outlasts)). What it is piped into gets it if that is such
    /// a one, or a file.
    pub discard: bool,
    /// Which sockets wait for which. Default [`EndOrder::Each`].
    pub order: EndOrder,
}

/// Which sockets are ended when, while a loop is shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndOrder {
    /// Each socket when it has caught up, and when the sockets that pipe into it have.
    #[default]
    Each,
    /// All sockets together, when all have caught up: for a program that writes to one peer what it reads from another.
    /// The last one is waited for no longer than a second, or half of the patience if that is shorter.
    Together,
    /// None: the peers end their connections, for as long as the patience lasts. What this side has not ended by then is
    /// reset, since a peer takes an end as the end of what was to come.
    ByPeers,
}

impl Default for ShutDownOptions {
    fn default() -> Self {
        let (patience, quiet) = (Duration::from_secs(10), Duration::from_millis(200));
        ShutDownOptions { patience, quiet, linger: None, discard: true, order: EndOrder::default() }
    }
}

impl ShutDownOptions {
    setters! {
        patience: Duration,
        quiet: Duration,
        linger: Option<Duration>,
        discard: bool,
        order: EndOrder,
    }

    /// The longest wait for a peer that sends again and again.
    pub(super) fn longest_wait(&self) -> Duration {
        Duration::from_secs(1).min(self.patience / 2)
    }
}

/// What was lost since a loop began to shut down: see [`Loop::shut_down_report`](crate::Loop::shut_down_report).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutDownReport {
    /// Bytes that were written, and not sent before the close.
    pub unsent_bytes: u64,
    /// The sockets to which they were written.
    pub unsent_sockets: u64,
    /// Bytes that arrived too late: no handler has seen them. What comes to a socket that the program had ended before, and that nobody
    /// heard any more ([`Socket::end_and_discard`](crate::Socket::end_and_discard)), is not among them.
    pub discarded_bytes: u64,
    /// The sockets on which they arrived.
    pub discarded_sockets: u64,
}
