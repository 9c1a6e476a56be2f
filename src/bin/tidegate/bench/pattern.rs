//! Bytes to send and to recognize: an endless stream, any part of which is at hand.
//!
//! Each connection begins at a position of its own, so that bytes meant for another connection are noticed.

use super::excerpt::{SHOWN, difference, excerpt};
use super::matcher::first_difference;
use super::run_state::Mismatch;

/// The stream repeats after so many bytes. A prime, so that no multiple of a buffer's size is a multiple of it.
const PERIOD: usize = 65_521;

/// The longest part that is one slice: as much as one read brings.
const PIECE: usize = 64 * 1024;

/// The distance between the beginnings of two connections.
const DISTANCE: u64 = 7919;

/// One period of the stream, and a piece more.
#[derive(Debug)]
pub struct Pattern(Vec<u8>);

impl Pattern {
    pub fn new() -> Self {
        let mut state: u32 = 0x9E37_79B9;
        let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(PERIOD)
        .collect();
        bytes.extend_from_within(..);
        bytes.extend_from_within(..PIECE - PERIOD);
        Pattern(bytes)
    }

    /// What a connection sends next, in pieces.
    pub fn pieces(&self, connection: usize, sent: u64, length: usize) -> impl Iterator<Item = &[u8]> {
        let begin = begin_of(connection) + sent;
        (0..length).step_by(PIECE).map(move |at| self.at(begin + at as u64, length - at))
    }

    /// Compares what came back on a connection, after `before` bytes, with the `sent` bytes that it has sent.
    pub fn check(&self, connection: usize, before: u64, sent: u64, received: &[u8]) -> Result<(), Mismatch> {
        let mismatch = |at, what| Err(Mismatch { connection, at, what });
        match self.first_difference(begin_of(connection) + before, received) {
            Some(at) => {
                let expected = self.at(begin_of(connection) + before + at as u64, SHOWN);
                mismatch(before + at as u64, difference(expected, &received[at..]))
            }
            None if before + received.len() as u64 > sent => {
                let more = &received[(sent.saturating_sub(before)) as usize..];
                mismatch(sent, format!("more came back than was sent: {}", excerpt(more)))
            }
            None => Ok(()),
        }
    }

    /// `length` bytes of the stream from a position on, at most a piece.
    fn at(&self, position: u64, length: usize) -> &[u8] {
        let begin = (position % PERIOD as u64) as usize;
        &self.0[begin..begin + length.min(PIECE)]
    }

    fn first_difference(&self, position: u64, received: &[u8]) -> Option<usize> {
        let mut before = 0;
        for piece in received.chunks(PIECE) {
            let expected = self.at(position + before as u64, piece.len());
            if let Some(at) = first_difference(expected, piece) {
                return Some(before + at);
            }
            before += piece.len();
        }
        None
    }
}

/// Where a connection's stream begins.
fn begin_of(connection: usize) -> u64 {
    connection as u64 * DISTANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_is_the_same_stream() {
        let pattern = Pattern::new();
        let mut whole = Vec::new();
        while whole.len() < 3 * PERIOD {
            whole.extend_from_slice(pattern.at(whole.len() as u64, PIECE));
        }
        assert_eq!(pattern.first_difference(0, &whole), None);
        for begin in [1, PERIOD - 1, PERIOD, PIECE, PERIOD + 9] {
            assert_eq!(pattern.first_difference(begin as u64, &whole[begin..begin + 9]), None);
        }
        whole[70_000] ^= 1;
        assert_eq!(pattern.first_difference(0, &whole), Some(70_000));
    }

    #[test]
    fn two_connections_have_other_bytes() {
        let pattern = Pattern::new();
        let first = |number| pattern.at(begin_of(number), 16).to_vec();
        assert_ne!(first(0), first(1));
        assert_ne!(first(1), first(2));
    }
}
