//! The kinds of errors, and the kind of each error number of the system.

use std::io;

/// The kind of an [`Error`](crate::Error). Where [`std::io::ErrorKind`] has such a kind, the name is nearly the same.
///
/// Several numbers of the system are one kind if few programs tell them apart. A program that does can use
/// [`Error::raw_os_error`](crate::Error::raw_os_error).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    // ---- errors of the library -----------------------------------------------------------------------------------------
    /// An argument is out of its range. The message says which one, and what to give instead.
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
    /// A write that waited for a connection which was never made.
    #[doc(alias = "ERR_SOCKET_CLOSED_BEFORE_CONNECTION")]
    ClosedBeforeConnection,
    /// `write` after the other side's end, without half-open. Its code is EPIPE.
    EndedByOtherParty,
    /// A write that was under way at a `destroy`.
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
    /// There is no host of this name, or it has no address.
    #[doc(alias = "ENOTFOUND")]
    #[doc(alias = "EAI_NONAME")]
    HostNotFound,
    /// A name could not be looked up now: no name server has answered, they could not, or too many names are looked up.
    #[doc(alias = "EAI_AGAIN")]
    LookupFailed,
    /// The id is stale: what it named is gone.
    Gone,

    // ---- errors of the system ------------------------------------------------------------------------------------------
    /// The address is in use by another socket.
    #[doc(alias = "EADDRINUSE")]
    AddressInUse,
    /// This machine does not have the address.
    #[doc(alias = "EADDRNOTAVAIL")]
    AddressNotAvailable,
    /// The file exists.
    #[doc(alias = "EEXIST")]
    AlreadyExists,
    /// The other side does not read any more.
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
    /// The machine cannot be reached.
    #[doc(alias = "EHOSTUNREACH")]
    #[doc(alias = "EHOSTDOWN")]
    HostUnreachable,
    /// A signal came during the system call.
    #[doc(alias = "EINTR")]
    Interrupted,
    /// A network interface is down.
    #[doc(alias = "ENETDOWN")]
    NetworkDown,
    /// The network cannot be reached.
    #[doc(alias = "ENETUNREACH")]
    NetworkUnreachable,
    /// The socket has no connection.
    #[doc(alias = "ENOTCONN")]
    NotConnected,
    /// The file does not exist.
    #[doc(alias = "ENOENT")]
    NotFound,
    /// The system has no memory for it.
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
    /// The system or this build cannot do it.
    #[doc(alias = "ENOTSUP")]
    #[doc(alias = "EAFNOSUPPORT")]
    #[doc(alias = "EOPNOTSUPP")]
    Unsupported,
    /// The call would have to wait.
    #[doc(alias = "EAGAIN")]
    WouldBlock,

    /// Any other error. See its message.
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

    /// Node's `error.code`, for an error without a number of the system.
    pub(crate) fn code(self) -> &'static str {
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
            ErrorKind::HostNotFound => "ENOTFOUND",
            ErrorKind::LookupFailed => "EAI_AGAIN",
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

    /// The words for an error of the library.
    pub(crate) fn meaning(self) -> &'static str {
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
            ErrorKind::HostNotFound => "there is no host of this name",
            ErrorKind::LookupFailed => "the name could not be looked up now",
            ErrorKind::Gone => "the id is stale: what it named is gone",
            _ => "unknown error",
        }
    }
}

/// The kind of an error number for which std has none.
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

/// The name of an error number on this system. None for a number that no call on a socket or file gives.
#[cfg(unix)]
pub(crate) fn os_name(number: i32) -> Option<&'static str> {
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
pub(crate) fn os_name(_number: i32) -> Option<&'static str> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::base::error::Error;
    use rustix::io::Errno;

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
}
