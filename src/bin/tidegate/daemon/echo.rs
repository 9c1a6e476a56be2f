//! `tidegate echo`: sends every byte back, in order, and the end too.
//!
//! Each socket is piped into itself. So a client that sends without reading is paused, and memory stays bounded.

use tidegate::{EventLoop, ServerOptions};

use super::connection::admit;
use super::stopping::{self, Ending, Role, Stopping};
use super::{Outcome, listen};
use crate::cli::EchoOptions;

struct Echo {
    stopping: Stopping,
}

/// Runs until it is stopped.
pub fn run(options: &EchoOptions, max_connections: usize) -> Outcome {
    let daemon = &options.daemon;
    let mut echo = EventLoop::with_state(Echo { stopping: Stopping::new(daemon.drain_timeout) })?;
    let server = ServerOptions::new().allow_half_open(true).no_delay(true).output_limits(options.output.limits());
    let idle_timeout = daemon.idle_timeout;
    stopping::at_signals(&mut echo)?;
    listen(&mut echo, daemon, max_connections, &server, move |socket| {
        let Some(peer) = admit(socket, max_connections, idle_timeout) else { return };
        let itself = socket.id();
        if let Err(error) = socket.pipe(itself) {
            log::warn!("{peer}: {error}");
        }
    })?;
    Ok(stopping::run(&mut echo)?)
}

impl Role for Echo {
    const ENDING: Ending = Ending::EachByItself;

    fn stopping(&mut self) -> &mut Stopping {
        &mut self.stopping
    }
}
