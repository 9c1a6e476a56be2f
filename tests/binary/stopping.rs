//! How a daemon stops: SIGINT, SIGTERM and SIGHUP; bytes in flight are served; the drain and its timeout; the exit
//! code, and the line of the log that says what was discarded; the second signal.

#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use crate::support::terminal::{open_terminal, pseudo_terminal};
use crate::support::{self, Client, Daemon, Signal, Stderr, refuses};

const SHUTDOWN: &str = "* the server is shutting down";

// ---------------------------------------------------------------------------------------------------------------------
// Without loss
// ---------------------------------------------------------------------------------------------------------------------

#[test]
fn sigterm_and_sigint_tell_all_guests_and_exit_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut room = Daemon::chat(&[]);
        let mut guests: [Client; 2] = room.guests();
        room.signal(signal);
        for guest in &mut guests {
            guest.hears(SHUTDOWN);
            guest.ends();
        }
        drop(guests);
        room.exits_with(0);
    }
}

/// The clock for its silence runs out while the stop waits for it to close.
#[test]
fn a_guest_that_the_stop_has_ended_is_not_dismissed_for_its_silence() {
    let mut room = Daemon::chat(&["-v", "--idle-timeout", "1s"]);
    let [mut anna, mut bob] = room.guests();
    std::thread::sleep(Duration::from_millis(500));
    room.signal(Signal::TERM);
    for guest in [&mut anna, &mut bob] {
        guest.hears(SHUTDOWN);
        guest.ends();
    }
    // Neither closes its side.
    room.exits_with(0);
    assert!(!room.log().contains("write after end") && !room.log().contains("an error"), "{}", room.log());
}

/// A role that has not been asked to ignore SIGHUP, though this test may run under nohup, after a command of `env`.
#[cfg(target_os = "linux")]
fn with_hangups(before: &[&str], stdin: std::process::Stdio, arguments: &[&str]) -> Daemon {
    let mut command = std::process::Command::new("env");
    command.arg("--default-signal=HUP,QUIT").args(before).arg(env!("CARGO_BIN_EXE_tidegate")).args(arguments);
    let mut daemon = Daemon::launch_from(command.args(["--listen", "127.0.0.1:0"]), stdin, Stderr::Kept);
    daemon.finds_its_addresses(1);
    daemon
}

/// A role in a session that has a terminal. With the terminal's other side the terminal is gone.
#[cfg(target_os = "linux")]
fn under_a_terminal(arguments: &[&str]) -> (Daemon, OwnedFd) {
    let (user, name) = pseudo_terminal();
    let terminal = open_terminal(&name);
    (with_hangups(&["setsid", "--ctty"], terminal.into(), arguments), user)
}

#[cfg(target_os = "linux")]
#[test]
fn sighup_stops_it_as_sigterm_does() {
    let (mut room, terminal) = under_a_terminal(&["chat"]);
    let [mut anna] = room.guests();
    room.signal(Signal::HUP);
    anna.hears(SHUTDOWN);
    anna.ends();
    drop(anna);
    room.exits_with(0);
    drop(terminal);
}

#[cfg(target_os = "linux")]
#[test]
fn the_end_of_its_terminal_stops_it() {
    let (mut room, terminal) = under_a_terminal(&["chat"]);
    let [mut anna] = room.guests();
    drop(terminal);
    anna.hears(SHUTDOWN);
    drop(anna);
    room.exits_with(0);
}

/// In a container, or started by a supervisor: SIGHUP cannot mean that the terminal is gone.
#[cfg(target_os = "linux")]
#[test]
fn without_a_terminal_sighup_and_sigquit_do_not_stop_it() {
    let mut room = with_hangups(&["setsid"], std::process::Stdio::null(), &["chat"]);
    let [mut anna, mut bob] = room.guests();
    for (signal, name) in [(Signal::HUP, "SIGHUP"), (Signal::QUIT, "SIGQUIT")] {
        room.signal(signal);
        room.logs(name, |line| line.ends_with(&format!("{name} does not stop it: there is no terminal")));
        anna.says("still here");
        bob.hears("guest1: still here");
    }
    room.signal(Signal::TERM);
    anna.hears(SHUTDOWN);
    drop((anna, bob));
    room.exits_with(0);
}

/// A room that began with these signals ignored goes on when they come, and stops at SIGTERM.
#[track_caller]
fn stay_ignored(ignored: &str, signals: &[Signal]) {
    let mut command = support::program_after(&format!("trap '' {ignored}"));
    let mut room = Daemon::launch_with(command.args(["chat", "--listen", "127.0.0.1:0"]), Stderr::Kept);
    room.finds_its_addresses(1);
    let [mut anna, mut bob] = room.guests();
    for signal in signals {
        room.signal(*signal);
        anna.says("/who");
        anna.hears("* 2 online: guest1, guest2");
    }
    bob.hears_nothing();
    room.signal(Signal::TERM);
    anna.hears(SHUTDOWN);
    drop((anna, bob));
    room.exits_with(0);
}

/// A shell has a command in the background ignore SIGINT and SIGQUIT.
#[cfg(target_os = "linux")]
#[test]
fn signals_of_the_terminal_stay_ignored_if_they_were_ignored_before() {
    stay_ignored("INT QUIT", &[Signal::INT, Signal::QUIT, Signal::INT]);
}

/// What nohup does before it becomes the daemon.
#[test]
fn sighup_stays_ignored_if_it_was_ignored_before() {
    stay_ignored("HUP", &[Signal::HUP]);
}

#[cfg(target_os = "linux")]
#[test]
fn sigquit_stops_it_in_order() {
    let (mut room, _terminal) = under_a_terminal(&["chat"]);
    let [mut anna] = room.guests();
    room.signal(Signal::QUIT);
    anna.hears(SHUTDOWN);
    drop(anna);
    room.exits_with(0);
}

#[test]
fn the_log_counts_the_connections_and_says_that_all_was_delivered() {
    for (guests, says) in [
        (0, "stopping: no connection is open"),
        (1, "stopping: up to 10s for 1 connection to drain"),
        (2, "stopping: up to 10s for 2 connections to drain"),
    ] {
        let mut sink = Daemon::role("sink", &["-v"]);
        let clients: Vec<Client> = (0..guests).map(|_| sink.join()).collect();
        for client in &clients {
            let address = client.local_address().to_string();
            sink.logs("that it has come", |line| line.contains(&address));
        }
        sink.signal(Signal::TERM);
        sink.logs(says, |line| line.ends_with(says));
        drop(clients);
        sink.exits_with(0);
        assert!(sink.log().trim_end().ends_with("stopped: all was delivered"), "{}", sink.log());
    }
}

/// Also at once: the handlers of the signals are there before it says that it listens.
#[test]
fn an_empty_daemon_exits_with_0() {
    for start in [Daemon::chat, Daemon::echo] {
        for signal in [Signal::TERM, Signal::INT].repeat(10) {
            let mut daemon = start(&[]);
            daemon.signal(signal);
            daemon.exits_with(0);
        }
    }
}

#[test]
fn an_echo_ends_the_connections_and_exits_with_0() {
    let mut echo = Daemon::echo(&[]);
    let mut anna = echo.join();
    anna.says("hello");
    anna.hears("hello");
    echo.signal(Signal::TERM);
    anna.ends();
    drop(anna);
    echo.exits_with(0);
}

#[test]
fn every_listener_closes_at_once() {
    // Only Linux has 127.0.0.2 without being told.
    let other = if cfg!(target_os = "linux") { "127.0.0.2:0" } else { "127.0.0.1:0" };
    let mut room = Daemon::chat(&["--drain-timeout", "60s", "--listen", other, "--listen", "127.0.0.1:0"]);
    let [mut anna] = room.guests();
    room.signal(Signal::TERM);
    anna.hears(SHUTDOWN);
    for address in room.addresses() {
        refuses(*address);
    }
    drop(anna);
    room.exits_with(0);
}

#[test]
fn a_guest_who_says_nothing_more_is_closed_after_a_second() {
    let mut room = Daemon::chat(&["--drain-timeout", "60s"]);
    let [mut anna] = room.guests();
    let began = Instant::now();
    room.signal(Signal::TERM);
    anna.hears(SHUTDOWN);
    anna.ends();
    room.exits_with(0); // though Anna has not ended her side
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

// ---------------------------------------------------------------------------------------------------------------------
// Bytes in flight. The daemon is stopped while they are sent, so that it finds them together with the signal.
// ---------------------------------------------------------------------------------------------------------------------

#[cfg(target_os = "linux")]
#[test]
fn a_line_in_flight_is_served() {
    let mut room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    room.freeze();
    anna.says("one moment");
    room.signal(Signal::TERM);
    room.thaw();
    bob.hears_in_any_order(&["guest1: one moment", SHUTDOWN]);
    bob.ends();
    anna.hears(SHUTDOWN);
    anna.ends();
    drop((anna, bob));
    room.exits_with(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_question_in_flight_is_answered() {
    let mut room = Daemon::chat(&[]);
    let [mut anna] = room.guests();
    room.freeze();
    anna.says("/who");
    room.signal(Signal::INT);
    room.thaw();
    anna.hears_in_any_order(&["* 1 online: guest1", SHUTDOWN]);
    anna.ends();
    drop(anna);
    room.exits_with(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_thousand_lines_in_flight_are_served() {
    let mut room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    let lines: Vec<String> = (0..1000).map(|number| format!("{number:04} {}", "x".repeat(44))).collect();
    room.freeze();
    anna.sends((lines.join("\n") + "\n").as_bytes()); // 50 kB: what one receive buffer holds
    room.signal(Signal::TERM);
    room.thaw();
    let heard = bob.hears_to_the_end();
    let (from_anna, others): (Vec<String>, Vec<String>) =
        heard.into_iter().partition(|line| line.starts_with("guest1: "));
    assert_eq!(others, [SHUTDOWN]);
    assert!(from_anna.iter().eq(lines.iter().map(|line| format!("guest1: {line}")).collect::<Vec<_>>().iter()));
    drop((anna, bob));
    room.exits_with(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_guest_who_leaves_as_the_signal_comes_may_be_read() {
    let mut room = Daemon::chat(&[]);
    let [mut anna, mut bob] = room.guests();
    room.freeze();
    anna.sends(b"I am off\nbye");
    anna.ends_its_side();
    room.signal(Signal::TERM);
    room.thaw();
    let mut heard = bob.hears_to_the_end();
    heard.retain(|line| line != "* guest1 left; 1 online"); // it may have been closed before Bob's side was ended, or not
    assert!(heard.iter().any(|line| line == SHUTDOWN), "{heard:?}");
    heard.retain(|line| line != SHUTDOWN);
    assert_eq!(heard, ["guest1: I am off", "guest1: bye"]);
    drop((anna, bob));
    room.exits_with(0);
}

#[cfg(target_os = "linux")]
#[test]
fn bytes_in_flight_are_echoed() {
    let mut echo = Daemon::echo(&[]);
    let mut anna = echo.join();
    anna.says("first");
    anna.hears("first");
    // No more than a receive buffer holds before its owner has read anything: what the peer's kernel still has comes
    // later, and is not waited for.
    let bytes = support::Random(21).bytes(30_000);
    echo.freeze();
    anna.sends(&bytes);
    echo.signal(Signal::TERM);
    echo.thaw();
    anna.receives(&bytes);
    anna.ends();
    drop(anna);
    echo.exits_with(0);
}

/// The limit holds to the end: a flooder could hold up the stop otherwise, or fill the room with it.
#[test]
fn of_a_paused_flooder_a_second_s_worth_is_served_and_the_rest_is_counted() {
    let mut room = Daemon::chat(&["--flood", "2/3", "--drain-timeout", "60s"]);
    let [mut anna, mut bob] = room.guests();
    bob.sends(b"1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    anna.hears_all(["guest2: 1", "guest2: 2"]);
    room.signal(Signal::TERM);
    anna.hears(SHUTDOWN);
    anna.hears_all(["guest2: 3", "guest2: 4", "guest2: 5"]);
    let rest = anna.hears_to_the_end();
    assert!(rest.len() <= 1, "{rest:?}"); // the time until the signal may have been worth a line
    bob.hears(SHUTDOWN);
    bob.ends();
    drop((anna, bob));
    room.exits_with(0);
    let dropped = 2 * (4 - rest.len());
    let says = format!("{dropped} bytes of guests who sent too fast were not passed on");
    assert!(room.log().contains(&says), "{}", room.log());
}

// ---------------------------------------------------------------------------------------------------------------------
// What comes later
// ---------------------------------------------------------------------------------------------------------------------

/// It is read, so that no reset destroys what was sent to the guest before.
#[test]
fn bytes_that_come_later_are_read_and_discarded() {
    let mut room = Daemon::chat(&["--drain-timeout", "60s"]);
    let [mut anna, mut bob] = room.guests();
    room.signal(Signal::TERM);
    anna.hears(SHUTDOWN);
    anna.ends(); // before this, it would have been in time
    anna.sends(&b"too late\n".repeat(300_000));
    bob.hears(SHUTDOWN);
    bob.ends();
    drop((anna, bob));
    room.exits_with(0);
    let says = "2700000 bytes on 1 connection arrived too late and were discarded";
    assert!(room.log().contains(says), "{}", room.log());
}

#[test]
fn a_guest_that_goes_on_talking_is_cut_off_by_the_drain_timeout() {
    let mut room = Daemon::chat(&["--drain-timeout", "2s"]);
    let [mut anna] = room.guests();
    let began = Instant::now();
    room.signal(Signal::TERM);
    anna.hears(SHUTDOWN);
    let mut handle = anna.handle();
    let talk = std::thread::spawn(move || {
        while std::io::Write::write_all(&mut handle, b"and another thing\n").is_ok() {
            std::thread::sleep(Duration::from_millis(100)); // shorter than the second of silence
        }
    });
    room.exits_with(0); // nothing that was meant for Anna is lost
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    talk.join().unwrap();
}

// ---------------------------------------------------------------------------------------------------------------------
// What is discarded
// ---------------------------------------------------------------------------------------------------------------------

/// The line of the log that says how much was discarded: (bytes, connections).
#[track_caller]
fn loss(daemon: &Daemon) -> (usize, usize) {
    let log = daemon.log();
    let of = |line: &str| Some((number_before(line, "byte")?, number_before(line, "connection")?));
    let mut losses = log.lines().filter_map(of);
    let loss =
        losses.next().unwrap_or_else(|| panic!("no line like `N bytes ... on M connections` in the log:\n{log}"));
    assert_eq!(losses.next(), None, "told once; the log:\n{log}");
    loss
}

/// The last number that stands before ` word`.
fn number_before(line: &str, word: &str) -> Option<usize> {
    line.split(&format!(" {word}")).next().filter(|before| before.len() < line.len())?.rsplit(' ').next()?.parse().ok()
}

/// A room with two guests. The second reads nothing, and 100,000 bytes wait for it; the lines that the first has said.
#[cfg(target_os = "linux")]
fn stuffed_room(flags: &[&str]) -> (Daemon, Client, Client, Vec<String>) {
    let room = Daemon::chat(flags);
    let [mut anna] = room.guests();
    let stuck = Client::connect_narrow(room.address());
    anna.hears("* guest2 joined; 2 online");
    let said = support::stuff(&mut anna, &[&stuck], 100_000);
    (room, anna, stuck, said)
}

#[cfg(target_os = "linux")]
#[test]
fn bytes_that_a_stuck_reader_does_not_take_are_counted_and_give_1() {
    let (mut room, mut anna, _stuck, said) = stuffed_room(&["--drain-timeout", "1s"]);
    let began = Instant::now();
    room.signal(Signal::TERM);
    anna.hears(SHUTDOWN);
    anna.ends();
    drop(anna);
    room.exits_with(1);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    let (bytes, connections) = loss(&room);
    assert_eq!(connections, 1);
    let most = said.len() * ("guest1: \n".len() + said[0].len());
    assert!((100_000..most).contains(&bytes), "{bytes} bytes of {most}");
}

#[cfg(target_os = "linux")]
#[test]
fn only_stuck_readers_are_counted() {
    let mut room = Daemon::chat(&["--drain-timeout", "1s"]);
    let [mut anna] = room.guests();
    let stuck: Vec<Client> = (0..3).map(|_| Client::connect_narrow(room.address())).collect();
    anna.hears_all((2..=4).map(|number| format!("* guest{number} joined; {number} online")));
    support::stuff(&mut anna, &[&stuck[0], &stuck[1], &stuck[2]], 50_000);
    room.signal(Signal::INT);
    anna.hears(SHUTDOWN);
    anna.ends();
    drop(anna);
    room.exits_with(1);
    let (bytes, connections) = loss(&room);
    assert_eq!(connections, 3);
    assert!(bytes >= 150_000, "{bytes} bytes");
}

#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_catches_up_hears_everything_and_nothing_is_lost() {
    let (mut room, mut anna, mut stuck, said) = stuffed_room(&["--drain-timeout", "60s"]);
    room.signal(Signal::TERM);
    anna.hears(SHUTDOWN);
    anna.ends();
    drop(anna);
    stuck.hears("* you are guest2; 2 online");
    stuck.hears_all(said.iter().map(|line| format!("guest1: {line}")));
    stuck.hears(SHUTDOWN);
    let heard = stuck.hears_to_the_end();
    // Anna went while this was still queued: whether that is told to those who are about to go is left open.
    assert!(heard.iter().all(|line| line == "* guest1 left; 1 online"), "{heard:?}");
    drop(stuck);
    room.exits_with(0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_loss_by_a_reset_after_the_signal_gives_1() {
    let (mut room, mut anna, stuck, _) = stuffed_room(&["--drain-timeout", "60s"]);
    room.signal(Signal::TERM);
    anna.hears(SHUTDOWN);
    stuck.resets();
    anna.ends();
    drop(anna);
    room.exits_with(1);
    let (bytes, connections) = loss(&room);
    assert!(connections == 1 && bytes >= 100_000, "{bytes} bytes on {connections} connections");
}

#[cfg(target_os = "linux")]
#[test]
fn a_loss_before_the_signal_gives_0() {
    let (mut room, mut anna, stuck, _) = stuffed_room(&[]);
    stuck.resets();
    anna.hears("* guest2 left; 1 online");
    room.signal(Signal::TERM);
    anna.hears(SHUTDOWN);
    anna.ends();
    drop(anna);
    room.exits_with(0);
}

/// An echo with a peer that has sent until it was paused, and reads nothing.
fn stuck(echo: Daemon) -> (Daemon, Client) {
    let mut stuck = echo.join();
    stuck.sends_until_paused(&[b'x'; 1 << 16], 96 << 20);
    (echo, stuck)
}

/// Also what the system of the peer still holds when the signal comes, and what cannot arrive before the peer reads.
#[test]
fn a_peer_that_reads_at_last_gets_back_all_that_it_has_sent() {
    let mut echo = Daemon::echo(&["--drain-timeout", "60s"]);
    let mut anna = echo.join();
    let piece = support::Random(22).bytes(1 << 16);
    let sent = anna.sends_until_paused(&piece, 96 << 20);
    echo.signal(Signal::TERM);
    refuses(echo.address());
    anna.receives_copies(&piece, sent);
    anna.ends();
    drop(anna);
    echo.exits_with(0);
    assert!(!echo.log().contains("too late"), "{}", echo.log());
}

#[test]
fn an_echo_that_is_not_taken_gives_1() {
    let (mut echo, _stuck) = stuck(Daemon::echo(&["--drain-timeout", "1s"]));
    let began = Instant::now();
    echo.signal(Signal::TERM);
    refuses(echo.address());
    echo.exits_with(1);
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    let (bytes, connections) = loss(&echo);
    assert!(connections == 1 && bytes > 0, "{bytes} bytes on {connections} connections");
}

// ---------------------------------------------------------------------------------------------------------------------
// The second signal
// ---------------------------------------------------------------------------------------------------------------------

#[track_caller]
fn exits_at_the_second((mut echo, _stuck): (Daemon, Client), first: Signal, second: Signal, code: i32) {
    echo.signal(first);
    refuses(echo.address()); // it has seen the first
    echo.signal(second);
    echo.exits_with(code);
}

#[test]
fn a_second_signal_exits_at_once_with_its_own_code() {
    for (first, second, code) in [
        (Signal::TERM, Signal::TERM, 143),
        (Signal::INT, Signal::INT, 130),
        (Signal::INT, Signal::TERM, 143),
        (Signal::TERM, Signal::INT, 130),
    ] {
        exits_at_the_second(stuck(Daemon::echo(&["--drain-timeout", "60s"])), first, second, code);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn so_does_a_second_hangup() {
    let (echo, _terminal) = under_a_terminal(&["echo", "--drain-timeout", "60s"]);
    exits_at_the_second(stuck(echo), Signal::HUP, Signal::HUP, 129);
}

/// From the first signal to the last instruction: also behind the loop, and while the process ends.
#[test]
fn signals_without_end_never_end_it_in_place_of_its_exit_code() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        for run in 0..20 {
            let mut echo = Daemon::echo(&[]);
            let real = echo.exits_while_it_gets(signal, signal);
            assert!([0, code].contains(&real), "{signal:?}, run {run}: {real}\n{}", echo.log());
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn hangups_without_end_neither() {
    for _ in 0..10 {
        let (mut echo, _terminal) = under_a_terminal(&["echo"]);
        let code = echo.exits_while_it_gets(Signal::HUP, Signal::HUP);
        assert!([0, 129].contains(&code), "{code}\n{}", echo.log());
    }
}

#[test]
fn neither_do_those_of_the_operator() {
    for of_the_operator in [Signal::USR1, Signal::USR2].repeat(10) {
        let mut echo = Daemon::echo(&[]);
        assert_eq!(echo.exits_while_it_gets(Signal::TERM, of_the_operator), 0, "{}", echo.log());
    }
}

/// A manager or a client that sees a role listen may send a signal at once, and none of them may have its default effect then.
#[cfg(target_os = "linux")]
#[test]
fn all_signals_have_their_handlers_before_anything_listens() {
    if !support::strace::has_strace() {
        return;
    }
    let folder = support::folder::Folder::new();
    let log = folder.path("log");
    let program = support::program().get_program().to_owned();
    for role in [&["chat"][..], &["echo"], &["sink"], &["source"], &["proxy", "--to", "9"], &["hub"]] {
        let trace = folder.path(role[0]);
        let mut command = std::process::Command::new("strace");
        command.args(["-f", "-e", "trace=rt_sigaction,listen", "-o"]).arg(&trace).arg(&program).args(role);
        command.args(["--listen", "127.0.0.1:0", "--inspect", "127.0.0.1:0", "--log-file"]).arg(&log);
        let mut traced = command.spawn().unwrap();
        let calls = || std::fs::read_to_string(&trace).unwrap_or_default();
        support::wait_until("it listens", || calls().matches("listen(").count() >= 2);
        let calls = calls();
        let (before, after) = calls.split_once("listen(").unwrap();
        let handler = |signal: &str| format!("rt_sigaction(SIG{signal}, {{sa_handler=0x");
        // The others stay ignored if this test has them ignored.
        for signal in ["TERM", "USR1", "USR2", "ALRM", "XFSZ"] {
            assert!(before.contains(&handler(signal)), "{role:?} SIG{signal}: {calls}");
        }
        assert!(!after.contains("rt_sigaction(SIG"), "{role:?}: {calls}");
        let process = calls.split(' ').next().unwrap().parse().unwrap();
        let process = rustix::process::Pid::from_raw(process).unwrap();
        rustix::process::kill_process(process, Signal::TERM).unwrap();
        assert!(support::exit_of(&mut traced).success(), "{role:?}");
    }
}
