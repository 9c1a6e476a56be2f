//! `tidegate sink`: reads everything and discards it. RFC 863, discard.

use tidegate::{EndOrder, ServerOptions};

use super::admission::Admission;
use super::connection::admit;
use super::stop::{self, lasting_loop, stop_at_signals};
use super::{Outcome, answer_signals, explain, inspect, listen};
use crate::cli::DaemonOptions;

/// Runs until it is stopped.
pub fn run(options: &DaemonOptions, max_connections: usize) -> Outcome {
    let sink = lasting_loop(())?;
    answer_signals(sink)?;
    explain(sink, &options.explain);
    let admission = Admission::new(options, max_connections)?;
    let idle_timeout = options.idle_timeout;
    stop_at_signals(sink, options.drain_timeout, EndOrder::Each, |on, options| on.shut_down_with(options))?;
    inspect(sink, "sink", options, max_connections)?;
    let doors = admission.clone();
    listen(sink, options, max_connections, &ServerOptions::new(), move |socket| {
        if admit(socket, &doors, idle_timeout).is_some() {
            socket.on_data(|_, _| {});
        }
    })?;
    Ok(stop::run(sink, &admission)?)
}
