//! Lines: who hears them, and in which order.

use crate::support::Daemon;

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
fn carriage_return_and_line_feed_may_come_apart() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends_apart(&[b"one\r", b"\n"], &mut anna);
    anna.hears("guest2: one");
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
