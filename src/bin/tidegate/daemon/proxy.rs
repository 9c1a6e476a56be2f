//! `tidegate proxy --to ADDR`: passes each connection on to another server, in both directions.
//!
//! ```text
//!   client ══▶ pipe ══▶ target        Each direction ends by itself. If one side is slow, the other side is read more
//!   client ◀══ pipe ◀══ target        slowly. If one side is reset, the other side is reset too.
//! ```
//!
//! A peer takes an end as the end of an answer. So the proxy makes none of its own: whatever it closes that has not come to its
//! end, it resets.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tidegate::{
    CloseReason, Closed, EndOrder, Endpoint, Error, ErrorKind, EventLoop, Loop, Net, ServerId, ServerOptions, Socket,
    SocketId, SocketOptions,
};

use super::admission::{Admission, Place};
use super::connection::{log_error, on_close};
use super::itself::meets;
use super::service::{Service, listens_everywhere, serve};
use super::throttle::Throttle;
use super::{Outcome, Peer};
use crate::cli::{Change, DaemonOptions, Listen, ProxyOptions, Role};
use crate::process::outside;

/// Between two attempts to connect to a target whose queue is full.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

struct Proxy {
    options: ProxyOptions,
    unreachable: Throttle,
    /// The listener that is its own target: one client would take all connections, since each makes the next.
    itself: Option<Endpoint>,
    /// Its own listeners: one of them may be an address of the target's name.
    servers: Vec<(ServerId, ())>,
    /// The clients, and what they count for their addresses.
    places: HashMap<SocketId, Option<Place>>,
}

/// Runs until it is stopped.
pub fn run(options: &ProxyOptions) -> Outcome {
    let proxy = Proxy {
        options: options.clone(),
        unreachable: Throttle::default(),
        itself: None,
        servers: Vec::new(),
        places: HashMap::new(),
    };
    serve(proxy, &options.daemon)
}

impl Service for Proxy {
    type Door = ();
    const NAME: &'static str = "proxy";
    const ORDER: EndOrder = EndOrder::ByPeers;
    /// The second one goes to its target.
    const SOCKETS_EACH: usize = 2;

    fn server_options(&self) -> ServerOptions {
        ServerOptions::new().allow_half_open(true).no_delay(true)
    }

    fn places(&self, daemon: &DaemonOptions) -> Vec<(Listen, ())> {
        listens_everywhere(daemon)
    }

    fn default_door(&self) -> Option<()> {
        Some(())
    }

    fn welcome(client: &mut Socket<'_, Self>, (): (), doors: &Admission) {
        let others = client.state.places.len();
        match doors.enter(client.remote_address(), others) {
            Ok(place) => welcome(client, place),
            Err(why) => {
                doors.log_refusal(client, why);
                // An end could be taken for an empty answer.
                client.reset();
            }
        }
    }

    fn start(proxy: &mut EventLoop<Self>, servers: &[(ServerId, ())]) -> Result<(), Box<dyn std::error::Error>> {
        look_for_itself(&mut proxy.event_loop(), servers);
        Ok(())
    }

    /// Who is here stays with the target that it has.
    fn change(on: &mut Loop<'_, Self>, change: &Change, servers: &[(ServerId, ())]) {
        if let Role::Proxy(options) = &change.role {
            on.state.options = options.clone();
            look_for_itself(on, servers);
        }
    }

    /// The handler of each pair is there already.
    fn set_idle_timeout(socket: &mut Socket<'_, Self>, period: Option<Duration>) {
        socket.set_timeout(period);
    }
}

fn look_for_itself(on: &mut Loop<'_, Proxy>, servers: &[(ServerId, ())]) {
    let to = on.state.options.to;
    on.state.servers = servers.to_vec();
    let own = || own_listener(on.net, servers, to).map(|listener| listener.to_string());
    on.state.itself = outside::fact("own listener", own).and_then(|listener| listener.parse().ok());
    if let Some(listener) = on.state.itself {
        log::error!("--to {to} is this proxy itself, which listens on {listener}: each client is reset");
    }
}

fn welcome(client: &mut Socket<'_, Proxy>, place: Option<Place>) {
    let peer = Peer::of(client);
    log::debug!("{peer} connected");
    if client.state.itself.is_some() {
        return client.reset();
    }
    client.state.places.insert(client.id(), place);
    let give_up_at = client.net.now() + client.state.options.connect_timeout;
    connect_or_reset(client, peer, give_up_at);
}

fn own_listener(net: &Net, servers: &[(ServerId, ())], target: Endpoint) -> Option<Endpoint> {
    let mut listeners = servers.iter().filter_map(|(server, ())| net.server_endpoint(*server));
    listeners.find(|listener| meets(*listener, target))
}

fn connect_or_reset(client: &mut Socket<'_, Proxy>, peer: Peer, give_up_at: Duration) {
    if let Err(error) = connect(client, peer, give_up_at) {
        let to = client.state.options.to;
        warn_unreachable(client, &Route { peer, to }, &error);
        client.state.places.remove(&client.id());
        client.reset();
    }
}

/// Connects to the target of a client. What the client sends meanwhile waits in the client's socket, up to one buffer of it:
/// the pipes begin with the connection, since what is in the queue of a target that was not reached is lost.
fn connect(client: &mut Socket<'_, Proxy>, peer: Peer, give_up_at: Duration) -> Result<(), Error> {
    let ProxyOptions { to, connect_timeout, ref daemon } = client.state.options;
    let options = SocketOptions::new()
        .allow_half_open(true)
        .no_delay(true)
        .urgent_inline(true)
        .send_buffer(daemon.send_buffer())
        .keep_alive(daemon.keep_alive())
        .connect_timeout(connect_timeout)
        .notice_gone_peers(true);
    let from = client.id();
    let route = Rc::new(Route { peer, to });
    let target = client.event_loop().connect_with(to, options, |target| {
        let its = Rc::clone(&route);
        target.on_connect(move |target| {
            let to = target.id();
            if let Err(error) = target.net.pipe(from, to).and_then(|()| target.net.pipe(to, from)) {
                log::debug!("{peer}: {error}");
                return target.reset();
            }
            // It can be reached. From now on its errors are logged as those of a client are.
            let its = Rc::clone(&its);
            target.on_error(move |_, error| log_error(&its, error));
        });
        let its = Rc::clone(&route);
        target.on_connection_attempt(move |target, address| not_itself(target, &its, address));
        let its = Rc::clone(&route);
        target.on_error(move |target, error| {
            if error.kind() == ErrorKind::WouldBlock && target.net.now() < give_up_at {
                return connect_again_soon(target, from, peer, give_up_at);
            }
            warn_unreachable(target, &its, error);
        });
        target.set_label(&format!("target of {from}"));
        watch(target, route, from);
    })?;
    watch(client, peer, target);
    client.on_error(move |_, error| log_error(&peer, error));
    Ok(())
}

/// An address of the target's name may be that of the proxy itself: then the client is reset.
fn not_itself(target: &mut Socket<'_, Proxy>, route: &Route, address: SocketAddr) {
    let (net, servers) = (&*target.net, &target.state.servers);
    let own = || own_listener(net, servers, address.into()).map(|listener| listener.to_string());
    if let Some(listener) = outside::fact(&format!("own listener at {address}"), own) {
        warn_unreachable(target, route, &format_args!("{address} is this proxy itself, which listens on {listener}"));
        target.destroy();
    }
}

/// The target is a Unix socket whose queue is full. To a TCP port the kernel itself would try again; here it says EAGAIN at
/// once, connect(2). The client waits meanwhile, without its target.
fn connect_again_soon(target: &mut Socket<'_, Proxy>, client: SocketId, peer: Peer, give_up_at: Duration) {
    target.on_close(|_, _| {});
    if let Some(mut client) = target.event_loop().socket(client) {
        client.after(BUSY_PAUSE, move |client| connect_or_reset(client, peer, give_up_at));
    }
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
fn warn_unreachable(socket: &mut Socket<'_, Proxy>, route: &Route, why: &dyn fmt::Display) {
    let throttle = socket.state.unreachable.clone();
    throttle.warn(&mut socket.event_loop(), &format_args!("{route}: {why}"));
}

/// Watches one side of a pair, and does to the other side what has to follow.
fn watch(socket: &mut Socket<'_, Proxy>, peer: impl fmt::Display + 'static, other: SocketId) {
    socket.set_timeout(socket.state.options.daemon.idle_timeout);
    socket.on_timeout(move |socket| {
        // While the other side still reads what came from here, the pair is not idle.
        if socket.buffer_size() == 0 && socket.net.connection(other).buffer_size() > 0 {
            return socket.set_timeout(socket.state.options.daemon.idle_timeout);
        }
        cut_off(socket.net, other, CloseReason::Timeout);
        cut_off(socket.net, socket.id(), CloseReason::Timeout);
    });
    on_close(socket, peer, None, move |socket, closed| {
        socket.state.places.remove(&socket.id());
        follow(socket, other, closed);
    });
}

/// One side of a pair has closed. After the end of both directions there is nothing to do: the other side may still be
/// reading the rest. After an error the other side is reset, though its direction may have ended before.
fn follow(socket: &mut Socket<'_, Proxy>, other: SocketId, closed: Closed) {
    match closed.reason {
        CloseReason::PeerEnded | CloseReason::EndedHere => {}
        reason if closed.had_error && !socket.net.connection(other).is_pending() => {
            socket.net.reset_because(other, reason);
        }
        reason => cut_off(socket.net, other, reason),
    }
}

/// Closes a connection: with a reset, unless it has been sent its end. One that is not made yet has no peer that could see either.
fn cut_off(net: &mut Net, id: SocketId, reason: CloseReason) {
    let info = net.connection(id);
    if info.is_pending() || info.is_finished() {
        net.destroy_because(id, reason);
    } else {
        net.reset_because(id, reason);
    }
}
