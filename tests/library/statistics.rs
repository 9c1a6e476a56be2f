//! What only the machine's kernel shows of the statistics: how much it reports at once, and real time.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use tidegate::{EventLoop, SocketOptions};

/// More than the kernel gives at once.
const MANY: usize = 1100;

#[test]
fn a_wait_that_finds_more_than_the_kernel_gives_at_once_is_full() {
    let mut it = EventLoop::with_state(0_usize).unwrap();
    it.net.keep_statistics();
    let mut peers = Vec::new();
    for _ in 0..MANY {
        let (ours, theirs) = UnixStream::pair().unwrap();
        it.event_loop()
            .adopt_socket(ours, SocketOptions::new(), |socket| {
                socket.on_data(|socket, chunk| *socket.state += chunk.len());
            })
            .unwrap();
        peers.push(theirs);
    }
    it.turn(Some(Duration::ZERO)).unwrap();
    let before = it.net.statistics().unwrap();
    peers.iter_mut().for_each(|peer| peer.write_all(b"x").unwrap());
    it.turn(Some(Duration::ZERO)).unwrap();
    let after = it.net.statistics().unwrap();
    assert_eq!((after.waits - before.waits, after.full_waits - before.full_waits), (1, 1));
    assert_eq!(after.wait_events - before.wait_events, MANY as u64);
    while it.state < MANY {
        it.turn(Some(Duration::ZERO)).unwrap();
    }
    it.turn(Some(Duration::ZERO)).unwrap();
    let all = it.net.statistics().unwrap();
    assert_eq!((all.bytes_read, all.connections["open"]), (MANY as u64, MANY as u64));
    assert!(all.reads_blocked > 0, "a Unix socket is read until it is empty");
}

#[test]
fn the_time_of_a_loop_is_working_or_waiting() {
    let began = Instant::now();
    let mut it = EventLoop::new().unwrap();
    it.net.keep_statistics();
    it.after(Duration::from_millis(20), |_| {
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(5) {}
    });
    it.run().unwrap();
    let all = it.net.statistics().unwrap();
    assert!(all.working >= Duration::from_millis(5) && all.waiting >= Duration::from_millis(15), "{all:?}");
    assert!(all.working + all.waiting <= began.elapsed());
    assert!(it.net.take_longest_turn().unwrap().phase_time >= Duration::from_millis(5));
}
