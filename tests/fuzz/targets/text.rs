//! The decoder of UTF-8, the sanitizer and the escapes, each against its definition.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::properties::text::check;

fuzz_target!(|input: (u8, Vec<u8>, &[u8])| {
    let (limit, pieces, bytes) = input;
    let pieces: Vec<usize> = pieces.into_iter().map(|piece| usize::from(piece % 8)).collect();
    check(bytes, &pieces, usize::from(limit));
});
