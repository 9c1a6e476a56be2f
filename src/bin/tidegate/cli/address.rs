//! Addresses to listen on and to connect to: `--listen`, `--to`, and the server of `bench`.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tidegate::Endpoint;

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Listen {
    At(Endpoint),
    /// On the sockets that systemd has passed.
    Systemd,
}

/// Where a role listens if the command line does not say.
pub const DEFAULT_LISTEN: Endpoint = Endpoint::Ip(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080));

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "systemd" => Ok(Listen::Systemd),
            _ => endpoint(text).map(Listen::At),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::At(endpoint) => endpoint.fmt(f),
            Listen::Systemd => f.write_str("systemd"),
        }
    }
}

/// As the library parses an endpoint, except that a port alone is on loopback: a daemon must not open itself to the
/// network because an address was left out.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Err(format!("it has no port: write {}", SocketAddr::new(ip, 8080)));
    }
    if let Some(port) = text.strip_prefix("*:") {
        return Err(format!("every address of this machine is written :{port}"));
    }
    match text.parse::<Endpoint>() {
        Ok(Endpoint::Port(port)) if !text.starts_with(':') => Ok(Endpoint::from((Ipv4Addr::LOCALHOST, port))),
        Err(_) if text == "localhost" => Err("it has no port: write localhost:8080".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

/// Where a proxy connects to: an address of one machine, and a port that is not 0.
pub(super) fn target(text: &str) -> Result<Endpoint, String> {
    match endpoint(text)? {
        Endpoint::Port(port) => Err(format!("it has no IP address: write 127.0.0.1:{port}")),
        endpoint @ (Endpoint::Ip(_) | Endpoint::Localhost(_)) if endpoint.port() == 0 => {
            Err("nothing listens on port 0".to_owned())
        }
        endpoint => Ok(endpoint),
    }
}

pub(super) fn reject_duplicates(places: &[Listen]) -> Result<(), String> {
    let mut bound = HashSet::new();
    match places.iter().find(|place| bound_by(**place).into_iter().any(|address| !bound.insert(address))) {
        None => Ok(()),
        Some(place) => Err(format!("--listen {place} is given twice: leave one out")),
    }
}

/// The addresses that a server binds, so that two ways to write one address are equal. Port 0 is a different port each
/// time, so it is left out.
fn bound_by(place: Listen) -> Vec<Listen> {
    let ip = |ip: IpAddr, port| Listen::At(Endpoint::from((ip, port)));
    match place {
        Listen::Systemd | Listen::At(Endpoint::Unix(_)) => vec![place],
        Listen::At(endpoint) if endpoint.port() == 0 => vec![],
        Listen::At(Endpoint::Ip(_)) => vec![place],
        Listen::At(Endpoint::Port(port)) => vec![ip(Ipv6Addr::UNSPECIFIED.into(), port)],
        Listen::At(Endpoint::Localhost(port)) => {
            vec![ip(Ipv4Addr::LOCALHOST.into(), port), ip(Ipv6Addr::LOCALHOST.into(), port)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_from;
    use super::super::tests::{daemon, wrong};
    use super::*;

    #[test]
    fn an_address_is_taken_in_each_of_its_forms() {
        let listen = |text| daemon(&["--listen", text]).listen[0];
        let ip = |text: &str| Listen::At(Endpoint::Ip(text.parse().unwrap()));
        assert_eq!(listen("7000"), ip("127.0.0.1:7000"));
        assert_eq!(listen("0"), ip("127.0.0.1:0"));
        assert_eq!(listen(":7000"), Listen::At(Endpoint::Port(7000)));
        assert_eq!(listen("localhost:7000"), Listen::At(Endpoint::Localhost(7000)));
        assert_eq!(listen("systemd"), Listen::Systemd);
        assert_eq!(listen("10.0.0.1:7000"), ip("10.0.0.1:7000"));
        assert_eq!(listen("[::1]:7000"), ip("[::1]:7000"));
        assert_eq!(daemon(&["--listen", "70", "--listen", "71"]).listen, [ip("127.0.0.1:70"), ip("127.0.0.1:71")]);
    }

    #[test]
    fn a_wrong_address_says_what_would_do() {
        let says = |text, way_out| {
            let wrong = wrong(&["--listen", text]);
            assert!(wrong.ends_with(way_out), "{wrong}");
        };
        says("127.0.0.1", "it has no port: write 127.0.0.1:8080");
        says("::1", "it has no port: write [::1]:8080");
        says("localhost", "it has no port: write localhost:8080");
        says("*:7000", "every address of this machine is written :7000");
        says("70000", "a port is a number from 0 to 65535");
        says("/run/x.sock", "the path of a Unix socket is written unix:PATH");
        says("Unix:/run/x.sock", "the path of a Unix socket is written unix:PATH");
        says("example.org:80", "names are not resolved; give an address, or 'localhost'");
    }

    #[test]
    fn an_address_given_twice_is_wrong_but_port_0_is_another_each_time() {
        let twice = |first, second| parse_from(["tidegate", "chat", "--listen", first, "--listen", second]);
        assert!(twice("8080", "127.0.0.1:8080").is_err());
        assert!(twice("localhost:8080", "8080").is_err());
        assert!(twice("[::1]:8080", "localhost:8080").is_err());
        assert!(twice("systemd", "systemd").is_err());
        assert!(twice("systemd", "8080").is_ok());
        assert!(twice("localhost:0", "localhost:0").is_ok());
        assert!(twice(":8080", "[::]:8080").is_err());
        assert!(twice("8080", "[::1]:8080").is_ok());
        assert!(twice("0", "0").is_ok());
        assert_eq!(
            wrong(&["--listen", "80", "--listen", "80"]),
            "error: --listen 127.0.0.1:80 is given twice: leave one out"
        );
    }
}
