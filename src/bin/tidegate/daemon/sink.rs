//! `tidegate sink`: reads everything and discards it. RFC 863, discard.

use tidegate::{EventLoop, ServerOptions};

use super::connection::admit;
use super::stopping::{self, Ending, Role, Stopping};
use super::{Outcome, listen};
use crate::cli::DaemonOptions;

struct Sink {
    stopping: Stopping,
}

/// Runs until it is stopped.
pub fn run(options: &DaemonOptions, max_connections: usize) -> Outcome {
    let mut sink = EventLoop::with_state(Sink { stopping: Stopping::new(options.drain_timeout) })?;
    let idle_timeout = options.idle_timeout;
    stopping::at_signals(&mut sink)?;
    listen(&mut sink, options, max_connections, &ServerOptions::new(), move |socket| {
        if admit(socket, max_connections, idle_timeout).is_some() {
            socket.on_data(|_, _| {});
        }
    })?;
    Ok(stopping::run(&mut sink)?)
}

impl Role for Sink {
    const ENDING: Ending = Ending::EachByItself;

    fn stopping(&mut self) -> &mut Stopping {
        &mut self.stopping
    }
}
