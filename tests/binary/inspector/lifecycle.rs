use std::io::Write;
use std::process::Command;

use super::*;
use crate::support::folder::Folder;
use crate::support::{Signal, wait_until};

#[test]
fn a_drain_can_be_watched_and_does_not_wait_for_who_watches() {
    let it = Inspected::role("chat", &["--drain-timeout", "1h"]);
    let mut stuck = it.role.join();
    stuck.hears("* you are guest1; 1 online");
    let mut events = http::connect(it.at);
    write!(events, "GET /events?key={} HTTP/1.1\r\nHost: localhost\r\n\r\n", it.key).unwrap();
    http::read_until(&mut events, "\n\n");
    it.role.signal(Signal::TERM);
    it.role.logs("the stop", |line| line.contains("stopping: up to 3600s for 1 connection to drain"));
    // The guest has not ended its side.
    assert_eq!(it.asks("/connections").json()["count"], 1);
    stuck.ends_its_side();
    let mut role = it.role;
    role.exits_with(0);
    assert!(role.log().contains("stopped: all was delivered"), "{}", role.log());
}

#[test]
fn one_who_does_not_read_neither_holds_up_a_stop_nor_changes_its_exit_code() {
    let it = Inspected::role("echo", &["--drain-timeout", "1h"]);
    let mut stuck = http::connect(it.at);
    stuck.set_write_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    let requests = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    while stuck.write_all(requests.as_bytes()).is_ok() {}
    it.role.signal(Signal::TERM);
    let mut role = it.role;
    role.exits_with(0);
    assert!(role.log().contains("stopping: no connection is open"), "{}", role.log());
}

#[test]
fn an_address_that_is_taken_keeps_the_role_from_starting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut echo = Daemon::launch(&["echo", "--listen", "127.0.0.1:0", "--inspect", &address]);
    echo.exits_with(1);
    let log = echo.log();
    assert!(log.contains(&format!("cannot serve --inspect {address}: ")) && log.contains("EADDRINUSE"), "{log}");
    assert!(!log.contains("listening on"), "{log}");
}

#[test]
fn it_counts_against_no_limit_of_the_role() {
    let it = Inspected::role("echo", &["--max-connections", "1"]);
    let _watching: Vec<_> = (0..5).map(|_| http::connect(it.at)).collect();
    let mut client = it.role.join();
    client.sends(b"hello");
    client.receives(b"hello");
    it.role.signal(Signal::USR1);
    it.role.logs("the table", |line| line.contains("table of connections: 1 connection, "));
    it.role.join().is_dismissed();
}

#[test]
fn a_run_that_was_looked_at_is_recorded_and_played() {
    let folder = Folder::new();
    let file = folder.path("run.rec").display().to_string();
    let it = Inspected::role("chat", &["--record", &file]);
    let [mut anna, mut bob] = it.role.guests();
    anna.says("hello");
    bob.hears("guest1: hello");
    for target in ["/", "/connections", "/statistics", "/nothing"] {
        it.asks(target);
    }
    let mut events = http::connect(it.at);
    write!(events, "GET /events?key={} HTTP/1.1\r\nHost: localhost\r\n\r\n", it.key).unwrap();
    for _ in 0..2 {
        http::read_until(&mut events, "\n\n");
    }
    wait_until("the figures", || it.metrics().metric("tidegate_accepted_total") >= 7.0);
    drop((anna, bob));
    it.role.signal(Signal::TERM);
    let mut role = it.role;
    role.exits_with(0);
    let played = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["replay", &file]).output().unwrap();
    let text = String::from_utf8_lossy(&played.stdout).into_owned() + &String::from_utf8_lossy(&played.stderr);
    assert!(played.status.success() && text.contains("fingerprint"), "{text}");
}
