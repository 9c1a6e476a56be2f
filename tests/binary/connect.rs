//! `tidegate connect`: standard input and output as a socket, with a server of the test at the other end.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{Winsize, tcsetwinsize};
use socket2::SockRef;

use crate::support;
use crate::support::folder::Folder;
use crate::support::process::peak_memory;
use crate::support::terminal::{open_terminal, pseudo_terminal};

/// More than kernels keep for a connection, and not a whole number of anything.
const MUCH: usize = 40_000_001;

/// A running `tidegate connect`. It does not outlive its test.
struct Running(Child);

impl Running {
    fn start(words: &[&str], stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> Running {
        Running::start_with(words, stdin, stdout, Stdio::piped())
    }

    fn start_with(
        words: &[&str],
        stdin: impl Into<Stdio>,
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
    ) -> Running {
        let mut command = support::program();
        command.arg("connect").args(words).stdin(stdin).stdout(stdout).stderr(stderr);
        Running(command.spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.0.id() as i32).unwrap(), signal).unwrap();
    }

    /// Its exit code, and what it has said on stderr.
    fn ends(mut self) -> (i32, String) {
        let code = support::exit_of(&mut self.0).code().expect("it exits");
        let mut said = String::new();
        if let Some(mut stderr) = self.0.stderr.take() {
            stderr.read_to_string(&mut said).unwrap();
        }
        (code, said)
    }

    #[track_caller]
    fn ends_with(self, code: i32) -> String {
        let (with, said) = self.ends();
        assert_eq!(with, code, "{said}");
        said
    }

    #[track_caller]
    fn ends_in_order(self) {
        assert_eq!(self.ends_with(0), "", "without a word");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// The program with these flags, connected: a pipe into it, one out of it, and its server.
fn connected(flags: &[&str], stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> (Running, TcpStream) {
    let (listener, address) = listener();
    let running = Running::start(&[&[address.as_str()], flags].concat(), stdin, stdout);
    let (server, _) = listener.accept().unwrap();
    (running, server)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

fn file_with(folder: &Folder, bytes: &[u8]) -> File {
    std::fs::write(folder.path("file"), bytes).unwrap();
    File::open(folder.path("file")).unwrap()
}

fn all_of(from: &mut impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    from.read_to_end(&mut all).unwrap();
    all
}

fn reset(server: TcpStream) {
    SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
}

/// A server that does not wait any longer than that.
fn hears_nothing(server: &mut TcpStream) -> bool {
    server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let heard = server.read(&mut [0]);
    server.set_read_timeout(None).unwrap();
    heard.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Writes until nothing has been taken for a while, and says how much that was.
fn write_until_it_is_stuck(to: &mut impl Write) -> usize {
    let bytes = pattern(1 << 16);
    let (mut written, mut last) = (0, Instant::now());
    while written < 20 * MUCH && last.elapsed() < Duration::from_millis(500) {
        match to.write(&bytes) {
            Ok(count) => (written, last) = (written + count, Instant::now()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    written
}

fn set_nonblocking(descriptor: impl AsFd) {
    fcntl_setfl(&descriptor, fcntl_getfl(&descriptor).unwrap() | OFlags::NONBLOCK).unwrap();
}

fn blocks(descriptor: impl AsFd) -> bool {
    !fcntl_getfl(descriptor).unwrap().contains(OFlags::NONBLOCK)
}

/// A terminal, and its other end, where a person would sit.
fn terminal() -> (File, File) {
    let (seat, path) = pseudo_terminal();
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&seat, size).unwrap();
    let terminal = open_terminal(&path);
    set_nonblocking(&seat);
    (terminal, File::from(seat))
}

/// What a person sees, until it has this in it.
#[track_caller]
fn shows(seat: &mut File, shown: &mut String, what: &str) {
    support::wait_until(what, || {
        let mut bytes = [0; 4096];
        if let Ok(count) = seat.read(&mut bytes) {
            shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        shown.contains(what)
    });
}

// ---- both directions ------------------------------------------------------------------------------------------------

#[test]
fn standard_input_goes_into_a_socket_and_the_socket_into_standard_output() {
    let (mut running, mut server) = connected(&[], Stdio::piped(), Stdio::piped());
    let mut stdin = running.0.stdin.take().unwrap();
    stdin.write_all(b"question").unwrap();
    drop(stdin);
    assert_eq!(all_of(&mut server), b"question");
    let answer = pattern(300_000);
    // Its output is read while the answer is written: neither fits into the kernel.
    let mut stdout = running.0.stdout.take().unwrap();
    let reader = std::thread::spawn(move || all_of(&mut stdout));
    server.write_all(&answer).unwrap();
    drop(server);
    assert!(reader.join().unwrap() == answer);
    running.ends_in_order();
}

#[test]
fn a_file_of_any_size_goes_through_an_echo() {
    let folder = Folder::new();
    let bytes = pattern(MUCH);
    let echo = support::Daemon::echo(&[]);
    let received = File::create(folder.path("received")).unwrap();
    let address = echo.address().to_string();
    Running::start(&[&address], file_with(&folder, &bytes), received).ends_in_order();
    assert!(std::fs::read(folder.path("received")).unwrap() == bytes);
}

#[test]
fn an_address_may_be_a_unix_socket_or_two_words() {
    let folder = Folder::new();
    let unix = UnixListener::bind(folder.path("s")).unwrap();
    let place = folder.endpoint("s").to_string();
    let running = Running::start(&[&place], Stdio::null(), Stdio::null());
    assert_eq!(all_of(&mut unix.accept().unwrap().0), b"");
    running.ends_in_order();
    let (tcp, address) = listener();
    let (host, port) = address.split_once(':').unwrap();
    let running = Running::start(&[host, port], Stdio::null(), Stdio::null());
    assert_eq!(all_of(&mut tcp.accept().unwrap().0), b"");
    running.ends_in_order();
}

#[test]
fn each_kind_of_standard_input_is_read_to_its_end() {
    let folder = Folder::new();
    let reads = |stdin: Stdio, expected: &[u8]| {
        let (running, mut server) = connected(&[], stdin, Stdio::null());
        assert_eq!(all_of(&mut server), expected);
        drop(server);
        running.ends_in_order();
    };
    reads(Stdio::null(), b"");
    reads(file_with(&folder, b"of a file").into(), b"of a file");
    reads(file_with(&folder, b"").into(), b"");
    let (ours, mut other) = UnixStream::pair().unwrap();
    other.write_all(b"of a socket").unwrap();
    drop(other);
    reads(OwnedFd::from(ours).into(), b"of a socket");
    // And none at all.
    let (listener, address) = listener();
    let mut shell = support::program_after("exec <&-");
    shell.args(["connect", &address]).stdout(Stdio::null()).stderr(Stdio::piped());
    let running = Running(shell.spawn().unwrap());
    assert_eq!(all_of(&mut listener.accept().unwrap().0), b"");
    running.ends_in_order();
}

#[test]
fn with_crlf_lines_end_as_protocols_want_it() {
    let folder = Folder::new();
    let lines = "a line\nand one that has it\r\n".repeat(100_000);
    let (running, mut server) = connected(&["--crlf"], file_with(&folder, lines.as_bytes()), Stdio::null());
    let heard = all_of(&mut server);
    assert!(heard == "a line\r\nand one that has it\r\n".repeat(100_000).as_bytes());
    drop(server);
    running.ends_in_order();
}

#[test]
fn it_tells_what_it_does_if_it_is_asked() {
    let folder = Folder::new();
    let (running, mut server) = connected(&["-v"], file_with(&folder, b"12345"), Stdio::null());
    let place = server.local_addr().unwrap();
    assert_eq!(all_of(&mut server), b"12345");
    server.write_all(b"123").unwrap();
    drop(server);
    let said = running.ends_with(0);
    let told = ["connecting to ", "connected to ", "", ""].map(|before| format!("{before}{place}"));
    let after = ["", "", " has ended the connection", ": closed, 5 bytes sent, 3 bytes received"];
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    for (line, (told, after)) in lines.iter().zip(told.iter().zip(after)) {
        assert!(line.ends_with(&format!("{told}{after}")), "{line}");
    }
}

#[test]
fn a_stopped_one_goes_on() {
    let (mut running, mut server) = connected(&[], Stdio::piped(), Stdio::null());
    let mut stdin = running.0.stdin.take().unwrap();
    stdin.write_all(b"before ").unwrap();
    server.read_exact(&mut [0; 7]).unwrap();
    running.signal(Signal::STOP);
    stdin.write_all(b"meanwhile").unwrap();
    assert!(hears_nothing(&mut server));
    running.signal(Signal::CONT);
    drop(stdin);
    assert_eq!(all_of(&mut server), b"meanwhile");
    drop(server);
    running.ends_in_order();
}

/// The commands of docs/connect.md, each with what it leaves on standard output or in `received`.
#[test]
fn the_recipes_of_the_page_do_what_they_say() {
    let folder = Folder::new();
    let echo = support::Daemon::echo(&[]);
    let (program, port) = (env!("CARGO_BIN_EXE_tidegate"), echo.address().port().to_string());
    std::fs::write(folder.path("sent"), "one\ntwo\n").unwrap();
    for (command, expected) in [
        ("tidegate connect 7000 < sent > received", ""),
        ("printf 'a line\\n' | tidegate connect --crlf 7000", "a line\r\n"),
        ("tidegate connect 7000 < sent | head -n 1", "one\n"),
    ] {
        let line = command.replace("tidegate ", &format!("{program} ")).replace("7000", &port);
        let typed = Command::new("sh").args(["-c", &line]).current_dir(folder.itself()).output().unwrap();
        let said = String::from_utf8(typed.stdout).unwrap();
        assert_eq!((typed.status.success(), said.as_str()), (true, expected), "{command}");
    }
    assert_eq!(std::fs::read_to_string(folder.path("received")).unwrap(), "one\ntwo\n");
}

// ---- half-closed connections -------------------------------------------------------------------------------------------

#[test]
fn the_end_of_the_peer_ends_it_while_standard_input_is_open() {
    let (mut running, mut server) = connected(&[], Stdio::piped(), Stdio::piped());
    let stdin = running.0.stdin.take().unwrap();
    server.write_all(b"bye").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(all_of(&mut server), b"", "it ends too");
    assert_eq!(all_of(&mut running.0.stdout.take().unwrap()), b"bye");
    running.ends_in_order();
    drop(stdin);
}

#[test]
fn what_is_at_hand_is_sent_after_the_end_of_the_peer() {
    let folder = Folder::new();
    let bytes = pattern(MUCH);
    let (running, mut server) = connected(&[], file_with(&folder, &bytes), Stdio::null());
    server.shutdown(Shutdown::Write).unwrap();
    assert!(all_of(&mut server) == bytes);
    drop(server);
    running.ends_in_order();
}

#[test]
fn half_open_it_sends_all_after_the_end_of_the_peer() {
    let (mut running, mut server) = connected(&["--half-open"], Stdio::piped(), Stdio::piped());
    let mut stdin = running.0.stdin.take().unwrap();
    server.write_all(b"begin").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    running.0.stdout.take().unwrap().read_exact(&mut [0; 5]).unwrap();
    assert!(hears_nothing(&mut server), "it waits for more");
    stdin.write_all(b"late").unwrap();
    drop(stdin);
    assert_eq!(all_of(&mut server), b"late");
    drop(server);
    running.ends_in_order();
}

#[test]
fn with_no_end_the_peer_hears_none() {
    for flags in [&["--no-end"][..], &["--no-end", "--crlf"]] {
        let folder = Folder::new();
        let (mut running, mut server) = connected(flags, file_with(&folder, b"command"), Stdio::piped());
        server.read_exact(&mut [0; 7]).unwrap();
        assert!(hears_nothing(&mut server), "{flags:?}");
        server.write_all(b"answer").unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(all_of(&mut server), b"", "its end follows that of the peer");
        assert_eq!(all_of(&mut running.0.stdout.take().unwrap()), b"answer");
        running.ends_in_order();
    }
}

// ---- exit codes --------------------------------------------------------------------------------------------------------

#[test]
fn without_a_connection_the_exit_code_is_3() {
    let folder = Folder::new();
    let refusing = support::free_address().to_string();
    let nowhere = folder.endpoint("nowhere").to_string();
    for (place, says) in [(refusing, "connect ECONNREFUSED"), (nowhere, "connect ENOENT")] {
        // Of what it could not send, nothing was read.
        let mut input = file_with(&folder, b"kept");
        let said = Running::start(&[&place], input.try_clone().unwrap(), Stdio::null()).ends_with(3);
        assert!(said.contains(says), "{said}");
        assert_eq!(all_of(&mut input), b"kept");
    }
}

#[test]
fn a_queue_that_stays_full_is_no_connection() {
    let folder = Folder::new();
    let full = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    full.bind(&socket2::SockAddr::unix(folder.path("full")).unwrap()).unwrap();
    full.listen(0).unwrap();
    let place = folder.endpoint("full").to_string();
    let first = UnixStream::connect(folder.path("full")).unwrap();
    let began = Instant::now();
    let refused = Running::start(&[&place, "--connect-timeout", "300ms"], Stdio::null(), Stdio::null());
    assert!(refused.ends_with(3).contains("EAGAIN"));
    assert!(began.elapsed() >= Duration::from_millis(300), "it tries again");
    let patient = Running::start(&[&place], Stdio::null(), Stdio::null());
    drop(full.accept().unwrap());
    assert_eq!(all_of(&mut UnixStream::from(OwnedFd::from(full.accept().unwrap().0))), b"");
    drop(first);
    patient.ends_in_order();
}

/// A name that ends with `localhost` is this machine, whatever its name servers say.
#[test]
fn what_a_name_is_found_to_be_is_told() {
    let (listener, address) = listener();
    let port = listener.local_addr().unwrap().port();
    let running = Running::start(&["-v", "here.localhost", &port.to_string()], Stdio::null(), Stdio::null());
    drop(listener.accept().unwrap());
    let said = running.ends_with(0);
    for told in ["here.localhost is ::1", "here.localhost is 127.0.0.1", "connected to 127.0.0.1:"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert!(said.contains(&format!("trying {address}")), "{said}");
}

#[test]
fn a_wrong_command_line_is_2() {
    for (words, says) in [(&["example..org", "80"][..], "there is nothing between two dots"), (&[], "<ADDR>")] {
        let said = Running::start(words, Stdio::null(), Stdio::null()).ends_with(2);
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_lost_connection_is_4_and_what_came_before_is_written() {
    let (mut running, mut server) = connected(&[], Stdio::piped(), Stdio::piped());
    server.write_all(b"half a line").unwrap();
    let mut stdout = running.0.stdout.take().unwrap();
    let mut heard = [0; 11];
    stdout.read_exact(&mut heard).unwrap();
    reset(server);
    assert_eq!((&heard, &all_of(&mut stdout)[..]), (b"half a line", &b""[..]));
    assert!(running.ends_with(4).contains("the connection is lost: read ECONNRESET"));
    // A peer that does not take all of it.
    let folder = Folder::new();
    let (running, mut server) = connected(&[], file_with(&folder, &pattern(MUCH)), Stdio::null());
    server.read_exact(&mut [0; 100]).unwrap();
    drop(server);
    assert!(running.ends_with(4).contains("the connection is lost: "));
}

#[test]
fn a_silence_is_5_unless_standard_output_is_what_waits() {
    let (running, server) = connected(&["--idle-timeout", "200ms"], Stdio::piped(), Stdio::null());
    assert!(running.ends_with(5).contains("no byte came or went for 200ms"));
    drop(server);
    let (mut running, mut server) = connected(&["--idle-timeout", "200ms"], Stdio::piped(), Stdio::piped());
    let sent = pattern(500_000);
    server.write_all(&sent).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    server.shutdown(Shutdown::Write).unwrap();
    assert!(all_of(&mut running.0.stdout.take().unwrap()) == sent);
    running.ends_in_order();
}

#[test]
fn standard_output_that_is_full_is_6_and_without_a_reader_141() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (running, mut server) = connected(&[], Stdio::piped(), full);
    server.write_all(b"no room").unwrap();
    assert!(running.ends_with(6).contains("cannot write to standard output: write ENOSPC"));
    let (mut running, mut server) = connected(&[], Stdio::piped(), Stdio::piped());
    drop(running.0.stdout.take());
    server.write_all(b"nobody reads it").unwrap();
    assert_eq!(running.ends_with(141), "", "without a word");
}

/// Its server hears no end, as if that had been all.
#[test]
fn standard_input_that_fails_is_1_and_a_reset() {
    let fail = |stdin: OwnedFd, before: &str| {
        let (running, mut server) = connected(&[], stdin, Stdio::null());
        let mut said = Vec::new();
        let error = server.read_to_end(&mut said).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(String::from_utf8(said).unwrap(), before);
        assert!(running.ends_with(1).contains("cannot read standard input: read E"));
    };
    // Its first read fails: EISDIR.
    fail(File::open("/").unwrap().into(), "");
    // A later one: the last one at a terminal has gone, and its master gives what was written and then EIO.
    let (mut terminal, master) = terminal();
    terminal.write_all(b"typed\n").unwrap();
    drop(terminal);
    fail(master.into(), "typed\r\n");
    let only_written = File::options().write(true).open("/dev/null").unwrap();
    let (_listener, address) = listener();
    let running = Running::start(&[&address], only_written, Stdio::null());
    assert!(running.ends_with(1).contains("cannot read standard input: open "));
}

#[test]
fn a_signal_ends_it_at_once() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        let (mut running, mut server) = connected(&[], Stdio::piped(), Stdio::piped());
        let mut stdin = running.0.stdin.take().unwrap();
        stdin.write_all(b"first").unwrap();
        server.read_exact(&mut [0; 5]).unwrap();
        running.signal(signal);
        assert_eq!(running.ends_with(code), "", "without a word");
        assert_eq!(all_of(&mut server), b"", "an end, as there is no more");
    }
}

/// Its server cannot take a part for the whole.
#[test]
fn a_file_that_is_cut_short_ends_with_a_reset() {
    let folder = Folder::new();
    let (running, mut server) = connected(&[], file_with(&folder, &pattern(MUCH)), Stdio::null());
    server.read_exact(&mut [0; 100]).unwrap();
    running.signal(Signal::TERM);
    running.ends_with(143);
    let error = server.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

// ---- memory ------------------------------------------------------------------------------------------------------------

#[test]
fn a_side_that_does_not_read_costs_no_memory() {
    const MOST: u64 = 48 << 20;

    let (mut running, mut server) = connected(&[], Stdio::piped(), Stdio::piped());
    let mut stdin = running.0.stdin.take().unwrap();
    set_nonblocking(&stdin);
    server.set_nonblocking(true).unwrap();
    for stuck in [write_until_it_is_stuck(&mut stdin), write_until_it_is_stuck(&mut server)] {
        assert!((1 << 17..MUCH).contains(&stuck), "{stuck} bytes are on their way");
    }
    let held = peak_memory(running.0.id());
    assert!(held < MOST, "{held} bytes");
}

// ---- terminals ---------------------------------------------------------------------------------------------------------

#[test]
fn a_terminal_that_a_shell_shares_stays_as_it_was() {
    let (terminal, mut person) = terminal();
    let (running, mut server) = connected(&[], terminal.try_clone().unwrap(), terminal.try_clone().unwrap());
    person.write_all(b"typed\n").unwrap();
    let mut line = [0; 6];
    server.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"typed\n");
    assert!(blocks(&terminal), "while it runs");
    person.write_all(b"\x04").unwrap();
    assert_eq!(server.read(&mut line).unwrap(), 0, "control-D is the end");
    server.write_all(b"bye\n").unwrap();
    drop(server);
    let said = running.ends_with(0);
    assert!(said.contains(" has ended the connection"), "{said}");
    assert!(blocks(&terminal), "and afterwards");
    shows(&mut person, &mut String::new(), "bye\r\n");
}

#[test]
fn a_person_is_told_that_the_peer_has_ended() {
    let (terminal, _person) = terminal();
    let (running, server) = connected(&[], terminal, Stdio::null());
    let place = server.local_addr().unwrap();
    drop(server);
    let said = running.ends_with(0);
    assert!(said.ends_with(&format!("{place} has ended the connection\n")), "{said}");
}

#[test]
fn a_shared_file_as_standard_output_keeps_its_place() {
    let folder = Folder::new();
    let path = folder.path("output");
    let mut output = File::create(&path).unwrap();
    output.write_all(b"before ").unwrap();
    let (running, mut server) = connected(&[], Stdio::null(), output.try_clone().unwrap());
    server.write_all(b"meanwhile ").unwrap();
    drop(server);
    running.ends_in_order();
    output.write_all(b"after").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before meanwhile after");
}

const CLEARS_THE_LINE: &str = "\x1b[2K";

/// The program with these flags and this input, in a terminal: its server, and the terminal's other end.
fn in_a_terminal(flags: &[&str], stdin: impl Into<Stdio>, stdout: Option<File>) -> (Running, TcpStream, File) {
    let (terminal, person) = terminal();
    let (listener, address) = listener();
    let stdout = stdout.map_or_else(|| terminal.try_clone().unwrap().into(), Stdio::from);
    let running = Running::start_with(&[&[address.as_str()], flags].concat(), stdin, stdout, terminal);
    let (server, _) = listener.accept().unwrap();
    (running, server, person)
}

#[test]
fn a_file_that_is_sent_has_a_progress_bar_that_goes() {
    let folder = Folder::new();
    let null = File::options().write(true).open("/dev/null").unwrap();
    let (running, mut server, mut person) = in_a_terminal(&[], file_with(&folder, &pattern(MUCH)), Some(null));
    let mut shown = String::new();
    shows(&mut person, &mut shown, " of 38.15 MiB [");
    shows(&mut person, &mut shown, "%");
    assert_eq!(all_of(&mut server).len(), MUCH);
    drop(server);
    running.ends_with(0);
    shows(&mut person, &mut shown, CLEARS_THE_LINE);
    support::wait_until("the bar is gone", || {
        let mut bytes = [0; 4096];
        if let Ok(count) = person.read(&mut bytes) {
            shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        shown.rsplit(CLEARS_THE_LINE).next().is_some_and(|rest| !rest.contains('%'))
    });
}

#[test]
fn a_file_that_is_received_is_counted() {
    let folder = Folder::new();
    let file = File::create(folder.path("received")).unwrap();
    let (running, mut server, mut person) = in_a_terminal(&[], Stdio::piped(), Some(file));
    server.write_all(&pattern(3 << 20)).unwrap();
    shows(&mut person, &mut String::new(), "3.00 MiB in ");
    drop(server);
    running.ends_with(0);
    assert_eq!(std::fs::metadata(folder.path("received")).unwrap().len(), 3 << 20);
}

/// What comes from the peer is not mixed with the bar.
#[test]
fn the_bar_gives_way_to_what_is_shown_in_the_same_terminal() {
    let folder = Folder::new();
    let (running, mut server, mut person) = in_a_terminal(&[], file_with(&folder, &pattern(MUCH)), None);
    let mut shown = String::new();
    shows(&mut person, &mut shown, "% ");
    server.write_all(b"an answer\n").unwrap();
    shows(&mut person, &mut shown, "an answer");
    let (before, _) = shown.split_once("an answer").unwrap();
    let after_the_bar = before.rsplit(CLEARS_THE_LINE).next().unwrap();
    assert!(before.contains(CLEARS_THE_LINE) && !after_the_bar.contains('%'), "{before:?}");
    assert_eq!(all_of(&mut server).len(), MUCH);
    drop(server);
    running.ends_with(0);
    shows(&mut person, &mut shown, "an answer");
    assert!(!shown.rsplit("an answer").next().unwrap().contains('%'), "it does not come back: {shown:?}");
}

#[test]
fn a_quiet_one_shows_no_bar() {
    let folder = Folder::new();
    let (running, mut server, mut person) = in_a_terminal(&["-q"], file_with(&folder, &pattern(MUCH)), None);
    // As long as it takes a bar to be drawn.
    assert!(!hears_nothing(&mut server));
    std::thread::sleep(Duration::from_millis(500));
    server.write_all(b"end").unwrap();
    all_of(&mut server);
    drop(server);
    running.ends_with(0);
    let mut shown = String::new();
    shows(&mut person, &mut shown, "end");
    assert_eq!(shown, "end");
}
