//! `tidegate echo`: sends every byte back, in order, and the end too.
//!
//! Each socket is piped into itself. So a client that sends without reading is paused, and memory stays bounded.

use tidegate::{EndOrder, ServerOptions};

use super::admission::Admission;
use super::connection::admit;
use super::stop::{self, lasting_loop, stop_at_signals};
use super::{Outcome, answer_signals, explain, inspect, listen};
use crate::cli::DaemonOptions;

/// Runs until it is stopped.
pub fn run(daemon: &DaemonOptions, max_connections: usize) -> Outcome {
    let echo = lasting_loop(())?;
    answer_signals(echo)?;
    explain(echo, &daemon.explain);
    let server = ServerOptions::new().allow_half_open(true).no_delay(true);
    let admission = Admission::new(daemon, max_connections)?;
    let idle_timeout = daemon.idle_timeout;
    stop_at_signals(echo, daemon.drain_timeout, EndOrder::Each, |on, options| on.shut_down_with(options))?;
    inspect(echo, "echo", daemon, max_connections)?;
    let doors = admission.clone();
    listen(echo, daemon, max_connections, &server, move |socket| {
        let Some(peer) = admit(socket, &doors, idle_timeout) else { return };
        let itself = socket.id();
        if let Err(error) = socket.pipe(itself) {
            log::warn!("{peer}: {error}");
        }
    })?;
    Ok(stop::run(echo, &admission)?)
}
