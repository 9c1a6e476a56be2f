//! Pipes of the system's, FIFOs, terminals, child processes, and the streams that a process was started with.

#![cfg(target_os = "linux")]
#[path = "../../docs/examples/netcat/main.rs"]
mod example;
use std::fs::File;
use std::io::{ErrorKind, Read, Write, pipe};
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::support::folder::Folder;
use crate::support::loops::{World, ms, pattern, quiet, watch};
use crate::support::terminal::{open_terminal, pseudo_terminal};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tidegate::{FileOptions, SocketId};

/// A watched descriptor. It flows only if it is resumed or piped.
fn adopt(world: &mut World, name: &str, descriptor: impl Into<OwnedFd>, options: FileOptions) -> SocketId {
    world
        .event_loop()
        .adopt_file(descriptor, options, |file| {
            file.pause();
            watch(file, name, quiet);
        })
        .unwrap()
}

fn blocks(descriptor: impl AsFd) -> bool {
    !fcntl_getfl(descriptor).unwrap().contains(OFlags::NONBLOCK)
}

fn without_blocking(descriptor: impl AsFd) {
    fcntl_setfl(&descriptor, fcntl_getfl(&descriptor).unwrap() | OFlags::NONBLOCK).unwrap();
}

/// Reads all that is there now.
fn read_now(mut from: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    let ended = from.read_to_end(&mut all);
    assert!(ended.is_ok() || ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    all
}

// ---- pipes ----------------------------------------------------------------------------------------------------------

#[test]
fn a_pipe_is_read_as_it_fills_and_ends_with_its_writer() {
    let (reader, mut writer) = pipe().unwrap();
    let shared = reader.try_clone().unwrap();
    let mut world = World::new();
    adopt(&mut world, "pipe", reader, FileOptions::read());
    assert!(blocks(&shared), "nothing changes for others who have it");
    world.of("pipe").resume();
    world.turn_for(ms(5));
    assert!(world.net.is_alive(), "it waits for data");
    let before = Instant::now();
    world.turn(Some(ms(60))).unwrap();
    assert!(before.elapsed() >= ms(60), "and sleeps");
    writer.write_all(b"one").unwrap();
    world.until(|world| world.state.data("pipe") == b"one");
    writer.write_all(b" two").unwrap();
    drop(writer);
    world.run_dry();
    assert_eq!(world.state.of("pipe"), ["data one two", "end", "close(false)"]);
}

#[test]
fn bytes_that_a_writer_left_are_read_and_then_the_end() {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(b"left").unwrap();
    drop(writer);
    let (nothing, _) = pipe().unwrap();
    let mut world = World::new();
    adopt(&mut world, "left", reader, FileOptions::read().high_water_mark(3));
    adopt(&mut world, "nothing", nothing, FileOptions::read());
    world.of("left").resume();
    world.of("nothing").resume();
    world.run_dry();
    assert_eq!(world.state.of("left"), ["data left", "end", "close(false)"]);
    assert_eq!(world.state.of("nothing"), ["end", "close(false)"]);
}

#[test]
fn a_full_pipe_is_waited_for() {
    let (reader, writer) = pipe().unwrap();
    let shared = writer.try_clone().unwrap();
    without_blocking(&reader);
    let bytes = pattern(1_000_000);
    let mut world = World::new();
    adopt(&mut world, "pipe", writer, FileOptions::write());
    assert!(blocks(&shared), "nothing changes for others who have it");
    drop(shared);
    assert!(!world.of("pipe").write(&bytes));
    world.of("pipe").end();
    world.turn_for(ms(10));
    let taken = world.of("pipe").bytes_written();
    assert!((1..bytes.len() as u64).contains(&taken), "{taken} bytes");
    let before = Instant::now();
    world.turn(Some(ms(60))).unwrap();
    assert!(before.elapsed() >= ms(60), "the turn slept");
    let mut received = Vec::new();
    world.until(|_| {
        received.extend(read_now(&reader));
        received.len() == bytes.len()
    });
    assert!(received == bytes);
    world.until_closed(&["pipe"]);
    assert_eq!((&reader).read(&mut [0]).unwrap(), 0, "no other writer is left");
}

#[test]
fn a_pipe_that_nobody_reads_breaks_its_writer() {
    let (reader, writer) = pipe().unwrap();
    let mut world = World::new();
    adopt(&mut world, "pipe", writer, FileOptions::write());
    world.of("pipe").write("heard");
    world.until(|world| world.of("pipe").bytes_written() == 5);
    drop(reader);
    world.of("pipe").write("not heard");
    world.until_closed(&["pipe"]);
    assert_eq!(world.state.of("pipe"), ["error EPIPE", "close(true)"]);
    assert_eq!(world.state.closed("pipe").unsent, 9);
}

#[test]
fn a_descriptor_that_cannot_be_opened_again_is_asked_before_each_call() {
    // A socket has no path that opens it.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (also_ours, mut mouth) = UnixStream::pair().unwrap();
    let shared = ours.try_clone().unwrap();
    let mut world = World::new();
    adopt(&mut world, "out", ours, FileOptions::write());
    adopt(&mut world, "in", also_ours, FileOptions::read());
    let (from, to) = (world.id("in"), world.id("out"));
    world.net.pipe(from, to).unwrap();
    let bytes = pattern(2_000_000);
    mouth.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let (mut sent, mut received) = (0, Vec::new());
    world.until(|world| {
        if let Ok(count) = mouth.write(&bytes[sent..]) {
            sent += count;
        }
        if sent == bytes.len() {
            mouth.shutdown(Shutdown::Write).unwrap();
        }
        // It reads only now and then, so that it is full in between.
        if world.net.counters().turns.is_multiple_of(3) {
            received.extend(read_now(&theirs));
        }
        received.len() == bytes.len()
    });
    assert!(received == bytes);
    assert!(blocks(&shared));
    world.until_closed(&["in", "out"]);
    assert_eq!(world.state.of("in").last().unwrap(), "close(false)");
}

#[test]
fn a_fifo_waits_for_its_writer_and_not_in_open() {
    let folder = Folder::new();
    let path = folder.path("fifo");
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let mut world = World::new();
    let alone = world.net.open(&path, FileOptions::append()).unwrap_err();
    world.file("in", &path, FileOptions::read());
    world.of("in").resume();
    world.turn_for(ms(10));
    assert!(world.state.of("in").is_empty(), "no writer has come yet, which is not the end");
    world.file("out", &path, FileOptions::append());
    world.of("out").end_with("through");
    world.until_closed(&["in", "out"]);
    assert_eq!(alone.code(), "ENXIO", "nobody reads it");
    assert_eq!(world.state.of("in"), ["data through", "end", "close(false)"]);
    assert_eq!(world.state.of("out"), ["finish", "close(false)"]);
}

#[test]
fn devices_are_always_ready() {
    let mut world = World::new();
    world.file("zero", "/dev/zero", FileOptions::read());
    world.file("null", "/dev/null", FileOptions::write());
    let (zero, null) = (world.id("zero"), world.id("null"));
    world.net.pipe(zero, null).unwrap();
    world.until(|world| world.of("null").bytes_written() >= 1 << 20);
    world.net.unpipe(zero, null);
    world.net.pause(zero);
    world.turn_for(ms(5));
    let before = Instant::now();
    world.turn(Some(ms(60))).unwrap();
    assert!(before.elapsed() >= ms(60), "paused, it does not spin");
}

// ---- child processes ------------------------------------------------------------------------------------------------

#[test]
fn a_child_is_written_to_and_read_from() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut world = World::new();
    adopt(&mut world, "to", child.stdin.take().unwrap(), FileOptions::write());
    adopt(&mut world, "from", child.stdout.take().unwrap(), FileOptions::read());
    let bytes = pattern(3_000_000);
    world.of("to").end_with(&bytes);
    world.of("from").resume();
    world.until_closed(&["to", "from"]);
    assert!(world.state.data("from") == bytes);
    assert!(child.wait().unwrap().success());
}

// ---- terminals ------------------------------------------------------------------------------------------------------

/// A terminal, and its other end, where a person would sit.
fn terminal() -> (File, OwnedFd, String) {
    let (seat, path) = pseudo_terminal();
    let terminal = open_terminal(&path);
    without_blocking(&seat);
    (terminal, seat, path)
}

#[test]
fn a_terminal_is_read_line_by_line_and_ends_with_control_d() {
    let (terminal, seat, _) = terminal();
    let mut person = File::from(seat);
    let shared = terminal.try_clone().unwrap();
    let mut world = World::new();
    adopt(&mut world, "in", terminal.try_clone().unwrap(), FileOptions::read());
    adopt(&mut world, "out", terminal, FileOptions::write());
    world.of("in").resume();
    person.write_all(b"one\ntwo\n").unwrap();
    world.until(|world| world.state.data("in") == b"one\ntwo\n");
    world.of("out").write("answer\n");
    let mut shown = Vec::new();
    world.until(|_| {
        shown.extend(read_now(&person));
        shown.ends_with(b"answer\r\n")
    });
    assert!(blocks(&shared), "whoever shares the terminal still blocks on it");
    person.write_all(b"\x04").unwrap();
    world.until_closed(&["in"]);
    assert_eq!(world.state.of("in").last().unwrap(), "close(false)");
}

#[test]
fn a_terminal_that_nobody_reads_stops_its_writer_and_not_the_loop() {
    let (terminal, seat, _) = terminal();
    let person = File::from(seat);
    let mut world = World::new();
    adopt(&mut world, "out", terminal, FileOptions::write());
    let text = "a line of text\n".repeat(20_000);
    assert!(!world.of("out").write(&text));
    world.turn_for(ms(20));
    let taken = world.of("out").bytes_written();
    assert!(taken < text.len() as u64, "a terminal takes a few KiB");
    let mut shown = Vec::new();
    world.until(|world| {
        shown.extend(read_now(&person));
        world.state.saw("out", "drain") && shown.len() == text.len() + 20_000
    });
    assert!(shown == text.replace('\n', "\r\n").into_bytes());
}

// ---- the streams of the process -------------------------------------------------------------------------------------

/// The example `netcat`, which is a program of its own: the tests below start this file's program anew, with this as
/// its one test and the address of a server.
#[test]
fn netcat() {
    if let Ok(address) = std::env::var("NETCAT_TO") {
        example::netcat(&address).unwrap();
    }
}

/// Starts [`netcat`]. The test harness writes to its standard output too, before it does.
fn start_netcat(to: &TcpListener, stdin: impl Into<Stdio>, stdout: impl Into<Stdio>) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "standard_streams::netcat", "--nocapture", "--test-threads=1"])
        .env("NETCAT_TO", to.local_addr().unwrap().to_string())
        .stdin(stdin)
        .stdout(stdout)
        .spawn()
        .unwrap()
}

#[test]
fn standard_input_goes_into_a_socket_and_the_socket_into_standard_output() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = start_netcat(&listener, Stdio::piped(), Stdio::piped());
    let (mut socket, _) = listener.accept().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"question").unwrap();
    drop(stdin);
    let mut question = String::new();
    socket.read_to_string(&mut question).unwrap();
    assert_eq!(question, "question");
    let answer = pattern(300_000);
    // The child's output is read while the answer is written: neither fits into the kernel.
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut said = Vec::new();
        stdout.read_to_end(&mut said).map(|_| said)
    });
    socket.write_all(&answer).unwrap();
    drop(socket);
    let said = reader.join().unwrap().unwrap();
    assert!(said.windows(answer.len()).any(|part| part == answer));
    assert!(child.wait().unwrap().success());
}

/// Its server hears no end, as if that had been all.
#[test]
fn standard_input_that_fails_ends_the_program_with_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fail = |stdin: OwnedFd, before: &str| {
        let mut child = start_netcat(&listener, stdin, Stdio::null());
        let (mut socket, _) = listener.accept().unwrap();
        let mut said = Vec::new();
        let error = socket.read_to_end(&mut said).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(String::from_utf8(said).unwrap(), before);
        assert!(!child.wait().unwrap().success());
    };
    // Its first read fails: EISDIR.
    fail(File::open("/").unwrap().into(), "");
    // A later one: the last one at a terminal has gone, and its master gives what was written and then EIO.
    let (mut terminal, master, _) = terminal();
    terminal.write_all(b"typed\n").unwrap();
    drop(terminal);
    fail(master, "typed\r\n");
}

#[test]
fn a_terminal_that_a_shell_shares_stays_as_it_was() {
    let (terminal, seat, _) = terminal();
    let mut person = File::from(seat);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = start_netcat(&listener, terminal.try_clone().unwrap(), terminal.try_clone().unwrap());
    let (mut socket, _) = listener.accept().unwrap();
    person.write_all(b"typed\n").unwrap();
    let mut line = [0; 6];
    socket.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"typed\n");
    assert!(blocks(&terminal), "while it runs");
    person.write_all(b"\x04").unwrap();
    assert_eq!(socket.read(&mut line).unwrap(), 0, "control-D is the end");
    socket.write_all(b"bye\n").unwrap();
    drop(socket);
    assert!(child.wait().unwrap().success());
    assert!(blocks(&terminal), "and afterwards");
    let shown = String::from_utf8(read_now(&person)).unwrap();
    assert!(shown.contains("bye\r\n"), "{shown}");
}

#[test]
fn a_shared_file_as_standard_output_keeps_its_place() {
    let folder = Folder::new();
    let path = folder.path("output");
    let mut output = File::create(&path).unwrap();
    output.write_all(b"before ").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = start_netcat(&listener, Stdio::null(), output.try_clone().unwrap());
    let (mut socket, _) = listener.accept().unwrap();
    socket.write_all(b"meanwhile ").unwrap();
    drop(socket);
    let ended = child.wait().unwrap();
    output.write_all(b"after").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(ended.success());
    assert!(text.starts_with("before ") && text.contains("meanwhile ") && text.ends_with("after"), "{text}");
}
