//! `tidegate echo`, judged from outside: every byte comes back, in order; the end comes back too, after all bytes; who
//! sends without reading pauses itself and nobody else.

use std::io::Write;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, Daemon, Random};

#[test]
fn bytes_come_back_unchanged() {
    let echo = Daemon::echo(&[]);
    let mut anna = echo.join();
    let every_byte: Vec<u8> = (0..=255).collect();
    anna.sends(&every_byte);
    anna.receives(&every_byte);
    anna.sends(b"without a line end");
    anna.receives(b"without a line end");
}

#[test]
fn nothing_is_said_that_was_not_sent() {
    let echo = Daemon::echo(&[]);
    let mut anna = echo.join();
    anna.ends_its_side();
    anna.ends();
}

#[test]
fn the_end_comes_back_after_all_bytes() {
    let echo = Daemon::echo(&[]);
    let mut anna = echo.join();
    anna.sends(b"hello");
    anna.ends_its_side();
    anna.receives(b"hello");
    anna.ends();
}

#[test]
fn the_end_waits_for_what_is_still_queued() {
    let echo = Daemon::echo(&[]);
    let mut anna = echo.join();
    let bytes = Random(11).bytes(1 << 20);
    anna.sends(&bytes);
    anna.ends_its_side();
    anna.receives(&bytes);
    anna.ends();
}

#[test]
fn ten_megabytes_go_through() {
    let echo = Daemon::echo(&[]);
    let mut anna = echo.join();
    let bytes = Random(12).bytes(10 << 20);
    let mut handle = anna.handle();
    thread::scope(|scope| {
        scope.spawn(|| {
            handle.write_all(&bytes).unwrap();
            handle.shutdown(Shutdown::Write).unwrap();
        });
        anna.receives(&bytes);
    });
    anna.ends();
}

#[test]
fn messages_go_to_and_fro() {
    let echo = Daemon::echo(&[]);
    let mut anna = echo.join();
    let mut random = Random(13);
    for _ in 0..500 {
        let length = 1 + random.below(3000);
        let message = random.bytes(length);
        anna.sends(&message);
        anna.receives(&message);
    }
}

#[test]
fn everybody_gets_back_what_is_theirs() {
    let echo = Daemon::echo(&[]);
    let mut peers: Vec<Client> = (0..100).map(|_| echo.join()).collect();
    for round in 0..10 {
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.says(&format!("peer {number} round {round}"));
        }
        for (number, peer) in peers.iter_mut().enumerate() {
            peer.hears(&format!("peer {number} round {round}"));
        }
    }
    for mut peer in peers {
        peer.ends_its_side();
        peer.ends();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn who_sends_without_reading_pauses_itself_and_loses_nothing() {
    let echo = Daemon::echo(&[]);
    let mut flooder = echo.join();
    let before = echo.peak_memory();
    let piece = Random(14).bytes(99_991); // a prime, so that no buffer is a multiple of it
    let count = flooder.sends_until_paused(&piece, 96 << 20);
    let growth = echo.peak_memory() - before;
    assert!(growth < 4 << 20, "{growth} bytes of memory for {count} bytes sent");

    let mut other = echo.join();
    other.says("nobody waits for it");
    other.hears("nobody waits for it");

    flooder.ends_its_side();
    let mut left = count;
    while left > 0 {
        let length = left.min(piece.len());
        flooder.receives(&piece[..length]);
        left -= length;
    }
    flooder.ends();
    let growth = echo.peak_memory() - before;
    assert!(growth < 4 << 20, "{growth} bytes of memory when all came back");
}

#[test]
fn a_pause_ends_when_the_peer_reads_again() {
    let echo = Daemon::echo(&[]);
    let mut anna = echo.join();
    let piece = Random(15).bytes(65_537);
    for _ in 0..2 {
        let count = anna.sends_until_paused(&piece, 96 << 20);
        let mut left = count;
        while left > 0 {
            let length = left.min(piece.len());
            anna.receives(&piece[..length]);
            left -= length;
        }
    }
    anna.says("and again");
    anna.hears("and again");
}

#[test]
fn who_is_cut_off_harms_nobody() {
    let echo = Daemon::echo(&[]);
    let mut anna = echo.join();
    anna.says("before");
    anna.hears("before");
    for _ in 0..20 {
        let mut bob = echo.join();
        bob.sends(&[b'x'; 100_000]);
        bob.resets();
    }
    anna.says("after");
    anna.hears("after");
}

#[test]
fn who_is_idle_is_closed() {
    let echo = Daemon::echo(&["--idle-timeout", "1s"]);
    let began = Instant::now();
    let mut anna = echo.join();
    anna.says("hello");
    anna.hears("hello");
    anna.is_dismissed();
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn one_connection_too_many_is_closed() {
    let echo = Daemon::echo(&["--max-connections", "1"]);
    let mut anna = echo.join();
    anna.says("first");
    anna.hears("first");
    echo.join().is_dismissed();
    anna.says("still here");
    anna.hears("still here");
}

#[cfg(target_os = "linux")]
#[test]
fn there_is_one_thread() {
    let echo = Daemon::echo(&[]);
    let mut anna = echo.join();
    anna.says("hello");
    anna.hears("hello");
    assert_eq!(echo.status("Threads"), 1);
}
