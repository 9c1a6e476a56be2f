//! The cutter of lines, against one that knows bytes and no chunks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::properties::lines::{Chunk, check};

fuzz_target!(|input: (u8, Vec<(u8, u8)>, &[u8])| {
    let (bound, chunks, stream) = input;
    let chunks: Vec<Chunk> = chunks.into_iter().map(Chunk::from).collect();
    check(usize::from(bound % 16), stream, &chunks);
});
