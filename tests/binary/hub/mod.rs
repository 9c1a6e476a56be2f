//! `tidegate hub`: one to many.

/// The end: of the inputs, and at a signal.
mod ends;
/// Frames without a pause, to readers who stop and wake.
mod flood;
/// Inputs: what is connected to, listened on, read, and opened again.
mod inputs;
/// Members: what one says, the others hear.
mod members;
/// Outputs: files, standard output, and what is connected to.
mod outputs;
/// The recipes of `docs/hub.md`.
mod recipes;
/// Serial devices.
mod serial;
/// Consumers who do not keep up, with each rule.
mod slow;
/// What is refused at the start, and what the log says of it.
mod starting;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;

use crate::support::{Client, Daemon, Stderr, program};

/// A hub that has started: it has said what it does.
#[track_caller]
fn hub(arguments: &[&str]) -> Daemon {
    hub_from(arguments, Stdio::null())
}

#[track_caller]
fn hub_from(arguments: &[&str], stdin: Stdio) -> Daemon {
    let mut command = program();
    let hub = Daemon::launch_from(command.arg("hub").args(arguments), stdin, Stderr::Kept);
    hub.logs("what it does", |line| line.contains("in: ") || line.contains("in and out: "));
    hub
}

/// The address on which it listens for these, as its start line says.
#[track_caller]
fn address_of(hub: &Daemon, part: &str) -> SocketAddr {
    addresses_of(hub, part)[0]
}

#[track_caller]
fn addresses_of(hub: &Daemon, part: &str) -> Vec<SocketAddr> {
    let line = hub.logs("what it does", |line| line.contains(&format!("{part}: ")) && !line.contains("--"));
    let part =
        line.split("] ").last().unwrap().split("; ").find_map(|it| it.strip_prefix(&format!("{part}: "))).unwrap();
    part.split(", ").filter_map(|place| place.strip_prefix("listen ")?.parse().ok()).collect()
}

#[track_caller]
fn consumer(hub: &Daemon) -> Client {
    Client::connect(address_of(hub, "out"))
}

#[track_caller]
fn producer(hub: &Daemon) -> Client {
    Client::connect(address_of(hub, "in"))
}

/// A server on a port of its own.
fn server() -> (TcpListener, String) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    (server, address)
}

/// Waits until so many consumers are there.
#[track_caller]
fn has_consumers(hub: &Daemon, count: usize) {
    crate::support::wait_until("the consumers", || {
        hub.signal(crate::support::Signal::USR1);
        let log = hub.log();
        log.lines().rev().find_map(|line| line.split_once("table of consumers: ")).is_some_and(|(_, rest)| {
            rest.split_whitespace().next().and_then(|number| number.parse().ok()) == Some(count)
        })
    });
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Everything that arrives until so many bytes are there.
fn read_exactly(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    use std::io::Read;

    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}
