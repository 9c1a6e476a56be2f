//! Guests that do not read: nobody waits for them, they cost the room no memory beyond their bound, and they are
//! disconnected by the output limits: at once by the hard one, after 10 s by the soft one.

#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use crate::support::{self, Client, Daemon, PATIENCE};

/// Waits until the daemon has logged that the output limits closed `client`, which bore `name`.
#[track_caller]
fn log_gives_the_reason(room: &Daemon, client: &Client, name: &str) {
    let port = format!(":{}", client.local_address().port());
    room.logs("the output limit as the reason for the close of the stuck reader", |line| {
        let words = line.replace(['-', '_'], " ").to_lowercase();
        let is_about_it = line.contains(&port) || line.split(|c: char| !c.is_alphanumeric()).any(|word| word == name);
        is_about_it && words.contains("output limit")
    });
}

/// A room of 200 guests. The first never reads. The second says 12 MB and more, a batch at a time; after
/// each batch all others have heard all of it, so none of *them* is ever far behind.
#[test]
fn one_stuck_reader_among_200_delays_nobody() {
    const GUESTS: usize = 200;
    const BATCH: usize = 32; // lines; 131 kB
    const BATCHES: usize = 96; // 12.6 MB

    let room = Daemon::chat(&["-v"]);
    let mut stuck = room.join(); // reads its greeting never, and nothing else
    let mut speaker = room.join();
    speaker.hears("* you are guest2; 2 online");
    let mut others: Vec<Client> = (3..=GUESTS).map(|_| room.join()).collect();
    while !speaker.hears_line().ends_with(&format!("; {GUESTS} online")) {}
    speaker.says("ready");
    for other in &mut others {
        while !other.try_hear(b"guest2: ready") {
            let line = other.hears_line();
            assert!(line.starts_with("* "), "{line}");
        }
    }

    let before = room.memory();
    let line = "0123456789abcdef".repeat(256);
    let heard = format!("guest2: {line}");
    let batch = format!("{line}\n").repeat(BATCH);
    let mut departures = vec![0; others.len()];
    for _ in 0..BATCHES {
        speaker.sends(batch.as_bytes());
        for (other, departures) in others.iter_mut().zip(&mut departures) {
            for _ in 0..BATCH {
                if !other.try_hear(heard.as_bytes()) {
                    other.hears("* guest1 left; 199 online");
                    *departures += 1;
                    other.hears(&heard);
                }
            }
        }
    }
    const { assert!(BATCH * BATCHES * 4097 >= 12 << 20) };

    speaker.hears("* guest1 left; 199 online");
    speaker.hears_nothing();
    for (other, departures) in others.iter_mut().zip(departures) {
        if departures == 0 {
            other.hears("* guest1 left; 199 online");
        }
        assert!(departures <= 1);
        other.hears_nothing();
    }
    let growth = room.peak_memory().saturating_sub(before);
    assert!(growth < 8 << 20, "{growth} bytes of memory");
    log_gives_the_reason(&room, &stuck, "guest1");
    stuck.hears("* you are guest1; 1 online"); // what the kernel had taken was not lost
}

#[test]
fn the_soft_limit_works_in_a_silent_room_and_spares_a_guest_that_has_caught_up() {
    let room = Daemon::chat(&["-v"]);
    // Most of the readers keep up, so that anna need not wait for the two others. What they are sent fits into the kernel.
    let [mut anna, _bob, _carl, _dora] = room.guests();
    let mut slow = Client::connect_narrow(room.address());
    anna.hears("* guest5 joined; 5 online");
    let stuck = Client::connect_narrow(room.address());
    anna.hears("* guest6 joined; 6 online");
    let began = Instant::now();
    let said = support::stuff(&mut anna, &[&slow, &stuck], 300 << 10);

    slow.hears("* you are guest5; 5 online");
    slow.hears("* guest6 joined; 6 online");
    slow.hears_all(said.iter().map(|line| format!("guest1: {line}")));

    anna.is_patient_for(Duration::from_secs(10) + PATIENCE);
    anna.hears("* guest6 left; 5 online");
    assert!(began.elapsed() >= Duration::from_secs(10), "{:?}", began.elapsed());
    log_gives_the_reason(&room, &stuck, "guest6");
    slow.hears("* guest6 left; 5 online");
    slow.hears_nothing();
    anna.hears_nothing();
}

/// Its own lines are still heard, and nobody gets a line of another guest cut in two.
#[test]
fn a_stuck_reader_can_still_speak() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    let mut stuck = Client::connect_narrow(room.address());
    anna.hears("* guest2 joined; 2 online");
    support::stuff(&mut anna, &[&stuck], 50_000);
    stuck.says("I cannot read now");
    anna.hears("guest2: I cannot read now");
}

/// A guest who pastes a file is slowed down to what a reader takes, and the reader loses nothing: each time.
#[test]
fn a_speaker_waits_while_most_of_the_readers_are_behind() {
    const LINES: usize = 10_000;

    let room = Daemon::chat(&["--flood", "none", "--output-grace", "60s"]);
    let [mut anna, mut bob] = room.guests();
    for _ in 0..2 {
        let mut paste = anna.handle();
        let writer = std::thread::spawn(move || {
            for number in 0..LINES {
                let line = format!("{number:01000}\n");
                std::io::Write::write_all(&mut paste, line.as_bytes()).unwrap();
            }
        });
        support::a_quiet_moment(); // the kernel is full, and the room has to wait
        for number in 0..LINES {
            bob.hears(&format!("guest1: {number:01000}"));
        }
        writer.join().unwrap();
    }
    anna.says("/who");
    anna.hears("* 2 online: guest1, guest2");
}

/// Its own lines are no burden to a guest who does not read, but it may speak to those who do.
#[test]
fn a_reader_that_is_far_behind_can_still_speak() {
    let room = Daemon::chat(&["--output-grace", "60s", "--output-hard", "64MiB"]);
    let [mut anna] = room.guests();
    let mut stuck = Client::connect_narrow(room.address());
    anna.hears("* guest2 joined; 2 online");
    stuck.sends("/help\n".repeat(30_000).as_bytes());
    stuck.says("I cannot read now");
    anna.is_patient_for(PATIENCE);
    anna.hears("guest2: I cannot read now");
}
