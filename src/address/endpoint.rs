//! Where a server listens, and where a socket connects to.
//!
//! An [`Endpoint`] is an address as a user writes it: an IP address with a port, the name of a host with a port, a port alone, or
//! the name of a Unix socket. The name of a host is looked up when a socket connects to it, or a server listens on it. The address of a connection is not an endpoint but an [`Address`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::address::host_name::HostName;
use crate::address::{Address, UnixAddress};
use crate::base::error::Error;

/// The place that a server listens on, or that a socket connects to.
///
/// Calls such as [`EventLoop::listen`](crate::EventLoop::listen) take every type that converts into one with [`TryInto`]:
/// text, a port, an address and a port, std's [`SocketAddr`], a [`UnixAddress`].
///
/// ```
/// use tidegate::Endpoint;
///
/// assert_eq!("127.0.0.1:7000".parse::<Endpoint>()?.to_string(), "127.0.0.1:7000");
/// assert_eq!("localhost:7000".parse::<Endpoint>()?, Endpoint::Localhost(7000));
/// assert_eq!("7000".parse::<Endpoint>()?, Endpoint::Port(7000));
/// assert_eq!(":7000".parse::<Endpoint>()?, Endpoint::Port(7000));
/// assert_eq!("unix:/run/chat.sock".parse::<Endpoint>()?.to_string(), "unix:/run/chat.sock");
/// assert_eq!("example.org:80".parse::<Endpoint>()?, Endpoint::Name("example.org".parse()?, 80));
/// assert!("example..org:80".parse::<Endpoint>().is_err());
///
/// let v6 = std::net::Ipv6Addr::LOCALHOST;
/// assert_eq!(Endpoint::try_from(("::1", 7000))?, Endpoint::from((v6, 7000)));
/// assert_eq!(Endpoint::from(7000), Endpoint::Port(7000));
/// # Ok::<(), tidegate::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// The machine itself: 127.0.0.1, and `::1` if that fails. A server takes the first one that it can bind, a client the
    /// first one that it can connect to.
    Localhost(u16),
    /// A port alone. A server listens on all addresses: `[::]` for both families, `0.0.0.0` where there is no IPv6. For a
    /// client it is the same as [`Endpoint::Localhost`], as in Node.
    Port(u16),
    /// A Unix socket. It is written `unix:PATH`, or `unix:@NAME` for an abstract name of Linux.
    Unix(UnixAddress),
    /// The name of a host, which is looked up when a socket connects to it, or a server listens on it. Without the feature
    /// `names` the program has to do it: see [`Net::set_lookup`](crate::Net::set_lookup).
    Name(HostName, u16),
}

impl Endpoint {
    /// The port. It is 0 if the system is to choose one, and for a Unix socket, which has none.
    pub fn port(&self) -> u16 {
        match self {
            Endpoint::Ip(address) => address.port(),
            Endpoint::Localhost(port) | Endpoint::Port(port) => *port,
            Endpoint::Unix(_) => 0,
            Endpoint::Name(_, port) => *port,
        }
    }

    /// The addresses that a server tries one after the other, until it can bind one.
    ///
    pub(crate) fn to_listen_on(self) -> ListenOn {
        let (first, second) = match self {
            Endpoint::Ip(address) => (address.into(), None),
            Endpoint::Unix(address) => (address.into(), None),
            Endpoint::Localhost(port) => both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST, port),
            Endpoint::Port(port) => both(Ipv6Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED, port),
            Endpoint::Name(name, port) => return ListenOn::Name(name, port),
        };
        ListenOn::Addresses { first, second }
    }

    /// Where a client connects to.
    pub(crate) fn to_connect_to(self) -> Destination {
        match self {
            Endpoint::Ip(address) => Destination::Address(address.into()),
            Endpoint::Unix(address) => Destination::Address(address.into()),
            Endpoint::Localhost(port) | Endpoint::Port(port) => Destination::Name(HostName::localhost(), port),
            Endpoint::Name(name, port) => Destination::Name(name, port),
        }
    }
}

/// Two addresses with the same port.
fn both(first: impl Into<IpAddr>, second: impl Into<IpAddr>, port: u16) -> (Address, Option<Address>) {
    (SocketAddr::new(first.into(), port).into(), Some(SocketAddr::new(second.into(), port).into()))
}

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ListenOn {
    /// The second one is tried if the first one fails.
    Addresses { first: Address, second: Option<Address> },
    /// An address of this host.
    Name(HostName, u16),
}

/// Where a client connects to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Destination {
    Address(Address),
    /// To one of the addresses of this host.
    Name(HostName, u16),
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(name) = text.strip_prefix("unix:") {
            return match name.strip_prefix('@') {
                Some(name) => UnixAddress::abstract_name(name),
                None => UnixAddress::path(name),
            }
            .map(Endpoint::Unix);
        }
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Endpoint::Ip(address));
        }
        if text.parse::<Ipv4Addr>().is_ok() {
            return Err(Error::invalid(format!("no port in '{text}': write {text}:PORT")));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err(Error::invalid(format!(
                "no port in '{text}': write an IPv6 address in brackets, [{text}]:PORT"
            )));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let port = match port.parse::<u16>() {
            Ok(number) if port.bytes().all(|byte| byte.is_ascii_digit()) => number,
            _ if text.contains('/') => {
                return Err(Error::invalid(format!(
                    "'{text}' has no port; the path of a Unix socket is written unix:PATH"
                )));
            }
            _ => return Err(Error::invalid(format!("bad port in '{text}': a port is a number from 0 to 65535"))),
        };
        match host {
            "" => Ok(Endpoint::Port(port)),
            "localhost" => Ok(Endpoint::Localhost(port)),
            _ if host.parse::<Ipv6Addr>().is_ok() => {
                Err(Error::invalid(format!("bad address '{text}': write an IPv6 address in brackets, [{host}]:{port}")))
            }
            _ => Ok(Endpoint::Name(host.parse()?, port)),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Ip(address) => address.fmt(f),
            Endpoint::Localhost(port) => write!(f, "localhost:{port}"),
            Endpoint::Port(port) => write!(f, ":{port}"),
            Endpoint::Unix(address) => write!(f, "unix:{address}"),
            Endpoint::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

impl From<Address> for Endpoint {
    fn from(address: Address) -> Self {
        match address {
            Address::Ip(address) => Endpoint::Ip(address),
            Address::Unix(address) => Endpoint::Unix(address),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Endpoint::Ip(address)
    }
}

impl From<UnixAddress> for Endpoint {
    fn from(address: UnixAddress) -> Self {
        Endpoint::Unix(address)
    }
}

impl From<u16> for Endpoint {
    fn from(port: u16) -> Self {
        Endpoint::Port(port)
    }
}

/// An address and a port. One conversion for all `I: Into<IpAddr>` would leave no room for text as the address.
macro_rules! from_address_and_port {
    ($($address:ty),*) => {
        $(impl From<($address, u16)> for Endpoint {
            fn from((address, port): ($address, u16)) -> Self {
                Endpoint::Ip(SocketAddr::new(address.into(), port))
            }
        })*
    };
}

from_address_and_port!(IpAddr, Ipv4Addr, Ipv6Addr, [u8; 4], [u8; 16], [u16; 8]);

impl TryFrom<&str> for Endpoint {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<&String> for Endpoint {
    type Error = Error;

    fn try_from(text: &String) -> Result<Self, Error> {
        text.parse()
    }
}

/// A host and a port, as std takes them too. The host is an address without brackets, or a name.
impl TryFrom<(&str, u16)> for Endpoint {
    type Error = Error;

    fn try_from((host, port): (&str, u16)) -> Result<Self, Error> {
        match host.parse::<IpAddr>() {
            Ok(ip) => Ok((ip, port).into()),
            Err(_) => format!("{host}:{port}").parse(),
        }
    }
}
