//! The ends of connections, and what each of them knows.
//!
//! What a call does to one is in `wire.rs`, what arrives at one in `arrivals.rs`.

use std::collections::VecDeque;
use std::time::Duration;

use rustix::io::Errno;

use super::listening::Listener;
use crate::address::Address;
use crate::kernel::{KeepAlive, Token};

/// One descriptor, or a connection that waits to be accepted.
pub(super) struct End {
    /// No two have the same, ever: what is on its way to one that has closed must not reach the next in its slot.
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
}

#[derive(Default)]
pub(super) struct Stream {
    pub remote: Option<Address>,
    /// The other end, while it is open.
    pub peer: Option<usize>,
    pub connected: Option<Result<(), Errno>>,
    pub inbox: VecDeque<u8>,
    /// Bytes on their way here.
    pub coming: usize,
    /// Bytes that were ever read here, and taken from writes here.
    pub bytes_read: u64,
    pub bytes_taken: u64,
    /// The first that came has widened the window.
    pub widened: bool,
    /// The peer's end has come.
    pub ended: bool,
    /// What the next call is told, once.
    pub error: Option<Errno>,
    pub broken: bool,
    pub shut: bool,
    /// A write was refused: the next room is an edge.
    pub wants_room: bool,
    pub no_delay: bool,
    pub keep_alive: Option<KeepAlive>,
    /// When what was written last is acknowledged: until then a small write waits (Nagle's rule).
    pub acknowledged: Duration,
    /// Since when nobody acknowledges what was sent from here: a partition holds it up.
    pub unheard_since: Option<Duration>,
    /// Since when nobody answers the probes of keep-alive.
    pub probing_since: Option<Duration>,
    /// What arrives here keeps its order.
    pub last_arrival: Duration,
    /// The other side's machine has lost power.
    pub has_lost_its_peer: bool,
    /// Its machine has lost power: nobody will ever hear of it again.
    pub dead: bool,
}

impl Stream {
    /// A RST has come (tcp_reset in Linux): what was received can still be read, then the error is told once.
    pub fn reset(&mut self) {
        if self.broken {
            return;
        }
        self.error = Some(if self.ended { Errno::PIPE } else { Errno::CONNRESET });
        self.broken = true;
        self.peer = None;
    }

    /// Its system has lost patience with the other side.
    pub fn give_up(&mut self) {
        if self.connected.is_none() {
            self.connected = Some(Err(Errno::TIMEDOUT));
        } else {
            self.broken = true;
            self.error = Some(Errno::TIMEDOUT);
        }
    }
}
