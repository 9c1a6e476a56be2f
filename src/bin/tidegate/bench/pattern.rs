//! Bytes to send and to know again: an endless stream of which any part is at hand.
//!
//! Each connection begins at a place of its own, so that what was meant for another one is seen to be.

use super::course::Wrong;
use super::template::first_difference;

/// The stream repeats itself after so many bytes: a prime, so that no buffer's size is a part of it.
const PERIOD: usize = 65_521;

/// So much of it can be had at a time, wherever it begins: as much as comes in one piece.
const PIECE: usize = 64 * 1024;

/// How far apart two connections begin.
const APART: u64 = 7919;

/// The bytes of the stream.
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

    /// What a connection is to send next, piece by piece.
    pub fn pieces(&self, connection: usize, sent: u64, length: usize) -> impl Iterator<Item = &[u8]> {
        let begin = begin_of(connection) + sent;
        (0..length).step_by(PIECE).map(move |at| self.at(begin + at as u64, length - at))
    }

    /// Compares what came back on a connection behind so many bytes, of so many that were sent.
    pub fn check(&self, connection: usize, before: u64, sent: u64, came: &[u8]) -> Result<(), Wrong> {
        let wrong = |at, what| Err(Wrong { connection, at, what });
        match self.first_difference(begin_of(connection) + before, came) {
            Some(at) => wrong(before + at as u64, format!("0x{:02x} is not the byte that was sent", came[at])),
            None if before + came.len() as u64 > sent => wrong(sent, "more came back than was sent".to_owned()),
            None => Ok(()),
        }
    }

    /// So many bytes of the stream from a position on, but a piece at most.
    fn at(&self, position: u64, length: usize) -> &[u8] {
        let begin = (position % PERIOD as u64) as usize;
        &self.0[begin..begin + length.min(PIECE)]
    }

    /// Where bytes differ from those at this position.
    fn first_difference(&self, position: u64, came: &[u8]) -> Option<usize> {
        let mut before = 0;
        for piece in came.chunks(PIECE) {
            let wanted = self.at(position + before as u64, piece.len());
            if let Some(at) = first_difference(wanted, piece) {
                return Some(before + at);
            }
            before += piece.len();
        }
        None
    }
}

/// Where a connection's stream begins.
fn begin_of(connection: usize) -> u64 {
    connection as u64 * APART
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
