//! Guests who come with a telnet client.

use crate::support::{Client, Daemon};

/// What PuTTY sends when it connects: it offers and asks for options.
const PUTTY: &[u8] = b"\xff\xfb\x1f\xff\xfb\x20\xff\xfb\x18\xff\xfb\x27\xff\xfd\x01\xff\xfb\x03\xff\xfd\x03";

/// The refusals of all of them.
const REFUSED: &[u8] = b"\xff\xfe\x1f\xff\xfe\x20\xff\xfe\x18\xff\xfe\x27\xff\xfc\x01\xff\xfe\x03\xff\xfc\x03";

/// A room with a guest who has heard the greeting.
fn room_with_anna() -> (Daemon, Client) {
    let room = Daemon::chat(&[]);
    let [anna] = room.guests();
    (room, anna)
}

#[test]
fn options_are_refused_and_lines_are_as_typed() {
    let (room, mut anna) = room_with_anna();
    let mut bob = room.join();
    bob.hears("* you are guest2; 2 online");
    bob.sends(PUTTY);
    bob.receives(REFUSED);
    bob.sends(b"/nick bob\r\nhello\r\0");
    anna.hears_all(["* guest2 joined; 2 online", "* guest2 is now bob", "bob: hello"]);
    bob.hears("* guest2 is now bob\r");
    anna.says("hello yourself");
    bob.hears("guest1: hello yourself\r");
}

#[test]
fn commands_may_be_cut_anywhere_and_may_cut_anything() {
    let (room, mut anna) = room_with_anna();
    let mut bob = room.join();
    bob.hears("* you are guest2; 2 online");
    let typed = b"gr\xc3\xff\xfa\x1f\0\xff\xff\0\x18\xff\xf0\xbc\xff\xfb\x1f\xff\xf1n \xff\xff\r\xff\xfe\x01\n";
    typed.iter().for_each(|byte| bob.sends(&[*byte]));
    bob.receives(b"\xff\xfe\x1f");
    anna.hears_all(["* guest2 joined; 2 online", "guest2: grün \u{fffd}"]);
    anna.hears_nothing();
}

/// Ctrl-C in `telnet`: it shows nothing more until the timing mark is answered.
#[test]
fn an_interruption_is_answered_and_not_said() {
    let (room, mut anna) = room_with_anna();
    let mut bob = room.join();
    bob.hears("* you are guest2; 2 online");
    bob.sends(b"\xff\xf4\xff\xfd\x06");
    bob.receives(b"\xff\xfc\x06");
    bob.sends(b"hello\r\n");
    anna.hears_all(["* guest2 joined; 2 online", "guest2: hello"]);
}

/// `send synch`, and PuTTY's special commands. Which of the two bytes is urgent depends on the client.
#[cfg(target_os = "linux")]
#[test]
fn a_synch_is_urgent_and_not_said() {
    let (room, mut anna) = room_with_anna();
    for (number, before, urgent, after) in [(2, &b""[..], &b"\xff"[..], &b"\xf2"[..]), (3, b"\xff", b"\xf2", b"")] {
        let mut bob = room.join();
        bob.sends(&[b"\xff\xf4", before].concat());
        socket2::SockRef::from(&bob.handle()).send_out_of_band(urgent).unwrap();
        bob.sends(&[after, b"hello\r\n/quit\r\n"].concat());
        anna.hears(&format!("* guest{number} joined; 2 online"));
        anna.hears(&format!("guest{number}: hello"));
        anna.hears(&format!("* guest{number} left; 1 online"));
    }
}

#[test]
fn the_room_is_there_when_it_is_asked() {
    let (_room, mut anna) = room_with_anna();
    anna.sends(b"\xff\xf6");
    anna.hears("* yes, the room is here\r");
}

#[cfg(target_os = "linux")]
#[test]
fn telnet_alone_says_nothing_and_announces_nobody() {
    let (room, mut anna) = room_with_anna();
    room.freeze();
    room.join().sends(PUTTY);
    room.thaw();
    anna.hears_nothing();
    room.join().says("hello");
    anna.hears_all(["* guest3 joined; 2 online", "guest3: hello"]);
}

#[test]
fn an_ff_without_telnet_stays_what_it_is() {
    let (room, mut anna) = room_with_anna();
    let mut bob = room.join();
    bob.sends(b"caf\xff\n\xff\xff\n\xff");
    bob.ends_its_side();
    anna.hears("* guest2 joined; 2 online");
    anna.hears_all(["guest2: caf\u{fffd}", "guest2: \u{fffd}\u{fffd}", "guest2: \u{fffd}"]);
}

#[test]
fn a_subnegotiation_that_never_ends_is_a_line_that_is_too_long() {
    let (_room, mut anna) = room_with_anna();
    anna.sends(&[b"\xff\xfa".to_vec(), vec![b'x'; 100_000], b"\n/who\n".to_vec()].concat());
    anna.hears_all(["* line too long", "* 1 online: guest1"]);
}

/// Sixteen commands are as much as a line.
#[test]
fn commands_count_for_the_flood_limit() {
    let room = Daemon::chat(&["--flood", "2/10"]);
    let [mut anna] = room.guests();
    let began = std::time::Instant::now();
    anna.sends(&b"\xff\xf1".repeat(16 * 12));
    anna.sends(b"/who\n");
    anna.hears("* 1 online: guest1\r");
    assert!(began.elapsed() >= std::time::Duration::from_millis(1000), "{:?}", began.elapsed());
}

/// A client that asks without end and reads no answer is put out by the output limit.
#[cfg(target_os = "linux")]
#[test]
fn answers_that_nobody_reads_are_bounded() {
    use std::io::Write;

    let room = Daemon::chat(&["--output-hard", "64K"]);
    let before = room.peak_memory();
    let mut flood = Client::connect_narrow(room.address()).into_stream();
    let requests = b"\xff\xfd\x01".repeat(20_000);
    let mut sent = 0_usize;
    while flood.write_all(&requests).is_ok() {
        sent += requests.len();
        assert!(sent < 256 << 20, "it is still served");
    }
    let growth = room.peak_memory() - before;
    assert!(growth < 4 << 20, "{growth} bytes of memory");
}
