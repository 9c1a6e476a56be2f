//! `--record` and `tidegate replay`: each role under a load of random clients, with resets, signals, few descriptors and a disk
//! that is full, plays to the fingerprint of its run.
//!
//! ```text
//! cargo test --test binary recording                        some runs of each role
//! RUNS=100 cargo test --test binary recording               a hundred of each
//! SEED=7 RUNS=1 cargo test --test binary recording          those of one seed
//! ```

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::folder::{Folder, mode_of};
use crate::support::recording::{blocks_of, contents_of, recording_of};
use crate::support::{Daemon, Random, Signal, Stderr, program, program_after, program_of_systemd};

const RUNS: u64 = 4;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

// ---- playing -----------------------------------------------------------------------------------------------------------

#[derive(Debug)]
struct Played {
    code: i32,
    output: String,
    errors: String,
}

impl Played {
    fn fingerprint(&self) -> &str {
        let line = self.output.lines().find_map(|line| line.strip_prefix("fingerprint "));
        line.unwrap_or_else(|| panic!("no fingerprint: {self:?}"))
    }

    #[track_caller]
    fn ends_as_then(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        assert!(self.output.contains("\nit ended as it ended then\n"), "{self:?}");
        assert_eq!(self.errors, "");
        self
    }

    #[track_caller]
    fn goes_no_further(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        assert!(self.output.contains("\nthe recording goes no further: "), "{self:?}");
        self
    }
}

fn play(file: &Path, flags: &[&str]) -> Played {
    played(program().arg("replay").arg(file).args(flags))
}

fn played(command: &mut Command) -> Played {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Played { code: output.status.code().unwrap(), output: text(output.stdout), errors: text(output.stderr) }
}

/// The fingerprint that the daemon has logged at its end, or when the recording has stopped.
#[track_caller]
fn recorded_fingerprint(daemon: &Daemon) -> String {
    let line = daemon.logs("fingerprint", |line| line.contains(", fingerprint "));
    line.rsplit_once("fingerprint ").unwrap().1.split(';').next().unwrap().trim().to_owned()
}

// ---- a load ------------------------------------------------------------------------------------------------------------

/// Random clients of any role, all of which are gone at the end, but for some that the stop meets.
fn load(daemon: &Daemon, random: &mut Random) -> Vec<TcpStream> {
    let mut clients: Vec<TcpStream> = Vec::new();
    for _ in 0..60 + random.below(60) {
        match random.below(20) {
            0..=4 => clients.extend(connect(daemon.address())),
            5..=11 => say(one_of(&mut clients, random), random),
            12..=14 => hear(one_of(&mut clients, random)),
            15 => flood(one_of(&mut clients, random)),
            16 => drop(one_of(&mut clients, random).map(|client| client.shutdown(Shutdown::Write))),
            17 if !clients.is_empty() => leave(clients.swap_remove(random.below(clients.len())), random),
            18 => daemon.signal([Signal::USR1, Signal::USR2, Signal::ALARM][random.below(3)]),
            _ => thread::sleep(Duration::from_millis(random.below(4) as u64)),
        }
    }
    if random.below(3) > 0 {
        for client in clients.drain(..) {
            leave(client, random);
        }
    }
    clients
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let client = TcpStream::connect(address).ok()?;
    client.set_nonblocking(true).unwrap();
    Some(client)
}

fn one_of<'c>(clients: &'c mut [TcpStream], random: &mut Random) -> Option<&'c mut TcpStream> {
    let count = clients.len().max(1);
    clients.get_mut(random.below(count))
}

/// What comes of it does not matter: the daemon may have closed the connection, or may not read.
fn say(client: Option<&mut TcpStream>, random: &mut Random) {
    let Some(client) = client else { return };
    let commands =
        ["/who\n", "/nick Anna\n", "/nick Bert\n", "/help\n", "/quit\n", "GET / HTTP/1.1\r\n\r\n", "a\rb\r\n"];
    let _ = match random.below(4) {
        0 => client.write(commands[random.below(commands.len())].as_bytes()),
        1 => {
            let length = 1 + random.below(2000);
            client.write(&random.bytes(length))
        }
        _ => client.write(format!("line {}\nand half", random.below(1000)).as_bytes()),
    };
}

fn hear(client: Option<&mut TcpStream>) {
    let _ = client.map(|client| client.read(&mut [0; 65536]));
}

fn flood(client: Option<&mut TcpStream>) {
    let _ = client.map(|client| client.write(&b"0123456789abcde\n".repeat(10_000)));
}

fn leave(client: TcpStream, random: &mut Random) {
    if random.below(3) == 0 {
        rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    }
}

// ---- the runs ----------------------------------------------------------------------------------------------------------

/// What the machine does to a run.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    None,
    /// Few descriptors: EMFILE for most.
    FewDescriptors,
    /// The recording finds no room after some KiB.
    FullDisk,
}

/// Records a run of a role, and plays it.
fn run(role: &str, flags: &[&str], seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let folder = Folder::new();
    let file = folder.path("run.rec");
    let trouble = [Trouble::None, Trouble::None, Trouble::FewDescriptors, Trouble::FullDisk][random.below(4)];
    let mut command = match trouble {
        Trouble::None => program(),
        Trouble::FewDescriptors => program_after("ulimit -n 20"),
        Trouble::FullDisk => program_after("ulimit -f 24"),
    };
    command.args([role, "--listen", "127.0.0.1:0", "--max-connections", "200", "--drain-timeout", "200ms", "--record"]);
    command.arg(&file).args(flags);
    let mut daemon = Daemon::launch_with(&mut command, Stderr::Kept);
    daemon.finds_its_addresses(1);
    let clients = load(&daemon, &mut random);
    let is_killed = trouble == Trouble::None && random.below(5) == 0;
    let mut is_whole = false;
    if is_killed {
        daemon.is_killed();
    } else {
        daemon.signal([Signal::TERM, Signal::INT][random.below(2)]);
        if random.below(3) == 0 {
            daemon.logs("stopping", |line| line.contains("stopping: "));
            daemon.signal(Signal::TERM);
        }
        daemon.exits();
        is_whole = !daemon.log().contains("goes no further");
        assert!(is_whole || trouble == Trouble::FullDisk, "{}", daemon.log());
    }
    drop(clients);
    let what = format!("{role}, seed {seed}, {trouble:?}, killed: {is_killed}");
    println!("{what}: {} bytes", fs::metadata(&file).unwrap().len());
    let once = play(&file, &[]);
    assert_eq!(once.code, 0, "{what}: {once:?}\n{}", daemon.log());
    let once = if is_whole { once.ends_as_then() } else { once.goes_no_further() };
    if !is_killed {
        assert_eq!(once.fingerprint(), recorded_fingerprint(&daemon), "{what}");
    }
    let again = play(&file, &["-vvv"]);
    assert_eq!((again.code, &again.output), (0, &once.output), "{what}: with the log it is the same run");
}

fn runs(role: &str, flags: &[&str]) {
    let (from, runs) = (setting("SEED").unwrap_or(1), setting("RUNS").unwrap_or(RUNS));
    for seed in from..from + runs {
        run(role, flags, seed);
    }
}

#[test]
fn runs_of_an_echo_are_played() {
    runs("echo", &["--idle-timeout", "50ms"]);
}

#[test]
fn runs_of_a_chat_are_played() {
    runs("chat", &["--flood", "5/10", "--output-hard", "256K"]);
}

#[test]
fn runs_of_a_hub_are_played() {
    let flags = ["--slow", "disconnect", "--queue", "64K", "--backlog", "5", "--send-buffer", "8K"];
    runs("hub", &flags);
    // Without a bound its flood would fill a recording.
    let source = Daemon::role("source", &["--bytes", "300000"]);
    let address = source.address().to_string();
    // One that is connected to, and one that nobody listens on.
    let inputs =
        ["--in", &address, "--in", "127.0.0.1:1", "--queue", "64K", "--gap-line", "{frames}", "--send-buffer", "8K"];
    runs("hub", &inputs);
}

#[test]
fn runs_of_a_sink_are_played() {
    runs("sink", &["--max-per-address", "6"]);
}

#[test]
fn runs_of_a_source_are_played() {
    runs("source", &["--bytes", "300000"]);
}

#[test]
fn runs_of_a_proxy_are_played() {
    let target = Daemon::echo(&[]);
    runs("proxy", &["--to", &target.address().to_string(), "--connect-timeout", "100ms"]);
}

// ---- what else a recording promises ------------------------------------------------------------------------------------

/// A run with one client, who says a line.
fn recorded(folder: &Folder, role: &str, flags: &[&str]) -> PathBuf {
    let file = folder.path("run.rec");
    let path = file.to_str().unwrap();
    let mut daemon = Daemon::role(role, &[flags, &["--record", path]].concat());
    let mut client = daemon.join();
    client.says("hello");
    if role == "echo" {
        client.hears("hello");
    }
    client.ends_its_side();
    client.ends();
    daemon.signal(Signal::TERM);
    daemon.exits_with(0);
    file
}

#[test]
fn without_contents_the_lengths_of_an_echo_are_played() {
    let folder = Folder::new();
    let file = recorded(&folder, "echo", &["--record-contents", "no"]);
    assert!(!String::from_utf8_lossy(&fs::read(&file).unwrap()).contains("hello"));
    play(&file, &[]).ends_as_then();
    let refused = played(program().args(["chat", "--record", "x", "--record-contents", "no"]));
    assert_eq!(refused.code, 2);
    assert!(refused.errors.contains("what a chat does depends on what its guests type"), "{refused:?}");
}

#[test]
fn a_recording_is_a_new_file_for_its_owner_alone() {
    let folder = Folder::new();
    let there = folder.path("run.rec");
    fs::write(&there, "something older").unwrap();
    let file = recorded(&folder, "echo", &[]);
    assert_eq!(mode_of(&file), 0o600);
    assert_eq!(fs::read_to_string(folder.path("run.rec.1")).unwrap(), "something older");
    let text = fs::read(&file).unwrap();
    assert!(text.starts_with(b"tidegate recording 2\n") && String::from_utf8_lossy(&text).contains("hello"));

    let link = folder.path("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let folder_itself = folder.itself();
    for taken in [Path::new("/dev/full"), &link, folder_itself] {
        let refused = played(program().args(["echo", "--listen", "127.0.0.1:0", "--record"]).arg(taken));
        assert_eq!(refused.code, 1);
        assert!(refused.errors.contains("something is there that is no regular file"), "{refused:?}");
    }
    let nowhere = played(program().args(["echo", "--record"]).arg(folder.path("no/run.rec")));
    assert!(nowhere.code == 1 && nowhere.errors.contains("cannot record to "), "{nowhere:?}");
}

#[test]
fn a_second_start_leaves_the_recording_of_a_running_daemon_alone() {
    let folder = Folder::new();
    let file = folder.path("run.rec");
    let mut daemon = Daemon::role("echo", &["--record", file.to_str().unwrap()]);
    let second = played(program().args(["echo", "--listen", "127.0.0.1:0", "--record"]).arg(&file));
    assert!(second.code == 1 && second.errors.contains("another process records to it"), "{second:?}");
    assert!(!folder.path("run.rec.1").exists());
    daemon.is_killed();
    // The recording of a crash is kept.
    let crashed = fs::read(&file).unwrap();
    recorded(&folder, "echo", &[]);
    assert_eq!(fs::read(folder.path("run.rec.1")).unwrap(), crashed);
    play(&file, &[]).ends_as_then();
}

#[test]
fn damage_is_a_failure_that_says_so() {
    let folder = Folder::new();
    let file = recorded(&folder, "echo", &[]);
    let whole = fs::read(&file).unwrap();
    let last = blocks_of(&whole).pop().unwrap();
    // Its length, and what is in it.
    for place in [last.start + 1, last.end - 1] {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(&file, bytes).unwrap();
        let damaged = play(&file, &[]);
        let why = format!("\nthe recording cannot be played further: it is damaged at byte {}", last.start);
        assert!(damaged.output.contains(&why), "{damaged:?}");
        assert_eq!(damaged.code, 1, "{damaged:?}");
    }
}

#[test]
fn a_reader_who_has_gone_ends_an_explanation_quietly() {
    let folder = Folder::new();
    let file = recorded(&folder, "echo", &[]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let explained = |stdout: std::process::Stdio| {
        let output = program().arg("replay").arg(&file).arg("--explain").stdout(stdout).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(explained(writer.into()), (0, String::new()));
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, errors) = explained(full.into());
    assert!(code == 1 && errors.contains("cannot write to stdout"), "{errors}");
}

#[test]
fn a_run_is_played_up_to_a_turn_and_with_its_log() {
    let folder = Folder::new();
    let file = recorded(&folder, "echo", &[]);
    let part = play(&file, &["--until", "2"]);
    assert!(part.output.contains("\n2 turns, ") && part.output.contains("it was to be played up to here"), "{part:?}");
    assert_eq!((part.code, part.errors.as_str()), (0, ""));
    let explained = play(&file, &["--explain"]);
    assert!(explained.output.ends_with(&play(&file, &[]).output), "{explained:?}");
    assert!(explained.output.contains("read 6 bytes") && explained.errors.is_empty(), "{explained:?}");
    let told = play(&file, &["-vv"]);
    for line in ["listening on 127.0.0.1:", "connected", "6 bytes in, 6 bytes out", "stopped: all was delivered"] {
        assert!(told.errors.contains(line), "{line}: {told:?}");
    }
    assert!(told.output.starts_with(concat!("tidegate ", env!("CARGO_PKG_VERSION"), ": echo --listen 127.0.0.1:0\n")));
    assert!(told.output.contains("1 connection, 6 bytes in, 6 bytes out, in "), "{told:?}");
}

#[test]
fn what_cannot_be_played_is_an_error_that_says_why() {
    let folder = Folder::new();
    let file = recorded(&folder, "echo", &[]);
    let whole = fs::read(&file).unwrap();
    let says = |bytes: &[u8]| {
        let path = folder.path("other.rec");
        fs::write(&path, bytes).unwrap();
        let played = play(&path, &[]);
        assert_eq!(played.code, 1, "{played:?}");
        played.errors
    };
    assert!(says(b"#!/bin/sh\n").contains("this is no recording of tidegate"));
    assert!(says(b"").contains("this is no recording of tidegate"));
    assert!(says(b"tidegate recording 9\n").contains("use a newer tidegate"));
    assert!(says(b"tidegate recording 1\n").contains("use the tidegate that has made it, or record anew"));
    assert!(says(&whole[..60]).contains("the header of the recording is cut"));
    let foreign = says(&recording_of(&[b"\x07program\x04room"]));
    assert!(foreign.contains("it is the recording of another program"), "{foreign}");
    let newer = says(&recording_of(&[b"\x04word\x04echo\x04word\x07--newer"]));
    assert!(newer.contains("does not know its command line: error: unexpected argument '--newer' found"), "{newer}");
    let missing = play(&folder.path("none.rec"), &[]);
    assert!(missing.code == 1 && missing.errors.contains("cannot play "), "{missing:?}");
}

#[test]
fn a_recording_without_a_turn_says_that_there_is_none() {
    let folder = Folder::new();
    let file = recorded(&folder, "echo", &[]);
    let whole = fs::read(&file).unwrap();
    // The line and the header.
    fs::write(&file, &whole[..blocks_of(&whole)[0].end]).unwrap();
    let played = play(&file, &[]).goes_no_further();
    let nothing = "it was cut, or its program was killed; no turn of it could be played\nfingerprint ";
    assert!(played.output.contains("\n0 turns, ") && played.output.contains(nothing), "{played:?}");
}

#[test]
fn a_connection_that_never_was_is_named_with_those_that_were() {
    let folder = Folder::new();
    let file = recorded(&folder, "echo", &[]);
    let explained = play(&file, &["--explain=#99"]);
    assert!(
        explained.output.starts_with("nothing was done with connection #99: there were #1\ntidegate "),
        "{explained:?}"
    );
    let mut echo = Daemon::echo(&["--explain=#99"]);
    let mut client = echo.join();
    client.says("hello");
    client.hears("hello");
    drop(client);
    echo.signal(Signal::TERM);
    echo.exits_with(0);
    assert!(echo.log().contains("nothing was done with connection #99: there were #1\n"), "{}", echo.log());
}

#[test]
fn a_start_that_failed_is_played_too() {
    let folder = Folder::new();
    let file = folder.path("run.rec");
    let daemon = Daemon::echo(&[]);
    let listen = daemon.address().to_string();
    let failed = played(program().args(["echo", "--listen", &listen, "--record"]).arg(&file));
    assert!(failed.code == 1 && failed.errors.contains("address in use"), "{failed:?}");
    drop(daemon);
    play(&file, &[]).ends_as_then();
    assert!(play(&file, &["-v"]).errors.contains("address in use"));

    // What systemd passes is not a stream.
    let datagrams = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let file = folder.path("datagrams.rec");
    let arguments = format!("echo --record {}", file.display());
    let failed = played(&mut program_of_systemd(&arguments, OwnedFd::from(datagrams), "$$"));
    let why = "cannot listen on descriptor 3 from systemd: it is not a stream socket";
    assert!(failed.code == 1 && failed.errors.contains(why), "{failed:?}");
    let again = play(&file, &["-v"]);
    assert!(again.code == 0 && again.errors.contains(why), "{again:?}");
}

#[test]
fn unix_sockets_and_those_of_systemd_are_played_by_their_answers() {
    let folder = Folder::new();
    let (file, path) = (folder.path("run.rec"), folder.path("chat.sock"));
    let listen = format!("unix:{}", path.display());
    let mut daemon =
        Daemon::launch(&["chat", "--listen", &listen, "--mode", "600", "--record", file.to_str().unwrap(), "-v"]);
    daemon.logs("it listens", |line| line.contains("listening on unix:"));
    let mut guest = std::os::unix::net::UnixStream::connect(&path).unwrap();
    guest.write_all(b"hello\n/quit\n").unwrap();
    guest.read_to_end(&mut Vec::new()).unwrap();
    daemon.signal(Signal::TERM);
    daemon.exits_with(0);
    // Nothing is made, and what is there is not touched.
    fs::write(&path, "in the way").unwrap();
    let replayed = play(&file, &["-vv"]);
    assert!(replayed.output.contains("it ended as it ended then"), "{replayed:?}");
    assert!(replayed.errors.contains("uid "), "the peer's process is known: {replayed:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "in the way");

    let passed = UnixListener::bind(folder.path("passed.sock")).unwrap();
    let file = folder.path("passed.rec");
    let arguments = format!("echo --record {}", file.display());
    let mut command = program_of_systemd(&arguments, OwnedFd::from(passed), "$$");
    let mut child = command.spawn().unwrap();
    let mut client = crate::support::wait_for("a connection", || {
        std::os::unix::net::UnixStream::connect(folder.path("passed.sock")).ok()
    });
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut heard = String::new();
    client.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    play(&file, &[]).ends_as_then();
}

#[test]
fn a_daemon_that_is_killed_has_recorded_all_but_its_last_second() {
    let folder = Folder::new();
    let file = folder.path("run.rec");
    let daemon = Daemon::echo(&["--record", file.to_str().unwrap()]);
    let mut client = daemon.join();
    client.says("hello");
    client.hears("hello");
    // It is idle, and comes back to write what waits in memory.
    crate::support::wait_until("the line is in the file", || {
        String::from_utf8_lossy(&fs::read(&file).unwrap()).contains("hello")
    });
    drop(daemon);
    let played = play(&file, &[]).goes_no_further();
    assert!(played.output.contains("1 connection, 6 bytes in, 6 bytes out"), "{played:?}");
}

#[test]
fn another_content_is_named() {
    let folder = Folder::new();
    let file = recorded(&folder, "echo", &[]);
    // The length of the greeting decides nothing in an echo; the contents that it writes are those that it reads.
    let bytes = fs::read(&file).unwrap();
    let changed = with_another_word(&bytes, b"hello", b"jello");
    let other = folder.path("other.rec");
    fs::write(&other, changed).unwrap();
    let played = play(&other, &[]);
    assert_eq!(played.code, 1, "{played:?}");
    assert!(played.output.contains("it differs in turn "), "{played:?}");
    assert!(played.output.contains("  then: write 6 bytes, handle "), "{played:?}");
    assert!(played.output.contains(": \"jello\\n\""), "{played:?}");
}

/// A recording in which a word is another one. The checksums of the blocks are right.
fn with_another_word(recording: &[u8], word: &[u8], other: &[u8]) -> Vec<u8> {
    let mut blocks: Vec<Vec<u8>> = contents_of(recording).into_iter().map(<[u8]>::to_vec).collect();
    for block in &mut blocks {
        for at in 0..block.len().saturating_sub(word.len()) {
            if block[at..].starts_with(word) {
                block[at..at + other.len()].copy_from_slice(other);
            }
        }
    }
    recording_of(&blocks.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// No socket, no connection, no file but the recording.
#[cfg(target_os = "linux")]
#[test]
fn what_is_played_touches_nothing_of_the_machine() {
    if !crate::support::strace::has_strace() {
        return;
    }
    let (folder, recordings) = (Folder::new(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings"));
    for role in ["chat", "echo", "hub", "proxy", "sink", "source"] {
        let trace = folder.path(role);
        let mut command = Command::new("strace");
        command.args([
            "-f",
            "-e",
            "trace=%network,unlink,unlinkat,chmod,fchmod,chown,ftruncate,rename,epoll_create1,kill",
        ]);
        command.arg("-o").arg(&trace).arg(env!("CARGO_BIN_EXE_tidegate")).arg("replay");
        played(command.arg(recordings.join(format!("{role}.rec")))).ends_as_then();
        let calls = fs::read_to_string(trace).unwrap();
        let calls: Vec<&str> = calls.lines().filter(|line| !line.contains("+++ exited with 0 +++")).collect();
        assert!(calls.is_empty(), "{role}: {calls:#?}");
    }
}

/// Recordings that older builds have made: what they can play, this one can.
#[test]
fn recordings_of_older_builds_are_played() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut played = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rec") {
            let fingerprint = fs::read_to_string(path.with_extension("fingerprint")).unwrap();
            assert_eq!(play(&path, &[]).ends_as_then().fingerprint(), fingerprint.trim(), "{}", path.display());
            played.push(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    played.sort();
    assert_eq!(played, ["chat", "echo", "hub", "proxy", "sink", "source"]);
}
