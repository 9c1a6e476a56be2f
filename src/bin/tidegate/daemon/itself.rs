//! Whether a proxy's target is one of its own listeners.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use tidegate::{Endpoint, UnixAddress};

/// Whether a connection to `target` comes to the listener.
pub fn meets(listener: Endpoint, target: Endpoint) -> bool {
    match (listener, target) {
        (Endpoint::Unix(listener), Endpoint::Unix(target)) => is_the_same(&listener, &target),
        (Endpoint::Ip(listener), Endpoint::Ip(target)) => accepts(listener, target),
        (Endpoint::Ip(listener), Endpoint::Localhost(port) | Endpoint::Port(port)) => {
            let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            addresses.iter().any(|ip| accepts(listener, SocketAddr::new(*ip, port)))
        }
        _ => false,
    }
}

fn accepts(listener: SocketAddr, target: SocketAddr) -> bool {
    let (listener, target) = (canonical(listener), canonical(target));
    if target.ip().is_unspecified() {
        // Linux connects to the machine itself.
        let loopback: IpAddr = if target.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        return accepts(listener, SocketAddr::new(loopback, target.port()));
    }
    let is_its_address = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => target.is_ipv4() && is_here(target),
        IpAddr::V6(ip) if ip.is_unspecified() => is_here(target),
        ip => ip == target.ip(),
    };
    listener.port() == target.port() && is_its_address
}

/// An IPv4 address that is mapped into IPv6 is the IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether this machine has the address. The kernel gives a socket that is connected to an own address that address; a UDP
/// socket sends nothing for it.
fn is_here(address: SocketAddr) -> bool {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let local = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(address)?;
        socket.local_addr()
    };
    let ip = address.ip();
    ip.is_loopback() || ip.is_unspecified() || local().is_ok_and(|local| local.ip() == ip)
}

/// Two ways to write a path may be one file.
fn is_the_same(listener: &UnixAddress, target: &UnixAddress) -> bool {
    let file = |address: &UnixAddress| address.as_path().and_then(|path| path.canonicalize().ok());
    listener == target || file(listener).is_some_and(|listener| Some(listener) == file(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_met_at_each_of_its_addresses() {
        let meets = |listener: &str, target: &str| meets(listener.parse().unwrap(), target.parse().unwrap());
        for (listener, target) in [
            ("127.0.0.1:70", "127.0.0.1:70"),
            ("127.0.0.1:70", "localhost:70"),
            ("[::1]:70", "localhost:70"),
            ("0.0.0.0:70", "127.0.0.1:70"),
            ("0.0.0.0:70", "127.9.9.9:70"),
            ("0.0.0.0:70", "localhost:70"),
            ("[::]:70", "127.0.0.1:70"),
            ("[::]:70", "[::1]:70"),
            ("[::]:70", "[::]:70"),
            ("127.0.0.1:70", "0.0.0.0:70"),
            ("127.0.0.1:70", "[::ffff:127.0.0.1]:70"),
            ("[::1]:70", "[::]:70"),
            ("0.0.0.0:70", "[::ffff:127.0.0.1]:70"),
            ("unix:@room", "unix:@room"),
            ("unix:/run/room", "unix:/run/room"),
        ] {
            assert!(meets(listener, target), "{listener} {target}");
        }
        for (listener, target) in [
            ("127.0.0.1:70", "127.0.0.1:71"),
            ("127.0.0.1:70", "127.0.0.2:70"),
            ("0.0.0.0:70", "[::1]:70"),
            ("[::]:70", "192.0.2.1:70"), // kept for documentation: nobody has it
            ("unix:@room", "unix:@hall"),
            ("unix:/run/room", "127.0.0.1:70"),
        ] {
            assert!(!meets(listener, target), "{listener} {target}");
        }
    }
}
