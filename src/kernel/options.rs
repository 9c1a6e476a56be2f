//! The options of sockets, as a kernel takes them.

use std::net::SocketAddr;
use std::time::Duration;

use super::setters::setters;

/// The options of a TCP socket, as Node's `net` and the system have them. By default all are off, or as the system has
/// them.
///
/// They are part of [`ServerOptions`](crate::ServerOptions) and [`SocketOptions`](crate::SocketOptions), which have
/// the same setters.
///
/// ```
/// use std::time::Duration;
/// use tidegate::{KeepAlive, SocketOptions, TcpOptions};
///
/// let tcp = TcpOptions::new().no_delay(true).user_timeout(Duration::from_secs(20));
/// let options = SocketOptions::new().tcp(tcp).keep_alive(KeepAlive::new());
/// assert!(options.tcp.no_delay && options.tcp.keep_alive.is_some());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpOptions {
    /// TCP_NODELAY: small writes go out at once. Off by default, as in Node.
    #[doc(alias = "noDelay")]
    pub no_delay: bool,
    /// Keep-alive probes. Off by default.
    #[doc(alias = "keepAlive")]
    pub keep_alive: Option<KeepAlive>,
    /// IP_TOS and IPV6_TCLASS: how routers are to treat what is sent. The two lowest bits are the system's own (ECN).
    /// Default: the system's, 0.
    #[doc(alias = "typeOfService")]
    pub type_of_service: Option<u8>,
    /// TCP_USER_TIMEOUT, on Linux: when what was sent has no answer for so long, the connection is over with ETIMEDOUT.
    /// From 1 ms to 2^31 - 1 ms. Default: the system's, some 15 minutes.
    pub user_timeout: Option<Duration>,
    /// SO_RCVBUF, in bytes, up to 1 GiB: what the kernel keeps of what was not read. The system bounds it
    /// (net.core.rmem_max), and Linux doubles it for its own use. Default: the system's, which grows as it is needed.
    pub receive_buffer: Option<usize>,
    /// SO_SNDBUF, in bytes, up to 1 GiB: what the kernel takes of what was not sent. Bounded and doubled as
    /// `receive_buffer` is (net.core.wmem_max).
    pub send_buffer: Option<usize>,
    /// SO_OOBINLINE: urgent data (MSG_OOB) stays at its place among the other bytes. Off by default, as in Node: the last
    /// urgent byte is lost then, because nobody reads it out of band.
    pub urgent_inline: bool,
}

impl TcpOptions {
    setters! {
        no_delay: bool,
        keep_alive: Option<KeepAlive>,
        type_of_service: Option<u8>,
        user_timeout: Option<Duration>,
        receive_buffer: Option<usize>,
        send_buffer: Option<usize>,
        urgent_inline: bool,
    }
}

/// How a server listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenOptions {
    /// How many connections may wait to be accepted.
    pub backlog: u32,
    /// IPV6_V6ONLY: an address of IPv6 takes IPv6 alone. If it is off, `[::]` takes both families.
    pub ipv6_only: bool,
    /// SO_REUSEPORT: several sockets listen on one address, and the kernel spreads connections over them.
    pub reuse_port: bool,
    /// Who may connect to a Unix socket's path.
    pub permissions: SocketPermissions,
    /// The options of accepted sockets. On Linux they inherit them from the listener, which saves a system call for each
    /// option of each connection.
    pub tcp: TcpOptions,
}

impl ListenOptions {
    setters! {
        backlog: u32,
        ipv6_only: bool,
        reuse_port: bool,
        permissions: SocketPermissions,
        tcp: TcpOptions,
    }

    /// The backlog as listen(2) takes it.
    pub(super) fn backlog_of_the_call(&self) -> i32 {
        i32::try_from(self.backlog).unwrap_or(i32::MAX)
    }
}

/// Who may connect to a Unix socket: those who may write to its file.
///
/// ```
/// let options = tidegate::ServerOptions::new().permissions(tidegate::SocketPermissions::new().mode(0o660));
/// assert_eq!(options.permissions.mode, Some(0o660));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketPermissions {
    /// The mode of the file, such as `0o660`. Default: what the umask leaves of 0o777.
    pub mode: Option<u32>,
    /// The number of the user who owns the file. Default: the user of the process.
    pub owner: Option<u32>,
    /// The number of the group that owns the file. Default: the group of the process.
    pub group: Option<u32>,
}

impl SocketPermissions {
    setters! {
        mode: Option<u32>,
        owner: Option<u32>,
        group: Option<u32>,
    }
}

/// How a socket connects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// The address that the socket is bound to first. It is of the same family; with port 0 the system chooses the port.
    pub local: Option<SocketAddr>,
    /// The options that are set before the socket connects.
    pub tcp: TcpOptions,
}

impl ConnectOptions {
    setters! {
        local: Option<SocketAddr>,
        tcp: TcpOptions,
    }
}

/// Keep-alive probes. The first is sent after `initial_delay` of silence, the others follow every `interval`. When `count` of
/// them have had no answer, the connection is over with ETIMEDOUT.
///
/// An initial delay of zero leaves the system's own (two hours on Linux).
///
/// ```
/// use std::time::Duration;
/// use tidegate::{KeepAlive, ServerOptions};
///
/// let minute = KeepAlive::new().initial_delay(Duration::from_secs(60));
/// let options = ServerOptions::new().keep_alive(minute);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeepAlive {
    /// Whole seconds, at most 32,767. A fraction of a second is ignored, as in Node.
    #[doc(alias = "keepAliveInitialDelay")]
    pub initial_delay: Duration,
    /// Whole seconds, from 1 to 32,767. `None` is one second, as in Node, or with an initial delay of zero the system's own.
    #[doc(alias = "keepAliveInterval")]
    pub interval: Option<Duration>,
    /// From 1 to 127. `None` is 10, as in Node, or with an initial delay of zero the system's own.
    #[doc(alias = "keepAliveCount")]
    pub count: Option<u32>,
}

impl KeepAlive {
    setters! {
        initial_delay: Duration,
        interval: Option<Duration>,
        count: Option<u32>,
    }
}

/// An option of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketOption {
    /// TCP_NODELAY: small writes go out at once.
    NoDelay(bool),
    /// SO_KEEPALIVE with its times; `None` turns it off.
    KeepAlive(Option<KeepAlive>),
    /// IP_TOS and IPV6_TCLASS.
    TypeOfService(u8),
    /// TCP_USER_TIMEOUT; `None` is the system's own.
    UserTimeout(Option<Duration>),
}
