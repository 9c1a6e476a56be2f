//! `--explain`, `--slow-motion` and `-vv`: what the loop does, told.

use std::time::{Duration, Instant};

use crate::support::{self, Daemon, Signal, Stderr, wait_until};

/// The lines of the explanation: all that is no record of the log.
fn explanation(daemon: &Daemon) -> Vec<String> {
    daemon.log().lines().filter(|line| line.starts_with("turn ") || line.starts_with("  ")).map(str::to_owned).collect()
}

/// Waits until a line ends so, and gives the paragraph that it is in.
fn paragraph(daemon: &Daemon, end: &str) -> Vec<String> {
    wait_until(end, || explanation(daemon).iter().any(|line| line.ends_with(end)));
    let lines = explanation(daemon);
    let at = lines.iter().position(|line| line.ends_with(end)).unwrap();
    let first = lines[..=at].iter().rposition(|line| line.starts_with("turn ")).unwrap();
    let last = lines[at..].iter().position(|line| line.starts_with("turn ")).map_or(lines.len(), |after| at + after);
    lines[first..last].to_vec()
}

#[test]
fn an_echo_is_explained_and_the_log_stays() {
    let echo = Daemon::echo(&["--explain"]);
    let mut client = echo.join();
    client.sends(b"hello");
    client.receives(b"hello");
    let told = paragraph(&echo, "#1: wrote 5 of 5 bytes");
    assert!(told[0].starts_with("turn ") && told[0].ends_with(" s"), "{told:?}");
    let read = told.iter().position(|line| line.ends_with("  #1: read 5 bytes → pipe into #1")).unwrap();
    assert_eq!(told[read + 1], "              #1: wrote 5 of 5 bytes");
    assert!(told[..read].iter().any(|line| line.starts_with("  wait        #1: ready to read")), "{told:?}");
    echo.logs("where it listens", |line| line.contains("INFO") && line.contains("listening on "));
    drop(client);
    paragraph(&echo, "closed → close ← destroyed: the other side ended first");
}

#[test]
fn a_room_is_explained_with_the_names_of_its_guests() {
    let room = Daemon::chat(&["--explain"]);
    let [mut anna, mut bob] = room.guests();
    anna.says("/nick anna");
    bob.hears("* guest1 is now anna");
    anna.says("hello");
    bob.hears("anna: hello");
    let told = paragraph(&room, "#2 guest2: wrote 12 of 12 bytes");
    assert!(told.iter().any(|line| line.ends_with("#1 anna: read 6 bytes → data")), "{told:?}");
    assert!(!told.iter().any(|line| line.contains("hello")), "what people say is not shown: {told:?}");
}

#[test]
fn one_connection_is_followed_alone() {
    let room = Daemon::chat(&["--explain=#2"]);
    let [mut anna, mut bob] = room.guests();
    anna.says("hello");
    bob.hears("guest1: hello");
    paragraph(&room, "#2 guest2: wrote 14 of 14 bytes");
    let told = explanation(&room);
    assert!(told.iter().all(|line| line.starts_with("turn ") || line.contains(" #2")), "{told:?}");
}

#[test]
fn slow_motion_waits_after_each_paragraph() {
    let echo = Daemon::echo(&["--explain", "--slow-motion", "100ms"]);
    let mut client = echo.join();
    let began = Instant::now();
    for _ in 0..3 {
        client.sends(b"hello");
        client.receives(b"hello");
    }
    // The wait of the first is seen by the second.
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
}

#[test]
fn a_second_signal_is_told_before_the_exit() {
    let mut echo = Daemon::echo(&["--explain"]);
    let _client = echo.join();
    paragraph(&echo, "its data flows, by its connection handler");
    echo.signal(Signal::TERM);
    paragraph(&echo, "listens no more, by the loop's signal 15 handler");
    echo.signal(Signal::TERM);
    assert_eq!(echo.exits(), 143);
    let signals = explanation(&echo).iter().filter(|line| line.contains("signal 15 has come")).count();
    assert_eq!(signals, 2, "{}", echo.log());
}

#[test]
fn at_vv_each_line_of_the_trace_is_a_record() {
    let echo = Daemon::echo(&["-vv"]);
    let mut client = echo.join();
    client.sends(b"hello");
    client.receives(b"hello");
    let read = echo.logs("the read", |line| line.ends_with(" serve #1: read 5 bytes → pipe into #1"));
    assert!(read.contains(" TRACE ") && read.contains(" turn "), "{read}");
}

#[test]
fn a_trace_begins_when_a_signal_raises_the_level() {
    let echo = Daemon::echo(&["-v"]);
    let mut client = echo.join();
    client.sends(b"one");
    client.receives(b"one");
    echo.signal(Signal::USR2);
    echo.logs("the change", |line| line.ends_with("the log level is trace"));
    client.sends(b"hello");
    client.receives(b"hello");
    echo.logs("the read", |line| line.ends_with(" serve #1: read 5 bytes → pipe into #1"));
    echo.signal(Signal::USR2);
    echo.logs("the change back", |line| line.ends_with("the log level is debug"));
    assert!(!echo.log().contains("read 3 bytes"), "{}", echo.log());
}

#[test]
fn an_explanation_that_nobody_reads_stops_nothing() {
    let address = support::free_address();
    let mut command = support::program();
    command.args(["echo", "--explain", "--listen", &address.to_string()]);
    let mut echo = Daemon::launch_with(&mut command, Stderr::NeverRead);
    echo.listens_on(address);
    let mut client = echo.join();
    for _ in 0..2000 {
        client.sends(b"hello");
        client.receives(b"hello");
    }
    assert!(echo.is_running());
}
