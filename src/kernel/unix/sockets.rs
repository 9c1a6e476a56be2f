//! The sockets of a Unix system: how they are made, and what each call on one is.
//!
//! There is one struct for a connection and one for a listener, whether of TCP or of a Unix domain: the calls are the
//! same. socket2 makes the sockets, because options have to be set before they listen or connect. A socket remembers only
//! its family, whether it was adopted, and the file of a listening Unix socket. `mio.rs` calls this.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SocketAddrUnix};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use super::differences;
use super::socket_file::SocketFile;
use crate::address::{Address, UnixAddress};
use crate::base::error::Syscall;
use crate::kernel::{
    ConnectOptions, ListenOptions, PeerCred, SocketOption, SocketPermissions, TcpOptions, socket_options,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Tcp,
    Unix,
}

/// A socket that listens.
#[derive(Debug)]
pub(in crate::kernel) struct Listener {
    /// The file that a Unix socket has made. It is before `socket`, because it must be dropped first.
    #[expect(dead_code, reason = "it does its work when it is dropped")]
    file: Option<SocketFile>,
    socket: Socket,
    family: Family,
    adopted: bool,
}

/// A connection, made or being made.
#[derive(Debug)]
pub(in crate::kernel) struct Stream {
    socket: Socket,
    family: Family,
    adopted: bool,
}

impl Listener {
    pub fn listen(address: Address, options: &ListenOptions) -> io::Result<Self> {
        match address {
            Address::Ip(address) => Listener::listen_tcp(address, options),
            Address::Unix(address) => Listener::listen_unix(address, options),
        }
    }

    fn listen_tcp(address: SocketAddr, options: &ListenOptions) -> io::Result<Self> {
        let socket = differences::socket(Domain::for_address(address), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if options.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if address.is_ipv6() {
            // It is always set, because the system's default differs between machines.
            socket.set_only_v6(options.ipv6_only)?;
        }
        socket.bind(&address.into())?;
        socket_options::set_all(&SockRef::from(&socket), &options.tcp)?;
        socket.listen(options.backlog_of_the_call())?;
        Ok(Listener { file: None, socket, family: Family::Tcp, adopted: false })
    }

    fn listen_unix(address: UnixAddress, options: &ListenOptions) -> io::Result<Self> {
        let socket = differences::socket(Domain::UNIX, None)?;
        let file = match address.as_path() {
            Some(path) => Some(SocketFile::listen(&socket, path, options.permissions, options.backlog_of_the_call())?),
            None if options.permissions != SocketPermissions::default() => {
                return Err(invalid(
                    "an abstract name is no file: it has no mode and no owner, and anybody may connect",
                ));
            }
            None => {
                rustix::net::bind(&socket, &system_address(address)?)?;
                socket.listen(options.backlog_of_the_call())?;
                None
            }
        };
        Ok(Listener { file, socket, family: Family::Unix, adopted: false })
    }

    /// A socket that was made elsewhere and listens.
    pub fn adopt(socket: OwnedFd, tcp: &TcpOptions) -> io::Result<Self> {
        let socket = Socket::from(socket);
        let family = stream_family(&socket)?;
        if !differences::is_listener(&socket)? {
            return Err(invalid("the descriptor is a socket that does not listen: call listen(2) first"));
        }
        differences::make_ready(&socket)?;
        if family == Family::Tcp {
            socket_options::set_all(&SockRef::from(&socket), tcp)?;
        }
        Ok(Listener { file: None, socket, family, adopted: true })
    }

    /// Takes one connection that waits. The peer of a Unix socket counts as unnamed: nearly all are, and no part of the API
    /// shows its name.
    pub fn accept(&self) -> io::Result<(Stream, Address)> {
        let (socket, peer) = differences::accept(&self.socket)?;
        let peer = match self.family {
            // BSD systems give no address if the peer is gone already.
            Family::Tcp => SocketAddr::try_from(peer.ok_or(Errno::CONNABORTED)?)?.into(),
            Family::Unix => UnixAddress::UNNAMED.into(),
        };
        Ok((Stream { socket, family: self.family, adopted: false }, peer))
    }

    pub fn local_address(&self) -> io::Result<Address> {
        Ok(known_address(&self.socket.local_addr()?))
    }

    pub fn register(&self, registry: &Registry, key: mio::Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), key, Interest::READABLE)
    }

    /// Takes an adopted socket out of the poll. Closing it here is not enough, as another owner may hold it open.
    pub fn deregister_if_shared(&self, registry: &Registry) -> io::Result<()> {
        if self.adopted { registry.deregister(&mut SourceFd(&self.socket.as_raw_fd())) } else { Ok(()) }
    }
}

impl Stream {
    /// A socket that begins to connect.
    pub fn connect(address: Address, options: &ConnectOptions) -> Result<Self, (Syscall, io::Error)> {
        match address {
            Address::Ip(address) => Stream::connect_tcp(address, options),
            Address::Unix(address) => Stream::connect_unix(address).map_err(|error| (Syscall::Connect, error)),
        }
    }

    fn connect_tcp(address: SocketAddr, options: &ConnectOptions) -> Result<Self, (Syscall, io::Error)> {
        let at = |syscall| move |error| (syscall, error);
        let socket = differences::socket(Domain::for_address(address), Some(Protocol::TCP));
        let socket = socket.map_err(at(Syscall::Connect))?;
        socket_options::set_all(&SockRef::from(&socket), &options.tcp).map_err(at(Syscall::SetOption))?;
        if let Some(local) = options.local {
            // As libuv does: an address that a connection of the past still holds can be used again.
            socket.set_reuse_address(true).and_then(|()| socket.bind(&local.into())).map_err(at(Syscall::Bind))?;
        }
        match socket.connect(&address.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                Err((Syscall::Connect, error))
            }
            _ => Ok(Stream { socket, family: Family::Tcp, adopted: false }),
        }
    }

    /// A Unix socket is connected at once or not at all: if the backlog is full, the error is EAGAIN.
    fn connect_unix(address: UnixAddress) -> io::Result<Self> {
        let socket = differences::socket(Domain::UNIX, None)?;
        rustix::net::connect(&socket, &system_address(address)?)?;
        Ok(Stream { socket, family: Family::Unix, adopted: false })
    }

    /// A connection that was made elsewhere, and the address of its peer. The system forgets the address when the
    /// connection is reset.
    pub fn adopt(socket: OwnedFd, tcp: &TcpOptions) -> io::Result<(Self, Option<Address>)> {
        let socket = Socket::from(socket);
        let family = stream_family(&socket)?;
        if differences::is_listener(&socket)? {
            return Err(invalid("the descriptor is a socket that listens: adopt it as a server"));
        }
        differences::make_ready(&socket)?;
        if family == Family::Tcp {
            socket_options::set_all(&SockRef::from(&socket), tcp)?;
        }
        let stream = Stream { socket, family, adopted: true };
        match stream.peer() {
            Ok(peer) => Ok((stream, Some(peer))),
            Err(error) if error.kind() != ErrorKind::NotConnected => Err(error),
            // What has come before the reset is still to be read, and then the error.
            Err(_) if differences::was_connected(&stream.socket)? => Ok((stream, None)),
            Err(_) => Err(invalid("the descriptor is a socket that is not connected")),
        }
    }

    fn peer(&self) -> io::Result<Address> {
        Ok(known_address(&self.socket.peer_addr()?))
    }

    /// Whether a connect has ended: see `Kernel::connected`.
    pub fn connected(&self) -> io::Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        // There is no error. The socket is connected if it has a peer; a readiness alone may be spurious (see mio's connect).
        match self.peer() {
            Ok(peer) if self.has_met_itself(peer)? => {
                // After a close in order it would be in TIME_WAIT, and hold the port that a server is to listen on.
                self.reset_at_close();
                Err(Errno::CONNREFUSED.into())
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether its own address is that of its peer: TCP's simultaneous open, with one socket.
    fn has_met_itself(&self, peer: Address) -> io::Result<bool> {
        let end = |address: Address| address.ip().map(|address| (address.ip(), address.port()));
        Ok(self.family == Family::Tcp && end(self.local_address()?) == end(peer))
    }

    /// SO_ERROR, which is given once.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    /// recv(2) and send(2) by rustix, because they add no instructions to the system call.
    #[inline]
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::net::recv(&self.socket, buffer, RecvFlags::empty())?.0)
    }

    #[inline]
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&self.socket, bytes, differences::SEND_FLAGS)?)
    }

    pub fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // Not writev(2), which has no flag against SIGPIPE.
        let flags = differences::SEND_FLAGS;
        Ok(rustix::net::sendmsg(&self.socket, slices, &mut SendAncillaryBuffer::default(), flags)?)
    }

    pub fn shutdown(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// Makes the close that follows a reset. Unix sockets have none.
    pub fn reset_at_close(&self) {
        if self.family == Family::Tcp {
            // A linger of zero turns the close into a reset (socket(7)). If it cannot be set, the close is a plain one.
            let _ = self.socket.set_linger(Some(Duration::ZERO));
        }
    }

    pub fn set_option(&self, option: SocketOption) -> io::Result<()> {
        match self.family {
            Family::Tcp => socket_options::set(&SockRef::from(&self.socket), option),
            Family::Unix => Ok(()),
        }
    }

    pub fn type_of_service(&self) -> io::Result<u8> {
        let Address::Ip(peer) = self.peer()? else { return Err(ErrorKind::Unsupported.into()) };
        let is_v4 = peer.ip().to_canonical().is_ipv4();
        let value = if is_v4 { self.socket.tos_v4()? } else { self.socket.tclass_v6()? };
        u8::try_from(value).map_err(io::Error::other)
    }

    pub fn peer_cred(&self) -> io::Result<PeerCred> {
        match self.family {
            Family::Tcp => Err(ErrorKind::Unsupported.into()),
            Family::Unix => differences::peer_cred(&self.socket),
        }
    }

    pub fn local_address(&self) -> io::Result<Address> {
        Ok(known_address(&self.socket.local_addr()?))
    }

    pub fn register(&self, registry: &Registry, key: mio::Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.socket.as_raw_fd()), key, differences::STREAM_INTEREST)
    }

    /// Takes an adopted socket out of the poll. Closing it here is not enough, as another owner may hold it open.
    pub fn deregister_if_shared(&self, registry: &Registry) -> io::Result<()> {
        if self.adopted { registry.deregister(&mut SourceFd(&self.socket.as_raw_fd())) } else { Ok(()) }
    }
}

/// An IPv6 socket can carry IPv4 too, and each has a field of its own.
pub(in crate::kernel) fn set_type_of_service(socket: &SockRef<'_>, value: u8) -> io::Result<()> {
    let v4 = socket.set_tos_v4(value.into());
    if socket.local_addr()?.domain() == Domain::IPV6 { socket.set_tclass_v6(value.into()) } else { v4 }
}

/// A mistake of the caller that no error number describes.
fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, what)
}

/// The family of a descriptor that is to be adopted.
fn stream_family(socket: &Socket) -> io::Result<Family> {
    match socket.r#type() {
        Ok(Type::STREAM) => {}
        Ok(_) => return Err(invalid("the descriptor is a socket, but no stream socket")),
        Err(error) if error.raw_os_error() == Some(Errno::NOTSOCK.raw_os_error()) => {
            return Err(invalid("the descriptor is no socket"));
        }
        Err(error) => return Err(error),
    }
    match socket.local_addr()?.domain() {
        Domain::IPV4 | Domain::IPV6 => Ok(Family::Tcp),
        Domain::UNIX => Ok(Family::Unix),
        _ => Err(invalid("the descriptor is a stream socket, but neither of TCP nor of a Unix domain")),
    }
}

// ---- addresses, ours and the system's -----------------------------------------------------------------------------------

fn system_address(address: UnixAddress) -> io::Result<SocketAddrUnix> {
    match (address.as_path(), address.as_abstract_name()) {
        (Some(path), _) => Ok(SocketAddrUnix::new(path)?),
        (None, Some(name)) => differences::with_abstract_name(name),
        (None, None) => Err(invalid("a Unix socket without a name cannot be reached")),
    }
}

/// The address that the system has for a socket. A Unix socket whose name does not fit in a [`UnixAddress`] counts as
/// unnamed.
fn known_address(found: &SockAddr) -> Address {
    if let Some(address) = found.as_socket() {
        return address.into();
    }
    let name = found.as_abstract_namespace().map(UnixAddress::abstract_name);
    let name = name.or_else(|| found.as_pathname().map(UnixAddress::path));
    name.and_then(Result::ok).unwrap_or(UnixAddress::UNNAMED).into()
}
