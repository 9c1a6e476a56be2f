//! `tidegate sink`: whatever comes is read and thrown away. RFC 863, discard.

use std::process::ExitCode;

use tidegate::{CloseReason, EventLoop, Loop, ServerOptions};

use super::closing::on_close;
use super::stopping::{self, Ending, Role, Stopping};
use super::{CannotStart, Peer, listen};
use crate::cli::Common;

struct Sink {
    max_connections: usize,
    stopping: Stopping,
}

/// Runs until it is stopped.
pub fn run(common: &Common, max_connections: usize) -> Result<ExitCode, CannotStart> {
    let stopping = Stopping::new(common.drain_timeout);
    let mut sink = EventLoop::with_state(Sink { max_connections, stopping })?;
    let server = ServerOptions { max_connections: Some(max_connections), ..ServerOptions::default() };
    let idle_timeout = common.idle_timeout;
    stopping::at_signals(&mut sink)?;
    listen(&mut sink, common, &server, move |socket| {
        if socket.net.sockets() > socket.state.max_connections {
            return socket.destroy();
        }
        let peer = Peer::of(socket);
        log::debug!("{peer} connected");
        socket.on_data(|_, _| {});
        if idle_timeout.is_some() {
            socket.set_timeout(idle_timeout);
            socket.on_timeout(|socket| socket.destroy_because(CloseReason::Timeout));
        }
        on_close(socket, peer, |_, _| {});
    })?;
    Ok(stopping::run(&mut sink)?)
}

impl Role for Sink {
    const ENDING: Ending = Ending::EachByItself;

    fn stopping(&mut self) -> &mut Stopping {
        &mut self.stopping
    }

    fn farewell(_: &mut Loop<'_, Self>) {}
}
