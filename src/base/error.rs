//! What can go wrong, with Node's codes.
//!
//! One type serves the `Err` of a call and the `error` event of a connection. It holds no state of its own: it is a
//! code, the system call and the address it was about, and it turns into text only when somebody prints it.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::address::{Address, UnixAddress};

/// An error of a call, or of a connection.
///
/// ```
/// use tidegate::{Code, Error};
///
/// let error = Error::from(std::io::Error::from_raw_os_error(98)); // what Linux calls EADDRINUSE
/// assert_eq!(error.code().name(), "EADDRINUSE");
/// assert_eq!(error.code(), Code::Os(98));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    code: Code,
    syscall: Option<Syscall>,
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
    pub(crate) fn new(code: Code) -> Self {
        Error { code, syscall: None, ends: None, detail: None }
    }

    /// A wrong argument. `detail` names the value, the bound and the way out.
    pub(crate) fn invalid(detail: impl Into<Box<str>>) -> Self {
        Error { detail: Some(detail.into()), ..Error::new(Code::InvalidArgument) }
    }

    /// An output limit was passed. `detail` has the figures.
    pub(crate) fn limit(detail: impl Into<Box<str>>) -> Self {
        Error { detail: Some(detail.into()), ..Error::new(Code::OutputLimit) }
    }

    /// A block list has this address. Node's words.
    pub(crate) fn blocked(ip: IpAddr) -> Self {
        Error { detail: Some(format!("IP({ip}) is blocked by net.BlockList").into()), ..Error::new(Code::IpBlocked) }
    }

    pub(crate) fn system(error: &io::Error, syscall: Syscall) -> Self {
        Error { syscall: Some(syscall), ..Error::from_io(error) }
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
        let words = match (error.code, &error.detail) {
            (Code::Os(number), _) => format!("{}: {}", error.code.name(), describe(number)),
            (_, Some(detail)) => detail.to_string(),
            (code, None) => code.meaning().to_owned(),
        };
        Error { detail: Some(format!("{words} {name:?}").into()), ..error }
    }

    /// As [`Error::at`], unless it has an address already.
    pub(crate) fn or_at(self, address: impl Into<Address>) -> Self {
        if self.ends.is_some() { self } else { self.at(address) }
    }

    fn from_io(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Error::new(Code::Os(number)),
            // A wrong argument that the system was never asked about.
            None if error.kind() == io::ErrorKind::InvalidInput => Error::invalid(error.to_string()),
            None => Error { detail: Some(error.to_string().into()), ..Error::new(Code::Other) },
        }
    }

    /// Which error it is.
    pub fn code(&self) -> Code {
        self.code
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

impl fmt::Display for Error {
    /// The call, the code, the system's words and the address: `listen EADDRINUSE: address already in use 127.0.0.1:8080`;
    /// behind it the local end, if there is one to tell: ` - Local (127.0.0.1:9090)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(syscall) = self.syscall {
            write!(f, "{syscall} ")?;
        }
        match (&self.detail, self.code) {
            (Some(detail), _) => f.write_str(detail)?,
            (None, Code::Os(number)) => write!(f, "{}: {}", self.code.name(), describe(number))?,
            (None, code) => f.write_str(code.meaning())?,
        }
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

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::from_io(&error)
    }
}

/// For what cannot fail, so that it may stand beside what can: an address where text would do as well.
impl From<Infallible> for Error {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error.code {
            Code::Os(number) => io::Error::from_raw_os_error(number),
            Code::InvalidArgument => io::Error::new(io::ErrorKind::InvalidInput, error),
            _ => io::Error::other(error),
        }
    }
}

/// What the operating system says about an error number, without Rust's `(os error N)` behind it, in lower case as in
/// Node and libuv.
pub(crate) fn describe(number: i32) -> String {
    let text = io::Error::from_raw_os_error(number).to_string();
    let text = text.rsplit_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Which error. [`Code::name`] gives Node's `error.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// An error number of the operating system, such as `ECONNRESET`.
    Os(i32),
    /// An argument is out of its range; the message says which and what would do.
    #[doc(alias = "ERR_INVALID_ARG_VALUE")]
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
    /// `write` after the other side's end, without half-open.
    #[doc(alias = "EPIPE")]
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
    /// An error with no number, of a kind that Node does not have.
    Other,
}

impl Code {
    /// Node's name for it: `"ECONNRESET"`, `"ERR_STREAM_WRITE_AFTER_END"`.
    pub fn name(self) -> &'static str {
        match self {
            Code::Os(number) => os_name(number),
            Code::InvalidArgument => "ERR_INVALID_ARG_VALUE",
            Code::WriteAfterEnd => "ERR_STREAM_WRITE_AFTER_END",
            Code::Destroyed => "ERR_STREAM_DESTROYED",
            Code::AlreadyFinished => "ERR_STREAM_ALREADY_FINISHED",
            Code::SocketClosed | Code::Gone => "ERR_SOCKET_CLOSED",
            Code::ClosedBeforeConnection => "ERR_SOCKET_CLOSED_BEFORE_CONNECTION",
            Code::EndedByOtherParty => "EPIPE",
            Code::Canceled => "ECANCELED",
            Code::AlreadyListening => "ERR_SERVER_ALREADY_LISTEN",
            Code::OutputLimit => "ERR_OUTPUT_LIMIT",
            Code::IpBlocked => "ERR_IP_BLOCKED",
            Code::Other => "UNKNOWN",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Code::Os(_) | Code::Other => "unknown error",
            Code::InvalidArgument => "invalid argument",
            Code::WriteAfterEnd => "write after end",
            Code::Destroyed => "cannot write after a stream was destroyed",
            Code::AlreadyFinished => "cannot end after a stream was finished",
            Code::SocketClosed => "socket is closed",
            Code::ClosedBeforeConnection => "socket closed before the connection was established",
            Code::EndedByOtherParty => "this socket has been ended by the other party",
            Code::Canceled => "operation canceled",
            Code::AlreadyListening => "the server listens already: close it first, or make another",
            Code::OutputLimit => "output limit passed",
            Code::IpBlocked => "IP is blocked by net.BlockList",
            Code::Gone => "nothing of this id exists any more",
        }
    }
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

/// The name of an error number on this system; `"UNKNOWN"` for one that no socket or file call gives.
#[cfg(unix)]
fn os_name(number: i32) -> &'static str {
    use rustix::io::Errno;

    // Linux alone has this one: accept(2) passes it on from the new connection's network.
    #[cfg(target_os = "linux")]
    if number == Errno::NONET.raw_os_error() {
        return "ENONET";
    }
    macro_rules! table {
        ($($errno:ident $name:literal,)*) => {
            match Errno::from_raw_os_error(number) {
                $(Errno::$errno => $name,)*
                _ => "UNKNOWN",
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
fn os_name(_number: i32) -> &'static str {
    "UNKNOWN"
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_nodes_does() {
        let error = Error::system(&io::Error::from_raw_os_error(98), Syscall::Listen)
            .at(SocketAddr::from(([127, 0, 0, 1], 8080)));
        let unix = Error::system(&io::Error::from_raw_os_error(2), Syscall::Connect)
            .at(UnixAddress::path("/run/none").expect("short"));
        assert_eq!(unix.to_string(), "connect ENOENT: no such file or directory /run/none");
        assert_eq!(error.to_string(), "listen EADDRINUSE: address already in use 127.0.0.1:8080");
        assert_eq!(error.code().name(), "EADDRINUSE");
    }

    #[test]
    fn a_wrong_argument_says_what_would_do() {
        let error = "70000".parse::<crate::Endpoint>().expect_err("a port has 16 bits");
        assert_eq!(error.to_string(), "bad port in '70000': a port is a number from 0 to 65535");
        assert_eq!(error.code(), Code::InvalidArgument);
    }
}
