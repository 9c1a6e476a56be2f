//! `tidegate echo`: every byte comes back, in order; the end comes back too, after all bytes; a peer that sends without
//! reading pauses itself and nobody else.

use std::time::Duration;

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
fn the_end_comes_back_after_all_bytes() {
    let echo = Daemon::echo(&[]);
    for count in [0, 5, 1 << 20] {
        let mut anna = echo.join();
        let bytes = Random(11).bytes(count);
        anna.sends(&bytes);
        anna.ends_its_side();
        anna.receives(&bytes);
        anna.ends();
    }
}

#[test]
fn ten_megabytes_go_through() {
    Daemon::echo(&[]).join().sends_and_receives(&Random(12).bytes(10 << 20));
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
fn each_connection_gets_its_own_bytes_back() {
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
fn a_peer_that_sends_without_reading_pauses_only_itself_and_loses_nothing() {
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
    flooder.receives_copies(&piece, count);
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
        anna.receives_copies(&piece, count);
    }
    anna.says("and again");
    anna.hears("and again");
}

#[test]
fn a_reset_connection_does_not_disturb_the_others() {
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

/// The process is stopped for longer than the idle timeout. What the client has said meanwhile is there when it goes on, and the
/// clock comes after it.
#[test]
fn a_process_that_was_stopped_takes_nobody_for_silent() {
    let echo = Daemon::echo(&["--idle-timeout", "1s"]);
    let mut anna = echo.join();
    anna.sends(b"hello");
    anna.receives(b"hello");
    for _ in 0..3 {
        echo.freeze();
        anna.sends(b"are you there?");
        std::thread::sleep(Duration::from_millis(1300));
        echo.thaw();
        anna.receives(b"are you there?");
    }
}
