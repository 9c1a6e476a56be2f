//! `tidegate sink`: whatever comes is read and thrown away. RFC 863, discard.

use std::process::ExitCode;

use tidegate::{EventLoop, ServerOptions};

use super::arrival::admit;
use super::stopping::{self, Ending, Role, Stopping};
use super::{CannotStart, listen};
use crate::cli::Common;

struct Sink {
    stopping: Stopping,
}

/// Runs until it is stopped.
pub fn run(common: &Common, max_connections: usize) -> Result<ExitCode, CannotStart> {
    let mut sink = EventLoop::with_state(Sink { stopping: Stopping::new(common.drain_timeout) })?;
    let idle_timeout = common.idle_timeout;
    stopping::at_signals(&mut sink)?;
    listen(&mut sink, common, max_connections, &ServerOptions::new(), move |socket| {
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
