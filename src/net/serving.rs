//! The socket whose turn it is, step by step: it reads, then writes, then shuts down.

use crate::base::id::Key;

/// Bytes read from one connection in one turn, by reads that come back full: libuv's 32 reads of 64 KiB. One that sends as
/// fast as it can holds the others up for no longer than these take, 0.2 to 0.6 ms. With less, a sender on the same machine
/// fills its own buffer meanwhile, and the kernel then sends on the reader's time: an eighth of this costs three times
/// the processor (`docs/benchmarks.md`).
const BYTES_IN_A_TURN: u32 = 2 * 1024 * 1024;

/// Where the socket that is served is in its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Serving {
    pub key: Key,
    pub next: ServeStep,
    /// How many more bytes it may read.
    bytes_left: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServeStep {
    /// It was taken from the ready list: it reads.
    Begin,
    Read,
    Write,
    /// libuv shuts down right after a write that it was waiting to write, and not in the next flush.
    ShutDown,
}

impl Serving {
    #[inline]
    pub fn begin(key: Key) -> Self {
        Serving { key, next: ServeStep::Begin, bytes_left: BYTES_IN_A_TURN }
    }

    #[inline]
    pub fn is_first(&self) -> bool {
        self.next == ServeStep::Begin
    }

    #[inline]
    pub fn then(self, next: ServeStep) -> Self {
        Serving { next, ..self }
    }

    /// A read gave so many bytes. A full one may have left more, for as long as the budget of bytes lasts.
    #[inline]
    pub fn after_read(self, length: usize, full: bool) -> Self {
        let bytes_left = self.bytes_left.saturating_sub(length as u32);
        let next = if full && bytes_left > 0 { ServeStep::Read } else { ServeStep::Write };
        Serving { next, bytes_left, ..self }
    }
}
