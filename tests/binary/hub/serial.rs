//! A pseudo-terminal is the device; its master is what is at the other end of the line.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;

use super::{consumer, has_consumers, hub, path};
use crate::support::folder::Folder;
use crate::support::terminal::pseudo_terminal;
use crate::support::wait_until;

fn reads(line: &mut File, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    line.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, expected);
}

/// All that a terminal would change or take for itself: CR, LF, Ctrl-C, Ctrl-D, Ctrl-S, Ctrl-Q, Ctrl-Z, Ctrl-\, backspace, 8 bits.
const EVERYTHING: &[u8] = b"\r\x03\x04\x11\x13\x1a\x1c\x7f\x00\xff\x0f\x12\x15\x16\x17\x19 \xc3\xa9\r\n";

#[test]
fn every_byte_of_a_serial_line_arrives_untouched_in_both_directions() {
    let (line, name) = pseudo_terminal();
    let mut line = File::from(line);
    let hub = hub(&["--in", &format!("tty:{name},115200"), "--out", "0", "--two-way"]);
    let (mut anna, mut bob) = (consumer(&hub), consumer(&hub));
    has_consumers(&hub, 2);
    line.write_all(EVERYTHING).unwrap();
    anna.receives(EVERYTHING);
    bob.receives(EVERYTHING);
    anna.sends(EVERYTHING);
    reads(&mut line, EVERYTHING);
    // Its frames are whole: half a line waits for its end.
    anna.sends(b"half ");
    bob.sends(b"a whole one\r\n");
    reads(&mut line, b"a whole one\r\n");
    anna.sends(b"a line\n");
    reads(&mut line, b"half a line\n");
    line.write_all(b"there is no echo\n").unwrap();
    bob.receives(b"there is no echo\n");
}

#[test]
fn a_device_that_vanishes_is_opened_again_when_it_is_back() {
    let folder = Folder::new();
    let device = folder.path("ttyUSB0");
    let (line, name) = pseudo_terminal();
    symlink(&name, &device).unwrap();
    let hub = hub(&["--in", &format!("tty:{}", path(&device)), "--out", "0", "--two-way"]);
    let mut heard = consumer(&hub);
    has_consumers(&hub, 1);
    let mut line = File::from(line);
    line.write_all(b"one\nunfinished").unwrap();
    heard.hears("one");
    drop(line);
    fs::remove_file(&device).unwrap();
    heard.hears("unfinished");
    hub.logs("the loss", |line| line.contains(": the next attempt is in "));
    heard.says("nobody is there");
    hub.logs("what became of it", |line| {
        line.contains("16 bytes from consumers were discarded: no input is connected")
    });
    let (line, name) = pseudo_terminal();
    symlink(&name, &device).unwrap();
    let mut line = File::from(line);
    wait_until("it is opened again", || hub.log().matches(": opened").count() == 2);
    line.write_all(EVERYTHING).unwrap();
    heard.receives(EVERYTHING);
    heard.sends(EVERYTHING);
    reads(&mut line, EVERYTHING);
    assert!(!device.metadata().unwrap().file_type().is_file(), "it is never created");
}

#[test]
fn a_device_that_is_not_there_yet_is_waited_for_and_never_created() {
    let folder = Folder::new();
    let device = folder.path("ttyUSB0");
    let hub = hub(&["--in", &format!("tty:{}", path(&device)), "--out", "0"]);
    hub.logs("the wait", |line| line.contains(": the next attempt is in "));
    assert!(!device.exists());
    let (line, name) = pseudo_terminal();
    symlink(&name, &device).unwrap();
    let mut heard = consumer(&hub);
    hub.logs("it is there", |line| line.contains(": opened"));
    let mut line = File::from(line);
    line.write_all(b"hello\n").unwrap();
    heard.hears("hello");
}

#[test]
fn without_two_way_nothing_that_consumers_say_goes_to_the_line() {
    let (line, name) = pseudo_terminal();
    let mut line = File::from(line);
    let hub = hub(&["--in", &format!("tty:{name}"), "--out", "0"]);
    let mut heard = consumer(&hub);
    heard.says("reset");
    has_consumers(&hub, 1);
    line.write_all(b"one\n").unwrap();
    heard.hears("one");
    rustix::fs::fcntl_setfl(&line, rustix::fs::OFlags::NONBLOCK).unwrap();
    assert_eq!(line.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}
