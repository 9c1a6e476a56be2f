//! What was read from the kernel and not delivered yet: a queue of chunks.
//!
//! ```text
//!   [ taken....|o|n|e| |b|y| ]   [ te|and another chunk| ]
//!               ^     ^               ^ each read is a chunk, and stays one, as in Node
//! ```
//!
//! A connection reads ahead only while nobody takes its data, up to its high-water mark, and owns memory only then. A peer may
//! send its bytes one by one, and each is a read and so a chunk: a buffer for each would cost fifty times what is counted. So
//! chunks lie end to end in blocks, with a bit for each byte that begins one. All of it takes at most twice the bytes that
//! wait, and [`SLACK`].

use std::collections::VecDeque;

use crate::base::bits::Bits;

/// Chunks that wait for `resume`. Nearly every connection has none, so that is a pointer and no more.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    chunks: Option<Box<Chunks>>,
}

#[derive(Debug, Default)]
struct Chunks {
    blocks: VecDeque<Block>,
    /// Always the sum of the chunks' lengths.
    length: usize,
    /// Always the sum of what the blocks hold.
    held: usize,
}

/// Chunks end to end. The room does not grow: where it is used up, another block follows.
#[derive(Debug, Default)]
struct Block {
    bytes: Vec<u8>,
    /// So many bytes were delivered.
    taken: usize,
    /// Where each chunk begins.
    begins: Bits,
}

/// Memory that it may have above twice the bytes that wait.
const SLACK: usize = 4 * 1024;

/// The room of a new block is a quarter of what waits, within these bounds, or that of one chunk which is larger than half
/// of that.
const LEAST_ROOM: usize = 512;
const MOST_ROOM: usize = 64 * 1024;

impl ReadAhead {
    pub fn push(&mut self, chunk: &[u8]) {
        self.chunks.get_or_insert_default().push(chunk);
    }

    pub fn pop(&mut self) -> Option<Vec<u8>> {
        let chunks = self.chunks.as_mut()?;
        let chunk = chunks.pop();
        if chunks.blocks.is_empty() {
            self.chunks = None;
        }
        chunk
    }

    pub fn clear(&mut self) {
        self.chunks = None;
    }

    #[inline]
    pub fn length(&self) -> usize {
        self.chunks.as_ref().map_or(0, |chunks| chunks.length)
    }

    /// The memory that it has.
    pub fn held(&self) -> usize {
        self.chunks.as_ref().map_or(0, |chunks| chunks.held())
    }

    /// Whether it counts right, and has no more memory than it may.
    pub fn check(&self) -> Result<(), String> {
        let Some(chunks) = &self.chunks else { return Ok(()) };
        let length: usize = chunks.blocks.iter().map(Block::left).sum();
        let held: usize = chunks.blocks.iter().map(Block::held).sum();
        if (length, held) != (chunks.length, chunks.held) {
            let (counted, counted_held) = (chunks.length, chunks.held);
            return Err(format!("{length} bytes are read ahead in {held}, and counted as {counted} in {counted_held}"));
        }
        match self.held() {
            held if held > 2 * length + SLACK => {
                Err(format!("{length} bytes are read ahead in {held} bytes of memory"))
            }
            _ => Ok(()),
        }
    }
}

impl Chunks {
    fn push(&mut self, chunk: &[u8]) {
        self.length += chunk.len();
        match self.blocks.back_mut() {
            Some(last) if last.has_room(chunk.len()) => {
                self.held -= last.held();
                last.push(chunk);
                self.held += last.held();
            }
            _ => {
                let room = (self.length / 4).clamp(LEAST_ROOM, MOST_ROOM);
                let mut block = Block::with_room(if chunk.len() > room / 2 { chunk.len() } else { room });
                block.push(chunk);
                self.held += block.held();
                self.blocks.push_back(block);
            }
        }
        self.fit();
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let block = self.blocks.front_mut()?;
        self.held -= block.held();
        let chunk = block.pop();
        if block.left() == 0 {
            self.blocks.pop_front();
        } else {
            self.held += block.held();
        }
        self.length -= chunk.len();
        self.fit();
        Some(chunk)
    }

    /// Where a block has much room that it does not use, it is made anew. Each byte that is copied is paid for by one that
    /// came or went since.
    fn fit(&mut self) {
        if self.held() <= 2 * self.length + SLACK {
            return;
        }
        for block in self.blocks.iter_mut().filter(|block| block.held() > block.left() + block.left() / 2) {
            self.held -= block.held();
            block.fit();
            self.held += block.held();
        }
        self.blocks.shrink_to_fit();
    }

    fn held(&self) -> usize {
        self.held + self.blocks.capacity() * size_of::<Block>()
    }
}

impl Block {
    fn with_room(room: usize) -> Self {
        Block { bytes: Vec::with_capacity(room), taken: 0, begins: Bits::default() }
    }

    fn has_room(&self, length: usize) -> bool {
        self.bytes.len() + length <= self.bytes.capacity()
    }

    fn push(&mut self, chunk: &[u8]) {
        let begin = self.bytes.len();
        if begin > 0 {
            self.begins.reserve(self.bytes.capacity());
        }
        self.begins.insert(begin);
        self.bytes.extend_from_slice(chunk);
    }

    fn pop(&mut self) -> Vec<u8> {
        let end = self.begins.next(self.taken + 1).unwrap_or(self.bytes.len());
        if self.taken == 0 && end == self.bytes.len() {
            return std::mem::take(&mut self.bytes);
        }
        let chunk = self.bytes[self.taken..end].to_vec();
        self.taken = end;
        chunk
    }

    /// Without room and without what was delivered.
    fn fit(&mut self) {
        let mut fitting = Block::with_room(self.left());
        for begin in self.begins.between(self.taken, self.bytes.len()) {
            fitting.begins.insert(begin - self.taken);
        }
        fitting.begins.shrink();
        fitting.bytes.extend_from_slice(&self.bytes[self.taken..]);
        *self = fitting;
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.taken
    }

    fn held(&self) -> usize {
        self.bytes.capacity() + self.begins.capacity()
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

    /// Chunks of these lengths, over and over, with every second one delivered meanwhile, and the rest at the end.
    #[test]
    fn it_takes_at_most_twice_its_bytes_however_they_come() {
        for lengths in [&[1][..], &[1, 2, 3], &[11], &[600, 1], &[1, 40_000], &[65_536, 1], &[200, 300]] {
            let (mut ahead, mut chunks) = (ReadAhead::default(), VecDeque::new());
            let compare = |ahead: &mut ReadAhead, chunks: &mut VecDeque<Vec<u8>>| {
                assert_eq!(ahead.pop(), chunks.pop_front());
                assert_eq!(ahead.check(), Ok(()), "{lengths:?}");
            };
            for number in 0..4000_usize {
                let chunk = vec![number as u8; lengths[number % lengths.len()]];
                if ahead.length() < 1 << 20 {
                    ahead.push(&chunk);
                    chunks.push_back(chunk);
                }
                assert_eq!(ahead.check(), Ok(()), "{lengths:?}");
                if number % 2 == 1 {
                    compare(&mut ahead, &mut chunks);
                }
            }
            while !chunks.is_empty() {
                compare(&mut ahead, &mut chunks);
            }
            assert!(ahead.chunks.is_none());
        }
    }
}
