//! The roles of the daemon, and what they share: `service.rs` runs a role, with its listeners (`listener.rs`), its places
//! (`admission.rs`), other flags while it runs (`reload.rs`) and its stop (`stop.rs`).
//!
//! Each role is one file or folder, and an example of the public API.

mod admission;
pub mod chat;
mod connection;
pub mod echo;
mod engine;
mod explain;
pub mod hub;
mod in_force;
mod inspect;
mod itself;
mod listen_error;
mod listener;
mod names;
mod notify;
mod peer;
pub mod proxy;
mod reload;
mod retry;
mod service;
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
use self::peer::Peer;
use self::signals::answer_signals;

/// How a role ends: with an exit code after a stop, or with the reason why it could not start.
type Outcome = Result<ExitCode, Box<dyn Error>>;
