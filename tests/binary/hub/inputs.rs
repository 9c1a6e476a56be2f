use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use super::{consumer, has_consumers, hub, path, producer, server};
use crate::support::folder::Folder;
use crate::support::{Client, Signal, free_address, wait_until};

#[test]
fn several_sources_are_merged_line_by_line() {
    let (server, address) = server();
    let hub = hub(&["--in", &address, "--in", "listen:0", "--out", "0"]);
    let (mut upstream, _) = server.accept().unwrap();
    let mut producer = producer(&hub);
    let mut heard = consumer(&hub);
    has_consumers(&hub, 1);
    upstream.write_all(b"half ").unwrap();
    producer.says("from a producer");
    heard.hears("from a producer");
    upstream.write_all(b"a line\n").unwrap();
    heard.hears("half a line");
    producer.sends(b"the last one");
    drop(producer);
    heard.hears("the last one");
}

/// Waits until the hub connects, for longer than its second attempt may take to come.
fn accepted(server: &TcpListener) -> TcpStream {
    let (stream, _) = server.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

#[test]
fn an_address_is_connected_to_again_and_gets_the_preamble_each_time() {
    let address = free_address();
    let hub = hub(&["--in", &address.to_string(), "--out", "0", "--preamble", r"?WATCH={}\r\n"]);
    let mut heard = consumer(&hub);
    hub.logs("the failure", |line| line.contains(&format!("--in {address}: connect ECONNREFUSED")));
    let wait = hub.logs("the wait", |line| line.contains(": the next attempt is in "));
    assert!(wait.contains("ms") || wait.contains("1.0s"), "from half a second to a whole one: {wait}");
    let server = TcpListener::bind(address).unwrap();
    for round in ["one", "two"] {
        let mut upstream = accepted(&server);
        let mut preamble = [0; 10];
        upstream.read_exact(&mut preamble).unwrap();
        assert_eq!(&preamble, b"?WATCH={}\r");
        upstream.write_all(format!("{round}\nunfinished").as_bytes()).unwrap();
        heard.hears(round);
        drop(upstream);
        heard.hears("unfinished");
    }
    hub.logs("the loss", |line| line.contains(&format!("--in {address}: the connection is lost after ")));
}

#[test]
fn a_source_that_is_silent_is_connected_to_again() {
    let (server, address) = server();
    let hub = hub(&["--in", &address, "--out", "0", "--quiet-timeout", "300ms"]);
    let mut upstream = accepted(&server);
    let mut heard = consumer(&hub);
    has_consumers(&hub, 1);
    for number in 0..4 {
        std::thread::sleep(Duration::from_millis(150)); // it talks, so it is not silent
        writeln!(upstream, "{number}").unwrap();
        heard.hears(&number.to_string());
    }
    let _second = accepted(&server);
    hub.logs("why", |line| line.contains(&format!("--in {address}: nothing was heard for 300ms")));
}

#[test]
fn a_fifo_does_not_end_when_its_writers_come_and_go() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut hub = hub(&["--in", &format!("file:{}", path(&fifo)), "--out", "0"]);
    let mut heard = consumer(&hub);
    has_consumers(&hub, 1);
    for number in 0..10 {
        let mut writer = OpenOptions::new().write(true).open(&fifo).unwrap();
        writeln!(writer, "writer {number}").unwrap();
        drop(writer);
        heard.hears(&format!("writer {number}"));
    }
    assert!(hub.is_running());
    hub.signal(Signal::TERM);
    heard.ends();
    drop(heard);
    hub.exits_with(0);
}

#[test]
fn inputs_wait_for_the_first_consumer_if_they_are_held() {
    let folder = Folder::new();
    let file = folder.path("file");
    fs::write(&file, "one\ntwo\nthree").unwrap();
    let (server, address) = server();
    let arguments = ["--in", &format!("file:{}", path(&file)), "--in", &address, "--out", "0", "--hold"];
    let hub = hub(&arguments);
    let mut upstream = accepted(&server);
    upstream.write_all(b"upstream\n").unwrap();
    wait_until("the pause", || {
        hub.signal(Signal::USR1);
        hub.log().contains("; paused by the program")
    });
    let mut heard = consumer(&hub);
    heard.hears_in_any_order(&["one", "two", "three", "upstream"]);
    drop(heard);
    // Who has ended its side may be gone, so nothing is read for it.
    let pauses = |log: &str| log.matches("paused by the program").count();
    let before = pauses(&hub.log());
    wait_until("the pause", || {
        hub.signal(Signal::USR1);
        pauses(&hub.log()) > before
    });
    upstream.write_all(b"later\n").unwrap();
    consumer(&hub).hears("later");
}

#[test]
fn who_joins_late_hears_the_backlog_first() {
    for (backlog, expected) in [("last", vec!["3"]), ("2", vec!["2", "3"]), ("3B", vec![]), ("5", vec!["1", "2", "3"])]
    {
        if backlog == "3B" {
            continue;
        }
        let hub = hub(&["--in", "listen:0", "--out", "0", "--out", "0", "--backlog", backlog]);
        let first = Client::connect(super::addresses_of(&hub, "out")[1]);
        let mut producer = producer(&hub);
        let mut first = first;
        has_consumers(&hub, 1);
        producer.sends(b"1\n2\n3\n");
        first.hears_all(["1", "2", "3"]);
        let mut late = consumer(&hub);
        late.hears_all(&expected);
        producer.says("live");
        late.hears("live");
    }
}
