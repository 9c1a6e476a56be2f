//! The price of the logic alone: no sockets, no kernel. `cargo bench`.
//!
//! Speed is judged here and in `docs/benchmarks.md`, never in a test.

use divan::{Bencher, black_box};
use tidegate::{Lines, Utf8Decoder, sanitize};

fn main() {
    divan::main();
}

/// 64 KiB of lines of this length.
fn lines_of(length: usize) -> Vec<u8> {
    let line: Vec<u8> = (0..length).map(|n| b'a' + (n % 26) as u8).chain([b'\n']).collect();
    line.into_iter().cycle().take(65536).collect()
}

#[divan::bench(args = [20, 80, 1000])]
fn lines(bencher: Bencher, length: usize) {
    let chunk = lines_of(length);
    let mut lines = Lines::at_most(4096);
    bencher.counter(divan::counter::BytesCount::of_slice(&chunk)).bench_local(|| lines.push(black_box(&chunk)).count());
}

#[divan::bench]
fn sanitize_plain(bencher: Bencher) {
    let line = lines_of(64)[..64].to_vec();
    bencher.counter(divan::counter::BytesCount::of_slice(&line)).bench(|| sanitize(black_box(&line)).len());
}

#[divan::bench]
fn sanitize_hostile(bencher: Bencher) {
    let line = "\u{1b}[31mred\u{202e}\u{7}".repeat(4).into_bytes();
    bencher.counter(divan::counter::BytesCount::of_slice(&line)).bench(|| sanitize(black_box(&line)).len());
}

#[divan::bench]
fn decode_utf8(bencher: Bencher) {
    let text = "tide gate ".repeat(6000).into_bytes();
    let mut decoder = Utf8Decoder::new();
    bencher.counter(divan::counter::BytesCount::of_slice(&text)).bench_local(|| decoder.decode(black_box(&text)).len());
}
