//! `--flood`: how fast a guest may speak.

use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use crate::support::Daemon;

fn numbered(count: usize) -> String {
    (1..=count).map(|number| format!("{number}\n")).collect()
}

#[test]
fn a_flooder_is_paused_and_nothing_is_lost() {
    let room = Daemon::chat(&["--flood", "3/2"]);
    let [mut anna, mut bob] = room.guests();
    let began = Instant::now();
    bob.sends(numbered(7).as_bytes());
    anna.hears_all((1..=7).map(|number| format!("guest2: {number}")));
    // Three at once, then four at two a second.
    assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
}

#[test]
fn the_room_does_not_wait_for_a_flooder() {
    let room = Daemon::chat(&["--flood", "2/1"]);
    let [mut anna, mut bob, mut carl] = room.guests();
    bob.sends(numbered(4).as_bytes());
    carl.hears_all(["guest2: 1", "guest2: 2"]);
    anna.says("meanwhile");
    carl.hears_all(["guest1: meanwhile", "guest2: 3", "guest2: 4"]);
    anna.hears_all((1..=4).map(|number| format!("guest2: {number}")));
    bob.hears("guest1: meanwhile");
}

#[test]
fn a_flooder_that_ends_its_side_may_be_read_to_the_end() {
    let room = Daemon::chat(&["--flood", "2/4"]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(numbered(6).as_bytes());
    bob.sends(b"last words");
    bob.ends_its_side();
    anna.hears_all((1..=6).map(|number| format!("guest2: {number}")));
    anna.hears("guest2: last words");
    anna.hears("* guest2 left; 1 online");
    bob.ends();
}

#[cfg(target_os = "linux")]
#[test]
fn a_flooder_is_not_read_and_needs_no_memory() {
    let room = Daemon::chat(&["--flood", "3/1"]);
    let [mut anna, mut bob] = room.guests();
    let before = room.peak_memory();
    bob.sends_until_paused("flood\n".repeat(1000).as_bytes(), 48 << 20);
    anna.hears_all(["guest2: flood"; 3]);
    let growth = room.peak_memory() - before;
    assert!(growth < 4 << 20, "{growth} bytes of memory");
}

#[test]
fn with_none_and_by_default_on_loopback_there_is_no_limit() {
    for flags in [&["--flood", "none"][..], &[]] {
        let room = Daemon::chat(flags);
        let [mut anna, mut bob] = room.guests();
        bob.sends(numbered(1000).as_bytes()); // by the default for others, this would take 98 s
        anna.hears_all((1..=1000).map(|number| format!("guest2: {number}")));
    }
}

/// The address under which the machine reaches others. No packet is sent to find out.
fn outer_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?; // reserved for documentation
    let address = socket.local_addr().ok()?.ip();
    let is_outer = !address.is_loopback() && !address.is_unspecified() && TcpListener::bind((address, 0)).is_ok();
    is_outer.then(|| format!("{address}:0"))
}

#[test]
fn a_peer_that_is_not_on_loopback_has_20_lines_and_10_a_second() {
    let Some(outer) = outer_address() else {
        println!("this machine has no address but loopback: nothing tried");
        return;
    };
    let room = Daemon::chat(&["--listen", &outer]);
    let [mut anna, mut bob] = room.guests();
    let began = Instant::now();
    bob.sends(numbered(35).as_bytes());
    anna.hears_all((1..=35).map(|number| format!("guest2: {number}")));
    assert!(began.elapsed() >= Duration::from_millis(1400), "{:?}", began.elapsed());
}

/// One flooder after the other says this and goes. All of them are heard, as slowly as one who stays.
#[track_caller]
fn flooders_come_again(times: usize, say: &[u8], spam: usize, least: Duration) {
    let room = Daemon::chat(&["--flood", "3/1"]);
    let mut anna = room.join();
    anna.hears("* you are guest1; 1 online");
    let began = Instant::now();
    for number in 2..2 + times {
        let mut flooder = room.join();
        flooder.sends(say);
        flooder.ends_its_side();
        flooder.hears_to_the_end();
        let mut left = spam;
        while left > 0 {
            let heard = anna.hears_line();
            // Those who come and go quickly are announced together.
            assert!(heard == format!("guest{number}: spam") || heard.starts_with("* "), "{heard}");
            left -= usize::from(!heard.starts_with("* "));
        }
    }
    assert!(began.elapsed() >= least, "{:?}", began.elapsed());
}

#[test]
fn who_comes_again_gains_nothing() {
    // Three times four lines, three at once and then one a second.
    flooders_come_again(3, b"spam\nspam\nspam\n/quit\n", 3, Duration::from_secs(8));
}

/// A line without an end counts as well.
#[test]
fn unfinished_lines_count_for_who_comes_again() {
    // Six lines, three at once and then one a second.
    flooders_come_again(6, b"spam", 1, Duration::from_secs(3));
}

#[test]
fn nobody_pays_for_a_neighbour_who_is_here() {
    let room = Daemon::chat(&["--flood", "2/1"]);
    let [mut anna, mut bob, mut carl] = room.guests();
    bob.sends(numbered(100).as_bytes());
    anna.hears_all(["guest2: 1", "guest2: 2"]);
    carl.says("one");
    carl.says("two");
    anna.hears_in_any_order(&["guest3: one", "guest3: two"]);
}

#[test]
fn a_flooder_that_has_ended_is_heard_for_a_bounded_time() {
    let room = Daemon::chat(&["--flood", "2/1"]);
    let [mut anna, bob] = room.guests();
    let mut bob = bob;
    bob.sends("\n".repeat(60_000).as_bytes());
    bob.sends(b"late\n");
    bob.ends_its_side();
    let began = Instant::now();
    anna.hears("* guest2 left; 1 online");
    assert!(began.elapsed() >= Duration::from_secs(4), "it was heard for some seconds: {:?}", began.elapsed());
    bob.ends();
}

/// A guest who was dismissed and goes on sending does not keep its place.
#[test]
fn who_was_dismissed_and_goes_on_sending_gives_its_place_back() {
    let room = Daemon::chat(&["--max-connections", "1", "--drain-timeout", "1h"]);
    let mut bob = room.join();
    bob.hears("* you are guest1; 1 online");
    bob.says("/quit");
    let mut sends = bob.handle();
    let sender = std::thread::spawn(move || {
        while std::io::Write::write_all(&mut sends, b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    crate::support::wait_until("a place", || room.join().hears_line() == "* you are guest2; 1 online");
    sender.join().unwrap();
}
