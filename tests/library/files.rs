//! Files on the machine's disk: as streams of their own, and at the ends of pipes.

use crate::support::folder::Folder;
use crate::support::loops::{self, FLOOD, World, ms, pattern, quiet, read_now, told, watch, write_now};
use std::cell::Cell;
use std::fs;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tidegate::{CloseReason, ErrorKind, FileOptions, OpenMode, ServerOptions, SocketId};

fn put(folder: &Folder, name: &str, bytes: &[u8]) -> PathBuf {
    fs::write(folder.path(name), bytes).unwrap();
    folder.path(name)
}

/// A server with so many of the sockets a, b and c, which are paused, and the plain sockets at their other ends.
fn with_sockets(count: usize) -> (World, Vec<TcpStream>) {
    let mut world = World::new();
    let address = world.serve_paused(ServerOptions::new());
    let peers = (1..=count).map(|number| world.peer(address, number)).collect();
    (world, peers)
}

// ---- a file that is written -----------------------------------------------------------------------------------------

#[test]
fn a_file_is_written_finishes_and_closes() {
    let folder = Folder::new();
    let mut world = World::new();
    world.file("file", folder.path("new"), FileOptions::write());
    let mut file = world.of("file");
    assert!(file.write("one "));
    assert!(file.write_then("two ", told("file", "write")));
    assert_eq!(file.bytes_written(), 0, "nothing is written inside a call");
    file.end_with("three");
    world.run_dry();
    assert_eq!(fs::read(folder.path("new")).unwrap(), b"one two three");
    assert_eq!(world.state.of("file"), ["write ok", "finish", "close(false)"]);
    let closed = world.state.closed("file");
    assert_eq!((closed.reason, closed.unsent), (CloseReason::EndedHere, 0));
    assert_eq!(world.net.sockets(), 0);
}

#[test]
fn the_open_mode_decides_what_becomes_of_existing_bytes() {
    let folder = Folder::new();
    let path = put(&folder, "there", b"old");
    let write = |options: FileOptions, bytes: &str| {
        let mut world = World::new();
        world.event_loop().open(&path, options, |file| file.end_with(bytes)).map(|_| world.run_dry())
    };
    write(FileOptions::append(), " and new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old and new");
    write(FileOptions::write(), "anew").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"anew");
    let exclusive = FileOptions::new(OpenMode::CreateNew);
    let error = write(exclusive, "not this").unwrap_err();
    assert_eq!(error.code(), "EEXIST");
    assert_eq!(error.to_string(), format!("open EEXIST: file exists {path:?}"));
    assert_eq!(fs::read(&path).unwrap(), b"anew");
    fs::remove_file(&path).unwrap();
    write(exclusive, "this").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"this");
}

#[test]
fn a_file_in_both_directions_is_neither_created_nor_truncated() {
    let folder = Folder::new();
    let path = put(&folder, "there", b"old text");
    let mut world = World::new();
    let error = world.net.open(folder.path("missing"), FileOptions::read_write()).unwrap_err();
    assert_eq!(error.code(), "ENOENT");
    let id = world.file("file", &path, FileOptions::read_write());
    assert_eq!(fs::read(&path).unwrap(), b"old text");
    // One place for both directions, as the system has it.
    world.of("file").end_with("new");
    world.until_saw("file", "finish");
    assert_eq!(fs::read(&path).unwrap(), b"new text");
    assert!(world.net.connection(id).is_readable(), "each direction has its own end");
    world.of("file").resume();
    world.until_closed(&["file"]);
    assert_eq!(world.state.data("file"), b" text");
    assert_eq!(world.net.sockets(), 0);
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_once() {
    let folder = Folder::new();
    let mut world = World::new();
    let missing = folder.path("missing");
    let error = world.net.open(&missing, FileOptions::read()).unwrap_err();
    assert_eq!(error.to_string(), format!("open ENOENT: no such file or directory {missing:?}"));
    let error = world.net.open(folder.itself(), FileOptions::write()).unwrap_err();
    assert_eq!(error.code(), "EISDIR");
    let error = world.net.open(&missing, FileOptions::write().high_water_mark(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(!missing.exists());
    assert_eq!(world.net.sockets(), 0);
}

#[test]
fn write_returns_false_above_the_mark_and_drain_follows() {
    let folder = Folder::new();
    let mut world = World::new();
    world.file("file", folder.path("new"), FileOptions::write().high_water_mark(10));
    let mut file = world.of("file");
    assert!(file.write("123456789"));
    assert!(!file.write("0"), "that is the mark");
    assert_eq!(file.buffer_size(), 10);
    world.until_saw("file", "drain");
    assert_eq!(world.of("file").bytes_written(), 10);
    assert!(world.of("file").write("more"));
    world.of("file").end();
    world.run_dry();
    assert_eq!(world.state.of("file"), ["drain", "finish", "close(false)"]);
    assert_eq!(fs::read(folder.path("new")).unwrap(), b"1234567890more");
}

#[test]
fn one_turn_writes_one_piece() {
    let folder = Folder::new();
    let mut world = World::new();
    let bytes = pattern(5 * 65536 + 1);
    world.file("file", folder.path("new"), FileOptions::write());
    world.of("file").write(&bytes);
    let mut written = Vec::new();
    while !world.state.saw("file", "drain") {
        world.turn(Some(Duration::ZERO)).unwrap();
        written.push(world.of("file").bytes_written());
    }
    let steps: Vec<u64> = written.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step > 0).collect();
    assert!(steps.iter().all(|step| *step <= 65536), "{steps:?}");
    assert!(steps.len() >= 5, "{steps:?}");
    assert!(fs::read(folder.path("new")).unwrap() == bytes);
}

#[test]
fn corked_and_broadcast_bytes_are_written_too() {
    let folder = Folder::new();
    let mut world = World::new();
    let one = world.file("one", folder.path("one"), FileOptions::write());
    let two = world.file("two", folder.path("two"), FileOptions::append());
    world.of("one").cork();
    world.of("one").write("corked ");
    world.of("one").uncork();
    for word in ["said ", "to ", "both"] {
        world.net.broadcast([one, two], word);
    }
    world.turn_for(ms(10));
    world.of("one").end();
    world.of("two").end();
    world.run_dry();
    assert_eq!(fs::read(folder.path("one")).unwrap(), b"corked said to both");
    assert_eq!(fs::read(folder.path("two")).unwrap(), b"said to both");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_of_the_file_alone() {
    let (mut world, mut peers) = with_sockets(2);
    world.file("full", "/dev/full", FileOptions::write());
    world.pipe("a", "full", true);
    peers[0].write_all(b"no room for this").unwrap();
    world.until_closed(&["full"]);
    assert_eq!(world.state.of("full"), ["error ENOSPC", "close(true)"]);
    assert_eq!(world.state.closed("full").reason, CloseReason::Error);
    assert_eq!(world.state.closed("full").unsent, 16);
    let a = world.id("a");
    assert!(world.net.piped_to(a).is_empty());
    assert!(world.of("a").is_paused() && !world.of("a").is_destroyed(), "the source is left paused, as in Node");
    world.of("a").write("still here");
    assert_eq!(world.read_raw(&peers[0], 10), b"still here");
    world.of("b").write("untouched");
    assert_eq!(world.read_raw(&peers[1], 9), b"untouched");
}

// ---- a file that is read --------------------------------------------------------------------------------------------

#[test]
fn a_file_is_read_ends_and_closes() {
    let folder = Folder::new();
    let bytes = pattern(200_000);
    let path = put(&folder, "there", &bytes);
    for piece in [1000, 65536, 65537, 1 << 20] {
        let mut world = World::new();
        let longest = Rc::new(Cell::new(0));
        let seen = longest.clone();
        let options = FileOptions::read().high_water_mark(piece);
        world
            .event_loop()
            .open(&path, options, |file| {
                watch(file, "file", move |_, heard| {
                    if let loops::Heard::Data(chunk) = heard {
                        seen.set(seen.get().max(chunk.len()));
                    }
                });
            })
            .unwrap();
        assert_eq!(world.of("file").ready_state().name(), "readOnly");
        world.run_dry();
        assert!(world.state.data("file") == bytes);
        assert_eq!(longest.get(), piece.min(65536));
        assert_eq!(world.state.of("file")[1..], ["end", "close(false)"]);
        assert_eq!(world.state.closed("file").reason, CloseReason::PeerEnded);
    }
}

#[test]
fn a_file_may_be_read_a_byte_at_a_time() {
    let folder = Folder::new();
    let path = put(&folder, "there", b"hello");
    let mut world = World::new();
    let options = FileOptions::read().high_water_mark(1);
    world
        .event_loop()
        .open(&path, options, |file| {
            file.on_data(|file, chunk| {
                assert_eq!(chunk.len(), 1);
                file.state.add("chunks", 1);
            });
        })
        .unwrap();
    world.run_dry();
    assert_eq!(world.state.number("chunks"), 5);
}

// covers: end-close
#[test]
fn an_empty_file_only_ends() {
    let folder = Folder::new();
    let path = put(&folder, "empty", b"");
    let mut world = World::new();
    world.file("file", path, FileOptions::read());
    world.of("file").resume();
    world.run_dry();
    assert_eq!(world.state.of("file"), ["end", "close(false)"]);
}

#[test]
fn a_file_that_nobody_reads_is_not_touched_and_keeps_nothing_awake() {
    let folder = Folder::new();
    let path = put(&folder, "there", &pattern(1000));
    let mut world = World::new();
    world.file("file", path, FileOptions::read());
    world.turn_for(ms(5));
    assert_eq!(world.of("file").bytes_read(), 0);
    assert!(!world.net.is_alive());
    let turns = world.net.counters().turns;
    let before = Instant::now();
    world.turn(Some(ms(60))).unwrap();
    assert!(before.elapsed() >= ms(60), "the turn slept");
    assert_eq!(world.net.counters().turns, turns + 1);
}

#[test]
fn a_pause_in_the_middle_sleeps_and_a_resume_goes_on() {
    let folder = Folder::new();
    let bytes = pattern(300_000);
    let path = put(&folder, "there", &bytes);
    let mut world = World::new();
    let options = FileOptions::read().high_water_mark(1000);
    world
        .event_loop()
        .open(&path, options, |file| {
            watch(file, "file", |file, heard| {
                if matches!(heard, loops::Heard::Data(_)) && file.state.add("chunks", 1) == 10 {
                    file.pause();
                }
            });
        })
        .unwrap();
    world.until(|world| world.state.number("chunks") == 10);
    world.turn_for(ms(10));
    assert_eq!(world.state.data("file").len(), 10_000);
    assert_eq!(world.of("file").bytes_read(), 11_000, "one piece is read ahead");
    let before = Instant::now();
    world.turn(Some(ms(60))).unwrap();
    assert!(before.elapsed() >= ms(60), "the turn slept");
    world.of("file").resume();
    world.run_dry();
    assert!(world.state.data("file") == bytes);
}

#[test]
fn a_directory_can_be_opened_and_not_read() {
    let folder = Folder::new();
    let mut world = World::new();
    world.file("folder", folder.itself(), FileOptions::read());
    world.of("folder").resume();
    world.run_dry();
    assert_eq!(world.state.of("folder"), ["error EISDIR", "close(true)"]);
}

#[test]
fn each_direction_has_its_own_file() {
    let folder = Folder::new();
    let mut world = World::new();
    let read = world.file("read", put(&folder, "there", b"x"), FileOptions::read());
    let written = world.file("written", folder.path("new"), FileOptions::write());
    let errors = [world.net.pipe(read, read), world.net.pipe(written, written)];
    for error in errors {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(world.net.connect(read, "127.0.0.1:1").unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(world.net.connection(read).is_file() && !world.net.connection(read).is_destroyed());
    world.of("read").write("no");
    world.until_closed(&["read"]);
    assert_eq!(world.state.of("read"), ["error ERR_STREAM_WRITE_AFTER_END", "close(true)"]);
    assert_eq!(world.of("written").local_address(), None);
    world.of("written").set_no_delay(true);
    world.of("written").reset();
    world.until_closed(&["written"]);
    assert_eq!(world.state.of("written"), ["close(false)"]);
}

// ---- pipes ----------------------------------------------------------------------------------------------------------

#[test]
fn a_socket_flows_into_a_file() {
    let folder = Folder::new();
    let (mut world, peers) = with_sockets(1);
    world.file("file", folder.path("new"), FileOptions::write());
    world.pipe("a", "file", true);
    let bytes = pattern(1 << 20);
    world.write_raw(&peers[0], &bytes);
    peers[0].shutdown(Shutdown::Write).unwrap();
    world.until_closed(&["a", "file"]);
    assert!(fs::read(folder.path("new")).unwrap() == bytes);
    assert_eq!(world.state.of("file").last().unwrap(), "close(false)");
    assert_eq!(world.state.times("file", "finish"), 1);
}

#[test]
fn a_pipe_without_end_leaves_the_file_open() {
    let folder = Folder::new();
    let (mut world, mut peers) = with_sockets(1);
    world.file("file", folder.path("new"), FileOptions::write());
    world.pipe("a", "file", false);
    peers[0].write_all(b"piped").unwrap();
    peers[0].shutdown(Shutdown::Write).unwrap();
    world.until_closed(&["a"]);
    world.turn_for(ms(10));
    assert_eq!(world.of("file").bytes_written(), 5);
    world.of("file").write(", and written");
    world.of("file").end();
    world.until_closed(&["file"]);
    assert_eq!(fs::read(folder.path("new")).unwrap(), b"piped, and written");
}

#[test]
fn after_an_unpipe_source_and_file_go_on() {
    let folder = Folder::new();
    let (mut world, mut peers) = with_sockets(1);
    world.file("file", folder.path("new"), FileOptions::write());
    world.pipe("a", "file", true);
    peers[0].write_all(b"piped").unwrap();
    world.until(|world| world.of("file").bytes_written() == 5);
    let (a, file) = (world.id("a"), world.id("file"));
    world.net.unpipe(a, file);
    peers[0].write_all(b" kept").unwrap();
    world.until(|world| world.of("a").bytes_read() == 10);
    assert!(world.of("a").is_paused());
    world.of("file").write(" written");
    world.turn_for(ms(10));
    world.pipe("a", "file", true);
    peers[0].shutdown(Shutdown::Write).unwrap();
    world.until_closed(&["a", "file"]);
    assert_eq!(fs::read(folder.path("new")).unwrap(), b"piped written kept");
}

#[test]
fn a_file_flows_into_a_socket_as_fast_as_it_is_read() {
    let folder = Folder::new();
    let bytes = pattern(FLOOD);
    let path = put(&folder, "there", &bytes);
    let (mut world, peers) = with_sockets(1);
    world.file("file", path, FileOptions::read());
    world.pipe("file", "a", true);
    // The peer does not read yet: the file stops, and the loop sleeps.
    world.until(|world| world.of("file").is_paused());
    world.turn_for(ms(20));
    let stopped_at = world.of("file").bytes_read();
    assert!(stopped_at < FLOOD as u64);
    assert!(world.of("a").buffer_size() <= 65536);
    let before = Instant::now();
    world.turn(Some(ms(60))).unwrap();
    assert!(before.elapsed() >= ms(60), "the turn slept");
    assert_eq!(world.of("file").bytes_read(), stopped_at);
    assert!(world.read_raw(&peers[0], usize::MAX) == bytes);
    world.until_closed(&["file"]);
    assert_eq!(world.state.of("file").last().unwrap(), "close(false)");
    assert_eq!(world.state.times("a", "finish"), 1);
}

#[test]
fn a_file_is_copied() {
    let folder = Folder::new();
    let bytes = pattern(1_000_000);
    let path = put(&folder, "there", &bytes);
    for (from, to) in [(65536, 65536), (777, 65536), (65536, 1), (1 << 20, 1 << 20)] {
        let mut world = World::new();
        world.file("from", &path, FileOptions::read().high_water_mark(from));
        world.file("to", folder.path("copy"), FileOptions::write().high_water_mark(to));
        world.pipe("from", "to", true);
        world.run_dry();
        assert!(fs::read(folder.path("copy")).unwrap() == bytes, "marks {from} and {to}");
        assert!(world.state.is_closed("from") && world.state.is_closed("to"));
    }
}

#[test]
fn a_source_piped_into_a_file_and_two_sockets_is_as_fast_as_the_slowest() {
    let folder = Folder::new();
    let (mut world, mut peers) = with_sockets(3);
    world.file("file", folder.path("new"), FileOptions::write());
    for to in ["file", "b", "c"] {
        world.pipe("a", to, true);
    }
    let bytes = pattern(2 * FLOOD);
    let slow = peers.pop().unwrap();
    for peer in &peers {
        peer.set_nonblocking(true).unwrap();
    }
    let (mut sent, mut to_fast, mut idle) = (0, Vec::new(), 0);
    world.until(|_| {
        idle = if write_now(&peers[0], &bytes, &mut sent) { 0 } else { idle + 1 };
        read_now(&peers[1], &mut to_fast);
        idle > 20
    });
    let given = world.of("c").bytes_written();
    assert!(given < bytes.len() as u64, "the one that does not read holds them all up");
    assert_eq!(world.of("file").bytes_written(), given);
    assert_eq!(to_fast.len() as u64, given);
    drop(slow);
    world.until(|_| {
        write_now(&peers[0], &bytes, &mut sent);
        if sent == bytes.len() {
            let _ = peers[0].shutdown(Shutdown::Write);
        }
        read_now(&peers[1], &mut to_fast);
        to_fast.len() == bytes.len()
    });
    world.until_closed(&["file"]);
    assert!(to_fast == bytes);
    assert!(fs::read(folder.path("new")).unwrap() == bytes);
}

#[test]
fn a_source_that_is_a_broken_file_does_not_end_its_destination() {
    let folder = Folder::new();
    let (mut world, peers) = with_sockets(1);
    world.file("folder", folder.itself(), FileOptions::read());
    world.pipe("folder", "a", true);
    world.until_closed(&["folder"]);
    assert_eq!(world.state.of("folder"), ["error EISDIR", "close(true)"]);
    assert_eq!(world.of("a").ready_state().name(), "open");
    world.of("a").end_with("sorry");
    assert_eq!(world.read_raw(&peers[0], usize::MAX), b"sorry");
}

/// A client that says one byte, waits for its echo, and says the next.
fn talk(world: &mut World, address: SocketAddr) -> SocketId {
    world
        .connect(address, |client| {
            client.on_connect(|client| {
                client.write(".");
            });
            client.on_data(|client, _| {
                client.state.add("echoes", 1);
                client.write(".");
            });
        })
        .unwrap()
}

#[test]
fn a_big_file_goes_through_two_sockets_into_a_file_while_others_are_served() {
    const SIZE: usize = 64 << 20;
    let folder = Folder::new();
    let path = put(&folder, "there", &pattern(SIZE));
    let mut world = World::new();
    let (_, echo) = world.serve(ServerOptions::new(), |socket| {
        let itself = socket.id();
        socket.pipe(itself).unwrap();
    });
    talk(&mut world, echo);
    let copy = folder.path("copy");
    let receiving = copy.clone();
    let (_, receiver) = world.serve(ServerOptions::new(), move |socket| {
        watch(socket, "in", quiet);
        socket.off_data();
        let file =
            socket.event_loop().open(&receiving, FileOptions::write(), |file| watch(file, "copy", quiet)).unwrap();
        socket.pipe(file).unwrap();
    });
    world.file("file", &path, FileOptions::read());
    world.client("out", receiver, quiet);
    world.pipe("file", "out", true);
    let mut most = 0;
    world.until(|world| {
        let held = |name: &str| match world.state.saw("server", "connection") && !world.state.is_closed(name) {
            true => {
                world.net.connection(world.id(name)).buffer_size() + world.net.connection(world.id(name)).read_ahead()
            }
            false => 0,
        };
        if world.state.saw("out", "connect") && world.state.times("server", "connection") == 2 {
            most = most.max(["file", "out", "in", "copy"].into_iter().map(held).sum());
        }
        world.state.is_closed("copy")
    });
    assert!((1..=6 * 65536).contains(&most), "{most} bytes were held at once");
    assert!(world.state.number("echoes") >= SIZE / 65536 / 2, "{} echoes", world.state.number("echoes"));
    assert_eq!(same(&path, &copy), Ok(SIZE));
}

/// How long two files are, if they are the same.
fn same(one: &Path, two: &Path) -> Result<usize, usize> {
    let (one, two) = (fs::read(one).unwrap(), fs::read(two).unwrap());
    match one.iter().zip(&two).position(|(a, b)| a != b) {
        Some(at) => Err(at),
        None if one.len() == two.len() => Ok(one.len()),
        None => Err(one.len().min(two.len())),
    }
}
