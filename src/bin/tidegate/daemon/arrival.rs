//! What echo, sink and source do alike with a connection that has come: each is by itself. In a chat and a proxy it has
//! to do with others.

use std::time::Duration;

use tidegate::{CloseReason, Socket};

use super::Peer;
use super::closing::on_close;
use super::stopping::Role;

/// Looks after its silence and its end, and says who it is. None for one too many, which is gone again.
pub(super) fn admit<R: Role>(
    socket: &mut Socket<'_, R>,
    max_connections: usize,
    idle_timeout: Option<Duration>,
) -> Option<Peer> {
    // Each server knows its own connections only, so the limit of them all is looked after here.
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
    on_close(socket, peer, |socket, closed| socket.state.stopping().closed(closed));
    Some(peer)
}
