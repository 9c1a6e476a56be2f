//! How a simulated network behaves.

use std::time::Duration;

use super::end::Stream;

/// What a connection holds on its way in one direction: what Linux's loopback does.
const LOOPBACK_BUFFER: usize = 3_900_000;

/// What it holds after a first write of 4 to 16 KiB: such a segment fills the receiver's pages well, and Linux widens the
/// window (tcp_grow_window). Measured as 4,007,936 to 4,036,608; after any other, 3.88 to 3.96 MB.
const WIDENED_BUFFER: usize = 4_016_128;

/// How a simulated network behaves. The defaults are those of a loopback: no delay, nothing random, and each turn of a
/// loop takes 10 us.
#[derive(Clone, Debug, PartialEq)]
pub struct Weather {
    /// What one turn of a loop takes, so that two who talk without end do not stop the clock.
    pub turn: Duration,
    /// Bytes that a connection holds in one direction.
    pub buffer: usize,
    /// The longest that bytes are on their way; each write's delay is random up to it, order is kept.
    pub delay: Duration,
    /// Of a thousand reads and writes, so many are short.
    pub short: u32,
    /// Of a thousand edges, so many are told one wait later than they could be.
    pub late: u32,
    /// Of a thousand waits, so many tell a readiness that is none.
    pub spurious: u32,
    /// Of a thousand reads and writes, so many are interrupted.
    pub interrupted: u32,
    /// Of a thousand reads and writes, so many find the connection reset.
    pub resets: u32,
    /// Of a thousand writes, so many find no buffer space, which no edge ends.
    pub no_buffers: u32,
    /// Of a thousand calls of any kind, so many fail with one of the errors that they can give
    /// ([`Call::errors`](super::Call::errors)).
    pub faults: u32,
    /// The most descriptors of a machine.
    pub descriptors: usize,
}

impl Default for Weather {
    fn default() -> Self {
        Weather {
            turn: Duration::from_micros(10),
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

impl Weather {
    /// What is held on the way to a receiver.
    pub(super) fn buffer_of(&self, receiver: &Stream) -> usize {
        match self.buffer {
            LOOPBACK_BUFFER if receiver.widened => WIDENED_BUFFER,
            buffer => buffer,
        }
    }
}
