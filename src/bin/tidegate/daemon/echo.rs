//! `tidegate echo`: bytes come back in order, and the end too.
//!
//! Each socket is piped into itself, so one that sends without reading pauses itself, and memory stays bounded.

use std::process::ExitCode;

use tidegate::{EventLoop, ServerOptions};

use super::arrival::admit;
use super::stopping::{self, Ending, Role, Stopping};
use super::{CannotStart, listen};
use crate::cli::EchoOptions;

struct Echo {
    stopping: Stopping,
}

/// Runs until it is stopped.
pub fn run(options: &EchoOptions, max_connections: usize) -> Result<ExitCode, CannotStart> {
    let common = &options.common;
    let mut echo = EventLoop::with_state(Echo { stopping: Stopping::new(common.drain_timeout) })?;
    let server = ServerOptions::new().allow_half_open(true).no_delay(true).output_limits(options.limits);
    let idle_timeout = common.idle_timeout;
    stopping::at_signals(&mut echo)?;
    listen(&mut echo, common, max_connections, &server, move |socket| {
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
