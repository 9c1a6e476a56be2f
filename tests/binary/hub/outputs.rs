use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{consumer, has_consumers, hub, path, producer, server};
use crate::support::folder::Folder;
use crate::support::{Daemon, Signal, Stderr, program, program_after, wait_until};

#[test]
fn a_file_gets_every_frame_and_is_opened_anew_at_sighup() {
    let folder = Folder::new();
    let (log, old) = (folder.path("log"), folder.path("log.1"));
    fs::write(&log, "before\n").unwrap();
    let hub = hub(&["--in", "listen:0", "--out", &format!("file:{}", path(&log)), "--out", "0"]);
    let (mut producer, mut heard) = (producer(&hub), consumer(&hub));
    has_consumers(&hub, 2);
    producer.says("one");
    wait_until("the first line", || fs::read(&log).unwrap() == b"before\none\n");
    fs::rename(&log, &old).unwrap();
    producer.says("two");
    hub.signal(Signal::HUP);
    wait_until("the new file", || log.exists());
    producer.says("three");
    wait_until("the third line", || fs::read(&log).unwrap().ends_with(b"three\n"));
    let both = [fs::read(&old).unwrap(), fs::read(&log).unwrap()].concat();
    assert_eq!(String::from_utf8(both).unwrap(), "before\none\ntwo\nthree\n");
    heard.hears_all(["one", "two", "three"]);
}

#[test]
fn a_full_disk_stops_nobody_and_what_is_lost_is_counted() {
    let folder = Folder::new();
    let log = folder.path("log");
    // A file may have 64 KiB (ulimit counts in KiB). The signal of that is ignored, so that the write fails.
    let mut command = program_after("trap '' XFSZ; ulimit -f 64");
    let output = format!("file:{}", path(&log));
    command.args(["hub", "--in", "listen:0", "--out", "0", "--out", &output, "--queue", "100K"]);
    command.args(["--gap-line", "# {frames} skipped"]);
    let hub = Daemon::launch_with(&mut command, Stderr::Kept);
    hub.logs("what it does", |line| line.contains("in: "));
    let (mut producer, mut heard) = (producer(&hub), consumer(&hub));
    has_consumers(&hub, 2);
    let line = |number: usize| format!("{number:06} {}\n", "x".repeat(92));
    for number in 0..3000 {
        producer.sends(line(number).as_bytes());
        heard.receives(line(number).as_bytes());
    }
    hub.logs("the error", |line| line.contains("--out file:") && line.contains(": write E"));
    hub.logs("the wait", |line| line.contains("--out file:") && line.contains(": the next attempt is in "));
    // There is room again, as if somebody had removed what was there.
    let first = fs::read_to_string(&log).unwrap();
    fs::write(&log, "").unwrap();
    wait_until("the rest", || fs::read_to_string(&log).unwrap().contains("skipped"));
    let both = first + &fs::read_to_string(&log).unwrap();
    let mut next = 0;
    let mut lines = both.split_inclusive('\n').peekable();
    while let Some(found) = lines.next() {
        if let Some(skipped) = found.strip_prefix("# ") {
            next += skipped.split_whitespace().next().unwrap().parse::<usize>().unwrap();
        } else if lines.peek().is_some_and(|after| after.starts_with('#')) && found.len() < 100 {
            next += usize::from(found.is_empty()); // the line that was cut has its end, and the gap counts it
        } else if found.ends_with('\n') {
            assert_eq!(found, line(next), "after {next}");
            next += 1;
        }
    }
    assert!(next > 700, "{next}");
    hub.logs("the loss", |line| {
        line.contains("--out file:") && line.contains("were skipped, since it does not keep up")
    });
}

#[test]
fn a_pipe_that_nobody_reads_holds_nobody_up_and_its_reader_sees_the_gap() {
    let mut child = program()
        .args(["hub", "--in", "-", "--out", "-", "--queue", "64K", "--gap-line", "# {frames} skipped"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let writer = thread::spawn(move || {
        for number in 0..100_000 {
            std::io::Write::write_all(&mut input, format!("{number:015}\n").as_bytes()).unwrap();
        }
    });
    // All of it is taken, although nobody reads.
    writer.join().unwrap();
    let (mut next, mut gaps) = (0, 0);
    for line in BufReader::new(output).lines().map(Result::unwrap) {
        if let Some(skipped) = line.strip_prefix("# ") {
            next += skipped.split_whitespace().next().unwrap().parse::<usize>().unwrap();
            gaps += 1;
        } else {
            assert_eq!(line.parse(), Ok(next));
            next += 1;
        }
    }
    assert_eq!(next, 100_000);
    assert!(gaps > 0);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_hub_whose_only_reader_has_gone_ends() {
    let mut child = Command::new("/bin/sh")
        .args(["-c", "yes | \"$0\" hub --in - --out - | head -n 3", env!("CARGO_BIN_EXE_tidegate")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut heard = String::new();
    child.stdout.take().unwrap().read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "y\ny\ny\n");
    wait_until("the end of all", || child.try_wait().unwrap().is_some());
}

#[test]
fn an_address_that_frames_go_to_is_connected_to_again_and_goes_on_where_it_was() {
    let (server, address) = server();
    let hub = hub(&["--in", "listen:0", "--out", &format!("dial:{address}")]);
    let mut producer = producer(&hub);
    let (first, _) = server.accept().unwrap();
    producer.says("one");
    let mut first = BufReader::new(first);
    let mut line = String::new();
    first.read_line(&mut line).unwrap();
    assert_eq!(line, "one\n");
    drop(first);
    hub.logs("the loss", |line| line.contains("--out dial:") && line.contains("the connection is lost"));
    producer.sends(b"two\nthree\n");
    let mut second = BufReader::new(server.accept().unwrap().0);
    for expected in ["two\n", "three\n"] {
        let mut line = String::new();
        second.read_line(&mut line).unwrap();
        assert_eq!(line, expected);
    }
}

/// A chain: what the first one has heard while the second one was away arrives when there is a second one again.
#[test]
fn of_three_chained_hubs_the_middle_one_dies_and_comes_back() {
    let middle_address = crate::support::free_address();
    let place = middle_address.to_string();
    let last = hub(&["--in", "listen:0", "--out", "0"]);
    let last_address = super::address_of(&last, "in").to_string();
    let to_last = format!("dial:{last_address}");
    let listens = format!("listen:{place}");
    let start_middle = || hub(&["--in", &listens, "--out", &to_last]);
    let mut middle = start_middle();
    let first = hub(&["--in", "listen:0", "--out", &format!("dial:{place}"), "--out", "0"]);
    let (mut producer, mut heard, mut near) = (producer(&first), consumer(&last), consumer(&first));
    has_consumers(&last, 1);
    first.logs("the chain", |line| line.contains("--out dial:") && line.contains(": connected"));
    middle.logs("the chain", |line| line.contains("--out dial:") && line.contains(": connected"));
    producer.says("one");
    heard.hears("one");
    middle.signal(Signal::KILL);
    middle.is_killed();
    first.logs("the loss", |line| line.contains("the connection is lost"));
    producer.sends(b"two\nthree\n");
    near.hears_all(["one", "two", "three"]);
    let _middle = start_middle();
    heard.is_patient_for(Duration::from_secs(30));
    heard.hears_all(["two", "three"]);
    producer.says("four");
    heard.hears("four");
}

#[test]
fn what_an_output_that_is_dialled_has_missed_at_the_end_is_an_error() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    drop(server);
    let mut command = program();
    command.args(["hub", "--in", "-", "--out", &format!("dial:{address}")]);
    let (read, mut write) = std::io::pipe().unwrap();
    let mut hub = Daemon::launch_from(&mut command, Stdio::from(read), Stderr::Kept);
    std::io::Write::write_all(&mut write, b"one\ntwo\n").unwrap();
    drop(write);
    drop(command);
    hub.exits_with(1);
    assert!(hub.log().contains(&format!("--out dial:{address} has not got 2 frames")), "{}", hub.log());
}
