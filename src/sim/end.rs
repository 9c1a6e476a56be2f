//! The ends of connections, and what each of them knows.
//!
//! `stream.rs` and `listener.rs` have what a call does to an end, and `arrivals.rs` what arrives at one.

use std::collections::VecDeque;
use std::time::Duration;

use rustix::io::Errno;

use super::datagrams::Datagrams;
use super::listener::Listener;
use crate::address::Address;
use crate::kernel::{KeepAlive, Token};

/// One descriptor, or a connection that waits to be accepted.
pub(super) struct End {
    /// No two ends ever have the same: what is in flight to an end that has closed must not reach the next one in its slot.
    pub serial: u64,
    pub machine: usize,
    pub token: Option<Token>,
    pub has_edge: bool,
    pub has_descriptor: bool,
    pub local: Address,
    pub kind: Kind,
}

pub(super) enum Kind {
    Listener(Listener),
    Stream(Stream),
    Datagrams(Datagrams),
}

#[derive(Default)]
pub(super) struct Stream {
    pub remote: Option<Address>,
    /// The other end, while it is open.
    pub peer: Option<usize>,
    pub connected: Option<Result<(), Errno>>,
    pub inbox: VecDeque<u8>,
    /// Bytes in flight to this end.
    pub incoming: usize,
    /// Bytes that were ever read here, and taken from writes here.
    pub bytes_read: u64,
    pub bytes_taken: u64,
    /// The first bytes that arrived have widened the window.
    pub widened: bool,
    /// The peer's FIN has arrived.
    pub ended: bool,
    /// The error of the next call, which gives it once.
    pub error: Option<Errno>,
    pub broken: bool,
    pub shut: bool,
    /// A write found no room: when there is room again, that is an edge.
    pub wants_room: bool,
    pub no_delay: bool,
    pub keep_alive: Option<KeepAlive>,
    /// When the last write is acknowledged. Until then a small write waits (Nagle's rule).
    pub acknowledged: Duration,
    /// Since when nothing that was sent from here is acknowledged, because a partition holds it back.
    pub unacknowledged_since: Option<Duration>,
    /// Since when the probes of keep-alive have no answer.
    pub probing_since: Option<Duration>,
    /// The time of the last arrival that is planned here. Later packets do not arrive before it.
    pub last_arrival: Duration,
    /// The peer's machine has crashed.
    pub peer_crashed: bool,
    /// Its own machine has crashed: nothing comes from this end any more.
    pub crashed: bool,
}

impl Stream {
    /// A RST has arrived (tcp_reset in Linux): what was received can still be read, and then a call gives the error, once.
    pub fn reset(&mut self) {
        if self.broken {
            return;
        }
        self.error = Some(if self.ended { Errno::PIPE } else { Errno::CONNRESET });
        self.broken = true;
        self.peer = None;
    }

    /// The peer has been silent for too long: its own system breaks the connection.
    pub fn time_out(&mut self) {
        if self.connected.is_none() {
            self.connected = Some(Err(Errno::TIMEDOUT));
        } else {
            self.broken = true;
            self.error = Some(Errno::TIMEDOUT);
        }
    }
}
