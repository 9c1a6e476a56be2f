//! The clients that people have, each in a terminal of its own: `telnet` and PuTTY's `plink`.
//!
//! Where one is missing, nothing is tried, unless `TIDEGATE_TOOLS` is `required`, as in CI.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::Write;
use std::process::{Child, Command};

use crate::support::terminal::{open_terminal, pseudo_terminal};
use crate::support::{Client, Daemon, Transcript};

/// A person at a terminal in which a client runs.
struct Person {
    client: Child,
    keyboard: File,
    screen: Transcript,
}

impl Person {
    /// Starts the client, if there is one here.
    fn comes_with(client: &str, arguments: &[&str]) -> Option<Person> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|folder| folder.join(client).is_file()) {
            assert!(std::env::var_os("TIDEGATE_TOOLS").is_none_or(|how| how != "required"), "no {client}");
            println!("NOT RUN, since there is no {client} here");
            return None;
        }
        let (seat, name) = pseudo_terminal();
        let terminal = || open_terminal(&name);
        // With a session and a terminal of its own, so that Ctrl-C is for the client.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", client]).args(arguments);
        let client = command.stdin(terminal()).stdout(terminal()).stderr(terminal()).spawn().unwrap();
        let keyboard = File::from(seat);
        let screen = Transcript::of(keyboard.try_clone().unwrap());
        Some(Person { client, keyboard, screen })
    }

    fn types(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    /// Waits until the screen has this.
    #[track_caller]
    fn sees(&self, text: &str) {
        let seen = self.screen.wait_for(|screen| screen.contains(text).then_some(()));
        assert!(seen.is_some(), "no {text:?} on the screen: {:?}", self.screen.so_far());
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// A room with Anna, and with Bob at his terminal: these are his words. None if he has no such client.
#[track_caller]
fn anna_and(words: &[&str]) -> Option<(Daemon, Client, Person)> {
    let room = Daemon::chat(&[]);
    let [anna] = room.guests();
    let (ip, port) = (room.address().ip().to_string(), room.address().port().to_string());
    let typed = words.iter().map(|word| match *word {
        "IP" => ip.as_str(),
        "PORT" => port.as_str(),
        word => word,
    });
    let typed: Vec<&str> = typed.collect();
    let bob = Person::comes_with(typed[0], &typed[1..])?;
    bob.sees("* you are guest2; 2 online");
    Some((room, anna, bob))
}

/// Anna waits in the room until the other guest has spoken.
#[track_caller]
fn hears_first_words(anna: &mut Client) {
    anna.hears("* guest2 joined; 2 online");
    anna.hears("guest2: hello");
}

#[test]
fn telnet_in_its_line_mode_and_after_control_c() {
    let Some((_room, mut anna, mut bob)) = anna_and(&["telnet", "IP", "PORT"]) else { return };
    bob.types(b"hello\n");
    hears_first_words(&mut anna);
    bob.types(b"\x03"); // IAC IP, IAC DO TIMING-MARK
    bob.types(b"oh\n");
    anna.hears("guest2: oh"); // so the mark is answered, before what she says now
    anna.says("can you see this?");
    bob.sees("guest1: can you see this?\r\n");
    bob.types(b"/nick bob\n");
    anna.hears("* guest2 is now bob");
    bob.sees("* guest2 is now bob\r\n");
    bob.types(b"\x1dsend synch\n"); // urgent
    bob.types(b"still here\n");
    anna.hears("bob: still here");
    bob.types(b"\x1dsend ayt\n");
    bob.sees("* yes, the room is here");
    bob.types("gr\u{fc}n\n".as_bytes());
    anna.hears("bob: gr\u{fc}n");
}

#[test]
fn telnet_in_its_character_mode() {
    let Some((_room, mut anna, mut bob)) = anna_and(&["telnet", "IP", "PORT"]) else { return };
    bob.types(b"\x1dmode character\n");
    bob.types(b"helo\x7flo\r");
    hears_first_words(&mut anna);
    bob.types(b"how are you?\r");
    anna.hears("guest2: how are you?");
    anna.hears_nothing();
}

#[test]
fn putty_negotiates_and_is_heard_as_typed() {
    let Some((_room, mut anna, mut bob)) = anna_and(&["plink", "-telnet", "-P", "PORT", "IP"]) else { return };
    bob.types(b"hello\n/nick bob\n");
    hears_first_words(&mut anna);
    anna.hears("* guest2 is now bob");
    anna.says("hello yourself");
    bob.sees("guest1: hello yourself\r");
    bob.types(b"/quit\n");
    anna.hears("* bob left; 1 online");
}
