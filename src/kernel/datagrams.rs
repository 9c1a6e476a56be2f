//! A socket of datagrams, of which mio has the same on all systems.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use mio::net::UdpSocket;
use mio::{Interest, Registry};

/// A socket that is connected: the system throws away what others than the peer send to it.
#[derive(Debug)]
pub(super) struct Datagrams(UdpSocket);

impl Datagrams {
    pub fn new(peer: SocketAddr, local: Option<SocketAddr>) -> io::Result<Self> {
        let any = match peer {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(local.unwrap_or(any))?;
        socket.connect(peer)?;
        Ok(Datagrams(socket))
    }

    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(datagram).map(drop)
    }

    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    pub fn register(&mut self, registry: &Registry, key: mio::Token) -> io::Result<()> {
        registry.register(&mut self.0, key, Interest::READABLE)
    }
}
