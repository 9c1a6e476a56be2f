use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use super::{consumer, has_consumers, hub, producer, read_exactly};
use crate::support::{Client, Daemon, Signal, wait_until};

const GAP: [&str; 2] = ["--gap-line", "# {frames} frames ({bytes} bytes) skipped"];

fn lines(from: usize, to: usize) -> Vec<u8> {
    (from..to).flat_map(|number| format!("{number:09}\n").into_bytes()).collect()
}

/// A producer has said all of it, and the hub has heard it.
#[track_caller]
fn flood(hub: &Daemon, producer: &mut Client, bytes: &[u8], frames: usize) {
    producer.sends(bytes);
    wait_until("all has come", || {
        hub.signal(Signal::USR1);
        hub.log().contains(&format!("{frames} frames since it joined"))
    });
}

/// A consumer that was stuck wakes after a flood: how many frames it hears before the gap, and how many it is told that it missed.
/// All frames after these are still to be heard.
#[track_caller]
fn wakes_after_a_flood(rule: &str, frames: usize) -> (Daemon, Client, Client, usize, usize) {
    let arguments = ["--in", "listen:0", "--out", "0", "--queue", "100000", "--send-buffer", "16K", "--slow", rule];
    let hub = hub(&[&arguments[..], &GAP].concat());
    let mut stuck = Client::connect_narrow(super::address_of(&hub, "out"));
    has_consumers(&hub, 1);
    let mut producer = producer(&hub);
    flood(&hub, &mut producer, &lines(0, frames), frames);
    let mut heard = 0;
    loop {
        let line = stuck.hears_line();
        let Some(gap) = line.strip_prefix("# ") else {
            assert_eq!(line.parse(), Ok(heard));
            heard += 1;
            continue;
        };
        let skipped = gap.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(gap, format!("{skipped} frames ({} bytes) skipped", skipped * 10));
        return (hub, producer, stuck, heard, skipped);
    }
}

#[test]
fn a_stuck_consumer_that_wakes_gets_the_newest_bytes_of_the_queue_whole() {
    let (_hub, mut producer, mut stuck, heard, skipped) = wakes_after_a_flood("drop-oldest", 500_000);
    assert_eq!(heard + skipped, 500_000 - 100_000 / 10);
    stuck.receives(&lines(heard + skipped, 500_000));
    producer.says("live");
    stuck.hears("live");
}

#[test]
fn one_that_drops_the_newest_goes_on_live_after_what_it_was_given() {
    let (_hub, mut producer, mut stuck, heard, skipped) = wakes_after_a_flood("drop-newest", 500_000);
    assert_eq!(heard + skipped, 500_000);
    producer.says("live");
    stuck.hears("live");
}

#[test]
fn one_that_is_too_far_behind_is_disconnected_and_the_others_hear_all() {
    for kind in ["lines", "bytes"] {
        let hub = hub(&["--in", "listen:0", "--out", "0", "--slow", "disconnect", "--frames", kind]);
        let (mut stuck, mut good) = (Client::connect_narrow(super::address_of(&hub, "out")), consumer(&hub));
        has_consumers(&hub, 2);
        let mut producer = producer(&hub);
        let all = lines(0, 1_000_000);
        let handle = good.handle();
        let reader = thread::spawn(move || read_exactly(&mut { handle }, 10_000_000));
        producer.sends(&all);
        assert!(reader.join().unwrap() == all, "the good one hears all");
        hub.logs("why", |line| line.contains(" was disconnected: it is more than 1048576 bytes behind"));
        let mut end = [0; 1 << 16];
        let mut stream = stuck.handle();
        stuck.is_patient_for(Duration::from_secs(5));
        while let Ok(1..) = stream.read(&mut end) {}
        producer.says("on");
        good.receives(b"on\n");
    }
}

#[test]
fn one_that_takes_nothing_holds_the_inputs_for_the_grace_period_and_no_longer() {
    let hub = hub(&["--in", "listen:0", "--out", "0", "--slow", "pause", "--grace", "400ms", "--queue", "100K"]);
    let (_stuck, good) = (Client::connect_narrow(super::address_of(&hub, "out")), consumer(&hub));
    has_consumers(&hub, 2);
    let mut producer = producer(&hub);
    let all = lines(0, 1_500_000);
    let began = Instant::now();
    let reader = thread::spawn(move || {
        let mut stream = good.into_stream();
        read_exactly(&mut stream, 15_000_000)
    });
    producer.sends(&all);
    assert!(reader.join().unwrap() == all);
    assert!(began.elapsed() >= Duration::from_millis(400));
    hub.logs("why", |line| line.contains(" was disconnected: it has taken nothing for 400ms"));
}
