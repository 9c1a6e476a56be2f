//! What a connection has to send: the write on its way, those that wait after it, and their bytes.

use super::{Connection, Segments, WriteQueue};

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

impl Connection {
    /// Whether the kernel holds up a write.
    #[inline]
    pub fn is_in_flight(&self) -> bool {
        self.outgoing.as_ref().is_some_and(|outgoing| matches!(outgoing.current, Current::InFlight { .. }))
    }

    /// Whether a write waits for the connection.
    pub fn is_pending(&self) -> bool {
        matches!(self.outgoing().current, Current::Pending(_))
    }

    /// What is left of the write in flight.
    pub fn unsent_in_flight(&self) -> usize {
        match self.outgoing().current {
            Current::InFlight { unsent, .. } => unsent,
            _ => 0,
        }
    }

    /// What is left of the write in flight, or of the one that waits for the connection.
    pub fn unsent_in_current(&self) -> usize {
        match self.outgoing().current {
            Current::None => 0,
            Current::Pending(unsent) | Current::InFlight { unsent, .. } => unsent,
        }
    }

    /// Node's `bufferSize` and `writableLength`: bytes of all writes that are not completed; one in flight counts whole.
    #[inline]
    pub fn length(&self) -> usize {
        let outgoing = self.outgoing();
        let current = match outgoing.current {
            Current::None => 0,
            Current::Pending(length) | Current::InFlight { length, .. } => length,
        };
        current + outgoing.waiting.bytes
    }

    /// Bytes of all writes so far, sent or not, of this connection.
    pub fn bytes_written(&self) -> u64 {
        let outgoing = self.outgoing();
        self.dispatched + (outgoing.waiting.bytes.max(outgoing.failed) + outgoing.pending) as u64
    }

    pub(super) fn forget_current(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.current = Current::None;
        }
    }

    /// What the last connection left is not the next one's.
    pub(super) fn forget_what_waits(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.current = Current::None;
            outgoing.waiting = Waiting::default();
            outgoing.pending = 0;
        }
    }

    #[inline]
    pub(super) fn outgoing(&self) -> &Outgoing {
        self.outgoing.as_deref().unwrap_or(&NOTHING)
    }

    #[inline]
    pub(super) fn outgoing_mut(&mut self) -> &mut Outgoing {
        self.outgoing.get_or_insert_default()
    }

    /// The bytes that are queued.
    #[inline]
    pub fn queue(&self) -> &WriteQueue {
        &self.outgoing().queue
    }

    /// The bytes that are queued, to be changed.
    #[inline]
    pub fn queue_mut(&mut self) -> &mut WriteQueue {
        &mut self.outgoing_mut().queue
    }

    /// None of what is queued will be sent.
    pub fn clear_queue(&mut self, segments: &mut Segments) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.queue.clear(segments);
        }
    }
}
