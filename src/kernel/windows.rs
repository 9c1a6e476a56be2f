//! The sockets and files of a system that is no Unix: Windows. It is compiled, and not tested.
//!
//! mio's sockets do the reading and the writing; socket2 makes them, because options have to be set before they listen or
//! connect. There are no Unix sockets here, no descriptors to adopt, and no readiness of files.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::Path;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{ConnectOptions, ListenOptions, OpenMode, PeerCred, SocketOption, Stdio, Watch, socket_options};
use crate::address::Address;
use crate::base::error::Syscall;

/// Without `unsafe` there is no call for it.
pub(super) fn random(_buffer: &mut [u8]) -> io::Result<()> {
    Err(io::Error::new(ErrorKind::Unsupported, "there are no random numbers on this system yet"))
}

/// A socket that listens.
#[derive(Debug)]
pub(super) struct Listener(TcpListener);

/// A connection, made or being made.
#[derive(Debug)]
pub(super) struct Stream(TcpStream);

/// A file, always ready.
#[derive(Debug)]
pub(super) struct Descriptor(File);

impl Listener {
    pub fn listen(address: Address, options: &ListenOptions) -> io::Result<Self> {
        let Address::Ip(address) = address else { return Err(no_unix_sockets()) };
        // SO_REUSEADDR is not set: here it would let another process listen on the same port.
        let socket = new_socket(address)?;
        if address.is_ipv6() {
            socket.set_only_v6(options.ipv6_only)?;
        }
        socket.bind(&address.into())?;
        socket_options::set_all(&SockRef::from(&socket), &options.tcp)?;
        socket.listen(options.backlog_of_the_call())?;
        Ok(Listener(TcpListener::from_std(socket.into())))
    }

    pub fn accept(&self) -> io::Result<(Stream, Address)> {
        self.0.accept().map(|(stream, peer)| (Stream(stream), peer.into()))
    }

    pub fn local_address(&self) -> io::Result<Address> {
        self.0.local_addr().map(Address::Ip)
    }

    pub fn register(&mut self, registry: &Registry, key: mio::Token) -> io::Result<()> {
        registry.register(&mut self.0, key, Interest::READABLE)
    }

    pub fn deregister_if_shared(&self, _registry: &Registry) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    /// A socket that begins to connect.
    pub fn connect(address: Address, options: &ConnectOptions) -> Result<Self, (Syscall, io::Error)> {
        let at = |syscall| move |error| (syscall, error);
        let Address::Ip(address) = address else { return Err((Syscall::Connect, no_unix_sockets())) };
        let socket = new_socket(address).map_err(at(Syscall::Connect))?;
        socket_options::set_all(&SockRef::from(&socket), &options.tcp).map_err(at(Syscall::SetOption))?;
        if let Some(local) = options.local {
            socket.bind(&local.into()).map_err(at(Syscall::Bind))?;
        }
        match socket.connect(&address.into()) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err((Syscall::Connect, error)),
            _ => Ok(Stream(TcpStream::from_std(socket.into()))),
        }
    }

    /// Whether a connect has ended.
    pub fn connected(&self) -> io::Result<bool> {
        if let Some(error) = self.0.take_error()? {
            return Err(error);
        }
        match self.0.peer_addr() {
            Ok(peer) if self.0.local_addr()? == peer => {
                self.reset_at_close();
                Err(ErrorKind::ConnectionRefused.into())
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.0.take_error()
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }

    pub fn shutdown(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    /// Makes the close that follows a reset.
    pub fn reset_at_close(&self) {
        let _ = SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
    }

    pub fn set_option(&self, option: SocketOption) -> io::Result<()> {
        socket_options::set(&SockRef::from(&self.0), option)
    }

    pub fn type_of_service(&self) -> io::Result<u8> {
        if !self.0.peer_addr()?.ip().to_canonical().is_ipv4() {
            return Err(ErrorKind::Unsupported.into());
        }
        u8::try_from(SockRef::from(&self.0).tos_v4()?).map_err(io::Error::other)
    }

    pub fn peer_cred(&self) -> io::Result<PeerCred> {
        Err(ErrorKind::Unsupported.into())
    }

    pub fn local_address(&self) -> io::Result<Address> {
        self.0.local_addr().map(Address::Ip)
    }

    pub fn register(&mut self, registry: &Registry, key: mio::Token) -> io::Result<()> {
        registry.register(&mut self.0, key, Interest::READABLE.add(Interest::WRITABLE))
    }

    pub fn deregister_if_shared(&self, _registry: &Registry) -> io::Result<()> {
        Ok(())
    }
}

impl Descriptor {
    pub fn open(path: &Path, mode: OpenMode) -> io::Result<Self> {
        mode.options().open(path).map(Descriptor)
    }

    pub fn stdio(_stream: Stdio) -> io::Result<Self> {
        Err(ErrorKind::Unsupported.into())
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }

    pub fn watch(&mut self, _registry: &Registry, _key: mio::Token) -> io::Result<Watch> {
        Ok(Watch::AlwaysReady)
    }

    pub fn deregister_if_shared(&self, _registry: &Registry) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn set_user_timeout(_socket: &SockRef<'_>, _timeout: Option<Duration>) -> io::Result<()> {
    Err(io::Error::new(ErrorKind::Unsupported, "this system has no TCP user timeout"))
}

/// Of IPv4 alone.
pub(super) fn set_type_of_service(socket: &SockRef<'_>, value: u8) -> io::Result<()> {
    socket.set_tos_v4(value.into())
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn no_unix_sockets() -> io::Error {
    io::Error::new(ErrorKind::Unsupported, "this system has no Unix domain sockets")
}
