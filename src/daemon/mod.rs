//! The daemon's roles, and what they share: listening, and stopping.
//!
//! Each role is one file and doubles as an example of the public API.

pub mod chat;
mod closing;
pub mod echo;
pub mod limits;
pub mod log;
pub mod proxy;
pub mod sink;
pub mod source;
mod stopping;
mod systemd;

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use tidegate::{Code, Endpoint, Error, EventLoop, PeerCred, ServerId, ServerOptions, Socket};

use self::systemd::Passed;
use crate::cli::{Common, DEFAULT_LISTEN, Listen};

/// Why a role did not start, in one line.
#[derive(Debug)]
pub struct CannotStart(pub String);

impl fmt::Display for CannotStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Error> for CannotStart {
    fn from(error: Error) -> Self {
        CannotStart(error.to_string())
    }
}

/// Listens on all that the command line and systemd name, or on nothing, and says so.
fn listen<S: 'static>(
    event_loop: &mut EventLoop<S>,
    common: &Common,
    options: &ServerOptions,
    connection: impl Fn(&mut Socket<'_, S>) + Clone + 'static,
) -> Result<(), CannotStart> {
    // Who has a mode and an owner is a Unix socket's path. Accepted sockets inherit the probes, so none of them is asked for.
    let options = ServerOptions { access: common.access, keep_alive: common.keep_alive, ..options.clone() };
    let connection = move || {
        let connection = connection.clone();
        move |socket: &mut Socket<'_, S>| connection(socket)
    };
    for place in places(common)? {
        let is_localhost = matches!(place, Place::At(Endpoint::Localhost(_)));
        let server = match place {
            Place::At(endpoint) => event_loop
                .listen_with(options.clone(), endpoint, connection())
                .map_err(|error| cannot_listen(&endpoint, &error))?,
            #[cfg(not(unix))]
            Place::Passed(nothing) => match nothing {},
            #[cfg(unix)]
            Place::Passed(socket) => event_loop
                .listen_fd(options.clone(), socket, connection())
                .map_err(|error| cannot_listen_on_passed(&error))?,
        };
        greet(event_loop, server);
        // localhost is ::1 too, where there is IPv6, and on the same port.
        if is_localhost && let Some(SocketAddr::V4(first)) = event_loop.net.server_address(server) {
            let endpoint = Endpoint::from((Ipv6Addr::LOCALHOST, first.port()));
            match event_loop.listen_with(options.clone(), endpoint, connection()) {
                Ok(server) => greet(event_loop, server),
                Err(error) if is_without_ipv6(&error) => ::log::debug!("{error}"),
                Err(error) => return Err(cannot_listen(&endpoint, &error)),
            }
        }
    }
    if let Some(most) = options.max_connections {
        tell_most(most, common.max_connections.is_some());
    }
    Ok(())
}

fn is_without_ipv6(error: &Error) -> bool {
    matches!(error.code().name(), "EADDRNOTAVAIL" | "EAFNOSUPPORT")
}

/// Says where a server listens, and from then on what goes wrong there.
fn greet<S: 'static>(event_loop: &mut EventLoop<S>, server: ServerId) {
    if let Some(endpoint) = event_loop.net.server_endpoint(server) {
        ::log::info!("listening on {endpoint}");
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
    ::log::info!("at most {} at once", counted(most as u64, "connection"));
    if most < FEW && !asked {
        ::log::warn!("the descriptor limit has room for no more: raise it with 'ulimit -Hn' or LimitNOFILE");
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
            ::log::warn!(
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

/// `1 socket`, `2 sockets`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Warns of a thing no more than once a second: a flood of connections must not become a flood of log lines. What is not
/// warned of is said at `-v`.
#[derive(Default)]
struct Seldom {
    said: Option<Duration>,
    unsaid: u64,
}

impl Seldom {
    fn warn(&mut self, now: Duration, what: &dyn fmt::Display) {
        if self.said.is_some_and(|said| now < said + Duration::from_secs(1)) {
            self.unsaid += 1;
            return ::log::debug!("{what}");
        }
        self.said = Some(now);
        match std::mem::take(&mut self.unsaid) {
            0 => ::log::warn!("{what}"),
            others => ::log::warn!("{what}, and {others} others before it"),
        }
    }
}

/// That it is a stream socket, and that the options are within their bounds, was looked at already.
#[cfg(unix)]
fn cannot_listen_on_passed(error: &Error) -> CannotStart {
    let why = match error.code() {
        Code::InvalidArgument => "it does not listen, so its .socket file has to say Accept=no".to_owned(),
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
    let why = why_not_at_a_path(endpoint, error).unwrap_or_else(|| match error.code() {
        // The word "already" says nothing that the rest does not.
        code if code.name() == "EADDRINUSE" => "address in use".to_owned(),
        code if code.name() == "EACCES" && LOW_PORTS.contains(&endpoint.port()) => {
            "permission denied: a port below 1024 takes CAP_NET_BIND_SERVICE, or a socket that systemd has made"
                .to_owned()
        }
        Code::Os(number) => describe(number),
        _ => error.to_string(),
    });
    CannotStart(format!("cannot listen on {address}: {why}"))
}

/// What the system's words would leave to be guessed: that a path is in use may mean many things.
#[cfg(unix)]
fn why_not_at_a_path(endpoint: &Endpoint, error: &Error) -> Option<String> {
    use std::os::unix::fs::FileTypeExt;

    let Endpoint::Unix(address) = endpoint else { return None };
    let path = address.as_path()?;
    let why = match error.code().name() {
        "ENOENT" => "its folder does not exist",
        "EADDRINUSE" => match std::fs::symlink_metadata(path).ok()?.file_type() {
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

/// The system's words for an error number, without the number.
fn describe(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    let words = text.rsplit_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    words.to_lowercase()
}

/// Who a peer is, for the log.
#[derive(Clone, Copy, Debug)]
enum Peer {
    Ip(SocketAddr),
    /// On a Unix socket, where the kernel tells who it is and it has no address.
    Unix(Option<PeerCred>),
}

impl Peer {
    fn of<S>(socket: &Socket<'_, S>) -> Self {
        match Peer::at(socket.remote_address()) {
            Peer::Unix(_) => Peer::Unix(socket.peer_cred()),
            peer => peer,
        }
    }

    /// A mapped IPv4 address is shown as what it is.
    fn at(address: Option<SocketAddr>) -> Self {
        address.map_or(Peer::Unix(None), |peer| Peer::Ip(SocketAddr::new(peer.ip().to_canonical(), peer.port())))
    }

    /// Whether it is on this machine.
    fn is_local(self) -> bool {
        match self {
            Peer::Ip(peer) => peer.ip().is_loopback(),
            Peer::Unix(_) => true,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Ip(peer) => peer.fmt(f),
            Peer::Unix(None) => f.write_str("a local peer"),
            Peer::Unix(Some(PeerCred { uid, pid: None, .. })) => write!(f, "uid {uid}"),
            Peer::Unix(Some(PeerCred { uid, pid: Some(pid), .. })) => write!(f, "uid {uid}, pid {pid}"),
        }
    }
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

    #[test]
    fn who_is_on_loopback_or_on_a_unix_socket_is_local() {
        let peer = |ip: &str| Peer::at(Some(SocketAddr::new(ip.parse().unwrap(), 1)));
        // A listener for both families sees a peer on 127.0.0.1 as ::ffff:127.0.0.1.
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(peer(ip).is_local(), "{ip}");
        }
        for ip in ["10.0.0.1", "fe80::1", "::ffff:10.0.0.1"] {
            assert!(!peer(ip).is_local(), "{ip}");
        }
        assert!(Peer::at(None).is_local());
    }
}
