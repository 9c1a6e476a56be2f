//! `tidegate proxy --to ADDR`: each connection goes on to another server, both ways.
//!
//! ```text
//!   client ══▶ pipe ══▶ target        each direction ends by itself; who is slow slows the other;
//!   client ◀══ pipe ◀══ target        who breaks, breaks the other
//! ```

use std::fmt;
use std::process::ExitCode;

use tidegate::{CloseReason, Closed, Endpoint, Error, EventLoop, ServerOptions, Socket, SocketId, SocketOptions};

use super::closing::on_close;
use super::seldom::Seldom;
use super::stopping::{self, Ending, Role, Stopping};
use super::{CannotStart, Peer, listen};
use crate::cli::{Common, ProxyOptions};

struct Proxy {
    options: ProxyOptions,
    unreachable: Seldom,
    stopping: Stopping,
}

/// Runs until it is stopped. A connection is one of a client, with the one to its target.
pub fn run(options: &ProxyOptions, max_connections: usize) -> Result<ExitCode, CannotStart> {
    let common = &options.common;
    let mut proxy = EventLoop::with_state(Proxy {
        options: options.clone(),
        unreachable: Seldom::default(),
        stopping: Stopping::new(common.drain_timeout),
    })?;
    let server = ServerOptions::new().allow_half_open(true).no_delay(true);
    stopping::at_signals(&mut proxy)?;
    listen(&mut proxy, common, max_connections, &server, move |client| {
        // Each server knows its own connections only; a client and its target are two sockets.
        if client.net.sockets().div_ceil(2) > max_connections {
            return client.destroy();
        }
        let peer = Peer::of(client);
        log::debug!("{peer} connected");
        if let Err(error) = connect(client, peer) {
            not_reached(client, peer, &error);
            client.reset();
        }
    })?;
    Ok(stopping::run(&mut proxy)?)
}

/// Connects a client's target. What the client says meanwhile waits for it, a buffer full.
fn connect(client: &mut Socket<'_, Proxy>, peer: Peer) -> Result<(), Error> {
    let ProxyOptions { to, connect_timeout, common: Common { keep_alive, .. } } = client.state.options;
    let options = SocketOptions::new().allow_half_open(true).no_delay(true).keep_alive(keep_alive);
    let from = client.id();
    let target = client.event_loop().connect_with(to, options, |target| {
        let gives_up = target.after(connect_timeout, move |target| {
            not_reached(target, peer, &"it does not answer");
            target.destroy_because(CloseReason::ConnectFailed);
        });
        target.on_connect(move |target| {
            target.event_loop().cancel(gives_up);
            // From here on it can be reached, and what it does is no louder than what a client does.
            target.on_error(move |target, error| {
                log::debug!("{}: {error}", Way { peer, to: target.state.options.to });
            });
        });
        target.on_error(move |target, error| not_reached(target, peer, error));
        watch(target, Way { peer, to }, from);
    })?;
    watch(client, peer, target);
    client.net.pipe(from, target, true)?;
    client.net.pipe(target, from, true)
}

/// A connection of the proxy's own, for the log: whose it is, and where it leads.
struct Way {
    peer: Peer,
    to: Endpoint,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.peer, self.to)
    }
}

/// The target of this client was not reached: a warning, as it concerns all clients.
fn not_reached(socket: &mut Socket<'_, Proxy>, peer: Peer, why: &dyn fmt::Display) {
    let (now, proxy) = (socket.net.now(), &mut *socket.state);
    proxy.unreachable.warn(now, &format_args!("{}: {why}", Way { peer, to: proxy.options.to }));
}

/// One of a pair is watched for the other's sake.
fn watch(socket: &mut Socket<'_, Proxy>, who: impl fmt::Display + 'static, other: SocketId) {
    let idle_timeout = socket.state.options.common.idle_timeout;
    if idle_timeout.is_some() {
        socket.set_timeout(idle_timeout);
        socket.on_timeout(move |socket| {
            // As long as the other takes what was said here, only this side is silent.
            if socket.buffer_size() == 0 && socket.net.buffer_size(other) > 0 {
                return socket.set_timeout(idle_timeout);
            }
            socket.net.destroy_because(other, CloseReason::Timeout);
            socket.destroy_because(CloseReason::Timeout);
        });
    }
    on_close(socket, who, move |socket, closed| {
        socket.state.stopping.closed(closed);
        part(socket, other, closed);
    });
}

/// One of a pair has closed. Where both have said all there is nothing to be done; the other may still be taking the rest.
/// Where something broke, or a target was not reached, the other must not take it for an end in order: it is reset.
fn part(socket: &mut Socket<'_, Proxy>, other: SocketId, closed: Closed) {
    let broke = closed.had_error || closed.reason == CloseReason::ConnectFailed;
    match closed.reason {
        CloseReason::PeerEnded | CloseReason::EndedHere => {}
        // A reset waits for the connection, and before there is one nobody is there to be told.
        _ if broke && !socket.net.is_connecting(other) => socket.net.reset(other),
        reason => socket.net.destroy_because(other, reason),
    }
}

impl Role for Proxy {
    const ENDING: Ending = Ending::ByThePeers;

    fn stopping(&mut self) -> &mut Stopping {
        &mut self.stopping
    }
}
