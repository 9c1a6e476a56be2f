//! The conditions of a simulated network: delays, bounds, losses and failures.

use std::time::Duration;

use super::end::Stream;
use crate::kernel::setters::setters;

/// The bytes that a connection holds in flight in one direction, as on Linux's loopback.
const LOOPBACK_BUFFER: usize = 3_900_000;

/// The same after a first write of 4 to 16 KiB: such a segment fills the receiver's pages well, and Linux widens the
/// window (tcp_grow_window). Measured as 4,007,936 to 4,036,608; after any other, 3.88 to 3.96 MB.
const WIDENED_BUFFER: usize = 4_016_128;

/// How a simulated network behaves. The defaults are those of a loopback: no delay, no failure, nothing random, and each
/// turn of a loop takes 10 us.
///
/// ```
/// use std::time::Duration;
/// use tidegate::sim::{Conditions, Sim};
///
/// let slow = Conditions::new().delay(Duration::from_millis(80)).short(100);
/// let sim = Sim::with(1, slow);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Conditions {
    /// How long one turn of a loop takes. Because of it the clock moves on while two loops talk without end.
    pub turn: Duration,
    /// How long the close of a socket takes. A real one that holds unread data takes some 10 us.
    pub close: Duration,
    /// The bytes that a connection holds in one direction.
    pub buffer: usize,
    /// The longest time that bytes are in flight. The delay of each write is random up to it; the order is kept.
    pub delay: Duration,
    /// How many of a thousand reads and writes are short.
    pub short: u32,
    /// How many of a thousand edges come one wait late.
    pub late: u32,
    /// How many of a thousand waits report a readiness that is none.
    pub spurious: u32,
    /// How many of a thousand reads and writes are interrupted (EINTR).
    pub interrupted: u32,
    /// How many of a thousand reads and writes find the connection reset.
    pub resets: u32,
    /// How many of a thousand writes find no buffer space (ENOBUFS). No edge says when there is some again.
    pub no_buffers: u32,
    /// How many of a thousand calls of any kind fail with one of the errors that they can give
    /// ([`Call::errors`](super::Call::errors)).
    pub faults: u32,
    /// The most descriptors that a machine can have.
    pub descriptors: usize,
}

impl Default for Conditions {
    fn default() -> Self {
        Conditions {
            turn: Duration::from_micros(10),
            close: Duration::ZERO,
            buffer: LOOPBACK_BUFFER,
            delay: Duration::ZERO,
            short: 0,
            late: 0,
            spurious: 0,
            interrupted: 0,
            resets: 0,
            no_buffers: 0,
            faults: 0,
            descriptors: 20_000,
        }
    }
}

impl Conditions {
    setters! {
        turn: Duration,
        close: Duration,
        buffer: usize,
        delay: Duration,
        short: u32,
        late: u32,
        spurious: u32,
        interrupted: u32,
        resets: u32,
        no_buffers: u32,
        faults: u32,
        descriptors: usize,
    }

    /// The bytes that are held in flight to a receiver.
    pub(super) fn buffer_of(&self, receiver: &Stream) -> usize {
        match self.buffer {
            LOOPBACK_BUFFER if receiver.widened => WIDENED_BUFFER,
            buffer => buffer,
        }
    }
}
