//! The differences between Unix systems. `docs/platforms.md` tells users about them.

use std::fs::File;
use std::io;
use std::time::Duration;

use mio::Interest;
use rustix::net::{SendFlags, SocketAddrAny, SocketAddrUnix};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::kernel::{OpenMode, PeerCred};

// ---- Linux and Android, and the others ----------------------------------------------------------------------------------

/// The readiness that a connection asks for: both directions, and on Linux urgent data, at which a read stops short.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) const STREAM_INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) const STREAM_INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn with_abstract_name(name: &[u8]) -> io::Result<SocketAddrUnix> {
    Ok(SocketAddrUnix::new_abstract_name(name)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn with_abstract_name(_name: &[u8]) -> io::Result<SocketAddrUnix> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has abstract names"))
}

/// nix reads it, because rustix's type cannot hold the number 0, which a process has that this one does not see.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn peer_cred(socket: &Socket) -> io::Result<PeerCred> {
    let found = nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::PeerCredentials)?;
    let pid = u32::try_from(found.pid()).ok().filter(|pid| *pid > 0);
    Ok(PeerCred { uid: found.uid(), gid: found.gid(), pid })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn peer_cred(_socket: &Socket) -> io::Result<PeerCred> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether a socket that has no peer has had one. The error that ended the connection stays for the read to come: on Linux a
/// read that only peeks takes it, but poll(2) does not.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn was_connected(socket: &Socket) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let mut asked = [PollFd::new(socket, PollFlags::RDHUP)];
    poll(&mut asked, Some(&Timespec::default()))?;
    Ok(asked[0].revents().contains(PollFlags::RDHUP))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn was_connected(socket: &Socket) -> io::Result<bool> {
    use rustix::io::Errno;
    use rustix::net::RecvFlags;

    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    Ok(!matches!(rustix::net::recv(socket, &mut [0_u8; 1][..], flags), Err(Errno::NOTCONN)))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(in crate::kernel) fn set_user_timeout(socket: &SockRef<'_>, timeout: Option<Duration>) -> io::Result<()> {
    socket.set_tcp_user_timeout(timeout)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(in crate::kernel) fn set_user_timeout(_socket: &SockRef<'_>, _timeout: Option<Duration>) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no TCP user timeout"))
}

/// Opens a pipe or a terminal again, with an open file description of its own, which can be non-blocking while the
/// processes that share the first one notice nothing. `None` if that is not possible: on other systems `/dev/fd` gives the
/// same description.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn reopen(file: &File, mode: OpenMode) -> Option<File> {
    use std::os::fd::AsRawFd;

    let mut options = File::options();
    options.read(mode.is_read()).write(!mode.is_read());
    super::descriptor::without_waiting(&mut options);
    options.open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn reopen(_file: &File, _mode: OpenMode) -> Option<File> {
    None
}

/// Whether a signal has its default effect on this process: it is neither ignored nor caught. sigaction(2) needs unsafe code,
/// but proc(5) says it. False if it cannot be known, and for a number that no signal has.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(in crate::kernel) fn has_default_effect(signal: i32) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    // Bit 0 is signal 1.
    let has = |field: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(field));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        mask.is_none_or(|mask| mask & (1 << (signal - 1)) != 0)
    };
    (1..=64).contains(&signal) && !has("SigIgn:") && !has("SigCgt:")
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(in crate::kernel) fn has_default_effect(_signal: i32) -> bool {
    false
}

// ---- Apple's systems, and the others ------------------------------------------------------------------------------------

/// A new stream socket that does not block. Apple's systems need a call more.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn socket(domain: Domain, protocol: Option<Protocol>) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), protocol)
}

#[cfg(target_vendor = "apple")]
pub(super) fn socket(domain: Domain, protocol: Option<Protocol>) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Takes one connection that waits; the new socket does not block. Apple's systems have no accept4(2).
#[cfg(not(target_vendor = "apple"))]
pub(super) fn accept(listener: &Socket) -> io::Result<(Socket, Option<SocketAddrAny>)> {
    use rustix::net::SocketFlags;

    let (socket, peer) = rustix::net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    Ok((socket.into(), peer))
}

#[cfg(target_vendor = "apple")]
pub(super) fn accept(listener: &Socket) -> io::Result<(Socket, Option<SocketAddrAny>)> {
    let (socket, peer) = rustix::net::acceptfrom(listener)?;
    let socket = Socket::from(socket);
    socket.set_cloexec(true)?;
    make_ready(&socket)?;
    Ok((socket, peer))
}

/// No SIGPIPE for a peer that is gone: Apple's systems have an option of the socket for it, the others a flag of the call.
#[cfg(not(target_vendor = "apple"))]
pub(super) const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
pub(super) const SEND_FLAGS: SendFlags = SendFlags::empty();

/// Prepares a socket that was not made by [`socket`]: it does not block, and it gives no SIGPIPE.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn make_ready(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)
}

#[cfg(target_vendor = "apple")]
pub(super) fn make_ready(socket: &Socket) -> io::Result<()> {
    socket.set_nosigpipe(true)?;
    socket.set_nonblocking(true)
}

/// SO_ACCEPTCONN.
#[cfg(not(target_vendor = "apple"))]
pub(super) fn is_listener(socket: &Socket) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_acceptconn(socket)?)
}

/// Apple's systems do not have it. A socket without a peer counts as one that listens.
#[cfg(target_vendor = "apple")]
pub(super) fn is_listener(socket: &Socket) -> io::Result<bool> {
    match socket.peer_addr() {
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(true),
        peer => peer.map(|_| false),
    }
}
