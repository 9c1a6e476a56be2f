//! The price of the logic alone: no sockets, no kernel. `cargo bench`.
//!
//! Speed is judged here and in `docs/benchmarks.md`, never in a test.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on says so")]

mod null_kernel;

use divan::{Bencher, black_box};
use null_kernel::Crowd;
use tidegate::{Lines, Utf8Decoder, sanitize};

fn main() {
    divan::main();
}

/// One event: read, dispatched to a closure, written back. 64 of them in a turn.
#[divan::bench]
fn dispatch(bencher: Bencher) {
    let mut crowd = Crowd::of(64, (), |socket| {
        socket.on_data(|socket, chunk| {
            socket.write(chunk);
        });
    });
    bencher.counter(divan::counter::ItemsCount::new(64usize)).bench_local(|| {
        crowd.wake(64);
        crowd.turn();
    });
}

/// The write queue: so many writes of 64 bytes that find no room, and then all of them go out.
#[divan::bench(args = [1, 16, 256])]
fn write_queue(bencher: Bencher, writes: usize) {
    let mut crowd = Crowd::of(1, (), |_| {});
    let id = crowd.ids[0];
    bencher.counter(divan::counter::ItemsCount::new(writes)).bench_local(|| {
        crowd.set_full(true);
        for _ in 0..writes {
            crowd.net().write(id, black_box(&[b'x'; 64]));
        }
        crowd.set_full(false);
        crowd.wake(1);
        crowd.turn();
        assert_eq!(crowd.net().connection(id).buffer_size(), 0);
    });
}

/// A timer that is set and taken back.
#[divan::bench]
fn timer(bencher: Bencher) {
    let mut crowd = Crowd::of(1, (), |_| {});
    bencher.bench_local(|| {
        let timer = crowd.net().after(std::time::Duration::from_secs(60));
        crowd.net().cancel(timer)
    });
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
