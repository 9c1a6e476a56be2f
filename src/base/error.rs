//! Errors, with Node's codes.
//!
//! One type serves for the `Err` of a call and for the `error` event of a connection. It has the kind, and the system call and
//! the address that it was about. It becomes text only when it is printed.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::address::{Address, UnixAddress};
use crate::base::error_kind::{ErrorKind, os_name};

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
    /// What only an error of a name has.
    name: Option<Box<OfName>>,
}

/// A host that was looked up, or whose addresses were tried.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OfName {
    host: Box<str>,
    attempts: Vec<Error>,
}

/// The two ends of a call that failed. The local one is there if it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ends {
    address: Address,
    local: Option<SocketAddr>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Error { kind, syscall: None, cause: None, ends: None, detail: None, name: None }
    }

    /// A wrong argument. `detail` names the value, the bound and the way out.
    pub(crate) fn invalid(detail: impl Into<Box<str>>) -> Self {
        Error { detail: Some(detail.into()), ..Error::new(ErrorKind::InvalidArgument) }
    }

    /// An output limit was passed. `detail` has the figures.
    pub(crate) fn limit(detail: impl Into<Box<str>>) -> Self {
        Error { detail: Some(detail.into()), ..Error::new(ErrorKind::OutputLimit) }
    }

    /// There is no connection after the time that the user has set.
    pub(crate) fn connect_timed_out(limit: Duration) -> Self {
        let detail = format!("ETIMEDOUT: no connection within {limit:?}");
        Error { syscall: Some(Syscall::Connect), detail: Some(detail.into()), ..Error::new(ErrorKind::TimedOut) }
    }

    /// A name was looked up in vain. `why` says more than the code does.
    pub(crate) fn of_lookup(kind: ErrorKind, host: &str, why: &str) -> Self {
        let detail = format!("{} {host}{why}", kind.code());
        let name = OfName { host: host.into(), attempts: Vec::new() };
        let name = Some(Box::new(name));
        Error { syscall: Some(Syscall::Lookup), detail: Some(detail.into()), name, ..Error::new(kind) }
    }

    /// A name was not looked up, since the system does not let this process ask.
    #[cfg(feature = "names")]
    pub(crate) fn of_lookup_here(error: Error, host: &str) -> Self {
        let why = error.raw_os_error().map_or_else(|| Message(&error).to_string(), describe);
        let detail = format!("{} {host}: {why}", error.code());
        let name = Some(Box::new(OfName { host: host.into(), attempts: Vec::new() }));
        Error { syscall: Some(Syscall::Lookup), detail: Some(detail.into()), ends: None, name, ..error }
    }

    /// All addresses of a host have failed. It is the error of the last one, and has those of all.
    pub(crate) fn of_attempts(host: &str, attempts: Vec<Error>) -> Self {
        let last = attempts.last().cloned().unwrap_or_else(|| Error::new(ErrorKind::Other));
        let attempts = if attempts.len() > 1 { attempts } else { Vec::new() };
        Error { name: Some(Box::new(OfName { host: host.into(), attempts })), ..last }
    }

    /// An attempt was given up, since another address is tried.
    pub(crate) fn cut_off(limit: Duration) -> Self {
        let detail = format!("ETIMEDOUT: no connection within {limit:?}, so the next address was tried");
        Error { syscall: Some(Syscall::Connect), detail: Some(detail.into()), ..Error::new(ErrorKind::TimedOut) }
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

    /// Adds the local end, to an error that has an address.
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

    /// Its kind, for a program to match on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Node's `error.code`: `"ECONNRESET"`, `"ERR_STREAM_WRITE_AFTER_END"`. `"UNKNOWN"` if it has none.
    pub fn code(&self) -> &'static str {
        self.raw_os_error().and_then(os_name).unwrap_or(self.kind.code())
    }

    /// The system's number for it, `errno`, if the error comes from the system. It is positive, unlike Node's.
    #[doc(alias = "errno")]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.cause.as_deref()?.raw_os_error()
    }

    /// The system call that failed, if one did.
    pub fn syscall(&self) -> Option<Syscall> {
        self.syscall
    }

    /// The address that the failed call was about, if it is an address of TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.ends.as_deref()?.address.ip()
    }

    /// The local end of a connection that failed, if a local address or port was asked for with
    /// [`SocketOptions::local_port`](crate::SocketOptions::local_port) or its kin.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.ends.as_deref()?.local
    }

    /// The name of the host, if it was looked up: Node's `error.hostname`.
    #[doc(alias = "hostname")]
    pub fn host(&self) -> Option<&str> {
        Some(&self.name.as_deref()?.host)
    }

    /// The errors of all addresses of a host, in the order in which they came, if several were tried: Node's
    /// `AggregateError.errors`. The error itself is the last of them.
    #[doc(alias = "errors")]
    pub fn attempts(&self) -> &[Error] {
        self.name.as_deref().map_or(&[], |name| &name.attempts)
    }

    /// The address that the failed call was about, if it is the address of a Unix socket.
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
    /// The call, the code, the system's words and the address: `listen EADDRINUSE: address already in use 127.0.0.1:8080`.
    /// If there is a local end, it follows: ` - Local (127.0.0.1:9090)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(syscall) = self.syscall {
            write!(f, "{syscall} ")?;
        }
        Message(self).fmt(f)?;
        if let Some(ends) = &self.ends {
            write!(f, " {}", ends.address)?;
            ends.local.map_or(Ok(()), |local| write!(f, " - Local ({local})"))?;
        }
        // Those before it in a few words: an address and a code each.
        let before = self.attempts().split_last().map_or(&[][..], |(_, before)| before);
        for (at, error) in before.iter().enumerate() {
            let address = error.address().map_or(String::new(), |address| format!("{address} "));
            write!(f, "{}{address}{}", if at == 0 { "; before it " } else { ", " }, error.code())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    /// As [`Display`](fmt::Display). Rust prints this for an error that `main` returns, and `unwrap` does too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    /// The [`io::Error`] that it was made from, if it was made from one.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// Two errors are equal if they say the same.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        let parts = |error: &Error| (error.kind, error.raw_os_error(), error.syscall);
        parts(self) == parts(other) && self.ends == other.ends && self.detail == other.detail && self.name == other.name
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

/// A conversion that cannot fail has this error. So a call can take an address where it also takes text.
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

/// The operating system's words for an error number. Rust's `(os error N)` is left out, and the first letter is lower case,
/// as in Node and libuv.
fn describe(number: i32) -> String {
    let text = io::Error::from_raw_os_error(number).to_string();
    let text = text.rsplit_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// The call that an error is about, with Node's name.
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
    /// The look-up of a name, under the name of the call of other programs: `getaddrinfo`.
    Lookup,
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
    /// `send(2)` or `sendmsg(2)`; `write(2)` or `writev(2)` of a file.
    Write,
}

impl fmt::Display for Syscall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Syscall::Accept => "accept",
            Syscall::Bind => "bind",
            Syscall::Connect => "connect",
            Syscall::Listen => "listen",
            Syscall::Lookup => "getaddrinfo",
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
