//! A socket of datagrams, of which mio has the same on all systems.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::UdpSocket;
use mio::{Interest, Registry};

/// A socket that is connected: the system throws away what others than the peer send to it.
///
/// It has a port before it is connected, also if the system chooses the port in `connect(2)`. What a stranger sends in between stays
/// in its queue, so the sender of each datagram is looked at.
#[derive(Debug)]
pub(super) struct Datagrams {
    socket: UdpSocket,
    peer: SocketAddr,
}

impl Datagrams {
    pub fn new(peer: SocketAddr, local: Option<SocketAddr>) -> io::Result<Self> {
        let any = match peer {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        Datagrams::connect(UdpSocket::bind(local.unwrap_or(any))?, peer)
    }

    fn connect(socket: UdpSocket, peer: SocketAddr) -> io::Result<Self> {
        socket.connect(peer)?;
        Ok(Datagrams { socket, peer })
    }

    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send(datagram).map(drop)
    }

    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // Strangers' ones come to an end: no more are let in.
        loop {
            let (length, from) = self.socket.recv_from(buffer)?;
            // The scope and the flow of an IPv6 address are words of this machine.
            if (from.ip(), from.port()) == (self.peer.ip(), self.peer.port()) {
                return Ok(length);
            }
        }
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub fn register(&mut self, registry: &Registry, key: mio::Token) -> io::Result<()> {
        registry.register(&mut self.socket, key, Interest::READABLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_sends_before_the_connect_is_thrown_away() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let (peer, stranger) = (std::net::UdpSocket::bind(any).unwrap(), std::net::UdpSocket::bind(any).unwrap());
        let socket = UdpSocket::bind(any).unwrap();
        let to = socket.local_addr().unwrap();
        for forged in ["one", "two"] {
            stranger.send_to(forged.as_bytes(), to).unwrap();
        }
        // On loopback they are in the queue now.
        let socket = Datagrams::connect(socket, peer.local_addr().unwrap()).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(socket.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        stranger.send_to(b"three", to).unwrap();
        peer.send_to(b"answer", to).unwrap();
        assert_eq!(socket.receive(&mut buffer).unwrap(), 6);
        assert_eq!(&buffer[..6], b"answer");
    }
}
