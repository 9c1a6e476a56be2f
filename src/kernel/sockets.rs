//! The sockets of the machine's own kernel: how they are made, of either family.
//!
//! mio's sockets do the reading and the writing; socket2 makes them, because options have to be set before they listen
//! or connect. Nothing is remembered here but the file of a listening Unix socket, which goes with it. Who calls this
//! is `mio.rs`.

#[cfg(not(any(target_os = "linux", target_os = "android")))]
use std::io::Read;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::{Shutdown, SocketAddr};
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use mio::net::{UnixListener, UnixStream};
#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{ConnectOptions, ListenOptions, PeerCred, SocketOption, socket_options};
#[cfg(unix)]
use super::{SocketPermissions, TcpOptions, socket_file::SocketFile};
use crate::address::Address;
#[cfg(unix)]
use crate::address::UnixAddress;
use crate::base::error::Syscall;

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    /// Behind its file, if it has made one: the file goes first.
    #[cfg(unix)]
    Unix(#[expect(dead_code, reason = "it does its work when it is dropped")] Option<SocketFile>, UnixListener),
}

/// A connection, made or being made.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Listener {
    pub fn listen(address: Address, options: &ListenOptions) -> io::Result<Self> {
        match address {
            Address::Ip(address) => Listener::listen_tcp(address, options),
            #[cfg(unix)]
            Address::Unix(address) => Listener::listen_unix(address, options),
            #[cfg(not(unix))]
            Address::Unix(_) => Err(no_unix_sockets()),
        }
    }

    fn listen_tcp(address: SocketAddr, options: &ListenOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        #[cfg(unix)]
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if address.is_ipv6() {
            // Set it always: the system's default differs between machines.
            socket.set_only_v6(options.ipv6_only)?;
        }
        socket.bind(&address.into())?;
        socket_options::set_all(&SockRef::from(&socket), &options.tcp)?;
        socket.listen(backlog(options))?;
        Ok(Listener::Tcp(TcpListener::from_std(socket.into())))
    }

    #[cfg(unix)]
    fn listen_unix(address: UnixAddress, options: &ListenOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        let file = match address.as_path() {
            Some(path) => Some(SocketFile::listen(&socket, path, options.permissions, backlog(options))?),
            None if options.permissions != SocketPermissions::default() => {
                return Err(invalid(
                    "an abstract name is no file: it has no mode and no owner, and anybody may connect",
                ));
            }
            None => {
                socket.bind(&unix_address(address)?)?;
                socket.listen(backlog(options))?;
                None
            }
        };
        Ok(Listener::Unix(file, UnixListener::from_std(socket.into())))
    }

    /// One that somebody else made.
    #[cfg(unix)]
    pub fn adopt(socket: std::os::fd::OwnedFd, tcp: &TcpOptions) -> io::Result<Self> {
        let socket = Socket::from(socket);
        let domain = stream_domain(&socket)?;
        if !is_listener(&socket)? {
            return Err(invalid("the descriptor is a socket that does not listen: call listen(2) first"));
        }
        socket.set_nonblocking(true)?;
        Ok(if domain == Domain::UNIX {
            Listener::Unix(None, UnixListener::from_std(socket.into()))
        } else {
            socket_options::set_all(&SockRef::from(&socket), tcp)?;
            Listener::Tcp(TcpListener::from_std(socket.into()))
        })
    }

    pub fn accept(&self) -> io::Result<(Stream, Address)> {
        match self {
            Listener::Tcp(listener) => listener.accept().map(|(stream, peer)| (Stream::Tcp(stream), peer.into())),
            #[cfg(unix)]
            Listener::Unix(_, listener) => listener.accept().map(|(stream, peer)| (Stream::Unix(stream), named(peer))),
        }
    }

    pub fn local_address(&self) -> io::Result<Address> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map(Address::Ip),
            #[cfg(unix)]
            Listener::Unix(_, listener) => listener.local_addr().map(named),
        }
    }

    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Listener::Tcp(listener) => listener,
            #[cfg(unix)]
            Listener::Unix(_, listener) => listener,
        }
    }
}

impl Stream {
    /// One that begins to connect.
    pub fn connect(address: Address, options: &ConnectOptions) -> Result<Self, (Syscall, io::Error)> {
        match address {
            Address::Ip(address) => Stream::connect_tcp(address, options),
            #[cfg(unix)]
            Address::Unix(address) => Stream::connect_unix(address).map_err(|error| (Syscall::Connect, error)),
            #[cfg(not(unix))]
            Address::Unix(_) => Err((Syscall::Connect, no_unix_sockets())),
        }
    }

    fn connect_tcp(address: SocketAddr, options: &ConnectOptions) -> Result<Self, (Syscall, io::Error)> {
        let at = |syscall| move |error| (syscall, error);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))
            .map_err(at(Syscall::Connect))?;
        socket_options::set_all(&SockRef::from(&socket), &options.tcp).map_err(at(Syscall::SetOption))?;
        if let Some(local) = options.local {
            // As libuv does: an address that a connection of the past still holds can be used again.
            socket.set_reuse_address(true).and_then(|()| socket.bind(&local.into())).map_err(at(Syscall::Bind))?;
        }
        match socket.connect(&address.into()) {
            Err(error) if !is_in_progress(&error) => Err((Syscall::Connect, error)),
            _ => Ok(Stream::Tcp(TcpStream::from_std(socket.into()))),
        }
    }

    /// It is connected at once, or not at all: a full backlog is EAGAIN.
    #[cfg(unix)]
    fn connect_unix(address: UnixAddress) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        socket.connect(&unix_address(address)?)?;
        Ok(Stream::Unix(UnixStream::from_std(socket.into())))
    }

    /// One that somebody else made, and its peer.
    #[cfg(unix)]
    pub fn adopt(socket: std::os::fd::OwnedFd, tcp: &TcpOptions) -> io::Result<(Self, Address)> {
        let socket = Socket::from(socket);
        let domain = stream_domain(&socket)?;
        if is_listener(&socket)? {
            return Err(invalid("the descriptor is a socket that listens: adopt it as a server"));
        }
        socket.set_nonblocking(true)?;
        let stream = if domain == Domain::UNIX {
            Stream::Unix(UnixStream::from_std(socket.into()))
        } else {
            socket_options::set_all(&SockRef::from(&socket), tcp)?;
            Stream::Tcp(TcpStream::from_std(socket.into()))
        };
        match stream.peer() {
            Ok(peer) => Ok((stream, peer)),
            Err(error) if error.kind() == ErrorKind::NotConnected => {
                Err(invalid("the descriptor is a socket that is not connected"))
            }
            Err(error) => Err(error),
        }
    }

    fn peer(&self) -> io::Result<Address> {
        match self {
            Stream::Tcp(stream) => stream.peer_addr().map(Address::Ip),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.peer_addr().map(named),
        }
    }

    /// Whether a connect has come to its end.
    pub fn connected(&self) -> io::Result<bool> {
        let error = match self {
            Stream::Tcp(stream) => stream.take_error(),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.take_error(),
        };
        if let Some(error) = error? {
            return Err(error);
        }
        // Without an error the peer's address tells: a readiness alone may be spurious (documentation of mio's connect).
        match self.peer() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// recv(2) and send(2) by rustix: what every byte goes through is to be no more than the system call.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(self.fd(), buffer, RecvFlags::empty())?.0)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.fd(), bytes, SendFlags::NOSIGNAL)?)
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[inline]
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.read(buffer),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write_vectored(slices),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.write_vectored(slices),
        }
    }

    pub fn shutdown(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// Has the close that follows be a reset, where there are any.
    pub fn reset_at_close(&self) {
        if let Stream::Tcp(stream) = self {
            // A linger of zero turns the close into a reset (socket(7)). If it cannot be set, a plain close is the best
            // that is left.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    pub fn set_option(&self, option: SocketOption) -> io::Result<()> {
        let stream = match self {
            Stream::Tcp(stream) => stream,
            #[cfg(unix)]
            Stream::Unix(_) => return Ok(()),
        };
        socket_options::set(&SockRef::from(stream), option)
    }

    pub fn type_of_service(&self) -> io::Result<u8> {
        match self {
            Stream::Tcp(stream) => {
                let socket = SockRef::from(stream);
                let v4 = stream.peer_addr()?.ip().to_canonical().is_ipv4();
                #[cfg(unix)]
                let value = if v4 { socket.tos_v4()? } else { socket.tclass_v6()? };
                #[cfg(not(unix))]
                let value = if v4 { socket.tos_v4()? } else { return Err(ErrorKind::Unsupported.into()) };
                u8::try_from(value).map_err(io::Error::other)
            }
            #[cfg(unix)]
            Stream::Unix(_) => Err(ErrorKind::Unsupported.into()),
        }
    }

    pub fn peer_cred(&self) -> io::Result<PeerCred> {
        match self {
            // Not rustix: where the peer's process is out of sight its number is 0, which rustix's type cannot hold.
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Stream::Unix(stream) => {
                let found = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerCredentials)?;
                let pid = u32::try_from(found.pid()).ok().filter(|pid| *pid > 0);
                Ok(PeerCred { uid: found.uid(), gid: found.gid(), pid })
            }
            _ => Err(ErrorKind::Unsupported.into()),
        }
    }

    pub fn local_address(&self) -> io::Result<Address> {
        match self {
            Stream::Tcp(stream) => stream.local_addr().map(Address::Ip),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.local_addr().map(named),
        }
    }

    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Stream::Tcp(stream) => stream,
            #[cfg(unix)]
            Stream::Unix(stream) => stream,
        }
    }
}

fn backlog(options: &ListenOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

// ---- what the systems differ in -----------------------------------------------------------------------------------------

#[cfg(unix)]
fn is_in_progress(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

#[cfg(not(unix))]
fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock
}

/// Whose words are told: the caller's mistake, which no error number describes.
#[cfg(unix)]
fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, what)
}

#[cfg(not(unix))]
fn no_unix_sockets() -> io::Error {
    io::Error::new(ErrorKind::Unsupported, "this system has no Unix domain sockets")
}

/// The domain of a descriptor that is to be adopted.
#[cfg(unix)]
fn stream_domain(socket: &Socket) -> io::Result<Domain> {
    match socket.r#type() {
        Ok(Type::STREAM) => {}
        Ok(_) => return Err(invalid("the descriptor is a socket, but no stream socket")),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOTSOCK.raw_os_error()) => {
            return Err(invalid("the descriptor is no socket"));
        }
        Err(error) => return Err(error),
    }
    match socket.local_addr()?.domain() {
        domain @ (Domain::IPV4 | Domain::IPV6 | Domain::UNIX) => Ok(domain),
        _ => Err(invalid("the descriptor is a stream socket, but neither of TCP nor of a Unix domain")),
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn is_listener(socket: &Socket) -> io::Result<bool> {
    socket.is_listener()
}

/// The others do not tell; but a socket that is bound and has no peer can hardly be anything else.
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android", target_os = "freebsd"))))]
fn is_listener(socket: &Socket) -> io::Result<bool> {
    match socket.peer_addr() {
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(true),
        peer => peer.map(|_| false),
    }
}

/// socket2 writes an abstract name as the system does, with a NUL in front.
#[cfg(unix)]
fn unix_address(address: UnixAddress) -> io::Result<socket2::SockAddr> {
    match (address.as_path(), address.as_abstract_name()) {
        (Some(path), _) => socket2::SockAddr::unix(path),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        (None, Some(name)) => {
            use std::os::unix::ffi::OsStringExt;

            socket2::SockAddr::unix(std::path::PathBuf::from(std::ffi::OsString::from_vec([&[0], name].concat())))
        }
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        (None, Some(_)) => Err(io::Error::new(ErrorKind::Unsupported, "abstract names are Linux's alone")),
        (None, None) => Err(invalid("a Unix socket without a name is nowhere")),
    }
}

/// What the system says a socket's name is. A peer's own name may be anything, and one that we cannot hold is none.
#[cfg(unix)]
fn named(address: std::os::unix::net::SocketAddr) -> Address {
    #[cfg(target_os = "linux")]
    if let Some(name) = std::os::linux::net::SocketAddrExt::as_abstract_name(&address) {
        return UnixAddress::abstract_name(name).unwrap_or(UnixAddress::UNNAMED).into();
    }
    let path = address.as_pathname().and_then(|path| UnixAddress::path(path).ok());
    path.unwrap_or(UnixAddress::UNNAMED).into()
}
