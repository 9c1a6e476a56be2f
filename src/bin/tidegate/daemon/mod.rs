//! The roles of the daemon, and what they share: listeners (`listener.rs`), the log of connections (`connection.rs`) and the
//! stop (`stop.rs`).
//!
//! Each role is one file or folder, and an example of the public API.

mod admission;
pub mod chat;
mod connection;
pub mod echo;
mod explain;
pub mod hub;
mod inspect;
mod itself;
mod listen_error;
mod listener;
mod notify;
mod peer;
pub mod proxy;
mod signals;
pub mod sink;
pub mod source;
mod stop;
mod systemd;
mod throttle;

use std::error::Error;
use std::process::ExitCode;

use self::explain::explain;
use self::inspect::inspect;
use self::listener::listen;
use self::peer::Peer;
use self::signals::answer_signals;

/// How a role ends: with an exit code after a stop, or with the reason why it could not start.
type Outcome = Result<ExitCode, Box<dyn Error>>;
