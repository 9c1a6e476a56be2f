//! Addresses to listen on and to connect to: `--listen`, `--to`, and the server of `bench`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tidegate::Endpoint;

use super::{wrong_address, zone};

/// Where to listen.
#[expect(clippy::large_enum_variant, reason = "there are few of them")]
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
    if let Some(port) = text.strip_prefix("*:") {
        return Err(format!("every address of this machine is written :{port}"));
    }
    if text == "localhost" {
        return Err("it has no port: write localhost:8080".to_owned());
    }
    if let Ok(ip) = text.parse::<Ipv4Addr>() {
        return Err(format!("it has no port: write {ip}:8080"));
    }
    match zone::by_number(text)?.parse::<Endpoint>() {
        Ok(Endpoint::Port(port)) if !text.starts_with(':') => Ok(Endpoint::from((Ipv4Addr::LOCALHOST, port))),
        // A scheme looks like a name.
        Ok(name @ Endpoint::Name(..)) => wrong_address::advice(text).map_or(Ok(name), Err),
        parsed => parsed.map_err(|error| wrong_address::advice(text).unwrap_or_else(|| error.to_string())),
    }
}

/// Where a proxy connects to: an address of one machine, and a port that is not 0.
pub(super) fn target(text: &str) -> Result<Endpoint, String> {
    match endpoint(text)? {
        Endpoint::Port(port) => Err(format!("it has no IP address: write 127.0.0.1:{port}")),
        endpoint @ (Endpoint::Ip(_) | Endpoint::Localhost(_) | Endpoint::Name(..)) if endpoint.port() == 0 => {
            Err("nothing listens on port 0".to_owned())
        }
        endpoint => Ok(endpoint),
    }
}

/// Where `connect` connects to: an address, or a host and a port as netcat has them.
pub(super) fn destination(host: &str, port: Option<&str>) -> Result<Endpoint, String> {
    let Some(port) = port else { return target(host) };
    if host.starts_with("unix:") || target(host).is_ok() {
        return Err(format!("{host} is a whole address: leave out {port}"));
    }
    if port.parse::<u16>().is_err() {
        return Err(format!("'{port}' is no port, which is a number from 1 to 65535"));
    }
    let host = wrong_address::bracketed(host).unwrap_or_else(|| host.to_owned());
    target(&format!("{host}:{port}"))
}

/// A place to listen on, with the flag that named it.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// With what stands between it and the place.
    pub flag: &'static str,
    pub place: Listen,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.flag, self.place)
    }
}

/// # Errors
/// An address that is given twice, or is one of those that another one stands for.
pub(super) fn reject_duplicates(places: &[Named]) -> Result<(), String> {
    for (index, named) in places.iter().enumerate() {
        let place = named.place;
        for earlier in &places[..index] {
            let is_another_each_time =
                matches!(place, Listen::At(place) if place.port() == 0 && !matches!(place, Endpoint::Unix(_)));
            if earlier.place == place && !is_another_each_time {
                return Err(match earlier.flag == named.flag {
                    true => format!("{named} is given twice: leave one out"),
                    false => format!("{earlier} and {named} are one address"),
                });
            }
            if let Some((part, whole)) = part_and_whole(*earlier, *named) {
                return Err(format!("{part} is a part of {whole}: leave one out"));
            }
        }
    }
    Ok(())
}

/// Which of two places is one that the other one binds as well.
fn part_and_whole(one: Named, other: Named) -> Option<(Named, Named)> {
    let is_part = |part: Named, whole: Named| {
        bound_by(part.place).iter().any(|part| bound_by(whole.place).iter().any(|whole| covers(*whole, *part)))
    };
    if is_part(other, one) {
        return Some((other, one));
    }
    is_part(one, other).then_some((one, other))
}

/// The addresses that a server binds, so that two ways to write one address are equal. Port 0 is a different port each
/// time, so it is left out, and what has no port is only equal to itself.
fn bound_by(place: Listen) -> Vec<SocketAddr> {
    match place {
        Listen::Systemd | Listen::At(Endpoint::Unix(_) | Endpoint::Name(..)) => vec![],
        Listen::At(endpoint) if endpoint.port() == 0 => vec![],
        Listen::At(Endpoint::Ip(address)) => vec![address],
        Listen::At(Endpoint::Port(port)) => vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))],
        Listen::At(Endpoint::Localhost(port)) => {
            vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))]
        }
    }
}

/// Whether a server on the first address takes the second one. `[::]` is for both families.
fn covers(whole: SocketAddr, part: SocketAddr) -> bool {
    let is_all = match whole.ip() {
        IpAddr::V4(ip) => ip.is_unspecified() && part.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    whole.port() == part.port() && (is_all || whole == part)
}

#[cfg(test)]
mod tests {
    use super::super::parse_from;
    use super::super::tests::{daemon, wrong};
    use super::*;

    /// What is said of this address ends with what would do.
    #[track_caller]
    fn says(address: &str, way_out: &str) {
        let wrong = wrong(&["--listen", address]);
        assert!(wrong.ends_with(way_out), "{wrong}");
    }

    #[test]
    fn an_address_is_taken_in_each_of_its_forms() {
        let listen = |text| daemon(&["--listen", text]).listen[0];
        let ip = |text: &str| Listen::At(Endpoint::Ip(text.parse().unwrap()));
        assert_eq!(listen("7000"), ip("127.0.0.1:7000"));
        assert_eq!(listen("0"), ip("127.0.0.1:0"));
        assert_eq!(listen(":7000"), Listen::At(Endpoint::Port(7000)));
        assert_eq!(listen("localhost:7000"), Listen::At(Endpoint::Localhost(7000)));
        assert_eq!(listen("example.org:80"), Listen::At(Endpoint::Name("example.org".parse().unwrap(), 80)));
        assert_eq!(listen("systemd"), Listen::Systemd);
        assert_eq!(listen("10.0.0.1:7000"), ip("10.0.0.1:7000"));
        assert_eq!(listen("[::1]:7000"), ip("[::1]:7000"));
        assert_eq!(daemon(&["--listen", "70", "--listen", "71"]).listen, [ip("127.0.0.1:70"), ip("127.0.0.1:71")]);
    }

    #[test]
    fn a_wrong_address_says_what_would_do() {
        says("127.0.0.1", "it has no port: write 127.0.0.1:8080");
        says("localhost", "it has no port: write localhost:8080");
        says("*:7000", "every address of this machine is written :7000");
        says("70000", "a port is a number from 0 to 65535");
        says("", "it is empty: write an address such as 127.0.0.1:8080");
        says("/run/x.sock", "the path of a Unix socket is written unix:PATH");
        says("Unix:/run/x.sock", "the path of a Unix socket is written unix:PATH");
        says("example..org:80", "bad name 'example..org': there is nothing between two dots, or before the first");
        says("300.1.1.1:7000", "'300.1.1.1' is no IPv4 address, which is four numbers from 0 to 255");
        says("1.2.3:80", "'1.2.3' is no IPv4 address, which is four numbers from 0 to 255");
    }

    #[test]
    fn an_ipv6_address_needs_brackets_and_a_port() {
        for (text, bracketed) in [("::1", "[::1]:8080"), ("fe80::1", "[fe80::1]:8080"), ("[::1]", "[::1]:8080")] {
            says(text, &format!("it has no port: write {bracketed}"));
        }
        for (text, bracketed) in [
            ("::1:7000", "[::1]:7000"),
            ("2001:db8::1:80", "[2001:db8::1]:80"),
            ("1:2:3:4:5:6:7:8:80", "[1:2:3:4:5:6:7:8]:80"),
            ("fe80::1%lo:80", "[fe80::1%lo]:80"),
        ] {
            says(text, &format!("the IPv6 address needs brackets: write {bracketed}"));
        }
        says("[::1::]:80", "'::1::' is no IPv6 address");
        says("[::1]:70000", "a port is a number from 0 to 65535");
    }

    #[test]
    fn a_scheme_is_no_part_of_an_address() {
        says("http://127.0.0.1:80/x", "an address has no scheme: write 127.0.0.1:80");
        says("http://127.0.0.1", "an address has no scheme, and it needs a port: write 127.0.0.1:PORT");
        says("http://[::1]/", "an address has no scheme, and it needs a port: write [::1]:PORT");
        says("tcp://[::1]:7000", "an address has no scheme: write [::1]:7000");
        says("tcp:7000", "write 7000 without 'tcp:'");
        says("TCP-LISTEN:7000", "write 7000 without 'TCP-LISTEN:'");
        says("UNIX-LISTEN:/run/x.sock", "a Unix socket is written unix:/run/x.sock");
    }

    /// `lo` is there in every network namespace of Linux, and has the number 1.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_zone_of_an_address_may_be_the_name_of_an_interface() {
        assert_eq!(daemon(&["--listen", "[fe80::1%lo]:70"]).listen[0].to_string(), "[fe80::1%1]:70");
        assert_eq!(daemon(&["--listen", "[fe80::1%1]:70"]).listen[0].to_string(), "[fe80::1%1]:70");
        let wrong = wrong(&["--listen", "[fe80::1%no-such-interface]:70"]);
        assert!(wrong.ends_with("there is no interface 'no-such-interface' on this machine"), "{wrong}");
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
        assert!(twice("0.0.0.0:80", "[::1]:80").is_ok());
        for (first, second) in
            [(":80", "80"), ("[::]:80", "0.0.0.0:80"), ("0.0.0.0:80", "10.0.0.1:80"), ("[::]:80", ":80")]
        {
            for [first, second] in [[first, second], [second, first]] {
                let message = wrong(&["--listen", first, "--listen", second]);
                assert!(message.ends_with(": leave one out"), "{first} and {second}: {message}");
            }
        }
        assert_eq!(
            wrong(&["--listen", ":80", "--listen", "10.0.0.1:80"]),
            "error: --listen 10.0.0.1:80 is a part of --listen :80: leave one out"
        );
        assert_eq!(
            wrong(&["--listen", "80", "--listen", "80"]),
            "error: --listen 127.0.0.1:80 is given twice: leave one out"
        );
    }
}
