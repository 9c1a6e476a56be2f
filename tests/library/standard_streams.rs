//! Pipes of the system's, FIFOs, terminals and child processes. The streams that a process was started with are tested with
//! `tidegate connect`, in `tests/binary/connect.rs`.

#![cfg(target_os = "linux")]
use std::fs::File;
use std::io::{ErrorKind, Read, Write, pipe};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
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
fn terminal() -> (File, OwnedFd) {
    let (seat, path) = pseudo_terminal();
    let terminal = open_terminal(&path);
    without_blocking(&seat);
    (terminal, seat)
}

#[test]
fn a_terminal_is_read_line_by_line_and_ends_with_control_d() {
    let (terminal, seat) = terminal();
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
    let (terminal, seat) = terminal();
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
