//! The daemon's roles, and what they share: listening (`listening.rs`), stopping (`stopping.rs`), and what is logged.
//!
//! Each role is one file and doubles as an example of the public API.

mod arrival;
pub mod chat;
mod closing;
pub mod echo;
pub mod limits;
mod listening;
pub mod log;
mod peer;
pub mod proxy;
mod seldom;
pub mod sink;
pub mod source;
mod stopping;
mod systemd;

use std::fmt;

use tidegate::Error;

use self::listening::listen;
use self::peer::Peer;

/// Why a role did not start, in one line.
#[derive(Debug)]
pub struct CannotStart(pub String);

impl fmt::Display for CannotStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Error> for CannotStart {
    fn from(error: Error) -> Self {
        CannotStart(error.to_string())
    }
}

/// `1 socket`, `2 sockets`, `3 deliveries`.
pub fn counted(count: u64, what: &str) -> String {
    match what.strip_suffix('y') {
        _ if count == 1 => format!("1 {what}"),
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {what}s"),
    }
}

/// The system's words for an error number, without the number.
fn describe(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    let words = text.rsplit_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    words.to_lowercase()
}
