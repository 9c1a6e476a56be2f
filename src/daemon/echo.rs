//! `tidegate echo`: bytes come back in order, and the end too.
//!
//! Each socket is piped into itself, so one that sends without reading pauses itself, and memory stays bounded.

use std::process::ExitCode;

use tidegate::{CloseReason, EventLoop, Loop, ServerOptions};

use super::closing::on_close;
use super::stopping::{self, Ending, Role, Stopping};
use super::{CannotStart, Peer, listen};
use crate::cli::EchoOptions;

struct Echo {
    max_connections: usize,
    stopping: Stopping,
}

/// Runs until it is stopped.
pub fn run(options: &EchoOptions, max_connections: usize) -> Result<ExitCode, CannotStart> {
    let common = &options.common;
    let stopping = Stopping::new(common.drain_timeout);
    let mut echo = EventLoop::with_state(Echo { max_connections, stopping })?;
    let server = ServerOptions {
        allow_half_open: true,
        no_delay: true,
        max_connections: Some(max_connections),
        output_limits: options.limits,
        ..ServerOptions::default()
    };
    let idle_timeout = common.idle_timeout;
    stopping::at_signals(&mut echo)?;
    listen(&mut echo, common, &server, move |socket| {
        // Each server knows its own connections only, so the limit of them all is looked after here.
        if socket.net.sockets() > socket.state.max_connections {
            return socket.destroy();
        }
        let peer = Peer::of(socket);
        log::debug!("{peer} connected");
        let itself = socket.id();
        if let Err(error) = socket.pipe(itself) {
            log::warn!("{peer}: {error}");
        }
        if idle_timeout.is_some() {
            socket.set_timeout(idle_timeout);
            socket.on_timeout(|socket| socket.destroy_because(CloseReason::Timeout));
        }
        on_close(socket, peer, |socket, closed| socket.state.stopping.closed(closed));
    })?;
    Ok(stopping::run(&mut echo)?)
}

impl Role for Echo {
    const ENDING: Ending = Ending::EachByItself;

    fn stopping(&mut self) -> &mut Stopping {
        &mut self.stopping
    }

    fn farewell(_: &mut Loop<'_, Self>) {}
}
