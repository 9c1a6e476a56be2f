//! `--inspect` of a role.

use tidegate::EventLoop;

use crate::cli::DaemonOptions;
use crate::inspector::{self, Subject};

/// Lets the role be looked at, if that is asked for. To be called before it listens.
///
/// # Errors
/// Those of the inspector.
pub fn inspect<S: 'static>(
    event_loop: &mut EventLoop<S>,
    role: &str,
    daemon: &DaemonOptions,
    most_sockets: usize,
) -> Result<(), String> {
    let subject = Subject { role: role.to_owned(), max_connections: Some(most_sockets), memory: daemon.memory() };
    inspector::inspect(event_loop, &daemon.inspector, subject)
}
