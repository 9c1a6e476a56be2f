//! The differences between Unix systems. `docs/platforms.md` tells users about them.

use std::fs::File;
use std::io;
use std::time::Duration;

use mio::Interest;
use rustix::net::{SendFlags, SocketAddrAny, SocketAddrUnix};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::kernel::{OpenMode, PeerCred};

// ---- Linux and Android, and the others ----------------------------------------------------------------------------------

/// getrandom(2): until the buffer is full.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(in crate::kernel) fn random(mut buffer: &mut [u8]) -> io::Result<()> {
    use rustix::rand::{GetRandomFlags, getrandom};

    while !buffer.is_empty() {
        match getrandom(&mut *buffer, GetRandomFlags::empty()) {
            Ok(filled) => buffer = &mut buffer[filled..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(in crate::kernel) fn random(buffer: &mut [u8]) -> io::Result<()> {
    use std::io::Read;

    File::open("/dev/urandom")?.read_exact(buffer)
}

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
/// processes that share the first one notice nothing. `None` if it is something else, or if that is not possible.
///
/// The devices of major number 5 are not what they were when they are opened again: /dev/ptmx, the master of a
/// pseudo-terminal, makes a new one, and /dev/tty is the terminal of whoever opens it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn reopen(file: &File, mode: OpenMode) -> io::Result<Option<File>> {
    use std::io::IsTerminal;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    const ALTERNATE_TERMINALS: u32 = 5;
    let found = file.metadata()?;
    let is_terminal = file.is_terminal() && rustix::fs::major(found.rdev()) != ALTERNATE_TERMINALS;
    if !found.file_type().is_fifo() && !is_terminal {
        return Ok(None);
    }
    let mut options = File::options();
    options.read(mode.is_read()).write(mode.is_written());
    super::descriptor::without_waiting(&mut options);
    Ok(options.open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok())
}

/// `/dev/fd` gives the same description here.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn reopen(_file: &File, _mode: OpenMode) -> io::Result<Option<File>> {
    Ok(None)
}

/// Whether the poll says of a regular file that it is always ready, and of one that is not, when it is. kqueue(2) says of
/// each when it has grown.
pub(super) const POLL_KNOWS_FILES: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Whether it is an eventfd. stat(2) has no type for what has no name in the file system; proc(5) has one.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn is_eventfd(file: &File) -> bool {
    use std::os::fd::AsRawFd;

    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    link.is_ok_and(|name| name.as_os_str() == "anon_inode:[eventfd]")
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn is_eventfd(_file: &File) -> bool {
    false
}

/// Whether the counter of an eventfd takes a number now. It stays below 2^64 - 1 (eventfd(2)). True if that cannot be known,
/// and for 2^64 - 1 itself, which is an error and does not wait.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn eventfd_has_room_for(file: &File, number: u64) -> bool {
    use std::os::fd::AsRawFd;

    let Ok(info) = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())) else { return true };
    let count = info.lines().find_map(|line| line.strip_prefix("eventfd-count:"));
    let count = count.and_then(|count| u64::from_str_radix(count.trim(), 16).ok());
    count.is_none_or(|count| number == u64::MAX || count < u64::MAX - number)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn eventfd_has_room_for(_file: &File, _number: u64) -> bool {
    true
}

/// Makes a write whose error comes without the signal that the system sends with it: SIGPIPE if nobody reads the pipe (EPIPE),
/// SIGXFSZ if the file is as large as this process may make it (EFBIG). At its default such a signal ends the process.
///
/// It comes to the thread that writes, before the call returns. So this thread blocks it meanwhile. One that would end the
/// process is taken; otherwise it is let through to whoever has set a handler for it. The mask is this thread's alone, and
/// is again what it was.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn without_signals(write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    use nix::errno::Errno;
    use nix::sys::signal::{SigSet, SigmaskHow, Signal};

    let both = SigSet::from_iter([Signal::SIGPIPE, Signal::SIGXFSZ]);
    let Ok(mut before) = both.thread_swap_mask(SigmaskHow::SIG_BLOCK) else { return write() };
    let written = write();
    let signal = match written.as_ref().err().and_then(io::Error::raw_os_error).map(Errno::from_raw) {
        Some(Errno::EPIPE) => Some(Signal::SIGPIPE),
        Some(Errno::EFBIG) => Some(Signal::SIGXFSZ),
        _ => None,
    };
    if let Some(signal) = signal
        && !before.contains(signal)
        && ends_the_process(signal as i32)
        && take(signal).is_err()
    {
        // Out of descriptors. It stays blocked, and the process stays.
        before.add(signal);
    }
    // It was valid before.
    let _ = before.thread_set_mask();
    written
}

/// Takes a signal that has come to this thread, which blocks it. It need not have come.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn take(signal: nix::sys::signal::Signal) -> nix::Result<()> {
    use nix::sys::signal::SigSet;
    use nix::sys::signalfd::{SfdFlags, SignalFd};

    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    SignalFd::with_flags(&SigSet::from_iter([signal]), flags)?.read_signal().map(drop)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn without_signals(write: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
    write()
}

/// Whether a signal that ends a process by default would end this one now. If that cannot be known, it counts as if it would.
#[cfg(all(any(target_os = "linux", target_os = "android"), feature = "signals"))]
fn ends_the_process(signal: i32) -> bool {
    crate::kernel::signals::ends_the_process(signal)
}

#[cfg(all(any(target_os = "linux", target_os = "android"), not(feature = "signals")))]
fn ends_the_process(signal: i32) -> bool {
    has_default_effect(signal).unwrap_or(true)
}

/// Whether a signal has its default effect on this process: it is neither ignored nor caught. sigaction(2) needs unsafe code,
/// but proc(5) says it. `None` if it cannot be known.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(in crate::kernel) fn has_default_effect(signal: i32) -> Option<bool> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    // Bit 0 is signal 1.
    let mask = |field: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(field))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    let other = mask("SigIgn:")? | mask("SigCgt:")?;
    Some((1..=64).contains(&signal) && other & (1 << (signal - 1)) == 0)
}

#[cfg(all(feature = "signals", not(any(target_os = "linux", target_os = "android"))))]
pub(in crate::kernel) fn has_default_effect(_signal: i32) -> Option<bool> {
    None
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
