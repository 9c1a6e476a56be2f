//! The command line: the lines `listening on`; usage errors (exit code 2); what keeps the daemon from starting (exit
//! code 1); the log at each level, and when nobody can read it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use crate::support::{self, Client, Daemon, Signal, Stderr, free_address, listening_lines};

// ---------------------------------------------------------------------------------------------------------------------
// Listening
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn the_real_port_is_logged_once() {
    for start in [Daemon::chat, Daemon::echo] {
        let mut daemon = start(&[]);
        let mut anna = daemon.join();
        anna.says("/nick anna");
        anna.hears_line();
        drop(anna);
        daemon.signal(Signal::TERM);
        daemon.exits_with(0);
        let log = daemon.log();
        let lines: Vec<&str> = listening_lines(&log).collect();
        assert_eq!(lines, [daemon.address().to_string()], "{log}");
        assert!(log.lines().any(|line| line.ends_with(&format!("listening on {}", daemon.address()))), "{log}");
        assert_ne!(daemon.address().port(), 0);
    }
}

#[test]
fn the_log_gives_the_most_connections_and_warns_if_descriptors_allow_few() {
    let told = |daemon: Daemon| daemon.logs("how many may come", |line| line.contains("at most"));
    assert!(told(Daemon::chat(&["--max-connections", "1"])).ends_with("at most 1 connection at once"));
    assert!(told(Daemon::echo(&["--max-connections", "7"])).ends_with("at most 7 connections at once"));

    for (role, more, most) in [("echo", &[][..], 16), ("proxy", &["--to", "9"], 8)] {
        let mut command = support::program_after("ulimit -n 80"); // less the 64 that are kept
        let command = command.args([role, "--listen", "127.0.0.1:0"]).args(more);
        let daemon = Daemon::launch_with(command, Stderr::Kept);
        daemon.logs("the few", |line| line.ends_with(&format!("at most {most} connections at once")));
        daemon.logs("why", |line| line.contains("WARN") && line.contains("the descriptor limit has room for no more"));
    }
    // If few are asked for, there is no warning.
    let mut room = Daemon::chat(&["--max-connections", "7"]);
    room.signal(Signal::TERM);
    room.exits_with(0);
    assert!(!room.log().contains("WARN"), "{}", room.log());
}

#[test]
fn the_log_has_no_lines_of_other_crates() {
    let mut room = Daemon::chat(&["-vv"]);
    room.join().hears("* you are guest1; 1 online");
    room.signal(Signal::TERM);
    room.exits_with(0);
    let log = room.log();
    assert!(log.contains("TRACE") && log.lines().all(|line| line.contains("[tidegate] ")), "{log}");
}

#[test]
fn nothing_is_written_to_stdout() {
    let mut room = Daemon::chat(&["-v"]);
    let [mut anna, mut bob] = room.guests();
    anna.says("hello");
    bob.hears("guest1: hello");
    room.signal(Signal::TERM);
    room.exits();
    assert_eq!(room.whole_output(), "");
}

#[cfg(target_os = "linux")] // elsewhere 127.0.0.2 is nobody
#[test]
fn each_address_has_its_line() {
    let (one, other) = (free_address().to_string(), free_address().to_string());
    let room = Daemon::chat(&["--listen", &one, "--listen", &other]);
    assert_eq!(room.addresses().iter().map(SocketAddr::to_string).collect::<Vec<_>>(), [one, other]);
    for address in room.addresses() {
        let mut guest = Client::connect(*address);
        assert!(guest.hears_line().starts_with("* you are guest"));
    }
}

#[test]
fn a_port_alone_is_on_loopback() {
    let room = Daemon::chat(&["--listen", "0"]);
    assert_eq!(room.address().ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
    room.join().hears("* you are guest1; 1 online");
}

#[test]
fn a_colon_and_a_port_is_every_address() {
    let room = Daemon::chat(&["--listen", ":0"]);
    assert!(room.address().ip().is_unspecified(), "{}", room.address());
    let port = room.address().port();
    let mut anna = Client::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    anna.hears("* you are guest1; 1 online");
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        let mut bob = Client::connect(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
        bob.hears("* you are guest2; 2 online");
        anna.hears("* guest2 joined; 2 online");
    }
}

#[test]
fn an_ipv6_address_is_written_in_brackets() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("this machine has no IPv6: nothing tried");
        return;
    }
    let room = Daemon::chat(&["--listen", "[::1]:0"]);
    assert_eq!(room.address().ip(), IpAddr::from(Ipv6Addr::LOCALHOST));
    room.logs("listening on [::1]:PORT", |line| line.contains("listening on [::1]:"));
    room.join().hears("* you are guest1; 1 online");
}

#[test]
fn localhost_is_a_name_for_loopback() {
    let room = Daemon::chat(&["--listen", "localhost:0"]);
    assert_eq!(room.address().ip(), IpAddr::from(Ipv4Addr::LOCALHOST));
    let mut anna = room.join();
    anna.hears("* you are guest1; 1 online");
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        let mut bob = Client::connect(SocketAddr::from((Ipv6Addr::LOCALHOST, room.address().port())));
        bob.hears("* you are guest2; 2 online");
    }
}

#[test]
fn an_address_can_be_used_again_at_once() {
    let address = free_address().to_string();
    for _ in 0..2 {
        let mut room = Daemon::chat(&["--listen", &address]);
        let [mut anna] = room.guests();
        room.signal(Signal::TERM);
        anna.hears("* the server is shutting down"); // the server ends first: its side lingers in TIME-WAIT
        anna.ends();
        drop(anna);
        room.exits_with(0);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// It cannot start: 1
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn a_port_in_use_is_one_clear_line_and_exits_with_1() {
    for role in [&["chat"][..], &["echo"], &["chat", "-q"]] {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap();
        let mut daemon = Daemon::launch(&[role, &["--listen", &address.to_string()]].concat());
        daemon.exits_with(1);
        let log = daemon.log();
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.trim_end().ends_with(&format!("cannot listen on {address}: address in use")), "{log}");
        assert_eq!(daemon.whole_output(), "");
    }
}

#[test]
fn another_daemon_keeps_its_port() {
    let room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    let mut second = Daemon::launch(&["chat", "--listen", &room.address().to_string()]);
    second.exits_with(1);
    assert!(second.log().contains("address in use"), "{}", second.log());
    anna.hears_nothing();
}

/// If the port is free, this test takes it.
#[test]
fn the_default_address_is_loopback_8080() {
    let _holder = TcpListener::bind("127.0.0.1:8080");
    for role in ["chat", "echo"] {
        let mut daemon = Daemon::launch(&[role]);
        daemon.exits_with(1);
        let log = daemon.log();
        assert!(log.contains("cannot listen on 127.0.0.1:8080: address in use"), "{log}");
    }
}

#[test]
fn it_starts_on_all_addresses_or_not_at_all() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let mut daemon = Daemon::launch(&["chat", "--listen", "127.0.0.1:0", "--listen", &address]);
    daemon.exits_with(1);
    assert!(daemon.log().contains(&format!("cannot listen on {address}: address in use")), "{}", daemon.log());
}

#[test]
fn an_address_of_another_machine_exits_with_1() {
    let mut daemon = Daemon::launch(&["chat", "--listen", "192.0.2.77:0"]); // reserved for documentation
    daemon.exits_with(1);
    let log = daemon.log();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("cannot listen on 192.0.2.77:0: "), "{log}");
}

// ---------------------------------------------------------------------------------------------------------------------
// Usage: 2
// ---------------------------------------------------------------------------------------------------------------------

/// The daemon refuses these arguments: exit code 2, words on stderr, none on stdout.
#[track_caller]
fn is_misused(arguments: &[&str]) -> String {
    let mut daemon = Daemon::launch(arguments);
    let code = daemon.exits();
    let log = daemon.log();
    assert_eq!(code, 2, "{arguments:?}: {log}");
    assert!(!log.trim().is_empty(), "{arguments:?}: not a word");
    assert!(listening_lines(&log).next().is_none(), "{arguments:?}: {log}");
    assert_eq!(daemon.whole_output(), "", "{arguments:?}");
    log
}

#[test]
fn unknown_and_missing_words_are_usage_errors() {
    is_misused(&[]);
    is_misused(&["--listen", "127.0.0.1:0"]);
    is_misused(&["shout"]);
    is_misused(&["chat", "--shout"]);
    is_misused(&["chat", "127.0.0.1:0"]);
    is_misused(&["echo", "--flood", "3/2"]);
    is_misused(&["echo", "--echo"]);
    for option in ["--listen", "--max-connections", "--idle-timeout", "--drain-timeout", "--flood"] {
        is_misused(&["chat", option]);
    }
}

#[test]
fn an_invalid_value_is_a_usage_error_that_names_it() {
    for (option, value) in [
        ("--listen", "127.0.0.1:65536"),
        ("--listen", "127.0.0.1"),
        ("--listen", "65536"),
        ("--listen", "127.0.0.1:http"),
        ("--listen", "300.0.0.1:80"),
        ("--listen", "::1:x"),
        ("--listen", ""),
        ("--max-connections", "many"),
        ("--max-connections", "-1"),
        ("--idle-timeout", "soon"),
        ("--idle-timeout", "-1s"),
        ("--idle-timeout", "10 parsecs"),
        ("--drain-timeout", "later"),
        ("--flood", "3"),
        ("--flood", "/2"),
        ("--flood", "3/"),
        ("--flood", "3/2/1"),
        ("--flood", "a/b"),
        ("--flood", "-3/2"),
        ("--flood", "0/0"), // nobody could ever speak
    ] {
        let message = is_misused(&["chat", &format!("{option}={value}")]);
        assert!(message.contains(option) && message.contains(value), "{option} {value}: {message}");
    }
}

/// An error that takes two flags is reported like any other: in the words that were typed, and with the usage of the
/// role.
#[test]
fn a_usage_error_shows_how_the_role_is_used() {
    for (words, says, usage) in [
        (&["chat", "--mode", "660"][..], "nothing else has a file", "Usage: tidegate chat [OPTIONS]"),
        (
            &["chat", "--output-soft", "1M", "--output-hard", "512K"],
            "--output-soft of 1M is above --output-hard of 512K",
            "Usage: tidegate chat [OPTIONS]",
        ),
        (&["chat", "--listen", "9", "--listen", "9"], "is given twice", "Usage: tidegate chat [OPTIONS]"),
        (&["echo", "--listen", "127.0.0.1:9", "--listen", "9"], "is given twice", "Usage: tidegate echo [OPTIONS]"),
        (&["chat", "9000"], "write --listen 9000", "Usage: tidegate chat [OPTIONS]"),
        (&["bench", "echo", "--depth", "65536", "--size", "1M"], "1M", "Usage: tidegate bench echo [OPTIONS] [ADDR]"),
    ] {
        let message = is_misused(words);
        assert!(message.contains(says) && message.contains(usage), "{words:?}: {message}");
    }
}

#[test]
fn help_and_version_can_be_asked_for_in_each_way() {
    for words in [&["help", "chat"][..], &["chat", "--help"], &["help", "bench", "echo"], &["proxy", "--version"]] {
        let mut daemon = Daemon::launch(words);
        daemon.exits_with(0);
        let expected = if words.contains(&"--version") { env!("CARGO_PKG_VERSION") } else { "Usage: tidegate" };
        assert!(daemon.whole_output().contains(expected), "{words:?}: {}", daemon.whole_output());
    }
}

#[test]
fn port_is_another_name_for_listen() {
    let mut room = Daemon::launch(&["chat", "--port", "0"]);
    room.finds_its_addresses(1);
    room.join().hears("* you are guest1; 1 online");
}

#[test]
fn a_host_name_is_refused_by_name() {
    let mut daemon = Daemon::launch(&["chat", "--listen", "example.com:80"]);
    let code = daemon.exits();
    assert!(code == 1 || code == 2, "{code}");
    assert!(daemon.log().contains("example.com"), "{}", daemon.log());
}

#[test]
fn help_is_no_error_and_names_the_options() {
    let mut daemon = Daemon::launch(&["--help"]);
    daemon.exits_with(0);
    for role in ["chat", "echo"] {
        assert!(daemon.whole_output().contains(role), "{}", daemon.whole_output());
    }
    let common =
        ["--listen", "--max-connections", "--block", "--idle-timeout", "--keep-alive", "--drain-timeout", "-v", "-q"];
    for (role, own) in [("chat", &["--echo", "--flood"][..]), ("echo", &[])] {
        let mut daemon = Daemon::launch(&[role, "--help"]);
        daemon.exits_with(0);
        let help = daemon.whole_output();
        for option in common.iter().chain(own) {
            assert!(help.contains(option), "{option} in:\n{help}");
        }
        assert!(help.contains("127.0.0.1:8080"), "the default address in:\n{help}");
    }
}

#[test]
fn good_values_are_accepted() {
    for arguments in [
        &["--idle-timeout", "30s", "--drain-timeout", "10s"][..],
        &["--idle-timeout", "5m"],
        &["--idle-timeout", "1h"],
        &["--idle-timeout", "500ms"],
        &["--idle-timeout", "none"],
        &["--flood", "20/10"],
        &["--flood", "none"],
        &["--max-connections", "1"],
        &["--block", "192.0.2.1", "--block", "192.0.2.0-192.0.2.9", "--block", "2001:db8::/32"],
        &["-v"],
        &["-vv"],
    ] {
        let room = Daemon::chat(arguments);
        room.join().hears("* you are guest1; 1 online");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The log
// ---------------------------------------------------------------------------------------------------------------------

/// Two guests talk, and the room is stopped in order.
#[track_caller]
fn is_in_order(room: &mut Daemon) {
    let [mut anna, mut bob] = room.guests();
    for number in 0..2000 {
        anna.says(&format!("hello {number}"));
        bob.says("/who");
        bob.hears_in_any_order(&[&format!("guest1: hello {number}"), "* 2 online: guest1, guest2"]);
    }
    room.signal(Signal::TERM);
    for guest in [&mut anna, &mut bob] {
        guest.hears("* the server is shutting down");
        guest.ends();
    }
    drop((anna, bob));
    room.exits_with(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_the_log_stops_nothing() {
    is_in_order(&mut Daemon::chat_without_a_log(Stderr::Full, &["-vv"]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_closed_stderr_stops_nothing() {
    is_in_order(&mut Daemon::chat_without_a_log(Stderr::Closed, &["-vv"]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_lost_its_reader_stops_nothing() {
    is_in_order(&mut Daemon::chat_without_a_log(Stderr::Broken, &["-vv"]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    is_in_order(&mut Daemon::chat_without_a_log(Stderr::NeverRead, &["-vv"]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_port_in_use_exits_with_1_also_if_the_log_is_full() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = support::program();
    command.args(["chat", "--listen", &holder.local_addr().unwrap().to_string()]);
    Daemon::launch_with(&mut command, Stderr::Full).exits_with(1);
}

#[cfg(target_os = "linux")]
#[test]
fn errors_only_is_silent_when_there_are_none() {
    let address = free_address();
    let mut room = Daemon::launch(&["chat", "-q", "--listen", &address.to_string()]);
    room.listens_on(address);
    is_in_order(&mut room);
    assert_eq!(room.log(), "");
}

#[test]
fn debug_says_more_and_trace_no_less() {
    let said = |level: &[&str]| {
        let mut room = Daemon::chat(level);
        let [mut anna, bob] = room.guests();
        drop(bob);
        anna.hears("* guest2 left; 1 online");
        room.signal(Signal::TERM);
        anna.hears("* the server is shutting down");
        drop(anna);
        room.exits();
        room.log().lines().count()
    };
    let (info, debug, trace) = (said(&[]), said(&["-v"]), said(&["-vv"]));
    assert!(info < debug && debug <= trace, "{info}, {debug}, {trace} lines");
}

/// A guest must not be able to write lines of its own into the log, nor control characters for the terminal.
#[test]
fn control_characters_of_a_peer_are_escaped_in_the_log() {
    let mut room = Daemon::chat(&["-vv"]);
    let [mut anna, mut bob] = room.guests();
    anna.sends("a\x1b]0;b\x07c\x0cd\u{9b}31m\u{202e}\n/nick \x1b[2J\n/\x1b[3J\n".as_bytes());
    bob.hears("guest1: a]0;bcd31m");
    assert!(anna.hears_line().starts_with("* name not allowed: [2J ("));
    anna.hears("* unknown command: /[3J; try /help");
    anna.ends_its_side();
    bob.hears("* guest1 left; 1 online");
    room.signal(Signal::TERM);
    room.exits();
    let log = room.log();
    let is_harmful = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!log.contains(is_harmful), "{log:?}");
}

#[test]
fn no_line_of_the_log_is_longer_than_4000_bytes() {
    let mut room = Daemon::chat(&["-vv"]);
    let [mut anna, mut bob] = room.guests();
    let long = "\u{7}x".repeat(2000);
    anna.says(&long);
    bob.hears(&format!("guest1: {}", "x".repeat(2000)));
    anna.says(&format!("/nick {long}"));
    assert!(anna.hears_line().starts_with(&format!("* name not allowed: {} (", "x".repeat(2000))));
    room.signal(Signal::TERM);
    room.exits();
    let longest = room.log().lines().map(str::len).max().unwrap_or(0);
    assert!(longest <= 4000 + 100, "{longest} bytes"); // the prefix is not counted
}
