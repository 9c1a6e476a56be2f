//! The inspector of a role that runs.

use std::net::SocketAddr;

use serde_json::Value;

use super::Daemon;
use super::http::{connect, request};

/// Where an inspector is, on an address of this machine.
pub struct Place {
    pub address: SocketAddr,
    pub key: String,
}

impl Place {
    /// Reads it from the log of a role that was started with `--inspect`.
    #[track_caller]
    pub fn of(role: &Daemon) -> Place {
        let line = role.logs("where the inspector is", |line| line.contains("inspect: http://"));
        let (address, key) = line.split("http://").nth(1).unwrap().split_once("/?key=").unwrap();
        Place { address: address.parse().unwrap(), key: key.trim().to_owned() }
    }

    /// Of the page, with the key.
    pub fn url(&self) -> String {
        format!("http://{}/?key={}", self.address, self.key)
    }

    /// What is answered to `GET` with the key, as JSON.
    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    /// The body of an answer.
    #[track_caller]
    pub fn text(&self, path: &str) -> String {
        let key = &self.key;
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n");
        let answer = request(&mut connect(self.address), &head);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }
}

/// `tidegate echo`, with an inspector on a port of the system's choice.
#[track_caller]
pub fn inspected_echo() -> (Daemon, Place) {
    let echo = Daemon::echo(&["--inspect", "127.0.0.1:0"]);
    let place = Place::of(&echo);
    (echo, place)
}

/// What the table of the page shows, a row each: the id, who it is, its state, what it waits for, queued, in, out.
pub const SHOWN: &str = "[...document.querySelectorAll('#rows tr')].map(row => [0, 1, 2, 3, 4, 5, 6].map(cell => \
     row.cells[cell].textContent.trim()))";

/// The same of an answer `it` of the server, in the page's own words for numbers.
pub const IN_WORDS: &str = "it => [`#${it.id}`, (it.label ?? '') + it.remote, it.state, it.paused_by?.text ?? '', \
     bytes(it.queued), bytes(it.bytes_in), bytes(it.bytes_out)]";

/// Whether the table of the page is what the server answers.
pub fn is_table_of_the_server(rows: usize) -> String {
    format!(
        "(async () => {{ const answer = await fetch(address('connections', {{ sort, limit: 100 }})); \
         const [shown, asked] = [{SHOWN}, (await answer.json()).connections.map({IN_WORDS})]; \
         return shown.length === {rows} && JSON.stringify(shown) === JSON.stringify(asked) }})()"
    )
}
