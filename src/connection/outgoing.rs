//! What a connection has to send: the write on its way, those that wait after it, and their bytes.

use super::WriteQueue;

/// What is to be sent and has not been. Most connections never have any, so it is kept apart. Once there, it stays: a member
/// of a room has some for a moment in each turn.
///
/// In this order, a message of a broadcast changes only what is at the beginning: a large room does not fit into a cache.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Outgoing {
    pub current: Current,
    /// Writes that wait after the current one, and their bytes.
    pub waiting: Waiting,
    /// The bytes themselves, of the current write and of those that wait after it.
    pub queue: WriteQueue,
    /// The number of the last write that the queue may have to hold: by it a write that is dropped is found again.
    pub numbered: u64,
    pub corked: u32,
    /// It goes out in pieces, one a turn, and never at once: what a file has.
    pub in_pieces: bool,
    /// Bytes of the write that waits for the connection. It outlives a destroy, as in Node, for `bytes_written` only.
    pub pending: usize,
    /// Bytes of the writes that waited and have failed, while their callbacks run. They count for `bytes_written` only.
    pub failed: usize,
}

/// What a connection has to send that has nothing.
pub(super) static NOTHING: Outgoing = Outgoing {
    current: Current::None,
    waiting: Waiting { writes: 0, bytes: 0 },
    numbered: 0,
    corked: 0,
    in_pieces: false,
    pending: 0,
    failed: 0,
    queue: WriteQueue::new(),
};

/// What is being written. Node hands one write to the kernel at a time, or all that were waiting as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Current {
    #[default]
    None,
    /// It waits for the connection.
    Pending(usize),
    /// The kernel has refused a part of it; `unsent` is that part, `length` the whole.
    InFlight { length: usize, unsent: usize },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub writes: u32,
    pub bytes: usize,
}

impl Outgoing {
    /// Of a file that is written: no write goes to the kernel at once.
    pub fn in_pieces() -> Self {
        Outgoing { in_pieces: true, ..Outgoing::default() }
    }

    /// Whether writes wait after the current one.
    pub fn waits(&self) -> bool {
        self.waiting.writes > 0
    }

    /// Whether the numbers agree with each other, and with the bytes that are there. `is_over`: none are to be there.
    pub fn check(&self, is_over: bool) -> Result<(), String> {
        let current = match self.current {
            Current::None => 0,
            Current::Pending(unsent) | Current::InFlight { unsent, .. } => unsent,
        };
        let unsent = if is_over { 0 } else { current + self.waiting.bytes };
        if self.queue.unsent() != unsent {
            return Err(format!("{unsent} bytes are counted as unsent, {} are queued", self.queue.unsent()));
        }
        if let Current::InFlight { length, unsent } = self.current
            && unsent > length
        {
            return Err(format!("{unsent} of {length} bytes in flight are unsent"));
        }
        match self.waiting {
            Waiting { writes: 0, bytes: 1.. } => Err(format!("{} bytes wait that nobody wrote", self.waiting.bytes)),
            _ => Ok(()),
        }
    }

    /// Nothing is on its way, waits or is held back: a write that comes has nothing before it.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.current == Current::None && self.waiting.writes == 0 && self.corked == 0
    }
}
