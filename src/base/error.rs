//! What can go wrong: of which kind it is, with Node's code.
//!
//! One type serves the `Err` of a call and the `error` event of a connection. It has the kind, the system call and the
//! address that it was about, and turns into text only when somebody prints it. [`ErrorKind`] is what a program matches
//! on; the system's own number is in the error's source.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::address::{Address, UnixAddress};

/// An error of a call, or of a connection.
///
/// ```
/// use tidegate::{ErrorKind, EventLoop};
///
/// let mut event_loop = EventLoop::new()?;
/// let server = event_loop.listen("127.0.0.1:0", |_| {})?;
/// let address = event_loop.net.server_address(server).expect("it listens");
///
/// let error = event_loop.listen(address, |_| {}).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::AddressInUse);
/// # #[cfg(target_os = "linux")]
/// assert_eq!(error.to_string(), format!("listen EADDRINUSE: address already in use {address}"));
/// # Ok::<(), tidegate::Error>(())
/// ```
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    syscall: Option<Syscall>,
    /// What the system said. Shared, because an error goes to several handlers, and std's cannot be cloned.
    cause: Option<Arc<io::Error>>,
    ends: Option<Box<Ends>>,
    detail: Option<Box<str>>,
}

/// Where a call went, and where from if that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ends {
    address: Address,
    local: Option<SocketAddr>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Error { kind, syscall: None, cause: None, ends: None, detail: None }
    }

    /// A wrong argument. `detail` names the value, the bound and the way out.
    pub(crate) fn invalid(detail: impl Into<Box<str>>) -> Self {
        Error { detail: Some(detail.into()), ..Error::new(ErrorKind::InvalidArgument) }
    }

    /// An output limit was passed. `detail` has the figures.
    pub(crate) fn limit(detail: impl Into<Box<str>>) -> Self {
        Error { detail: Some(detail.into()), ..Error::new(ErrorKind::OutputLimit) }
    }

    /// A block list has this address. Node's words.
    pub(crate) fn blocked(ip: IpAddr) -> Self {
        let detail = format!("IP({ip}) is blocked by net.BlockList");
        Error { detail: Some(detail.into()), ..Error::new(ErrorKind::IpBlocked) }
    }

    /// The error of a system call.
    pub(crate) fn system(error: &io::Error, syscall: Syscall) -> Self {
        let copy = match error.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::new(error.kind(), error.to_string()),
        };
        Error { syscall: Some(syscall), ..Error::from(copy) }
    }

    pub(crate) fn at(self, address: impl Into<Address>) -> Self {
        Error { ends: Some(Box::new(Ends { address: address.into(), local: None })), ..self }
    }

    /// The local end that the call was to have, where the address is known already.
    pub(crate) fn with_local(mut self, local: SocketAddr) -> Self {
        if let Some(ends) = &mut self.ends {
            ends.local = Some(local);
        }
        self
    }

    /// As [`Error::system`], for a file: `open ENOENT: no such file or directory 'greeting.txt'`.
    pub(crate) fn of_file(error: &io::Error, syscall: Syscall, name: impl fmt::Debug) -> Self {
        let error = Error::system(error, syscall);
        Error { detail: Some(format!("{} {name:?}", Message(&error)).into()), ..error }
    }

    /// As [`Error::at`], unless it has an address already.
    pub(crate) fn or_at(self, address: impl Into<Address>) -> Self {
        if self.ends.is_some() { self } else { self.at(address) }
    }

    /// Of which kind it is: what a program matches on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Node's `error.code`: `"ECONNRESET"`, `"ERR_STREAM_WRITE_AFTER_END"`. `"UNKNOWN"` if it has none.
    pub fn code(&self) -> &'static str {
        self.raw_os_error().and_then(os_name).unwrap_or(self.kind.code())
    }

    /// The number that the system gave, if it comes from the system: `errno`, which is positive, unlike Node's.
    #[doc(alias = "errno")]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.cause.as_deref()?.raw_os_error()
    }

    /// The system call that failed, if one did.
    pub fn syscall(&self) -> Option<Syscall> {
        self.syscall
    }

    /// The address that the failed call was about, if it is one of TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.ends.as_deref()?.address.ip()
    }

    /// The local end of a connection that failed, if an address or a port was asked for
    /// ([`SocketOptions::local_port`](crate::SocketOptions::local_port)).
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.ends.as_deref()?.local
    }

    /// The address that the failed call was about, if it is that of a Unix socket.
    pub fn unix_address(&self) -> Option<UnixAddress> {
        self.ends.as_deref()?.address.unix()
    }
}

/// What an error says without the call and the address: `EADDRINUSE: address already in use`.
struct Message<'a>(&'a Error);

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message(error) = self;
        match (&error.detail, error.raw_os_error()) {
            (Some(detail), _) => f.write_str(detail),
            (None, Some(number)) => write!(f, "{}: {}", error.code(), describe(number)),
            (None, None) => f.write_str(error.kind.meaning()),
        }
    }
}

impl fmt::Display for Error {
    /// The call, the code, the system's words and the address: `listen EADDRINUSE: address already in use 127.0.0.1:8080`;
    /// after it the local end, if there is one to tell: ` - Local (127.0.0.1:9090)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(syscall) = self.syscall {
            write!(f, "{syscall} ")?;
        }
        Message(self).fmt(f)?;
        let Some(ends) = &self.ends else { return Ok(()) };
        write!(f, " {}", ends.address)?;
        ends.local.map_or(Ok(()), |local| write!(f, " - Local ({local})"))
    }
}

impl fmt::Debug for Error {
    /// As [`Display`](fmt::Display): it is what Rust prints of an error that `main` returns, and what an `unwrap` says.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    /// The [`io::Error`] that it was made of, if it was made of one.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// Two errors are equal if they say the same.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        let parts = |error: &Error| (error.kind, error.raw_os_error(), error.syscall);
        parts(self) == parts(other) && self.ends == other.ends && self.detail == other.detail
    }
}

impl Eq for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let kind = ErrorKind::of(&error);
        let detail = error.raw_os_error().is_none().then(|| error.to_string().into());
        Error { detail, cause: Some(Arc::new(error)), ..Error::new(kind) }
    }
}

/// For what cannot fail, so that it can stand where others can: an address where text would do as well.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match (error.raw_os_error(), error.kind) {
            (Some(number), _) => io::Error::from_raw_os_error(number),
            (None, ErrorKind::InvalidArgument) => io::Error::new(io::ErrorKind::InvalidInput, error),
            (None, _) => io::Error::other(error),
        }
    }
}

/// What the operating system says about an error number, without Rust's `(os error N)` after it, in lower case as in
/// Node and libuv.
fn describe(number: i32) -> String {
    let text = io::Error::from_raw_os_error(number).to_string();
    let text = text.rsplit_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// The engine's name for it.
pub(crate) type Code = ErrorKind;

/// Of which kind an [`Error`] is. The names are those of [`std::io::ErrorKind`] where it has one.
///
/// Several numbers of the system are one kind where a program has no reason to tell them apart. Where it has,
/// [`Error::raw_os_error`] is the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    // ---- what the library says -----------------------------------------------------------------------------------------
    /// An argument is out of its range. The message says which, and what would do.
    #[doc(alias = "ERR_INVALID_ARG_VALUE")]
    #[doc(alias = "EINVAL")]
    InvalidArgument,
    /// `write` after `end`.
    #[doc(alias = "ERR_STREAM_WRITE_AFTER_END")]
    WriteAfterEnd,
    /// `write` or `end` after `destroy`.
    #[doc(alias = "ERR_STREAM_DESTROYED")]
    Destroyed,
    /// `end` after `finish`.
    #[doc(alias = "ERR_STREAM_ALREADY_FINISHED")]
    AlreadyFinished,
    /// A call on a socket that is not connected.
    #[doc(alias = "ERR_SOCKET_CLOSED")]
    SocketClosed,
    /// A write that waited for a connection that never came.
    #[doc(alias = "ERR_SOCKET_CLOSED_BEFORE_CONNECTION")]
    ClosedBeforeConnection,
    /// `write` after the other side's end, without half-open. Its code is EPIPE.
    EndedByOtherParty,
    /// A write that `destroy` cut off.
    #[doc(alias = "ECANCELED")]
    Canceled,
    /// `listen` on a server that listens.
    #[doc(alias = "ERR_SERVER_ALREADY_LISTEN")]
    AlreadyListening,
    /// The other side did not read, and an output limit ended the connection.
    OutputLimit,
    /// A block list has the address.
    #[doc(alias = "ERR_IP_BLOCKED")]
    IpBlocked,
    /// The id is of something that is gone.
    Gone,

    // ---- what the system says ------------------------------------------------------------------------------------------
    /// Somebody else has the address.
    #[doc(alias = "EADDRINUSE")]
    AddressInUse,
    /// The address is none of this machine's.
    #[doc(alias = "EADDRNOTAVAIL")]
    AddressNotAvailable,
    /// The file exists.
    #[doc(alias = "EEXIST")]
    AlreadyExists,
    /// Nobody reads any more what is written.
    #[doc(alias = "EPIPE")]
    BrokenPipe,
    /// The connection was given up before it was accepted.
    #[doc(alias = "ECONNABORTED")]
    ConnectionAborted,
    /// Nobody listens there.
    #[doc(alias = "ECONNREFUSED")]
    ConnectionRefused,
    /// The other side has reset the connection.
    #[doc(alias = "ECONNRESET")]
    ConnectionReset,
    /// There is no way to that machine.
    #[doc(alias = "EHOSTUNREACH")]
    #[doc(alias = "EHOSTDOWN")]
    HostUnreachable,
    /// A signal came while the system was at it.
    #[doc(alias = "EINTR")]
    Interrupted,
    /// A network interface is down.
    #[doc(alias = "ENETDOWN")]
    NetworkDown,
    /// There is no way to that network.
    #[doc(alias = "ENETUNREACH")]
    NetworkUnreachable,
    /// The socket has no connection.
    #[doc(alias = "ENOTCONN")]
    NotConnected,
    /// The file does not exist.
    #[doc(alias = "ENOENT")]
    NotFound,
    /// The system has no memory left for it.
    #[doc(alias = "ENOMEM")]
    #[doc(alias = "ENOBUFS")]
    OutOfMemory,
    /// The system does not allow it.
    #[doc(alias = "EACCES")]
    #[doc(alias = "EPERM")]
    PermissionDenied,
    /// The other side broke the rules of the protocol.
    #[doc(alias = "EPROTO")]
    Protocol,
    /// The disk or its quota is full.
    #[doc(alias = "ENOSPC")]
    #[doc(alias = "EDQUOT")]
    StorageFull,
    /// The other side has not answered in time.
    #[doc(alias = "ETIMEDOUT")]
    TimedOut,
    /// The process or the system has as many descriptors as it may.
    #[doc(alias = "EMFILE")]
    #[doc(alias = "ENFILE")]
    TooManyOpenFiles,
    /// The system, or this build, cannot do it.
    #[doc(alias = "ENOTSUP")]
    #[doc(alias = "EAFNOSUPPORT")]
    #[doc(alias = "EOPNOTSUPP")]
    Unsupported,
    /// It would have to wait.
    #[doc(alias = "EAGAIN")]
    WouldBlock,

    /// Any other. The message tells.
    Other,
}

impl ErrorKind {
    /// The kind of an error of the system's.
    pub(crate) fn of(error: &io::Error) -> Self {
        error.raw_os_error().and_then(kind_of_number).unwrap_or(match error.kind() {
            io::ErrorKind::InvalidInput => ErrorKind::InvalidArgument,
            io::ErrorKind::AddrInUse => ErrorKind::AddressInUse,
            io::ErrorKind::AddrNotAvailable => ErrorKind::AddressNotAvailable,
            io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
            io::ErrorKind::BrokenPipe => ErrorKind::BrokenPipe,
            io::ErrorKind::ConnectionAborted => ErrorKind::ConnectionAborted,
            io::ErrorKind::ConnectionRefused => ErrorKind::ConnectionRefused,
            io::ErrorKind::ConnectionReset => ErrorKind::ConnectionReset,
            io::ErrorKind::HostUnreachable => ErrorKind::HostUnreachable,
            io::ErrorKind::Interrupted => ErrorKind::Interrupted,
            io::ErrorKind::NetworkDown => ErrorKind::NetworkDown,
            io::ErrorKind::NetworkUnreachable => ErrorKind::NetworkUnreachable,
            io::ErrorKind::NotConnected => ErrorKind::NotConnected,
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::OutOfMemory => ErrorKind::OutOfMemory,
            io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
            io::ErrorKind::TimedOut => ErrorKind::TimedOut,
            io::ErrorKind::Unsupported => ErrorKind::Unsupported,
            io::ErrorKind::WouldBlock => ErrorKind::WouldBlock,
            _ => ErrorKind::Other,
        })
    }

    /// Node's `error.code`, where the number of the system does not tell it.
    fn code(self) -> &'static str {
        match self {
            ErrorKind::InvalidArgument => "ERR_INVALID_ARG_VALUE",
            ErrorKind::WriteAfterEnd => "ERR_STREAM_WRITE_AFTER_END",
            ErrorKind::Destroyed => "ERR_STREAM_DESTROYED",
            ErrorKind::AlreadyFinished => "ERR_STREAM_ALREADY_FINISHED",
            ErrorKind::SocketClosed | ErrorKind::Gone => "ERR_SOCKET_CLOSED",
            ErrorKind::ClosedBeforeConnection => "ERR_SOCKET_CLOSED_BEFORE_CONNECTION",
            ErrorKind::EndedByOtherParty | ErrorKind::BrokenPipe => "EPIPE",
            ErrorKind::Canceled => "ECANCELED",
            ErrorKind::AlreadyListening => "ERR_SERVER_ALREADY_LISTEN",
            ErrorKind::OutputLimit => "ERR_OUTPUT_LIMIT",
            ErrorKind::IpBlocked => "ERR_IP_BLOCKED",
            ErrorKind::AddressInUse => "EADDRINUSE",
            ErrorKind::AddressNotAvailable => "EADDRNOTAVAIL",
            ErrorKind::AlreadyExists => "EEXIST",
            ErrorKind::ConnectionAborted => "ECONNABORTED",
            ErrorKind::ConnectionRefused => "ECONNREFUSED",
            ErrorKind::ConnectionReset => "ECONNRESET",
            ErrorKind::HostUnreachable => "EHOSTUNREACH",
            ErrorKind::Interrupted => "EINTR",
            ErrorKind::NetworkDown => "ENETDOWN",
            ErrorKind::NetworkUnreachable => "ENETUNREACH",
            ErrorKind::NotConnected => "ENOTCONN",
            ErrorKind::NotFound => "ENOENT",
            ErrorKind::OutOfMemory => "ENOMEM",
            ErrorKind::PermissionDenied => "EACCES",
            ErrorKind::Protocol => "EPROTO",
            ErrorKind::StorageFull => "ENOSPC",
            ErrorKind::TimedOut => "ETIMEDOUT",
            ErrorKind::TooManyOpenFiles => "EMFILE",
            ErrorKind::Unsupported => "ENOTSUP",
            ErrorKind::WouldBlock => "EAGAIN",
            ErrorKind::Other => "UNKNOWN",
        }
    }

    /// What an error says that brings no words of its own: those that the library makes.
    fn meaning(self) -> &'static str {
        match self {
            ErrorKind::InvalidArgument => "invalid argument",
            ErrorKind::WriteAfterEnd => "write after end",
            ErrorKind::Destroyed => "cannot write after a stream was destroyed",
            ErrorKind::AlreadyFinished => "cannot end after a stream was finished",
            ErrorKind::SocketClosed => "socket is closed",
            ErrorKind::ClosedBeforeConnection => "socket closed before the connection was established",
            ErrorKind::EndedByOtherParty => "this socket has been ended by the other party",
            ErrorKind::Canceled => "operation canceled",
            ErrorKind::AlreadyListening => "the server listens already: close it first, or make another",
            ErrorKind::OutputLimit => "output limit passed",
            ErrorKind::IpBlocked => "IP is blocked by net.BlockList",
            ErrorKind::Gone => "nothing of this id exists any more",
            _ => "unknown error",
        }
    }
}

/// The kind of an error number, where std has none for it.
#[cfg(unix)]
fn kind_of_number(number: i32) -> Option<ErrorKind> {
    use rustix::io::Errno;

    match Errno::from_raw_os_error(number) {
        Errno::MFILE | Errno::NFILE => Some(ErrorKind::TooManyOpenFiles),
        Errno::NOBUFS => Some(ErrorKind::OutOfMemory),
        Errno::PROTO => Some(ErrorKind::Protocol),
        Errno::HOSTDOWN => Some(ErrorKind::HostUnreachable),
        #[cfg(target_os = "linux")]
        Errno::NONET => Some(ErrorKind::HostUnreachable),
        Errno::AFNOSUPPORT | Errno::NOPROTOOPT | Errno::OPNOTSUPP | Errno::PROTONOSUPPORT => {
            Some(ErrorKind::Unsupported)
        }
        _ => None,
    }
}

#[cfg(not(unix))]
fn kind_of_number(_number: i32) -> Option<ErrorKind> {
    None
}

/// The calls that an error can be about, by Node's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Syscall {
    /// `accept4(2)`.
    Accept,
    /// `bind(2)` of a client.
    Bind,
    /// `connect(2)`.
    Connect,
    /// `socket(2)`, `bind(2)` and `listen(2)` of a server.
    Listen,
    /// `open(2)`, and what else it takes to have a file.
    Open,
    /// `epoll_ctl(2)` or `kevent(2)`.
    Register,
    /// `read(2)`.
    Read,
    /// `setsockopt(2)`.
    SetOption,
    /// `shutdown(2)`.
    Shutdown,
    /// `epoll_wait(2)` or `kevent(2)`.
    Wait,
    /// `write(2)` or `writev(2)`.
    Write,
}

impl fmt::Display for Syscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Syscall::Accept => "accept",
            Syscall::Bind => "bind",
            Syscall::Connect => "connect",
            Syscall::Listen => "listen",
            Syscall::Open => "open",
            Syscall::Register => "register",
            Syscall::Read => "read",
            Syscall::SetOption => "setsockopt",
            Syscall::Shutdown => "shutdown",
            Syscall::Wait => "wait",
            Syscall::Write => "write",
        })
    }
}

/// The name of an error number on this system; none for one that no socket or file call gives.
#[cfg(unix)]
fn os_name(number: i32) -> Option<&'static str> {
    use rustix::io::Errno;

    // Linux alone has this one: accept(2) passes it on from the new connection's network.
    #[cfg(target_os = "linux")]
    if number == Errno::NONET.raw_os_error() {
        return Some("ENONET");
    }
    macro_rules! table {
        ($($errno:ident $name:literal,)*) => {
            match Errno::from_raw_os_error(number) {
                $(Errno::$errno => Some($name),)*
                _ => None,
            }
        };
    }
    table! {
        ACCESS "EACCES", ADDRINUSE "EADDRINUSE", ADDRNOTAVAIL "EADDRNOTAVAIL", AFNOSUPPORT "EAFNOSUPPORT",
        AGAIN "EAGAIN", ALREADY "EALREADY", BADF "EBADF", CANCELED "ECANCELED", CONNABORTED "ECONNABORTED",
        CONNREFUSED "ECONNREFUSED", CONNRESET "ECONNRESET", DQUOT "EDQUOT", EXIST "EEXIST", FBIG "EFBIG",
        HOSTDOWN "EHOSTDOWN", HOSTUNREACH "EHOSTUNREACH", INPROGRESS "EINPROGRESS", INTR "EINTR", INVAL "EINVAL",
        IO "EIO", ISCONN "EISCONN", ISDIR "EISDIR", LOOP "ELOOP", MFILE "EMFILE", MSGSIZE "EMSGSIZE",
        NAMETOOLONG "ENAMETOOLONG", NETDOWN "ENETDOWN", NETUNREACH "ENETUNREACH", NFILE "ENFILE", NOBUFS "ENOBUFS",
        NODEV "ENODEV", NOENT "ENOENT", NOMEM "ENOMEM", NOPROTOOPT "ENOPROTOOPT", NOSPC "ENOSPC", NOTCONN "ENOTCONN",
        NOTDIR "ENOTDIR", NOTSOCK "ENOTSOCK", NXIO "ENXIO", OPNOTSUPP "EOPNOTSUPP", PERM "EPERM", PIPE "EPIPE",
        PROTO "EPROTO", PROTONOSUPPORT "EPROTONOSUPPORT", ROFS "EROFS", TIMEDOUT "ETIMEDOUT", TXTBSY "ETXTBSY",
    }
}

#[cfg(not(unix))]
fn os_name(_number: i32) -> Option<&'static str> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn an_error_reads_as_nodes_does() {
        let error =
            Error::system(&Errno::ADDRINUSE.into(), Syscall::Listen).at(SocketAddr::from(([127, 0, 0, 1], 8080)));
        let unix =
            Error::system(&Errno::NOENT.into(), Syscall::Connect).at(UnixAddress::path("/run/none").expect("short"));
        let file = Error::of_file(&Errno::NOENT.into(), Syscall::Open, "greeting.txt");
        assert_eq!(error.to_string(), "listen EADDRINUSE: address already in use 127.0.0.1:8080");
        assert_eq!(unix.to_string(), "connect ENOENT: no such file or directory /run/none");
        assert_eq!(file.to_string(), "open ENOENT: no such file or directory \"greeting.txt\"");
    }

    #[test]
    fn a_wrong_argument_says_what_would_do() {
        let error = "70000".parse::<crate::Endpoint>().expect_err("a port has 16 bits");
        assert_eq!(error.to_string(), "bad port in '70000': a port is a number from 0 to 65535");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn a_number_of_the_system_has_a_kind_and_a_name() {
        for (errno, kind, code) in [
            (Errno::ADDRINUSE, ErrorKind::AddressInUse, "EADDRINUSE"),
            (Errno::CONNREFUSED, ErrorKind::ConnectionRefused, "ECONNREFUSED"),
            (Errno::CONNRESET, ErrorKind::ConnectionReset, "ECONNRESET"),
            (Errno::PIPE, ErrorKind::BrokenPipe, "EPIPE"),
            (Errno::TIMEDOUT, ErrorKind::TimedOut, "ETIMEDOUT"),
            (Errno::PERM, ErrorKind::PermissionDenied, "EPERM"),
            (Errno::ACCESS, ErrorKind::PermissionDenied, "EACCES"),
            (Errno::MFILE, ErrorKind::TooManyOpenFiles, "EMFILE"),
            (Errno::NFILE, ErrorKind::TooManyOpenFiles, "ENFILE"),
            (Errno::NOBUFS, ErrorKind::OutOfMemory, "ENOBUFS"),
            (Errno::DQUOT, ErrorKind::StorageFull, "EDQUOT"),
            (Errno::NONET, ErrorKind::HostUnreachable, "ENONET"),
            (Errno::INVAL, ErrorKind::InvalidArgument, "EINVAL"),
            (Errno::AFNOSUPPORT, ErrorKind::Unsupported, "EAFNOSUPPORT"),
            (Errno::ISDIR, ErrorKind::Other, "EISDIR"),
            (Errno::XDEV, ErrorKind::Other, "UNKNOWN"),
        ] {
            let error = Error::from(io::Error::from(errno));
            assert_eq!((error.kind(), error.code()), (kind, code), "{errno:?}");
            assert_eq!(error.raw_os_error(), Some(errno.raw_os_error()));
        }
    }

    #[test]
    fn an_error_says_what_it_comes_from() {
        use std::error::Error as _;

        let own = Error::new(ErrorKind::Gone);
        assert!(own.source().is_none() && own.raw_os_error().is_none());
        let system = Error::system(&Errno::CONNRESET.into(), Syscall::Read);
        let source = system.source().and_then(|source| source.downcast_ref::<io::Error>()).expect("the system's");
        assert_eq!(source.kind(), io::ErrorKind::ConnectionReset);
        let other = Error::from(io::Error::other("out of luck"));
        assert_eq!(
            (other.kind(), other.code(), other.to_string()),
            (ErrorKind::Other, "UNKNOWN", "out of luck".into())
        );
        assert_eq!(other.source().expect("it was made of one").to_string(), "out of luck");
    }

    #[test]
    fn errors_are_equal_if_they_say_the_same() {
        let reset = |syscall| Error::system(&Errno::CONNRESET.into(), syscall);
        assert_eq!(reset(Syscall::Read), reset(Syscall::Read).clone());
        assert_ne!(reset(Syscall::Read), reset(Syscall::Write));
        assert_ne!(Error::from(io::Error::from(Errno::PERM)), Error::from(io::Error::from(Errno::ACCESS)));
        assert_ne!(Error::invalid("one"), Error::invalid("the other"));
    }
}
