//! The chat room, judged from outside: the real binary, real sockets, exact lines.
//!
//! Arrivals and departures; announcements of crowds; lines; `--echo`; names and the other commands; bad input (too long,
//! not UTF-8, control characters); `--flood`; `--idle-timeout`; `--max-connections`; several `--listen`; one thread that
//! sleeps. Readers who are stuck are in `stuck_reader.rs`, the end of the room in `stopping.rs`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{self, Client, Daemon, PATIENCE, Random, a_quiet_moment, program_after};
use socket2::{Domain, Socket, Type};

// ---------------------------------------------------------------------------------------------------------------------
// Coming and going
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn a_newcomer_is_greeted_and_the_others_are_told() {
    let room = Daemon::chat(&[]);
    let mut anna = room.join();
    anna.hears("* you are guest1; 1 online");
    let mut bob = room.join();
    bob.hears("* you are guest2; 2 online");
    anna.hears("* guest2 joined; 2 online");
    anna.hears_nothing();
    bob.hears_nothing();
}

#[test]
fn who_closes_is_announced() {
    let room = Daemon::chat(&[]);
    let [mut anna, bob] = room.guests();
    drop(bob);
    anna.hears("* guest2 left; 1 online");
    anna.hears_nothing();
}

#[test]
fn who_is_cut_off_is_announced() {
    let room = Daemon::chat(&[]);
    let [mut anna, bob] = room.guests();
    bob.resets();
    anna.hears("* guest2 left; 1 online");
    anna.hears_nothing();
}

#[test]
fn who_leaves_is_announced_under_the_last_name() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says("/nick bob");
    bob.hears("* guest2 is now bob");
    drop(bob);
    anna.hears("* guest2 is now bob");
    anna.hears("* bob left; 1 online");
}

#[test]
fn everybody_hears_of_a_departure_once() {
    let room = Daemon::chat(&[]);
    let [mut anna, bob, mut carl, mut dora] = room.guests();
    drop(bob);
    for guest in [&mut anna, &mut carl, &mut dora] {
        guest.hears("* guest2 left; 3 online");
        guest.hears_nothing();
    }
}

#[test]
fn a_number_is_never_used_again() {
    let room = Daemon::chat(&[]);
    let [mut anna, bob] = room.guests();
    drop(bob);
    anna.hears("* guest2 left; 1 online");
    let mut carl = room.join();
    carl.hears("* you are guest3; 2 online");
    anna.hears("* guest3 joined; 2 online");
}

#[test]
fn a_number_is_not_used_again_in_an_empty_room() {
    let room = Daemon::chat(&[]);
    for number in 1..=3 {
        let mut guest = room.join();
        // How many are online depends on whether the one before has quite gone.
        let greeting = guest.hears_line();
        assert!(greeting.starts_with(&format!("* you are guest{number}; ")), "{greeting}");
    }
}

#[test]
fn a_number_is_not_used_again_when_its_owner_has_another_name() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    anna.says("/nick anna");
    anna.hears("* guest1 is now anna");
    room.join().hears("* you are guest2; 2 online");
}

/// `printf 'hi\n' | nc -N`
#[test]
fn who_ends_its_side_is_heard_before_it_leaves() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"hi\nbye\n");
    bob.ends_its_side();
    anna.hears("guest2: hi");
    anna.hears("guest2: bye");
    anna.hears("* guest2 left; 1 online");
    bob.ends();
}

#[test]
fn who_speaks_and_closes_without_waiting_is_heard() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    let mut bob = room.join();
    bob.sends(b"hi\n");
    bob.ends_its_side();
    anna.hears("* guest2 joined; 2 online");
    anna.hears("guest2: hi");
    anna.hears("* guest2 left; 1 online");
    bob.hears("* you are guest2; 2 online");
    bob.ends();
}

#[test]
fn who_ends_its_side_is_answered_before_it_is_let_go() {
    let room = Daemon::chat(&[]);
    let [_anna, mut bob] = room.guests();
    bob.says("/who");
    bob.ends_its_side();
    bob.hears("* 2 online: guest1, guest2");
    bob.ends();
}

#[test]
fn an_unfinished_last_line_counts() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"one\ntwo");
    bob.ends_its_side();
    anna.hears("guest2: one");
    anna.hears("guest2: two");
    anna.hears("* guest2 left; 1 online");
}

#[test]
fn an_unfinished_last_command_counts() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"/nick bob");
    bob.ends_its_side();
    anna.hears("* guest2 is now bob");
    anna.hears("* bob left; 1 online");
}

// ---------------------------------------------------------------------------------------------------------------------
// Crowds
// ---------------------------------------------------------------------------------------------------------------------

/// One announcement: `* guest7 joined; 8 online`, or a sum: `* 37 joined, 12 left; 4821 online`.
#[derive(Debug)]
struct Announcement {
    joined: usize,
    left: usize,
    online: usize,
    /// Whom it names, unless it is a sum.
    name: Option<String>,
}

impl Announcement {
    #[track_caller]
    fn read(line: &str) -> Announcement {
        Announcement::parse(line).unwrap_or_else(|| panic!("not an announcement: {line:?}"))
    }

    fn parse(line: &str) -> Option<Announcement> {
        let (who, online) = line.strip_prefix("* ")?.strip_suffix(" online")?.rsplit_once("; ")?;
        let mut all = Announcement { joined: 0, left: 0, online: online.parse().ok()?, name: None };
        for part in who.split(", ") {
            let (subject, verb) = part.split_once(' ')?;
            let count = match subject.parse() {
                Ok(count) => count,
                Err(_) => {
                    all.name = Some(subject.to_owned());
                    1
                }
            };
            match verb {
                "joined" => all.joined += count,
                "left" => all.left += count,
                _ => return None,
            }
        }
        let names_one_of_several = all.name.is_some() && all.joined + all.left != 1;
        (!names_one_of_several).then_some(all)
    }
}

/// Hears announcements until so many have joined and left. Each must give the number online that follows from the one
/// before, and not more than five in any 100 ms may stand alone.
#[track_caller]
fn hears_of(listener: &mut Client, online_before: usize, joined: usize, left: usize) -> Vec<Announcement> {
    let began = Instant::now();
    let mut all: Vec<Announcement> = Vec::new();
    let (mut sum_joined, mut sum_left) = (0, 0);
    while (sum_joined, sum_left) != (joined, left) {
        let line = listener.hears_line();
        let next = Announcement::read(&line);
        sum_joined += next.joined;
        sum_left += next.left;
        assert!(sum_joined <= joined && sum_left <= left, "too many after {line:?}: {all:?}");
        assert_eq!(next.online, online_before + sum_joined - sum_left, "the sum after {line:?}: {all:?}");
        all.push(next);
    }
    listener.hears_nothing();
    let windows = began.elapsed().as_millis() as usize / 100 + 2; // one may have begun before, one may end after
    let alone = all.iter().filter(|announcement| announcement.name.is_some()).count();
    assert!(alone <= 5 * windows, "{alone} were told one by one in {windows} times 100 ms: {all:?}");
    all
}

#[test]
fn five_at_once_are_told_one_by_one() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    a_quiet_moment();
    let _crowd: Vec<Client> = (0..5).map(|_| room.join()).collect();
    anna.hears_all((2..=6).map(|number| format!("* guest{number} joined; {number} online")));
    anna.hears_nothing();
}

#[test]
fn a_crowd_is_announced_together_after_the_first_five() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    a_quiet_moment();
    let began = Instant::now();
    let _crowd: Vec<Client> = (0..100).map(|_| room.join()).collect();
    let was_a_crowd = began.elapsed() < Duration::from_millis(100);
    let told = hears_of(&mut anna, 1, 100, 0);
    for (announcement, number) in told.iter().zip(2..=6) {
        assert_eq!(announcement.name, Some(format!("guest{number}")), "the first five: {told:?}");
    }
    assert!(!was_a_crowd || told.iter().any(|announcement| announcement.joined > 1), "no sum: {told:?}");
}

#[test]
fn a_crowd_that_comes_and_goes_adds_up() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    a_quiet_moment();
    let mut crowd: Vec<Client> = (0..60).map(|_| room.join()).collect();
    for guest in &mut crowd {
        let greeting = guest.hears_line();
        assert!(greeting.starts_with("* you are guest"), "{greeting}");
    }
    drop(crowd);
    hears_of(&mut anna, 1, 60, 60);
}

#[test]
fn a_crowd_is_announced_to_the_end_also_when_nothing_else_happens() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    let crowd: Vec<Client> = (0..40).map(|_| room.join()).collect();
    hears_of(&mut anna, 1, 40, 0);
    drop(crowd);
    hears_of(&mut anna, 41, 0, 40);
}

#[test]
fn a_crowd_is_greeted_one_by_one() {
    let room = Daemon::chat(&[]);
    let mut crowd: Vec<Client> = (0..40).map(|_| room.join()).collect();
    for (number, guest) in (1..).zip(&mut crowd) {
        guest.hears(&format!("* you are guest{number}; {number} online"));
    }
}

#[test]
fn after_a_crowd_and_a_pause_the_next_is_named_again() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    let _crowd: Vec<Client> = (0..20).map(|_| room.join()).collect();
    hears_of(&mut anna, 1, 20, 0);
    a_quiet_moment();
    let _late = room.join();
    anna.hears("* guest22 joined; 22 online");
}

// ---------------------------------------------------------------------------------------------------------------------
// Lines
// ---------------------------------------------------------------------------------------------------------------------

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
fn a_lone_speaker_is_no_trouble() {
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
fn what_two_say_stays_apart_and_in_order() {
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
fn blanks_are_kept() {
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

// ---------------------------------------------------------------------------------------------------------------------
// Names
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn a_new_name_is_told_to_all() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob, mut carl] = room.guests();
    anna.says("/nick anna");
    for guest in [&mut anna, &mut bob, &mut carl] {
        guest.hears("* guest1 is now anna");
        guest.hears_nothing();
    }
    anna.says("hello");
    bob.hears("anna: hello");
    carl.hears("anna: hello");
}

#[test]
fn a_name_may_have_letters_digits_low_lines_and_hyphens() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    let mut old = "guest1";
    for name in
        ["Anna_B-7", "a", "7", "_", "-", "0123456789_abcdefghijklmnopqrs-X", "guest", "guests", "guest1x", "xguest1"]
    {
        anna.says(&format!("/nick {name}"));
        anna.hears(&format!("* {old} is now {name}"));
        old = name;
    }
}

#[test]
fn ones_own_name_is_confirmed_to_oneself() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.says("/nick anna");
    anna.hears("* guest1 is now anna");
    bob.hears("* guest1 is now anna");
    anna.says("/nick anna");
    anna.hears("* you are anna");
    anna.hears_nothing();
    bob.hears_nothing();
}

#[test]
fn ones_own_number_is_confirmed_to_oneself() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.says("/nick guest1");
    anna.hears("* you are guest1");
    bob.hears_nothing();
}

#[test]
fn ones_own_name_in_other_case_is_a_change() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    let mut old = "guest1";
    for name in ["anna", "Anna", "ANNA"] {
        anna.says(&format!("/nick {name}"));
        for guest in [&mut anna, &mut bob] {
            guest.hears(&format!("* {old} is now {name}"));
            guest.hears_nothing();
        }
        old = name;
    }
}

#[test]
fn a_name_of_another_is_taken_in_any_case() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.says("/nick anna");
    anna.hears("* guest1 is now anna");
    bob.hears("* guest1 is now anna");
    for name in ["anna", "Anna", "aNNA"] {
        bob.says(&format!("/nick {name}"));
        bob.hears(&format!("* name taken: {name}"));
    }
    anna.hears_nothing();
    bob.says("/who");
    bob.hears("* 2 online: anna, guest2");
}

#[test]
fn a_name_is_free_again_when_its_owner_takes_another() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.sends(b"/nick anna\n/nick ann\n");
    anna.hears_all(["* guest1 is now anna", "* anna is now ann"]);
    bob.hears_all(["* guest1 is now anna", "* anna is now ann"]);
    bob.says("/nick ANNA");
    bob.hears("* guest2 is now ANNA");
    anna.hears("* guest2 is now ANNA");
}

#[test]
fn a_name_is_free_again_when_its_owner_has_left() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.says("/nick Anna");
    anna.hears("* guest1 is now Anna");
    drop(anna);
    bob.hears("* guest1 is now Anna");
    bob.hears("* Anna left; 1 online");
    bob.says("/nick anna");
    bob.hears("* guest2 is now anna");
}

#[test]
fn ones_own_number_can_be_had_back_in_any_case() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    anna.sends(b"/nick anna\n/nick guest1\n/nick Guest1\n/nick GUEST1\n/nick anna\n");
    anna.hears("* guest1 is now anna");
    anna.hears("* anna is now guest1");
    anna.hears("* guest1 is now Guest1");
    anna.hears("* Guest1 is now GUEST1");
    anna.hears("* GUEST1 is now anna");
}

#[test]
fn a_number_that_is_not_ones_own_is_not_allowed() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    for name in ["guest3", "GUEST3", "gUeSt77", "guest11", "guest0", "guest99999999999999999999999999"] {
        anna.says(&format!("/nick {name}"));
        anna.hears(&format!("* name not allowed: {name}"));
    }
    bob.hears_nothing();
}

#[test]
fn the_number_of_a_guest_with_another_name_is_not_allowed() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says("/nick bob");
    bob.hears("* guest2 is now bob");
    anna.hears("* guest2 is now bob");
    anna.says("/nick guest2");
    anna.hears("* name not allowed: guest2");
}

/// Two rules meet here; either answer is true, and the name is not given away.
#[test]
fn the_number_of_a_guest_who_goes_by_it_cannot_be_had() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    for name in ["guest2", "Guest2"] {
        anna.says(&format!("/nick {name}"));
        anna.hears_one_of(&[&format!("* name taken: {name}"), &format!("* name not allowed: {name}")]);
    }
    bob.hears_nothing();
    anna.says("/who");
    anna.hears("* 2 online: guest1, guest2");
}

#[test]
fn a_malformed_name_is_not_allowed() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    for name in ["anna b", "anna!", "José", "*", "a:b", "[anna]", "日本", "a/b", "a.b", "аnna" /* Cyrillic */] {
        anna.says(&format!("/nick {name}"));
        anna.hears(&format!("* name not allowed: {name}"));
    }
    bob.hears_nothing();
}

#[test]
fn a_name_of_32_bytes_is_allowed_and_one_of_33_is_not() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    let (long, longer) = ("n".repeat(32), "n".repeat(33));
    anna.says(&format!("/nick {longer}"));
    anna.hears(&format!("* name not allowed: {longer}"));
    anna.says(&format!("/nick {long}"));
    anna.hears(&format!("* guest1 is now {long}"));
}

#[test]
fn no_name_is_not_allowed() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.says("/nick");
    let answer = anna.hears_line();
    assert_eq!(answer.trim_end(), "* name not allowed:");
    anna.says("/nick ");
    let answer = anna.hears_line();
    assert_eq!(answer.trim_end(), "* name not allowed:");
    bob.hears_nothing();
}

#[test]
fn a_name_that_is_not_allowed_is_made_harmless() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    anna.sends("/nick \x1b[31mred\u{202e}\u{9b}0m\n".as_bytes());
    anna.hears("* name not allowed: [31mred0m");
    anna.sends(b"/nick a\xffb\n");
    anna.hears("* name not allowed: a\u{fffd}b");
}

// ---------------------------------------------------------------------------------------------------------------------
// The other commands
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn who_lists_all_in_order_of_arrival() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob, mut carl] = room.guests();
    anna.says("/who");
    anna.hears("* 3 online: guest1, guest2, guest3");
    carl.says("/nick aaron");
    bob.says("/nick Zoe");
    anna.hears_in_any_order(&["* guest3 is now aaron", "* guest2 is now Zoe"]);
    anna.says("/who");
    anna.hears("* 3 online: guest1, Zoe, aaron");
}

#[test]
fn who_lists_nobody_who_has_left() {
    let room = Daemon::chat(&[]);
    let [mut anna, bob, mut carl] = room.guests();
    drop(bob);
    anna.hears("* guest2 left; 2 online");
    carl.hears("* guest2 left; 2 online");
    let mut dora = room.join();
    dora.hears("* you are guest4; 3 online");
    dora.says("/who");
    dora.hears("* 3 online: guest1, guest3, guest4");
    dora.hears_nothing();
}

#[test]
fn who_of_one_is_oneself() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    anna.says("/who");
    anna.hears("* 1 online: guest1");
}

#[test]
fn an_answer_goes_to_nobody_else() {
    let room = Daemon::chat(&["--echo"]);
    let [mut anna, mut bob] = room.guests();
    anna.says("/who");
    anna.hears("* 2 online: guest1, guest2");
    anna.says("/foo");
    anna.hears("* unknown command: /foo; try /help");
    bob.hears_nothing();
}

#[test]
fn quit_ends_the_connection_in_order() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says("bye");
    bob.says("/quit");
    anna.hears("guest2: bye");
    anna.hears("* guest2 left; 1 online");
    anna.hears_nothing();
    bob.ends();
}

#[test]
fn nothing_is_said_after_quit() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"bye\n/quit\none more thing\n/nick late\n");
    anna.hears("guest2: bye");
    anna.hears("* guest2 left; 1 online");
    anna.hears_nothing();
    bob.ends();
}

#[test]
fn who_quits_hears_the_answers_from_before() {
    let room = Daemon::chat(&[]);
    let [_anna, mut bob] = room.guests();
    bob.sends(b"/who\n/quit\n");
    bob.hears("* 2 online: guest1, guest2");
    bob.ends();
}

#[test]
fn help_names_the_commands_in_lines_of_the_servers() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.sends(b"/help\n/that-was-all\n");
    let mut help = Vec::new();
    loop {
        let line = anna.hears_line();
        if line.starts_with("* unknown command: /that-was-all") {
            break;
        }
        help.push(line);
    }
    assert!(!help.is_empty() && help.iter().all(|line| line.starts_with("* ")), "{help:?}");
    for command in ["/nick", "/who", "/quit"] {
        assert!(help.iter().any(|line| line.contains(command)), "{command} in {help:?}");
    }
    bob.hears_nothing();
}

#[test]
fn any_other_command_is_unknown() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    for command in ["/foo", "/", "/nicholas", "/whoever", "/n"] {
        anna.says(command);
        anna.hears(&format!("* unknown command: {command}; try /help"));
    }
    bob.hears_nothing();
}

#[test]
fn an_unknown_command_is_named_without_its_arguments() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    anna.says("/msg guest2 hello");
    anna.hears("* unknown command: /msg; try /help");
}

#[test]
fn an_unknown_command_is_made_harmless() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    anna.sends("/f\x1b]0;o\u{9d}o\x07\u{2066}\n".as_bytes());
    anna.hears("* unknown command: /f]0;oo; try /help");
}

#[test]
fn a_slash_further_on_is_no_command() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says("either/or");
    anna.hears("guest2: either/or");
}

// ---------------------------------------------------------------------------------------------------------------------
// Lines that are too long
// ---------------------------------------------------------------------------------------------------------------------

/// So many bytes, and no line end.
fn long(count: usize) -> Vec<u8> {
    (0..count).map(|index| b'a' + (index % 26) as u8).collect()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_line_of_4096_bytes_is_heard() {
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
    bob.sends_apart(&[&[&long(4096)[..], b"\r"].concat(), b"\n"], &mut anna);
    anna.hears(&format!("guest2: {}", text(&long(4096))));
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
fn a_carriage_return_counts_where_it_does_not_end_the_line() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(&[&long(4096), "\rx\n".as_bytes()].concat());
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
fn what_becomes_longer_by_being_made_harmless_is_not_too_long() {
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

/// The bytes that nobody reads any more must not cost the sender the words that it was sent (a reset would).
#[test]
fn who_pastes_long_lines_hears_why_it_is_closed() {
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

// ---------------------------------------------------------------------------------------------------------------------
// Bytes that are no text, and text that is no plain text
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn invalid_utf8_is_replaced() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    let cases: [(&[u8], &str); 7] = [
        (b"a\xffb", "a\u{fffd}b"),
        (b"caf\xe9", "caf\u{fffd}"),                                 // Latin-1
        (b"a\xc0\xafb", "a\u{fffd}\u{fffd}b"),                       // an overlong slash
        (b"a\xed\xa0\x80b", "a\u{fffd}\u{fffd}\u{fffd}b"),           // half of a surrogate pair
        (b"a\xf4\x90\x80\x80", "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}"), // beyond the last character
        (b"a\xe2\x82", "a\u{fffd}"),                                 // cut off: one sign, as the standard advises
        (b"\xf0\x9f\x98x", "\u{fffd}x"),
    ];
    for (bytes, heard) in cases {
        bob.sends(&[bytes, b"\n"].concat());
        anna.hears(&format!("guest2: {heard}"));
    }
}

#[test]
fn a_character_may_come_in_pieces() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    let line = "é€😀\n".as_bytes();
    let pieces: Vec<&[u8]> = line.chunks(1).collect();
    bob.sends_apart(&pieces, &mut anna);
    anna.hears("guest2: é€😀");
}

#[test]
fn a_character_cut_off_by_the_end_is_replaced() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"price: 5 \xe2\x82");
    bob.ends_its_side();
    anna.hears("guest2: price: 5 \u{fffd}");
    anna.hears("* guest2 left; 1 online");
}

#[test]
fn every_control_character_but_tab_is_removed() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    let controls = ('\0'..'\x20').chain('\x7f'..='\u{9f}').filter(|c| !"\t\n".contains(*c));
    for control in controls {
        bob.sends(format!("a{control}b\n").as_bytes());
        anna.hears("guest2: ab");
    }
    bob.says("a\tb");
    anna.hears("guest2: a\tb");
}

/// A terminal that takes bytes for Latin-1 would obey this one.
#[test]
fn a_bare_c1_byte_does_not_reach_another_terminal() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"a\x9b31mb\n");
    anna.hears_one_of(&["guest2: a31mb", "guest2: a\u{fffd}31mb"]);
}

#[test]
fn an_escape_sequence_loses_its_teeth() {
    let room = Daemon::chat(&["--echo"]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"\x1b[2J\x1b]0;mine\x07\x1b[31mred\x1b[0m\x00\x08\n");
    for guest in [&mut anna, &mut bob] {
        guest.hears("guest2: [2J]0;mine[31mred[0m");
    }
}

#[test]
fn bidirectional_overrides_and_isolates_are_removed() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    for control in ['\u{200f}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}', '\u{e0041}'] {
        bob.says(&format!("a{control}b"));
        anna.hears("guest2: ab");
    }
}

#[test]
fn a_control_character_is_removed_when_it_comes_in_pieces() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    let line = "a\u{9b}b\u{202e}c\x1b[0m\u{2066}d\u{85}\x7fe\n".as_bytes();
    let pieces: Vec<&[u8]> = line.chunks(1).collect();
    bob.sends_apart(&pieces, &mut anna);
    anna.hears("guest2: abc[0mde");
    for at in 1..line.len() {
        bob.sends_apart(&[&line[..at], &line[at..]], &mut anna);
        anna.hears("guest2: abc[0mde");
    }
}

#[test]
fn removing_one_control_character_does_not_make_another() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"a\xc2\x1b\x9bb\n");
    anna.hears("guest2: a\u{fffd}\u{fffd}b");
    bob.sends(b"a\xe2\x80\x00\xaeb\n");
    anna.hears("guest2: a\u{fffd}\u{fffd}b");
}

#[test]
fn a_line_of_which_nothing_is_left_is_ignored() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends("\x1b\x07\n\u{202e}\nthere\n".as_bytes());
    anna.hears("guest2: there");
}

/// What the room makes of bytes, said as simply as can be.
fn heard_of(bytes: &[u8], name: &str) -> Vec<String> {
    let is_harmful = |c: char| {
        let changes_the_order = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}');
        let has_no_shape = matches!(c, '\u{2066}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}');
        (c.is_control() && c != '\t') || changes_the_order || has_no_shape
    };
    bytes
        .split(|byte| *byte == b'\n')
        .map(|line| String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).replace(is_harmful, ""))
        .filter(|line| !line.is_empty())
        .map(|line| format!("{name}: {line}"))
        .collect()
}

/// A picture, sent by mistake: in this room, 400 kB of bytes that look random, with everything that is forbidden among
/// them, cut anywhere. (No slash, for this is not about commands.)
#[test]
fn a_binary_file_is_made_harmless() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    let seed = 0x5eed_0011;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let parts =
        ["\n", "\r\n", "\r", "\t", "\x1b[1m", "\u{9b}", "\u{202e}", "\u{2067}", "é", "漢", "😀", "\u{feff}", "text"];
    let mut file = Vec::new();
    while file.len() < 400_000 {
        match random.below(4) {
            0 => file.extend(parts[random.below(parts.len())].as_bytes()),
            1 => file.extend(b"\n".repeat(random.below(2))),
            2 => file.extend(random.bytes(7)),
            _ => file.extend(&"漢😀é\u{202e}\u{9b}".as_bytes()[random.below(5)..][..random.below(9)]),
        }
    }
    file.retain(|byte| *byte != b'/');
    file.push(b'\n');
    // Two characters that end a line elsewhere: whether they pass here is left open.
    assert!(!heard_of(&file, "").iter().any(|line| line.contains(['\u{2028}', '\u{2029}'])), "choose another seed");
    let mut rest = &file[..];
    let expected = heard_of(&file, "guest2");
    let mut expected = expected.iter();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + random.below(3000)));
        bob.sends(piece);
        rest = after;
    }
    bob.says("that was a mistake");
    anna.hears_all(&mut expected);
    anna.hears("guest2: that was a mistake");
}

// ---------------------------------------------------------------------------------------------------------------------
// --flood
// ---------------------------------------------------------------------------------------------------------------------

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
fn a_flooder_that_ends_its_side_is_heard_to_the_end() {
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
fn on_loopback_nobody_is_a_flooder_by_default() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(numbered(1000).as_bytes()); // by the default for others, this would take 98 s
    anna.hears_all((1..=1000).map(|number| format!("guest2: {number}")));
}

#[test]
fn flood_none_lets_everybody_flood() {
    let room = Daemon::chat(&["--flood", "none"]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(numbered(1000).as_bytes());
    anna.hears_all((1..=1000).map(|number| format!("guest2: {number}")));
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

// ---------------------------------------------------------------------------------------------------------------------
// --idle-timeout, --max-connections, --listen
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn who_is_idle_is_closed_and_announced() {
    let room = Daemon::chat(&["--idle-timeout", "1s"]);
    let began = Instant::now();
    let mut anna = room.join();
    anna.hears("* you are guest1; 1 online");
    anna.is_dismissed();
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn who_speaks_or_hears_is_not_idle() {
    let room = Daemon::chat(&["--idle-timeout", "2s"]);
    let [mut anna, mut bob, mut carl] = room.guests();
    for _ in 0..10 {
        anna.says("are you there?"); // Anna speaks, Bob hears, Carl types a line that he does not finish.
        carl.sends(b"x");
        bob.hears("guest1: are you there?");
        carl.hears("guest1: are you there?");
        thread::sleep(Duration::from_millis(300)); // the silence of which the option speaks
    }
    bob.hears_nothing();
    anna.hears_nothing();
    carl.says("");
    anna.hears("guest3: xxxxxxxxxx");
}

#[test]
fn who_speaks_to_nobody_is_not_idle() {
    let room = Daemon::chat(&["--idle-timeout", "2s"]);
    let [mut anna] = room.guests();
    for _ in 0..10 {
        anna.sends(b"x");
        thread::sleep(Duration::from_millis(300)); // the silence of which the option speaks
    }
    anna.sends(b"\n");
    anna.hears_nothing();
}

#[test]
fn without_an_idle_timeout_nobody_is_idle() {
    let room = Daemon::chat(&["--idle-timeout", "none"]);
    let [mut anna] = room.guests();
    anna.hears_nothing();
}

#[test]
fn one_connection_too_many_is_closed_and_the_others_stay() {
    let room = Daemon::chat(&["--max-connections", "2"]);
    let [mut anna, mut bob] = room.guests();
    room.join().is_dismissed();
    room.join().is_dismissed();
    anna.hears_nothing();
    bob.says("still here");
    anna.hears("guest2: still here");
    bob.hears_nothing();
}

#[test]
fn who_is_blocked_is_turned_away_and_nobody_hears_of_it() {
    let room = Daemon::chat(&["--block", "127.0.0.2-127.0.0.9", "-v"]);
    let mut anna = room.join();
    anna.hears("* you are guest1; 1 online");
    let blocked = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    blocked.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    blocked.connect(&room.address().into()).unwrap();
    blocked.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(TcpStream::from(blocked).read(&mut [0; 1]).unwrap(), 0, "it is told nothing");
    room.logs("the blocked one", |line| line.contains("127.0.0.2:") && line.contains("is blocked"));
    anna.hears_nothing();
}

#[test]
fn when_one_has_left_another_may_come() {
    let room = Daemon::chat(&["--max-connections", "2"]);
    let [mut anna, bob] = room.guests();
    room.join().is_dismissed();
    drop(bob);
    anna.hears("* guest2 left; 1 online");
    let mut carl = room.join();
    carl.hears("* you are guest3; 2 online");
    anna.hears("* guest3 joined; 2 online");
    room.join().is_dismissed();
    anna.hears_nothing();
}

/// Started with these limits of the shell's; the room.
fn room_after(shell_command: &str) -> Daemon {
    let mut command = program_after(shell_command);
    command.args(["chat", "--listen", "127.0.0.1:0"]);
    let mut room = Daemon::launch_with(&mut command, support::Stderr::Kept);
    room.finds_its_addresses(1);
    room
}

#[test]
fn by_default_as_many_may_come_as_there_are_descriptors_less_64() {
    let room = room_after("ulimit -n 80");
    let mut guests: Vec<Client> = (0..16).map(|_| room.join()).collect();
    for (number, guest) in (1..).zip(&mut guests) {
        guest.hears(&format!("* you are guest{number}; {number} online"));
    }
    hears_of(&mut guests[0], 1, 15, 0);
    room.join().is_dismissed();
    guests[0].hears_nothing();
}

#[test]
fn the_descriptor_limit_is_raised_to_its_hard_value() {
    let room = room_after("ulimit -S -n 66");
    let mut guests: Vec<Client> = (0..20).map(|_| room.join()).collect();
    for (number, guest) in (1..).zip(&mut guests) {
        guest.hears(&format!("* you are guest{number}; {number} online"));
    }
}

#[cfg(target_os = "linux")] // elsewhere 127.0.0.2 is nobody
#[test]
fn those_who_come_by_several_addresses_are_in_one_room() {
    let room = Daemon::chat(&["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"]);
    let [mut anna] = room.guests();
    let mut bob = Client::connect(room.addresses()[1]);
    bob.hears("* you are guest2; 2 online");
    anna.hears("* guest2 joined; 2 online");
    bob.says("hello");
    anna.hears("guest2: hello");
    anna.says("hello yourself");
    bob.hears("guest1: hello yourself");
}

#[cfg(target_os = "linux")]
#[test]
fn the_bound_on_connections_holds_for_all_addresses_together() {
    let room = Daemon::chat(&["--max-connections", "2", "--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"]);
    let [mut anna] = room.guests();
    let mut bob = Client::connect(room.addresses()[1]);
    bob.hears("* you are guest2; 2 online");
    anna.hears("* guest2 joined; 2 online");
    for address in room.addresses() {
        Client::connect(*address).is_dismissed();
    }
    anna.hears_nothing();
    bob.hears_nothing();
}

// ---------------------------------------------------------------------------------------------------------------------
// One thread, asleep when there is nothing to do
// ---------------------------------------------------------------------------------------------------------------------

#[cfg(target_os = "linux")]
#[test]
fn there_is_one_thread() {
    let room = Daemon::chat(&["-v"]);
    let [mut anna, mut bob] = room.guests();
    bob.says("hello");
    anna.hears("guest2: hello");
    assert_eq!(room.status("Threads"), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_silent_room_is_asleep() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says("hello");
    anna.hears("guest2: hello");
    thread::sleep(Duration::from_millis(500)); // what is left to be done after this is done now
    let awakenings = || room.status("voluntary_ctxt_switches");
    let before = awakenings();
    thread::sleep(Duration::from_secs(2)); // the silence of which the specification speaks
    assert_eq!(awakenings(), before, "it woke up while nothing happened");
}

/// Who has to go and does not stop sending is let go of in the end, and not read for ever.
#[test]
fn a_dismissed_guest_who_goes_on_sending_is_closed_all_the_same() {
    let room = Daemon::chat(&["--drain-timeout", "1s"]);
    let [mut anna, bob] = room.guests();
    let mut sending = bob.handle();
    sending.write_all(b"/quit\n").unwrap();
    anna.hears("* guest2 left; 1 online");
    let deadline = Instant::now() + PATIENCE;
    // Five times a second is no silence.
    while sending.write_all(b"and another thing\n").is_ok() {
        assert!(Instant::now() < deadline, "it is still read");
        thread::sleep(Duration::from_millis(200));
    }
}
