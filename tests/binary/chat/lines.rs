//! Lines: who hears them, and in which order.

use crate::support::{Daemon, Signal};

#[test]
fn a_line_goes_to_everybody_else() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob, mut carl] = room.guests();
    bob.says("hello");
    bob.hears_nothing();
    anna.hears("guest2: hello");
    carl.hears("guest2: hello");
    anna.hears_nothing();
    carl.hears_nothing();
}

#[test]
fn with_echo_a_line_goes_to_its_speaker_too() {
    let room = Daemon::chat(&["--echo"]);
    let [mut anna, mut bob] = room.guests();
    bob.says("hello");
    for guest in [&mut anna, &mut bob] {
        guest.hears("guest2: hello");
        guest.hears_nothing();
    }
}

#[test]
fn a_lone_guest_may_speak() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    anna.says("is anybody here?");
    anna.hears_nothing();
}

#[test]
fn lines_keep_their_order() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob, mut carl] = room.guests();
    let said: Vec<String> = (0..2000).map(|number| format!("line {number}")).collect();
    bob.sends((said.join("\n") + "\n").as_bytes());
    for guest in [&mut anna, &mut carl] {
        guest.hears_all(said.iter().map(|line| format!("guest2: {line}")));
        guest.hears_nothing();
    }
}

#[test]
fn lines_of_two_speakers_stay_whole_and_in_order() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob, mut carl] = room.guests();
    for number in 0..100 {
        anna.says(&format!("a{number}"));
        bob.says(&format!("b{number}"));
    }
    let heard: Vec<String> = (0..200).map(|_| carl.hears_line()).collect();
    for (name, letter) in [("guest1", "a"), ("guest2", "b")] {
        let of_one: Vec<&String> = heard.iter().filter(|line| line.starts_with(name)).collect();
        assert!(of_one.iter().enumerate().all(|(number, line)| **line == format!("{name}: {letter}{number}")));
        assert_eq!(of_one.len(), 100);
    }
}

#[test]
fn lines_and_commands_keep_their_order_for_the_others() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"one\n/nick bob\ntwo\n/nick rob\nthree\n");
    anna.hears_all(["guest2: one", "* guest2 is now bob", "bob: two", "* bob is now rob", "rob: three"]);
}

#[test]
fn lines_and_answers_keep_their_order_for_the_speaker() {
    let room = Daemon::chat(&["--echo"]);
    let [mut anna] = room.guests();
    anna.sends(b"one\n/who\ntwo\n/nick anna\nthree\n/nobody\nfour\n");
    anna.hears("guest1: one");
    anna.hears("* 1 online: guest1");
    anna.hears("guest1: two");
    anna.hears("* guest1 is now anna");
    anna.hears("anna: three");
    anna.hears("* unknown command: /nobody; try /help");
    anna.hears("anna: four");
}

#[test]
fn empty_lines_are_ignored() {
    let room = Daemon::chat(&["--echo"]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"\n\n\r\n\none\n\n\n");
    for guest in [&mut anna, &mut bob] {
        guest.hears("guest2: one");
        guest.hears_nothing();
    }
}

#[test]
fn a_line_may_end_with_carriage_return_and_line_feed() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"one\r\ntwo\n/nick bob\r\nthree\r\n");
    anna.hears_all(["guest2: one", "guest2: two", "* guest2 is now bob", "bob: three"]);
}

#[test]
fn every_kind_of_enter_ends_a_line() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    for end in [&b"\n"[..], b"\r\n", b"\r\0", b"\r"] {
        let typed = [b"one", end, b"/who", end, b"two", end].concat();
        bob.sends(&typed);
        typed.iter().for_each(|byte| bob.sends(&[*byte]));
        for _ in 0..2 {
            anna.hears_all(["guest2: one", "guest2: two"]);
            bob.hears("* 2 online: guest1, guest2");
        }
    }
    anna.hears_nothing();
}

#[test]
fn backspace_and_delete_take_away_a_character() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    for (typed, meant) in [("helo\x08lo", "hello"), ("grü\x7fu", "gru"), ("\x08\x08ok", "ok"), ("😀\x08\x08:)", ":)")]
    {
        typed.bytes().chain(*b"\r\n").for_each(|byte| bob.sends(&[byte]));
        anna.hears(&format!("guest2: {meant}"));
    }
    bob.says("a\x08");
    anna.hears_nothing();
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    let mut bob = room.join();
    bob.hears("* you are guest2; 2 online");
    bob.sends("\u{feff}/nick bob\r\nhello\r\n".as_bytes());
    anna.hears_all(["* guest2 joined; 2 online", "* guest2 is now bob", "bob: hello"]);
}

#[test]
fn a_line_without_anything_visible_is_empty() {
    let room = Daemon::chat(&["--echo"]);
    let [mut anna, mut bob] = room.guests();
    for nothing in ["   ", "\u{200b}", "\u{2060}\u{ad}", "\u{3164}", "\u{2800}", "\u{feff}"] {
        bob.says(nothing);
    }
    bob.hears_nothing();
    anna.hears_nothing();
}

#[test]
fn a_letter_carries_eight_marks_at_most() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says(&format!("e{}!", "\u{301}".repeat(300)));
    anna.hears(&format!("guest2: e{}!", "\u{301}".repeat(8)));
}

#[test]
fn two_slashes_say_a_line_that_begins_with_one() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"//who\n//\n///x\n");
    anna.hears_all(["guest2: /who", "guest2: /", "guest2: //x"]);
    bob.hears_nothing();
}

#[test]
fn with_crlf_each_line_ends_with_carriage_return_and_line_feed() {
    let room = Daemon::chat(&["--crlf", "--echo"]);
    let mut anna = room.join();
    anna.hears("* you are guest1; 1 online\r");
    anna.says("hello");
    anna.hears("guest1: hello\r");
    let _bob = room.join();
    anna.hears("* guest2 joined; 2 online\r");
    anna.sends(b"/who\n/nick anna\n");
    anna.hears_all(["* 2 online: guest1, guest2\r", "* guest1 is now anna\r"]);
    anna.says("/help");
    anna.says("/what");
    while !anna.hears_line().starts_with("* unknown command: /what; try /help\r") {}
    room.signal(Signal::TERM);
    anna.hears("* the server is shutting down\r");
}

#[test]
fn carriage_return_and_line_feed_may_come_apart() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"one\r"); // it ends the line at once
    anna.hears("guest2: one");
    bob.sends(b"\n");
    anna.hears_nothing();
}

#[test]
fn a_line_may_come_in_pieces() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends_apart(&[b"h", b"el", b"l", b"o", b"\n"], &mut anna);
    anna.hears("guest2: hello");
    anna.hears_nothing();
}

#[test]
fn spaces_and_tabs_are_kept() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says("  if so:\n\treturn  7");
    anna.hears("guest2:   if so:");
    anna.hears("guest2: \treturn  7");
}

#[test]
fn nobody_can_speak_as_the_server() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says("* guest1 left; 1 online");
    anna.hears("guest2: * guest1 left; 1 online");
}

#[test]
fn text_of_all_scripts_passes() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    for text in ["naïve façade", "שלום עולם", "مرحبا", "日本語", "👩\u{200d}👩\u{200d}👧 🇪🇺 e\u{301}", "𝄞\u{10ffff}"]
    {
        bob.says(text);
        anna.hears(&format!("guest2: {text}"));
    }
}
