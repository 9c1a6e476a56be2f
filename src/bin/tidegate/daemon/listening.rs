//! Where a role listens: all that the command line and systemd name. And why it cannot, in words that help.

use std::net::{Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use tidegate::{Endpoint, Error, ErrorKind, EventLoop, ServerId, ServerOptions, Socket};

use super::peer::Peer;
use super::seldom::Seldom;
use super::systemd::{self, Passed};
use super::{CannotStart, counted, describe};
use crate::cli::{Common, DEFAULT_LISTEN, Listen};

/// Listens on all that the command line and systemd name, or on nothing, and says so.
pub fn listen<S: 'static>(
    event_loop: &mut EventLoop<S>,
    common: &Common,
    max_connections: usize,
    options: &ServerOptions,
    connection: impl Fn(&mut Socket<'_, S>) + Clone + 'static,
) -> Result<(), CannotStart> {
    // Who has a mode and an owner is a Unix socket's path. Accepted sockets inherit the probes, so none of them is asked for.
    let options = options
        .clone()
        .max_connections(max_connections)
        .permissions(common.permissions)
        .keep_alive(common.keep_alive)
        .block_list(common.block_list.clone());
    for place in places(common)? {
        let is_localhost = matches!(place, Place::At(Endpoint::Localhost(_)));
        let server = match place {
            Place::At(endpoint) => event_loop
                .listen_with(endpoint, options.clone(), connection.clone())
                .map_err(|error| cannot_listen(&endpoint, &error))?,
            #[cfg(not(unix))]
            Place::Passed(nothing) => match nothing {},
            #[cfg(unix)]
            Place::Passed(socket) => event_loop
                .listen_fd(socket, options.clone(), connection.clone())
                .map_err(|error| cannot_listen_on_passed(&error))?,
        };
        greet(event_loop, server);
        if is_localhost {
            listen_on_ipv6_too(event_loop, server, &options, connection.clone())?;
        }
    }
    tell_most(max_connections, common.max_connections.is_some());
    Ok(())
}

/// localhost is ::1 too, where there is IPv6, and on the same port.
fn listen_on_ipv6_too<S: 'static>(
    event_loop: &mut EventLoop<S>,
    first: ServerId,
    options: &ServerOptions,
    connection: impl Fn(&mut Socket<'_, S>) + 'static,
) -> Result<(), CannotStart> {
    let Some(SocketAddr::V4(first)) = event_loop.net.server_address(first) else { return Ok(()) };
    let endpoint = Endpoint::from((Ipv6Addr::LOCALHOST, first.port()));
    match event_loop.listen_with(endpoint, options.clone(), connection) {
        Ok(server) => greet(event_loop, server),
        Err(error) if is_without_ipv6(&error) => log::debug!("{error}"),
        Err(error) => return Err(cannot_listen(&endpoint, &error)),
    }
    Ok(())
}

fn is_without_ipv6(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::AddressNotAvailable | ErrorKind::Unsupported)
}

/// Says where a server listens, and from then on what goes wrong there.
fn greet<S: 'static>(event_loop: &mut EventLoop<S>, server: ServerId) {
    if let Some(endpoint) = event_loop.net.server_endpoint(server) {
        log::info!("listening on {endpoint}");
    }
    if let Some(mut server) = event_loop.server(server) {
        let (mut errors, mut turned_away) = (Seldom::default(), Seldom::default());
        server.on_error(move |server, error| errors.warn(server.net.now(), error));
        server.on_drop(move |server, dropped| {
            let who = format_args!("too many connections: {} was turned away", Peer::at(dropped.remote));
            turned_away.warn(server.net.now(), &who);
        });
    }
}

/// With room for fewer connections than this, a descriptor limit is more likely a mistake than meant.
const FEW: usize = 100;

/// Says how many connections there may be at once, and warns where nobody has asked for so few.
fn tell_most(most: usize, asked: bool) {
    log::info!("at most {} at once", counted(most as u64, "connection"));
    if most < FEW && !asked {
        log::warn!("the descriptor limit has room for no more: raise it with 'ulimit -Hn' or LimitNOFILE");
    }
}

/// Where a server is to listen, and systemd's share of it.
enum Place {
    At(Endpoint),
    Passed(Passed),
}

/// What the command line names. Where it names nothing: what systemd has passed, as the unit that starts this is meant
/// to be started for those, and else the default.
fn places(common: &Common) -> Result<Vec<Place>, CannotStart> {
    let passed = systemd::sockets()?;
    let named = match common.listen.as_slice() {
        [] if passed.is_empty() => &[Listen::At(DEFAULT_LISTEN)][..],
        [] => &[Listen::Systemd],
        named => named,
    };
    match (named.contains(&Listen::Systemd), passed.len()) {
        (true, 0) => {
            return Err(CannotStart(
                "systemd has passed no socket: start this by a unit that has a .socket file, or --listen elsewhere"
                    .to_owned(),
            ));
        }
        (false, 1..) => {
            log::warn!(
                "systemd has passed {} that no --listen systemd asks for",
                counted(passed.len() as u64, "socket")
            )
        }
        _ => {}
    }
    let mut passed = Some(passed);
    let places = named.iter().flat_map(|place| match place {
        Listen::At(endpoint) => vec![Place::At(*endpoint)],
        Listen::Systemd => passed.take().unwrap_or_default().into_iter().map(Place::Passed).collect(),
    });
    Ok(places.collect())
}

/// That it is a stream socket, and that the options are within their bounds, was looked at already.
#[cfg(unix)]
fn cannot_listen_on_passed(error: &Error) -> CannotStart {
    let why = match error.kind() {
        ErrorKind::InvalidArgument => "it does not listen, so its .socket file has to say Accept=no".to_owned(),
        _ => error.to_string(),
    };
    CannotStart(format!("cannot listen on a socket from systemd: {why}"))
}

/// Ports for whom the system trusts, unless it is told otherwise (net.ipv4.ip_unprivileged_port_start).
const LOW_PORTS: RangeInclusive<u16> = 1..=1023;

fn cannot_listen(endpoint: &Endpoint, error: &Error) -> CannotStart {
    let address = match (error.address(), endpoint) {
        (_, Endpoint::Ip(_) | Endpoint::Unix(_)) => endpoint.to_string(),
        (Some(address), _) => address.to_string(),
        (None, other) => other.to_string(),
    };
    let why = why_not_at_a_path(endpoint, error).unwrap_or_else(|| match error.kind() {
        // The word "already" says nothing that the rest does not.
        ErrorKind::AddressInUse => "address in use".to_owned(),
        ErrorKind::PermissionDenied if LOW_PORTS.contains(&endpoint.port()) => {
            "permission denied: a port below 1024 takes CAP_NET_BIND_SERVICE, or a socket that systemd has made"
                .to_owned()
        }
        _ => error.raw_os_error().map_or_else(|| error.to_string(), describe),
    });
    CannotStart(format!("cannot listen on {address}: {why}"))
}

/// What the system's words would leave to be guessed: that a path is in use may mean many things.
#[cfg(unix)]
fn why_not_at_a_path(endpoint: &Endpoint, error: &Error) -> Option<String> {
    use std::os::unix::fs::FileTypeExt;

    let Endpoint::Unix(address) = endpoint else { return None };
    let path = address.as_path()?;
    let why = match error.kind() {
        ErrorKind::NotFound => "its folder does not exist",
        ErrorKind::AddressInUse => match std::fs::symlink_metadata(path).ok()?.file_type() {
            kind if kind.is_dir() => "it is a folder: add the name of the socket",
            kind if !kind.is_socket() => "something else than a socket is there: move it, or take another path",
            // Whoever may not connect cannot find out whether anybody listens.
            _ if rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_err() => {
                "a socket of somebody else's is there: if nobody listens on it, remove it"
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(why.to_owned())
}

#[cfg(not(unix))]
fn why_not_at_a_path(_: &Endpoint, _: &Error) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_a_low_port_is_not_for_all_is_told_with_the_ways_out() {
        let why = |endpoint: &str, number| {
            let error = Error::from(std::io::Error::from_raw_os_error(number));
            cannot_listen(&endpoint.parse().unwrap(), &error).to_string()
        };
        const EACCES: i32 = 13;
        const EADDRINUSE: i32 = if cfg!(target_os = "linux") { 98 } else { 48 };
        let ways_out =
            "permission denied: a port below 1024 takes CAP_NET_BIND_SERVICE, or a socket that systemd has made";
        for low in ["127.0.0.1:80", ":1023"] {
            assert!(why(low, EACCES).ends_with(ways_out), "{}", why(low, EACCES));
        }
        assert_eq!(why("127.0.0.1:80", EADDRINUSE), "cannot listen on 127.0.0.1:80: address in use");
        for other in [":1024", "unix:/run/x.sock", "unix:@x"] {
            assert!(why(other, EACCES).ends_with(": permission denied"), "{}", why(other, EACCES));
        }
    }
}
