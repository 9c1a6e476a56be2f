//! The daemon's roles, and what they share: listening, and stopping.
//!
//! Each role is one file and doubles as an example of the public API.

pub mod chat;
pub mod echo;
pub mod limits;
pub mod log;
mod stopping;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tidegate::{Code, Endpoint, Error, EventLoop, ServerOptions, Socket};

use crate::cli::Common;

/// Why the daemon did not start, in one line.
#[derive(Debug)]
pub struct CannotStart(String);

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

/// Listens on all addresses of the command line, or on none.
fn listen<S: 'static>(
    event_loop: &mut EventLoop<S>,
    common: &Common,
    options: &ServerOptions,
    connection: impl Fn(&mut Socket<'_, S>) + Clone + 'static,
) -> Result<(), CannotStart> {
    for endpoint in &common.listen {
        let connection = connection.clone();
        let server = event_loop
            .listen_with(options.clone(), *endpoint, move |socket| connection(socket))
            .map_err(|error| cannot_listen(endpoint, &error))?;
        if let Some(address) = event_loop.net.server_address(server) {
            ::log::info!("listening on {address}");
        }
        if let Some(mut server) = event_loop.server(server) {
            let (mut errors, mut turned_away) = (Seldom::default(), Seldom::default());
            server.on_error(move |server, error| errors.warn(server.net.now(), error));
            server.on_drop(move |server, dropped| {
                let who = format_args!("too many connections: {} was turned away", dropped.remote);
                turned_away.warn(server.net.now(), &who);
            });
        }
    }
    Ok(())
}

/// Says a thing no more than once a second: a flood of connections must not become a flood of log lines.
#[derive(Default)]
struct Seldom {
    said: Option<Duration>,
    unsaid: u64,
}

impl Seldom {
    fn warn(&mut self, now: Duration, what: &dyn fmt::Display) {
        if self.said.is_some_and(|said| now < said + Duration::from_secs(1)) {
            self.unsaid += 1;
            return;
        }
        self.said = Some(now);
        match std::mem::take(&mut self.unsaid) {
            0 => ::log::warn!("{what}"),
            others => ::log::warn!("{what}, and {others} others before it"),
        }
    }
}

fn cannot_listen(endpoint: &Endpoint, error: &Error) -> CannotStart {
    let address = match (error.address(), endpoint) {
        (_, Endpoint::Ip(address)) => address.to_string(),
        (Some(address), _) => address.to_string(),
        (None, other) => other.to_string(),
    };
    let why = match error.code() {
        // The word "already" says nothing that the rest does not.
        code if code.name() == "EADDRINUSE" => "address in use".to_owned(),
        Code::Os(number) => describe(number),
        _ => error.to_string(),
    };
    CannotStart(format!("cannot listen on {address}: {why}"))
}

/// The system's words for an error number, without the number.
fn describe(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    let words = text.rsplit_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    words.to_lowercase()
}

/// The address of a peer, with a mapped IPv4 address as what it is.
fn peer_of<S>(socket: &Socket<'_, S>) -> SocketAddr {
    let unknown = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);
    let peer = socket.remote_address().unwrap_or(unknown);
    let ip = match peer.ip() {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), |ip: Ipv4Addr| IpAddr::V4(ip)),
        ip => ip,
    };
    SocketAddr::new(ip, peer.port())
}
