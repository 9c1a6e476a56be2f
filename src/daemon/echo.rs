//! `tidegate echo`: bytes come back in order, and the end too.
//!
//! Each socket is piped into itself, so one that sends without reading pauses itself, and memory stays bounded.

use std::collections::HashSet;
use std::process::ExitCode;

use tidegate::{CloseReason, EventLoop, Loop, ServerOptions, SocketId};

use super::stopping::{self, Role, Stopping};
use super::{CannotStart, Peer, listen};
use crate::cli::EchoOptions;

struct Echo {
    sockets: HashSet<SocketId>,
    max_connections: usize,
    stopping: Stopping,
}

/// Runs until it is stopped.
pub fn run(options: &EchoOptions, max_connections: usize) -> Result<ExitCode, CannotStart> {
    let common = &options.common;
    let stopping = Stopping::new(common.drain_timeout);
    let mut echo = EventLoop::with_state(Echo { sockets: HashSet::new(), max_connections, stopping })?;
    let server = ServerOptions {
        allow_half_open: true,
        no_delay: true,
        max_connections: Some(max_connections),
        output_limits: common.limits,
        ..ServerOptions::default()
    };
    let idle_timeout = common.idle_timeout;
    stopping::at_signals(&mut echo)?;
    listen(&mut echo, common, &server, move |socket| {
        if !socket.state.take(socket.id()) {
            return socket.destroy();
        }
        let peer = Peer::of(socket);
        log::debug!("{peer} connected");
        let itself = socket.id();
        if let Err(error) = socket.pipe(itself) {
            log::warn!("{peer}: {error}");
        }
        socket.set_timeout(idle_timeout);
        socket.on_timeout(|socket| socket.destroy_because(CloseReason::Timeout));
        socket.on_error(move |_, error| log::debug!("{peer}: {error}"));
        socket.on_close(move |socket, closed| {
            log::debug!("{peer} closed: {:?}", closed.reason);
            let id = socket.id();
            socket.state.sockets.remove(&id);
            socket.state.stopping.closed(closed);
        });
    })?;
    Ok(stopping::run(&mut echo)?)
}

impl Echo {
    /// Each server knows its own connections only, so the limit of them all is looked after here.
    fn take(&mut self, id: SocketId) -> bool {
        self.sockets.len() < self.max_connections && self.sockets.insert(id)
    }
}

impl Role for Echo {
    const TALK_TO_EACH_OTHER: bool = false;

    fn stopping(&mut self) -> &mut Stopping {
        &mut self.stopping
    }

    fn sockets(&self) -> Vec<SocketId> {
        self.sockets.iter().copied().collect()
    }

    fn farewell(_: &mut Loop<'_, Self>) {}
}
