//! The name of a peer in the log.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use tidegate::{PeerCred, Socket};

#[derive(Clone, Copy, Debug)]
pub enum Peer {
    Ip(SocketAddr),
    /// On a Unix socket a peer has no address, but the kernel knows its process and user.
    Unix(Option<PeerCred>),
}

impl Peer {
    pub fn of<S>(socket: &Socket<'_, S>) -> Self {
        match Peer::at(socket.remote_address()) {
            Peer::Unix(_) => Peer::Unix(socket.peer_cred()),
            peer => peer,
        }
    }

    /// An IPv4 address that is mapped into IPv6 is shown as IPv4. A link-local address keeps its zone: two interfaces may
    /// have a neighbour of the same address.
    pub fn at(address: Option<SocketAddr>) -> Self {
        let Some(peer) = address else { return Peer::Unix(None) };
        match peer.ip().to_canonical() {
            IpAddr::V4(ip) => Peer::Ip(SocketAddr::from((ip, peer.port()))),
            IpAddr::V6(_) => Peer::Ip(peer),
        }
    }

    /// None on a Unix socket.
    pub fn address(self) -> Option<IpAddr> {
        match self {
            Peer::Ip(peer) => Some(peer.ip()),
            Peer::Unix(_) => None,
        }
    }

    /// Whether it is on this machine.
    pub fn is_local(self) -> bool {
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
    fn a_peer_on_loopback_or_on_a_unix_socket_is_local() {
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

    #[test]
    fn a_peer_is_shown_with_its_zone_and_mapped_addresses_as_ipv4() {
        let shown = |address: &str| Peer::at(Some(address.parse().unwrap())).to_string();
        assert_eq!(shown("[fe80::1%3]:7000"), "[fe80::1%3]:7000");
        assert_eq!(shown("[2001:db8::1]:7000"), "[2001:db8::1]:7000");
        assert_eq!(shown("[::ffff:10.0.0.1]:7000"), "10.0.0.1:7000");
    }
}
