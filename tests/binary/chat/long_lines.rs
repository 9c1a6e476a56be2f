//! Lines that are too long.

use crate::support::Daemon;

/// So many bytes, and no line end.
fn long(count: usize) -> Vec<u8> {
    (0..count).map(|index| b'a' + (index % 26) as u8).collect()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_line_of_4096_bytes_may_be_read() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    for end in ["\n", "\r\n"] {
        bob.sends(&[&long(4096), end.as_bytes()].concat());
        anna.hears(&format!("guest2: {}", text(&long(4096))));
    }
    bob.hears_nothing();
}

#[test]
fn the_end_of_a_line_is_not_counted_when_it_comes_apart() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends_apart(&[&long(4096)[..], b"\r"], &mut anna);
    anna.hears(&format!("guest2: {}", text(&long(4096))));
    bob.sends(b"\n");
    bob.hears_nothing();
}

#[test]
fn a_line_of_4097_bytes_is_too_long() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(&[&long(4097), "\nshort\n".as_bytes()].concat());
    bob.hears("* line too long");
    bob.hears_nothing();
    anna.hears("guest2: short");
    anna.hears_nothing();
}

#[test]
fn what_backspace_takes_away_is_counted() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(&[&long(4095)[..], b"\x08\n", &long(4096), b"\x08\n"].concat());
    anna.hears(&format!("guest2: {}", text(&long(4094))));
    bob.hears("* line too long");
    bob.hears_nothing();
    anna.hears_nothing();
}

#[test]
fn bytes_are_counted_and_not_characters() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says(&"é".repeat(2048));
    anna.hears(&format!("guest2: {}", "é".repeat(2048)));
    bob.says(&"é".repeat(2049));
    bob.hears("* line too long");
    anna.hears_nothing();
}

#[test]
fn a_line_that_grows_when_it_is_made_harmless_is_not_too_long() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(&[&[0xff; 4096][..], b"\n"].concat());
    anna.hears(&format!("guest2: {}", "\u{fffd}".repeat(4096)));
    bob.hears_nothing();
}

#[test]
fn a_line_is_too_long_as_soon_as_it_has_passed_the_bound() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends_apart(&[&long(4096), b"x"], &mut anna);
    bob.hears("* line too long");
}

#[test]
fn a_line_that_is_too_long_is_told_once_and_dropped_whole() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(&long(5000));
    bob.hears("* line too long");
    for _ in 0..10 {
        bob.sends(&long(5000));
    }
    bob.sends(b"the tail\nnext\n");
    bob.hears_nothing();
    anna.hears("guest2: next");
    anna.hears_nothing();
}

#[cfg(target_os = "linux")]
#[test]
fn megabytes_without_a_line_end_are_one_line_and_need_no_memory() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    let before = room.peak_memory();
    for _ in 0..16 {
        bob.sends(&long(1 << 20));
    }
    bob.sends(b"\nhere I am\n");
    bob.hears("* line too long");
    bob.hears_nothing();
    anna.hears("guest2: here I am");
    let growth = room.peak_memory() - before;
    assert!(growth < 4 << 20, "{growth} bytes of memory");
}

#[test]
fn an_unfinished_last_line_that_is_too_long_is_dropped() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(&long(5000));
    bob.ends_its_side();
    bob.hears("* line too long");
    bob.ends();
    anna.hears("* guest2 left; 1 online");
}

#[test]
fn the_third_line_that_is_too_long_closes() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    for number in 1..=3 {
        bob.says(&format!("before {number}"));
        anna.hears(&format!("guest2: before {number}"));
        bob.sends(&long(4097));
        bob.hears("* line too long");
        if number < 3 {
            bob.sends(b"\n");
        }
    }
    bob.ends();
    anna.hears("* guest2 left; 1 online");
    anna.hears_nothing();
}

#[test]
fn two_lines_that_are_too_long_do_not_close() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(&[&long(5000)[..], b"\n", &long(9000), b"\nstill here\n"].concat());
    bob.hears_all(["* line too long", "* line too long"]);
    bob.hears_nothing();
    anna.hears("guest2: still here");
}

/// A reset would destroy what the guest was told. So the room reads what still comes.
#[test]
fn a_guest_that_pastes_long_lines_is_told_why_it_is_closed() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    let line = [&long(100_000)[..], b"\n"].concat();
    bob.sends(&[&line[..], b"said before\n", &line, &line, b"said after\n", &line].concat());
    bob.hears_all(["* line too long"; 3]);
    bob.ends();
    anna.hears("guest2: said before");
    anna.hears("* guest2 left; 1 online");
    anna.hears_nothing();
}
