//! What a socket is made with, and what can be set on it later: what each means to the system.

use std::net::SocketAddr;
use std::time::Duration;

/// How a server listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenOptions {
    /// How many connections may wait.
    pub backlog: u32,
    /// IPV6_V6ONLY: an address of IPv6 takes IPv6 alone. Off, `[::]` takes both families.
    pub ipv6_only: bool,
    /// SO_REUSEPORT: several sockets listen on one address, and the kernel spreads connections over them.
    pub reuse_port: bool,
    /// Who may connect to a Unix socket's path.
    pub access: SocketAccess,
    /// What accepted sockets are to have.
    pub inherit: Inherit,
}

/// Who may connect to a Unix socket: who may write to its file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketAccess {
    /// The mode of the file, such as `0o660`. By default what the umask leaves of 0o777.
    pub mode: Option<u32>,
    /// The user who is to own it, by number.
    pub owner: Option<u32>,
    /// The group that is to own it, by number.
    pub group: Option<u32>,
}

/// What accepted sockets have from their listener. Linux lets a listener hand these down, which saves a system call
/// each for every connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inherit {
    /// TCP_NODELAY.
    pub no_delay: bool,
    /// Keep-alive, and its times.
    pub keep_alive: Option<KeepAlive>,
    /// The rest.
    pub tuning: Tuning,
}

/// How a socket connects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The address that it is bound to before; with port 0 the system chooses one. Of the same family.
    pub local: Option<SocketAddr>,
    /// What is set before it connects.
    pub tuning: Tuning,
}

/// Options of a TCP socket that hardly anybody sets. Those that are `None` stay as the system has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// IP_TOS and IPV6_TCLASS.
    pub type_of_service: Option<u8>,
    /// TCP_USER_TIMEOUT: how long what was sent may wait for an answer.
    pub user_timeout: Option<Duration>,
    /// SO_RCVBUF, in bytes.
    pub receive_buffer: Option<usize>,
    /// SO_SNDBUF, in bytes.
    pub send_buffer: Option<usize>,
}

/// Keep-alive probes: `initial_delay` of silence before the first, then one every `interval`; when `count` of them have
/// no answer, that is the end.
///
/// A delay of zero leaves the system's own (two hours on Linux).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepAlive {
    /// Whole seconds, at most 32,767; a fraction is cut off, as in Node.
    #[doc(alias = "keepAliveInitialDelay")]
    pub initial_delay: Duration,
    /// Whole seconds, from 1 to 32,767. `None` is Node's second; with an initial delay of zero it is the system's own.
    #[doc(alias = "keepAliveInterval")]
    pub interval: Option<Duration>,
    /// From 1 to 127. `None` is Node's 10; with an initial delay of zero it is the system's own.
    #[doc(alias = "keepAliveCount")]
    pub count: Option<u32>,
}

/// An option of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// TCP_NODELAY: small writes go out at once.
    NoDelay(bool),
    /// SO_KEEPALIVE with its times, or off.
    KeepAlive(Option<KeepAlive>),
    /// IP_TOS and IPV6_TCLASS.
    TypeOfService(u8),
    /// TCP_USER_TIMEOUT, or the system's own.
    UserTimeout(Option<Duration>),
}
