//! What the roles do alike with a connection: admit it, and log its close.

use std::fmt::Display;
use std::time::Duration;

use log::Level;
use tidegate::{CloseReason, Closed, Socket};

use super::Peer;
use crate::cli::counted;

/// Admits a connection of echo, sink or source, in which each connection is by itself: logs it, and sets its idle timeout.
/// None if there are too many connections: this one is destroyed.
pub(super) fn admit<S: 'static>(
    socket: &mut Socket<'_, S>,
    max_connections: usize,
    idle_timeout: Option<Duration>,
) -> Option<Peer> {
    // A server limits its own connections, and there may be several servers.
    if socket.net.sockets() > max_connections {
        socket.destroy();
        return None;
    }
    let peer = Peer::of(socket);
    log::debug!("{peer} connected");
    if idle_timeout.is_some() {
        socket.set_timeout(idle_timeout);
        socket.on_timeout(|socket| socket.destroy_because(CloseReason::Timeout));
    }
    if log::log_enabled!(Level::Debug) {
        on_close(socket, peer, |_, _| {});
    }
    Some(peer)
}

/// Runs `then` when the connection has closed. At `-v` the log says so before that: why, how much was sent and received,
/// and how long the connection lasted. Without `-v` a connection does not use the memory for that.
pub(super) fn on_close<S: 'static>(
    socket: &mut Socket<'_, S>,
    peer: impl Display + 'static,
    mut then: impl FnMut(&mut Socket<'_, S>, Closed) + 'static,
) {
    if !log::log_enabled!(Level::Debug) {
        return socket.on_close(then);
    }
    let since = socket.net.now();
    socket.on_close(move |socket, closed| {
        // `bytes_written` includes what was discarded.
        let sent = socket.bytes_written().saturating_sub(closed.unsent as u64);
        let (came, went) = (counted(socket.bytes_read(), "byte"), counted(sent, "byte"));
        let lasted = socket.net.now().saturating_sub(since);
        log::debug!("{peer} closed: {}; {came} in, {went} out, {lasted:.1?}", closed.reason);
        then(socket, closed);
    });
}
