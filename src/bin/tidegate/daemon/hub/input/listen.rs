//! Producers that connect: `--in listen:ADDR`.

use tidegate::Socket;

use super::super::client::Client;
use super::super::state::Hub;
use super::{add_feed, remove_feed};
use crate::daemon::connection::{log_error, on_close};

/// A producer has connected, and has a place.
pub fn take_producer(socket: &mut Socket<'_, Hub>, client: Client) {
    let Client { peer, place } = client;
    let key = add_feed(socket, peer.to_string(), false);
    socket.on_error(move |_, error| log_error(&peer, error));
    socket.on_end(|socket| socket.end());
    on_close(socket, peer, place, move |socket, _| {
        socket.state.clients -= 1;
        remove_feed(&mut socket.event_loop(), key);
    });
}
