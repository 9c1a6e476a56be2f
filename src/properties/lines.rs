//! The cutter of lines: however a stream is split, and wherever its reader stops, the lines are the same.

use crate::text::line::Line;
use crate::text::lines::Lines;

/// How the next piece of a stream arrives, and what its reader does.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    /// How long it is.
    pub length: usize,
    /// How the reader goes through its lines.
    pub reader: Reader,
}

/// How the lines of a chunk are taken.
#[derive(Clone, Copy, Debug)]
pub enum Reader {
    /// To the end.
    All,
    /// So many at a time, at least one; the rest is pushed again.
    Stops(usize),
    /// So many, then the iterator is dropped: the others are lost.
    Leaves(usize),
}

impl From<(u8, u8)> for Chunk {
    /// Any two numbers are a chunk.
    fn from((length, reader): (u8, u8)) -> Self {
        let reader = match (reader % 4, usize::from(reader / 4) % 4) {
            (0, lines) => Reader::Stops(1 + lines),
            (1, lines) => Reader::Leaves(lines),
            _ => Reader::All,
        };
        Chunk { length: length.into(), reader }
    }
}

/// A line, and whether it was too long.
type Found = (Vec<u8>, bool);

/// The line cutter as the naive one. What the chunks leave of the stream comes in long ones.
pub fn check(bound: usize, stream: &[u8], chunks: &[Chunk]) {
    let (mut lines, mut naive) = (Lines::at_most(bound), Naive::at_most(bound));
    let (mut left, mut chunks) = (stream, chunks.iter());
    while !left.is_empty() {
        let Chunk { length, reader } = *chunks.next().unwrap_or(&Chunk { length: 1000, reader: Reader::All });
        let (chunk, behind) = left.split_at(left.len().min(length));
        left = behind;
        let found = read(&mut lines, chunk, reader);
        let mut expected: Vec<Found> = chunk.iter().filter_map(|byte| naive.push(*byte)).collect();
        if let Reader::Leaves(lines) = reader {
            expected.truncate(lines);
        }
        assert_eq!(found, expected, "bound {bound}, {reader:?}, chunk {chunk:?}");
        assert_eq!(lines.held(), naive.held(), "bound {bound}, held behind {chunk:?}");
        assert!(lines.held() <= bound.saturating_add(1), "{} bytes are held, the bound is {bound}", lines.held());
    }
    assert_eq!(lines.finish().map(found), naive.finish(), "bound {bound}, at the end");
    assert_eq!(lines.held(), 0);
    assert_eq!(lines.push(b"\n").map(found).collect::<Vec<_>>(), [(vec![], false)], "a new stream begins");
}

fn read(lines: &mut Lines, chunk: &[u8], reader: Reader) -> Vec<Found> {
    match reader {
        Reader::All => lines.push(chunk).map(found).collect(),
        Reader::Leaves(some) => lines.push(chunk).map(found).take(some).collect(),
        Reader::Stops(some) => {
            let (mut taken, mut rest) = (Vec::new(), chunk);
            while !rest.is_empty() {
                let mut pushed = lines.push(rest);
                taken.extend(pushed.by_ref().map(found).take(some));
                rest = pushed.rest();
            }
            taken
        }
    }
}

fn found(line: Line<'_>) -> Found {
    (line.bytes().to_vec(), line.is_too_long())
}

/// Knows bytes, and no chunks.
struct Naive {
    bound: usize,
    line: Vec<u8>,
    reported: bool,
}

impl Naive {
    fn at_most(bound: usize) -> Self {
        Naive { bound, line: Vec::new(), reported: false }
    }

    fn push(&mut self, byte: u8) -> Option<Found> {
        if byte == b'\n' {
            return self.end_line();
        }
        self.line.push(byte);
        let too_long = without_cr(&self.line).len() > self.bound && !self.reported;
        self.reported |= too_long;
        too_long.then(|| (self.line[..self.bound].to_vec(), true))
    }

    fn end_line(&mut self) -> Option<Found> {
        let line = std::mem::take(&mut self.line);
        let reported = std::mem::take(&mut self.reported);
        (!reported).then(|| (without_cr(&line).to_vec(), false))
    }

    fn held(&self) -> usize {
        if self.reported { 0 } else { self.line.len() }
    }

    fn finish(&mut self) -> Option<Found> {
        if self.line.is_empty() { None } else { self.end_line() }
    }
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![4 => prop::sample::select(&b"xyz\xFF\r\r\n\n"[..]), 1 => any::<u8>()];
        prop::collection::vec(byte, 0..200)
    }

    proptest! {
        #![proptest_config(super::super::some(20_000))]

        #[test]
        fn however_a_stream_is_split_and_stopped_the_lines_are_the_same(
            bound in prop_oneof![0..12usize, Just(usize::MAX)],
            stream in stream(),
            chunks in prop::collection::vec((0..24u8, any::<u8>()).prop_map(Chunk::from), 0..20),
        ) {
            check(bound, &stream, &chunks);
        }
    }
}
