//! Listens on all addresses that the command line and systemd name, or on none.

use std::error::Error as StdError;
use std::net::{Ipv6Addr, SocketAddr};

use tidegate::{Endpoint, Error, EventLoop, ServerId, ServerOptions, Socket};

use super::listen_error::{cannot_listen, has_no_ipv6};
use super::systemd::{self, Passed};
use super::throttle::Throttle;
use crate::cli::{DEFAULT_LISTEN, DaemonOptions, Listen, counted};

/// What a listener is for, in a role that has several kinds.
pub trait Door: Copy + 'static {
    /// What may help if it cannot be listened on, after what went wrong.
    fn advice(self, _endpoint: &Endpoint, _error: &Error) -> String {
        String::new()
    }
}

impl Door for () {}

/// Listens, and logs where. Gives the servers. Which clients have a place, `connection` has to see to: `admission.rs`. If one
/// address fails, it listens on none, and the files of its Unix sockets are gone.
pub fn listen<S: 'static>(
    event_loop: &mut EventLoop<S>,
    daemon: &DaemonOptions,
    max_connections: usize,
    options: &ServerOptions,
    connection: impl Fn(&mut Socket<'_, S>) + Clone + 'static,
) -> Result<Vec<ServerId>, Box<dyn StdError>> {
    let named: Vec<_> = daemon.listen.iter().map(|place| (*place, ())).collect();
    let servers = listen_on(event_loop, daemon, &named, Some(()), options, move |socket, ()| connection(socket))?;
    log_limit(max_connections, daemon.max_connections.is_some());
    Ok(servers.into_iter().map(|(server, ())| server).collect())
}

/// As [`listen`], on places that are for something. With a `default`, it listens for that if no place is named.
pub fn listen_on<S: 'static, D: Door>(
    event_loop: &mut EventLoop<S>,
    daemon: &DaemonOptions,
    named: &[(Listen, D)],
    default: Option<D>,
    options: &ServerOptions,
    connection: impl Fn(&mut Socket<'_, S>, D) + Clone + 'static,
) -> Result<Vec<(ServerId, D)>, Box<dyn StdError>> {
    let servers = listen_everywhere(event_loop, daemon, places(named, default)?, options, connection);
    servers.inspect_err(|_| event_loop.net.close_servers())
}

fn listen_everywhere<S: 'static, D: Door>(
    event_loop: &mut EventLoop<S>,
    daemon: &DaemonOptions,
    places: Vec<(Place, D)>,
    options: &ServerOptions,
    connection: impl Fn(&mut Socket<'_, S>, D) + Clone + 'static,
) -> Result<Vec<(ServerId, D)>, Box<dyn StdError>> {
    // Accepted sockets inherit keep-alive, so it costs no system call for each.
    let options = options
        .clone()
        .keep_alive(daemon.keep_alive())
        .send_buffer(daemon.send_buffer())
        .urgent_inline(true) // a byte of it would be lost otherwise
        .notice_gone_peers(true);
    event_loop.net.set_memory_limit(daemon.memory());
    let mut servers = Vec::new();
    for (place, door) in places {
        let connection = connection.clone();
        let connection = move |socket: &mut Socket<'_, S>| connection(socket, door);
        let is_localhost = matches!(place, Place::At(Endpoint::Localhost(_)));
        let options = match place {
            Place::At(Endpoint::Unix(address)) if address.as_path().is_some() => {
                options.clone().permissions(daemon.permissions())
            }
            _ => options.clone(),
        };
        let server = match place {
            Place::At(endpoint) => event_loop
                .listen_with(endpoint, options.clone(), connection.clone())
                .map_err(|error| cannot_listen(&endpoint, &error) + &door.advice(&endpoint, &error))?,
            #[cfg(not(unix))]
            Place::Passed(nothing) => match nothing {},
            #[cfg(unix)]
            Place::Passed(socket) => event_loop
                .event_loop()
                .listen_fd(socket, options.clone(), connection.clone())
                .map_err(|error| super::listen_error::cannot_listen_on_passed(&error))?,
        };
        log_events(event_loop, server);
        servers.push((server, door));
        if is_localhost {
            let other = listen_on_ipv6_too(event_loop, server, &options, connection)?;
            servers.extend(other.map(|server| (server, door)));
        }
    }
    Ok(servers)
}

/// localhost is also ::1, if there is IPv6, and on the same port.
fn listen_on_ipv6_too<S: 'static>(
    event_loop: &mut EventLoop<S>,
    first: ServerId,
    options: &ServerOptions,
    connection: impl Fn(&mut Socket<'_, S>) + 'static,
) -> Result<Option<ServerId>, String> {
    let Some(SocketAddr::V4(first)) = event_loop.net.server_address(first) else { return Ok(None) };
    let endpoint = Endpoint::from((Ipv6Addr::LOCALHOST, first.port()));
    match event_loop.listen_with(endpoint, options.clone(), connection) {
        Ok(server) => {
            log_events(event_loop, server);
            Ok(Some(server))
        }
        Err(error) if has_no_ipv6(&error) => {
            log::debug!("{error}");
            Ok(None)
        }
        Err(error) => Err(cannot_listen(&endpoint, &error)),
    }
}

/// Logs where a server listens, and from now on its errors.
fn log_events<S: 'static>(event_loop: &mut EventLoop<S>, server: ServerId) {
    if let Some(endpoint) = event_loop.net.server_endpoint(server) {
        log::info!("listening on {endpoint}");
    }
    if let Some(mut server) = event_loop.server(server) {
        let errors = Throttle::default();
        server.on_error(move |server, error| errors.warn(&mut server.event_loop(), error));
    }
}

/// If there is room for fewer connections than this, the descriptor limit is probably a mistake.
const FEW: usize = 100;

pub fn log_limit(max_connections: usize, was_asked_for: bool) {
    log::info!("at most {} at once", counted(max_connections as u64, "connection"));
    if max_connections < FEW && !was_asked_for {
        log::warn!("the descriptor limit has room for no more: raise it with 'ulimit -Hn' or LimitNOFILE");
    }
}

enum Place {
    At(Endpoint),
    Passed(Passed),
}

/// What the command line names. If it names nothing and there is a default: what systemd has passed, because its unit is meant
/// for these sockets, else the default address.
fn places<D: Door>(named: &[(Listen, D)], default: Option<D>) -> Result<Vec<(Place, D)>, String> {
    let passed = systemd::sockets()?;
    let named = match (named, default) {
        ([], Some(door)) if passed.is_empty() => &[(Listen::At(DEFAULT_LISTEN), door)][..],
        ([], Some(door)) => &[(Listen::Systemd, door)],
        (named, _) => named,
    };
    let is_systemd = named.iter().any(|(place, _)| *place == Listen::Systemd);
    match (is_systemd, passed.len()) {
        (true, 0) => {
            return Err("systemd has passed no socket: start this by a unit that has a .socket file, or --listen \
                        elsewhere"
                .to_owned());
        }
        (false, 1..) => {
            let sockets = counted(passed.len() as u64, "socket");
            log::warn!("systemd has passed {sockets}, but there is no --listen systemd");
        }
        _ => {}
    }
    let mut passed = Some(passed);
    let places = named.iter().flat_map(|(place, door)| match place {
        Listen::At(endpoint) => vec![(Place::At(*endpoint), *door)],
        Listen::Systemd => passed.take().unwrap_or_default().into_iter().map(|it| (Place::Passed(it), *door)).collect(),
    });
    Ok(places.collect())
}
