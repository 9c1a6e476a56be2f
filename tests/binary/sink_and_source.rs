//! `tidegate sink` and `tidegate source`.

use std::io::Read;
use std::net::Shutdown;

use crate::support::{Daemon, Random, Signal};

/// What a source sends from the place `from` on.
fn pattern(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|place| (place % 251) as u8).collect()
}

#[test]
fn a_sink_takes_everything_and_ends_with_its_peer() {
    let sink = Daemon::role("sink", &["-v"]);
    let mut client = sink.join();
    let bytes = Random(51).bytes(1 << 20);
    for _ in 0..20 {
        client.sends(&bytes);
    }
    client.ends_its_side();
    client.ends();
    let says = "closed: the other side ended first; 20971520 bytes in, 0 bytes out, ";
    sink.logs("how much it was", |line| line.contains(says));
}

#[test]
fn a_source_sends_its_pattern_without_end() {
    let source = Daemon::role("source", &[]);
    let mut stream = source.join().into_stream();
    let mut found = vec![0; 1 << 20];
    for piece in 0..30 {
        stream.read_exact(&mut found).unwrap();
        assert!(found == pattern(piece << 20, 1 << 20), "megabyte {piece}");
    }
    // It goes on sending after the end of its peer.
    stream.shutdown(Shutdown::Write).unwrap();
    for piece in 30..40 {
        stream.read_exact(&mut found).unwrap();
        assert!(found == pattern(piece << 20, 1 << 20), "megabyte {piece}");
    }
}

#[test]
fn a_source_may_have_an_end() {
    for bytes in [1, 250, 251, 65_511, 65_512, 3_000_000] {
        let source = Daemon::role("source", &["--bytes", &bytes.to_string()]);
        let mut found = Vec::new();
        source.join().into_stream().read_to_end(&mut found).unwrap();
        assert!(found == pattern(0, bytes), "{} of {bytes} bytes", found.len());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_does_not_read_costs_no_memory_and_a_greedy_one_delays_nobody() {
    let source = Daemon::role("source", &[]);
    let before = source.peak_memory();
    let _stuck: Vec<_> = (0..10).map(|_| source.join()).collect();
    let mut greedy = source.join().into_stream();
    let reader = std::thread::spawn(move || {
        let mut found = vec![0; 1 << 20];
        while greedy.read(&mut found).is_ok_and(|length| length > 0) {}
    });
    for _ in 0..20 {
        let mut other = source.join().into_stream();
        let mut found = vec![0; 100_000];
        other.read_exact(&mut found).unwrap();
        assert!(found == pattern(0, found.len()));
    }
    let growth = source.peak_memory() - before;
    assert!(growth < 4 << 20, "{growth} bytes of memory");
    drop(source);
    reader.join().unwrap();
}

#[test]
fn sigterm_stops_both() {
    for role in ["sink", "source"] {
        let mut daemon = Daemon::role(role, &["--drain-timeout", "2s"]);
        let stream = daemon.join().into_stream();
        let mut handle = stream.try_clone().unwrap();
        let reader = std::thread::spawn(move || {
            let mut found = vec![0; 1 << 16];
            while handle.read(&mut found).is_ok_and(|length| length > 0) {}
        });
        daemon.signal(Signal::TERM);
        reader.join().unwrap();
        daemon.exits_with(0);
        drop(stream);
    }
}
