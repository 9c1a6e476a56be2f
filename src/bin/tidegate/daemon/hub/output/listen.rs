//! Consumers that connect: `--out ADDR`; and members, who hear what the others say: `--listen ADDR`.

use tidegate::Socket;

use super::super::client::Client;
use super::super::distribution::stop_giving;
use super::super::input::{add_member_feed, remove_member_feed};
use super::super::state::{Hub, Kind};
use super::super::talk::listen_to;
use super::{add_consumer, attach, has_ended, remove_consumer};
use crate::daemon::connection::on_close;

/// A consumer has connected, and has a place.
pub fn take_consumer(socket: &mut Socket<'_, Hub>, client: Client) {
    let Client { peer, place } = client;
    let key = socket.state.new_key();
    add_consumer(&mut socket.event_loop(), peer.to_string(), Kind::Client, key, None);
    on_close(socket, peer, place, move |socket, closed| {
        socket.state.clients -= 1;
        remove_consumer(&mut socket.event_loop(), key, closed);
    });
    listen_to(socket, key);
    attach(socket, key);
}

/// A member has connected, and has a place. One that has said something and ends its side is done, as a program that sends what it
/// has is: it is ended. One that ends its side and has said nothing came to hear the others, and goes on.
pub fn take_member(socket: &mut Socket<'_, Hub>, client: Client) {
    let Client { peer, place } = client;
    let key = socket.state.new_key();
    add_consumer(&mut socket.event_loop(), peer.to_string(), Kind::Client, key, Some(key));
    add_member_feed(socket, peer.to_string(), key);
    socket.on_end(move |socket| {
        remove_member_feed(&mut socket.event_loop(), key);
        has_ended(&mut socket.event_loop(), key);
        if socket.bytes_read() > 0 {
            stop_giving(&mut socket.event_loop(), key);
            socket.end();
        }
    });
    on_close(socket, peer, place, move |socket, closed| {
        socket.state.clients -= 1;
        remove_member_feed(&mut socket.event_loop(), key);
        remove_consumer(&mut socket.event_loop(), key, closed);
    });
    attach(socket, key);
}
