//! The one read buffer of a loop, lent out with each chunk.

use super::event::Chunk;

/// One read takes so many bytes at most; Node's and libuv's figure, and the best for one core (`docs/benchmarks.md`). Only
/// from one socket into another a read may take more: see `conn/read.rs`.
pub(super) const READ_BUFFER: usize = 64 * 1024;

/// It is empty while it is out, and until the first read.
#[derive(Debug, Default)]
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    /// A read of more than [`READ_BUFFER`] was made since the loop slept.
    was_wide: bool,
}

impl ReadBuffer {
    /// Room for a read of at most so many bytes; None if [`ReadBuffer::grow`] has to come first.
    #[inline]
    pub fn room(&mut self, most: usize) -> Option<&mut [u8]> {
        self.bytes.get_mut(..most)
    }

    #[cold]
    pub fn grow(&mut self, most: usize) {
        self.bytes = vec![0; most.max(READ_BUFFER)];
    }

    /// What the last read has left.
    #[inline]
    pub fn filled(&self, length: usize) -> &[u8] {
        &self.bytes[..length]
    }

    pub fn note_wide_read(&mut self) {
        self.was_wide = true;
    }

    /// Lends it out, with what the last read has left.
    #[inline]
    pub fn lend(&mut self, length: usize) -> Chunk {
        Chunk { buffer: std::mem::take(&mut self.bytes), length }
    }

    /// Takes it back. A chunk that was made otherwise, or is smaller than the buffer at hand, is dropped.
    #[inline]
    pub fn take_back(&mut self, chunk: Chunk) {
        if chunk.buffer.len() >= READ_BUFFER && chunk.buffer.len() >= self.bytes.len() {
            self.bytes = chunk.buffer;
        }
    }

    /// The loop is about to sleep: a large buffer that no read has needed since it last did is freed.
    pub fn shrink(&mut self) {
        if self.bytes.len() > READ_BUFFER && !self.was_wide {
            self.bytes = Vec::new();
        }
        self.was_wide = false;
    }
}
