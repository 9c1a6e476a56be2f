//! What an operator tells the daemon by signals, and what the log looks like where it goes.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

#[cfg(target_os = "linux")]
use crate::support::terminal::{open_terminal, pseudo_terminal};
use crate::support::{self, Daemon, Signal, Stderr, wait_until};

// ---------------------------------------------------------------------------------------------------------------------
// Signals
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn sigusr1_writes_the_table_of_connections_to_the_log() {
    let room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    anna.says("/nick anna");
    bob.hears("* guest1 is now anna");
    anna.says("hello");
    bob.hears("anna: hello");
    room.signal(Signal::USR1);
    let head = room.logs("the head", |line| line.contains("table of connections: 2 connections, "));
    assert!(head.ends_with(" held for them; 2 open; 2 of server #1"), "{head}");
    let row = room.logs("anna", |line| line.contains(" anna: open, for "));
    assert!(row.contains("INFO") && row.contains("127.0.0.1:"), "{row}");
    assert!(row.contains("; 17 bytes in, ") && row.ends_with(", 0 bytes queued"), "{row}");
    room.logs("bob", |line| line.contains(" guest2: open, for ") && line.contains("; 0 bytes in, "));
}

#[test]
fn a_quiet_daemon_shows_its_table_when_asked() {
    let mut command = support::program();
    let address = support::free_address();
    let mut quiet = Daemon::launch_with(command.args(["echo", "-q", "--listen", &address.to_string()]), Stderr::Kept);
    quiet.listens_on(address);
    let _client = quiet.join();
    wait_until("its table", || {
        quiet.signal(Signal::USR1);
        quiet.log().contains("table of connections: 1 connection")
    });
}

#[test]
fn the_table_says_who_has_paused_a_connection() {
    let target = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Daemon::role("proxy", &["--to", &target.local_addr().unwrap().to_string()]);
    let mut client = proxy.join();
    let (_stuck, _) = target.accept().unwrap();
    client.sends_until_paused(&[b'x'; 65_536], 64 << 20);
    wait_until("the pause", || {
        proxy.signal(Signal::USR1);
        proxy.log().contains("; paused by a pipe into #2")
    });
}

#[test]
fn the_table_says_that_a_guest_sends_too_fast() {
    let room = Daemon::chat(&["--flood", "1/1"]);
    let [mut anna, _bob] = room.guests();
    anna.says("one\ntwo\nthree\nfour");
    wait_until("the pause", || {
        room.signal(Signal::USR1);
        room.log().contains("; paused by the program (flood)")
    });
}

#[test]
fn the_table_shows_the_fifty_with_most_queued_and_counts_all() {
    let echo = Daemon::role("echo", &[]);
    let quiet: Vec<_> = (0..60).map(|_| echo.join()).collect();
    let mut stuck = echo.join();
    stuck.sends_until_paused(&[b'x'; 65_536], 64 << 20);
    echo.signal(Signal::USR1);
    let head = echo.logs("the head", |line| line.contains("table of connections: 61 connections, "));
    assert!(head.ends_with("; 61 open; 61 of server #1; the 50 with most queued are shown"), "{head}");
    let first = echo.logs("a row", |line| line.contains(": open, for "));
    assert!(first.contains("#61 127.0.0.1:") && first.contains("; paused by a pipe into #61"), "{first}");
    echo.logs("the last row", |line| line.contains("#49 127.0.0.1:"));
    assert_eq!(echo.log().matches(": open, for ").count(), 50);
    drop(quiet);
}

#[test]
fn sigusr2_makes_the_log_say_more_and_less_again() {
    let room = Daemon::chat(&[]);
    let mut guests = vec![room.join()];
    guests[0].hears("* you are guest1; 1 online");
    room.signal(Signal::USR2);
    room.logs("the change", |line| line.ends_with("the log level is debug"));
    guests.push(room.join());
    guests[1].hears("* you are guest2; 2 online");
    room.logs("a line at debug", |line| line.contains("DEBUG") && line.contains(" is guest2"));
    room.signal(Signal::USR2);
    room.logs("the change back", |line| line.ends_with("the log level is info"));
    guests.push(room.join());
    guests[2].hears("* you are guest3; 3 online");
    room.signal(Signal::USR1);
    room.logs("the table", |line| line.contains("table of connections: "));
    assert!(!room.log().contains(" is guest1") && !room.log().contains(" is guest3"), "{}", room.log());
}

#[test]
fn no_other_signal_of_a_usual_kind_ends_it() {
    let mut room = Daemon::chat(&["-v"]);
    let [mut anna, mut bob] = room.guests();
    for signal in [Signal::ALARM, Signal::VTALARM, Signal::PROF, Signal::IO, Signal::WINCH, Signal::PIPE, Signal::CHILD]
    {
        room.signal(signal);
        anna.says("still here");
        bob.hears("guest1: still here");
    }
    assert!(room.is_running());
}

// ---------------------------------------------------------------------------------------------------------------------
// The log
// ---------------------------------------------------------------------------------------------------------------------

/// What a role says that cannot start, if its stderr is a socket and the environment says that this is the journal.
#[cfg(target_os = "linux")]
fn said(is_the_journal: bool) -> String {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let stat = rustix::fs::fstat(&theirs).unwrap();
    let journal = if is_the_journal { format!("{}:{}", stat.st_dev, stat.st_ino) } else { "1:1".to_owned() };
    let mut command = support::program();
    command.args(["echo", "--listen", "192.0.2.77:0"]).env("JOURNAL_STREAM", journal); // an address for documentation
    let status = command.stderr(Stdio::from(OwnedFd::from(theirs))).spawn().unwrap().wait().unwrap();
    drop(command);
    assert_eq!(status.code(), Some(1));
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    said
}

#[cfg(target_os = "linux")]
#[test]
fn in_the_journal_a_record_has_its_priority_and_no_time() {
    assert_eq!(said(true), "<3>cannot listen on 192.0.2.77:0: no interface of this machine has this address\n");
    let elsewhere = said(false);
    assert!(elsewhere.contains(" ERROR [tidegate] cannot listen on "), "{elsewhere}");
}

#[test]
fn sockets_that_systemd_has_passed_to_another_process_are_named() {
    let mut command = support::program();
    command.env("LISTEN_FDS", "2").env("LISTEN_PID", "1").env("LISTEN_FDNAMES", "room:hall");
    let echo = Daemon::launch_with(command.args(["echo", "--listen", "127.0.0.1:0"]), Stderr::Kept);
    echo.logs("the warning", |line| {
        line.contains("WARN")
            && line.contains("systemd has passed 2 sockets (room:hall) to process 1, and not to this one")
    });
}

/// `stty tostop` lets a terminal stop whoever writes to it from the background. The log must not stop a daemon.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_stops_its_writers_does_not_stop_a_daemon_in_the_background() {
    let (user, name) = pseudo_terminal();
    let terminal = open_terminal(&name);
    let address = support::free_address();
    // An interactive shell gives a command in the background a process group of its own.
    let script =
        format!("stty tostop; set -m; \"$0\" echo -v --listen {address} 2>/dev/tty & trap 'kill %1' HUP; wait; wait");
    let mut command = Command::new("setsid");
    command.args(["--ctty", "sh", "-c", &script, env!("CARGO_BIN_EXE_tidegate")]);
    let mut shell = Daemon::launch_from(&mut command, terminal.into(), Stderr::Kept);
    wait_until("an echo", || {
        let Ok(mut client) = std::net::TcpStream::connect(address) else { return false };
        let mut answer = [0; 2];
        client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        client.write_all(b"hi").unwrap();
        client.read_exact(&mut answer).is_ok() && &answer == b"hi"
    });
    // The shell hears that its terminal is gone, and ends the echo.
    drop(user);
    shell.exits();
}
