//! What a person sees of an inspector: its page in a real browser, `tidegate inspect`, and what `docs/inspect.md` has one type.

/// `tidegate inspect`.
mod command;
/// The page, in Chromium.
#[cfg(target_os = "linux")]
mod page;
/// What `docs/inspect.md` has its reader type.
#[cfg(target_os = "linux")]
mod typed;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::support::{Daemon, PATIENCE};

/// Where an inspector is.
struct Place {
    address: SocketAddr,
    key: String,
}

impl Place {
    /// Reads it from the log of a role that was started with `--inspect`.
    #[track_caller]
    fn of(role: &Daemon) -> Place {
        let line = role.logs("where the inspector is", |line| line.contains("inspect: http://"));
        let (address, key) = line.split("http://").nth(1).unwrap().split_once("/?key=").unwrap();
        Place { address: address.parse().unwrap(), key: key.trim().to_owned() }
    }

    /// Of the page, with the key.
    fn url(&self) -> String {
        format!("http://{}/?key={}", self.address, self.key)
    }

    /// What is answered to `GET` with the key, as JSON.
    #[track_caller]
    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    /// The body of an answer.
    #[track_caller]
    fn text(&self, path: &str) -> String {
        let mut client = TcpStream::connect(self.address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", self.key);
        client.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        body.to_owned()
    }
}

/// `tidegate echo`, with an inspector on a port of the system's choice.
#[track_caller]
fn inspected_echo() -> (Daemon, Place) {
    let echo = Daemon::echo(&["--inspect", "127.0.0.1:0"]);
    let place = Place::of(&echo);
    (echo, place)
}
