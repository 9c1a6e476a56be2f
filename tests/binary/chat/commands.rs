//! The other commands: /who, /quit, /help, and what is no command.

use crate::support::Daemon;

#[test]
fn slash_who_lists_all_in_order_of_arrival() {
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
fn quit_ends_the_connection_and_nothing_may_be_read_after_it() {
    for said in [&["bye\n", "/quit\n"][..], &["bye\n/quit\none more thing\n/nick late\n"]] {
        let room = Daemon::chat(&[]);
        let [mut anna, mut bob] = room.guests();
        said.iter().for_each(|piece| bob.sends(piece.as_bytes()));
        anna.hears("guest2: bye");
        anna.hears("* guest2 left; 1 online");
        anna.hears_nothing();
        bob.ends();
    }
}

#[test]
fn answers_from_before_a_quit_are_heard() {
    let room = Daemon::chat(&[]);
    let [_anna, mut bob] = room.guests();
    bob.sends(b"/who\n/quit\n");
    bob.hears("* 2 online: guest1, guest2");
    bob.ends();
}

#[test]
fn help_names_the_commands() {
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
    for command in ["/nick", "/who", "/quit", "//"] {
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
    anna.says("/msg guest2 hello"); // it is named without its arguments
    anna.hears("* unknown command: /msg; try /help");
    anna.sends("/f\x1b]0;o\u{9d}o\x07\u{2066}\n".as_bytes()); // and made harmless
    anna.hears("* unknown command: /f]0;oo; try /help");
    bob.hears_nothing();
}

#[test]
fn commands_may_be_typed_in_any_case() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.sends(b"/WHO\n/Nick anna\n/Foo\n");
    anna.hears_all(["* 2 online: guest1, guest2", "* guest1 is now anna", "* unknown command: /Foo; try /help"]);
    bob.hears("* guest1 is now anna");
    bob.says("/QUIT");
    bob.ends();
    anna.hears("* guest2 left; 1 online");
}

#[test]
fn a_slash_further_on_is_no_command() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    bob.says("either/or");
    anna.hears("guest2: either/or");
}
