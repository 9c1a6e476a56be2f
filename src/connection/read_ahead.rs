//! What was read from the kernel and not delivered yet: a queue of chunks.
//!
//! A connection reads ahead only while nobody takes its data, up to its high-water mark, and owns memory only then.

use std::collections::VecDeque;

/// Chunks that wait for `resume`. Nearly every connection has none, so that is a pointer and no more.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    chunks: Option<Box<Chunks>>,
}

#[derive(Debug, Default)]
struct Chunks {
    queue: VecDeque<Vec<u8>>,
    /// Always the sum of the chunks' lengths.
    length: usize,
}

impl ReadAhead {
    pub fn push(&mut self, chunk: &[u8]) {
        let chunks = self.chunks.get_or_insert_default();
        chunks.length += chunk.len();
        chunks.queue.push_back(chunk.to_vec());
    }

    pub fn pop(&mut self) -> Option<Vec<u8>> {
        let chunks = self.chunks.as_mut()?;
        let chunk = chunks.queue.pop_front()?;
        chunks.length -= chunk.len();
        if chunks.queue.is_empty() {
            self.chunks = None;
        }
        Some(chunk)
    }

    pub fn clear(&mut self) {
        self.chunks = None;
    }

    #[inline]
    pub fn length(&self) -> usize {
        self.chunks.as_ref().map_or(0, |chunks| chunks.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_back_as_they_went_in() {
        let mut ahead = ReadAhead::default();
        ahead.push(b"one");
        ahead.push(b"two!");
        assert_eq!(ahead.length(), 7);
        assert_eq!(ahead.pop().as_deref(), Some(&b"one"[..]));
        assert_eq!(ahead.pop().as_deref(), Some(&b"two!"[..]));
        assert_eq!(ahead.pop(), None);
        assert_eq!(ahead.length(), 0);
        assert!(ahead.chunks.is_none(), "it owns no memory when it is empty");
    }
}
