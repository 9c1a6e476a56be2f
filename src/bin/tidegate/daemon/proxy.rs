//! `tidegate proxy --to ADDR`: passes each connection on to another server, in both directions.
//!
//! ```text
//!   client ══▶ pipe ══▶ target        Each direction ends by itself. If one side is slow, the other side is read more
//!   client ◀══ pipe ◀══ target        slowly. If one side is reset, the other side is reset too.
//! ```

use std::fmt;

use tidegate::{
    CloseReason, Closed, EndOrder, Endpoint, Error, EventLoop, ServerOptions, Socket, SocketId, SocketOptions,
};

use super::connection::on_close;
use super::stop::{self, stop_at_signals};
use super::throttle::Throttle;
use super::{Outcome, Peer, listen};
use crate::cli::ProxyOptions;

struct Proxy {
    options: ProxyOptions,
    unreachable: Throttle,
}

/// Runs until it is stopped. `max_connections` counts clients; each has a second socket, to its target.
pub fn run(options: &ProxyOptions, max_connections: usize) -> Outcome {
    let daemon = &options.daemon;
    let mut proxy = EventLoop::with_state(Proxy { options: options.clone(), unreachable: Throttle::default() })?;
    let server = ServerOptions::new().allow_half_open(true).no_delay(true);
    stop_at_signals(&mut proxy, daemon.drain_timeout, EndOrder::ByPeers, |_| {})?;
    listen(&mut proxy, daemon, max_connections, &server, move |client| {
        // A server limits its own connections, and there may be several servers.
        if client.net.sockets().div_ceil(2) > max_connections {
            return client.destroy();
        }
        let peer = Peer::of(client);
        log::debug!("{peer} connected");
        if let Err(error) = connect(client, peer) {
            warn_unreachable(client, peer, &error);
            client.reset();
        }
    })?;
    Ok(stop::run(&mut proxy)?)
}

/// Connects to the target of a client. What the client sends meanwhile waits, up to one buffer of it.
fn connect(client: &mut Socket<'_, Proxy>, peer: Peer) -> Result<(), Error> {
    let ProxyOptions { to, connect_timeout, ref daemon } = client.state.options;
    let options = SocketOptions::new()
        .allow_half_open(true)
        .no_delay(true)
        .urgent_inline(true)
        .keep_alive(daemon.keep_alive())
        .connect_timeout(connect_timeout)
        .notice_gone_peers(true);
    let from = client.id();
    let target = client.event_loop().connect_with(to, options, |target| {
        target.on_connect(move |target| {
            // It can be reached. From now on its errors are logged as those of a client are.
            target.on_error(move |target, error| {
                log::debug!("{}: {error}", Route { peer, to: target.state.options.to });
            });
        });
        target.on_error(move |target, error| warn_unreachable(target, peer, error));
        watch(target, Route { peer, to }, from);
    })?;
    watch(client, peer, target);
    client.net.pipe(from, target)?;
    client.net.pipe(target, from)
}

/// The connection to a target in the log.
struct Route {
    peer: Peer,
    to: Endpoint,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.peer, self.to)
    }
}

/// A target that cannot be reached is a warning, because it affects all clients.
fn warn_unreachable(socket: &mut Socket<'_, Proxy>, peer: Peer, why: &dyn fmt::Display) {
    let (now, proxy) = (socket.net.now(), &mut *socket.state);
    proxy.unreachable.warn(now, &format_args!("{}: {why}", Route { peer, to: proxy.options.to }));
}

/// Watches one side of a pair, and does to the other side what has to follow.
fn watch(socket: &mut Socket<'_, Proxy>, peer: impl fmt::Display + 'static, other: SocketId) {
    let idle_timeout = socket.state.options.daemon.idle_timeout;
    if idle_timeout.is_some() {
        socket.set_timeout(idle_timeout);
        socket.on_timeout(move |socket| {
            // While the other side still reads what came from here, the pair is not idle.
            if socket.buffer_size() == 0 && socket.net.connection(other).buffer_size() > 0 {
                return socket.set_timeout(idle_timeout);
            }
            socket.net.destroy_because(other, CloseReason::Timeout);
            socket.destroy_because(CloseReason::Timeout);
        });
    }
    on_close(socket, peer, move |socket, closed| follow(socket, other, closed));
}

/// One side of a pair has closed. After the end of both directions there is nothing to do: the other side may still be
/// reading the rest. After an error, or if the target was not reached, the other side is reset, so that it cannot take that
/// for an end.
fn follow(socket: &mut Socket<'_, Proxy>, other: SocketId, closed: Closed) {
    let broke = closed.had_error || closed.reason == CloseReason::ConnectFailed;
    match closed.reason {
        CloseReason::PeerEnded | CloseReason::EndedHere => {}
        // A connection that is not established yet has no peer that could see a reset.
        _ if broke && !socket.net.connection(other).is_connecting() => socket.net.reset(other),
        reason => socket.net.destroy_because(other, reason),
    }
}
