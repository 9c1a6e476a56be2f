use std::fs;

use super::{address_of, hub, path, server};
use crate::support::folder::Folder;
use crate::support::{Daemon, Stderr, free_address, free_port, program};

/// What the log says of a hub that cannot start.
#[track_caller]
fn cannot_start(arguments: &[&str]) -> String {
    let mut hub = Daemon::launch(&[&["hub"], arguments].concat());
    hub.exits_with(1);
    hub.log()
}

#[test]
fn the_start_line_says_where_frames_come_from_and_where_they_go() {
    let (_server, address) = server();
    let all = hub(&["--listen", "127.0.0.1:0", "--in", &address, "--in", "listen:0", "--out", "0", "--out", "-"]);
    let line = all.logs("what it does", |line| line.contains("in and out: "));
    let (members, producers, consumers) =
        (address_of(&all, "in and out"), address_of(&all, "in"), address_of(&all, "out"));
    assert!(
        line.ends_with(&format!(
            "in and out: listen {members}; in: dial {address}, listen {producers}; out: standard output, listen {consumers}"
        )),
        "{line}"
    );
}

#[test]
fn without_an_input_and_an_output_it_is_for_its_members() {
    let address = free_address();
    let hub = hub(&["--listen", &address.to_string()]);
    assert_eq!(address_of(&hub, "in and out"), address);
}

#[test]
fn an_output_that_is_no_address_of_this_machine_may_be_meant_to_be_dialled() {
    let log = cannot_start(&["--in", "-", "--out", "192.0.2.77:10110"]); // an address for documentation
    assert!(log.contains("no interface of this machine has this address"), "{log}");
    assert!(log.trim_end().ends_with(": to connect to it, write --out dial:192.0.2.77:10110"), "{log}");
}

#[test]
fn a_hub_that_is_connected_to_itself_does_not_start() {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let log = cannot_start(&["--in", &address, "--out", &address]);
    assert!(log.contains(&format!("--in {address} is this hub itself, which listens on {address}")), "{log}");
    let log = cannot_start(&["--in", "-", "--listen", &format!(":{port}"), "--out", &format!("dial:{address}")]);
    assert!(log.contains(&format!("--out dial:{address} is this hub itself, which listens on ")), "{log}");
}

#[test]
fn a_file_that_is_not_there_keeps_it_from_starting() {
    let log = cannot_start(&["--in", "file:/no/such/file", "--out", "0"]);
    assert!(log.contains("--in file:/no/such/file: open ENOENT"), "{log}");
    let log = cannot_start(&["--in", "-", "--out", "file:/no/such/folder/file"]);
    assert!(log.contains("--out file:/no/such/folder/file: open ENOENT"), "{log}");
    let log = cannot_start(&["--in", "tty:/dev/null", "--out", "0"]);
    assert!(log.contains("--in tty:/dev/null: it is no terminal: for a file or a FIFO, write file:PATH"), "{log}");
}

#[test]
fn a_file_that_would_be_written_to_twice_is_refused() {
    let folder = Folder::new();
    let (file, link) = (folder.path("file"), folder.path("link"));
    fs::write(&file, "one\n").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let outputs = [&file, &link].map(|it| format!("file:{}", path(it)));
    let log = cannot_start(&["--in", "-", "--out", &outputs[0], "--out", "0", "--out", &outputs[1]]);
    let says = format!("--out {} and --out {} are one file: each frame would be there twice", outputs[0], outputs[1]);
    assert!(log.contains(&says), "{log}");
    assert_eq!(fs::read(&file).unwrap(), b"one\n");
}

#[test]
fn a_file_that_would_be_read_and_written_is_refused() {
    let folder = Folder::new();
    let (file, link) = (folder.path("file"), folder.path("link"));
    fs::write(&file, "one\n").unwrap();
    fs::hard_link(&file, &link).unwrap();
    let (input, output) = (format!("file:{}", path(&file)), format!("file:{}", path(&link)));
    let log = cannot_start(&["--in", &input, "--out", &output]);
    assert!(
        log.contains(&format!("--in {input} and --out {output} are one file: what is written would be read")),
        "{log}"
    );
    assert_eq!(fs::read(&file).unwrap(), b"one\n");
    let mut command = program();
    let mut hub = Daemon::launch_from(
        command.args(["hub", "--in", "-", "--out", &output]),
        fs::File::open(&file).unwrap().into(),
        Stderr::Kept,
    );
    hub.exits_with(1);
    assert!(hub.log().contains(&format!("--in - and --out {output} are one file")), "{}", hub.log());
}
