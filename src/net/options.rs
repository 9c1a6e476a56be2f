//! What can be set for servers and sockets, with defaults and bounds.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::address::block_list::BlockList;
use crate::base::error::Error;
use crate::kernel::setters::setters;
use crate::kernel::{KeepAlive, ListenOptions, OpenMode, SocketPermissions, TcpOptions};

/// Node's default mark: 64 KiB.
const DEFAULT_HIGH_WATER_MARK: usize = 64 * 1024;

/// The largest mark, and the largest of the kernel's own buffers: 1 GiB. Node takes more, and no connection has use for it.
const LARGEST_BUFFER: usize = 1 << 30;

/// What a server is made with. The defaults are Node's.
///
/// ```
/// use tidegate::ServerOptions;
///
/// let options = ServerOptions::new().allow_half_open(true).max_connections(1000).no_delay(true);
/// assert_eq!((options.backlog, options.max_connections, options.tcp.no_delay), (511, Some(1000), true));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Whether accepted sockets stay writable when the other side has ended. Off: they end in their turn.
    #[doc(alias = "allowHalfOpen")]
    pub allow_half_open: bool,
    /// Whether accepted sockets begin paused: nothing at all is read from them until `resume`.
    #[doc(alias = "pauseOnConnect")]
    pub pause_on_connect: bool,
    /// The mark of accepted sockets, in bytes, for both directions: `write` returns false at it, and read-ahead stops.
    /// Default 64 KiB, at most 1 GiB.
    #[doc(alias = "highWaterMark")]
    pub high_water_mark: usize,
    /// The most connections at a time; more are closed as they come, with a `drop` event. Default: no limit; 0 takes
    /// none.
    #[doc(alias = "maxConnections")]
    pub max_connections: Option<usize>,
    /// How many connections may wait to be accepted. Default 511; the system may allow fewer.
    pub backlog: u32,
    /// Who may connect to a Unix socket's path: the mode and the owner of its file, set before anybody can connect. By
    /// default what the umask leaves. TCP does not look at it; an abstract name has neither, and takes only the default.
    #[doc(alias = "readableAll")]
    #[doc(alias = "writableAll")]
    pub permissions: SocketPermissions,
    /// An address of IPv6 takes IPv6 alone. Off by default: `[::]`, and so a port alone, takes both families, and a port
    /// alone falls back to `0.0.0.0` where there is no IPv6. On, it does not fall back.
    #[doc(alias = "ipv6Only")]
    pub ipv6_only: bool,
    /// SO_REUSEPORT: several sockets, of several processes of one user, listen on one address, and the kernel spreads
    /// the connections over them. Off by default.
    #[doc(alias = "reusePort")]
    pub reuse_port: bool,
    /// Clients that are closed as they come. There is no event, as in Node; they are counted
    /// ([`Counters::blocked`](crate::Counters::blocked)). Default: none.
    #[doc(alias = "blockList")]
    pub block_list: Option<BlockList>,
    /// The TCP options of accepted sockets. They are set once, on the listening socket, and Linux hands them down.
    pub tcp: TcpOptions,
    /// Output limits of accepted sockets. Off by default.
    pub output_limits: OutputLimits,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            allow_half_open: false,
            pause_on_connect: false,
            high_water_mark: DEFAULT_HIGH_WATER_MARK,
            max_connections: None,
            backlog: 511,
            permissions: SocketPermissions::default(),
            ipv6_only: false,
            reuse_port: false,
            block_list: None,
            tcp: TcpOptions::default(),
            output_limits: OutputLimits::default(),
        }
    }
}

impl ServerOptions {
    setters! {
        allow_half_open: bool,
        pause_on_connect: bool,
        high_water_mark: usize,
        max_connections: Option<usize>,
        backlog: u32,
        permissions: SocketPermissions,
        ipv6_only: bool,
        reuse_port: bool,
        block_list: Option<BlockList>,
        tcp: TcpOptions,
        no_delay in tcp: bool,
        keep_alive in tcp: Option<KeepAlive>,
        type_of_service in tcp: Option<u8>,
        user_timeout in tcp: Option<Duration>,
        receive_buffer in tcp: Option<usize>,
        send_buffer in tcp: Option<usize>,
        output_limits: OutputLimits,
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        check_mark(self.high_water_mark)?;
        if self.backlog == 0 || self.backlog > i32::MAX as u32 {
            return Err(Error::invalid(format!("backlog {}: it is from 1 to {}", self.backlog, i32::MAX)));
        }
        self.permissions.check()?;
        self.tcp.check()?;
        self.output_limits.check()
    }

    pub(super) fn to_listen(&self) -> ListenOptions {
        ListenOptions {
            backlog: self.backlog,
            ipv6_only: self.ipv6_only,
            reuse_port: self.reuse_port,
            permissions: self.permissions,
            tcp: self.tcp,
        }
    }
}

/// What a connecting socket is made with. The defaults are Node's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SocketOptions {
    /// Whether it stays writable when the other side has ended. Off: it ends in its turn.
    #[doc(alias = "allowHalfOpen")]
    pub allow_half_open: bool,
    /// The mark for both directions, in bytes. Default 64 KiB, at most 1 GiB.
    #[doc(alias = "highWaterMark")]
    pub high_water_mark: usize,
    /// The address to connect from. Default: the system chooses. Of `localhost`, only the address of the same family is
    /// tried.
    #[doc(alias = "localAddress")]
    pub local_address: Option<IpAddr>,
    /// The port to connect from. Default 0: the system chooses.
    #[doc(alias = "localPort")]
    pub local_port: u16,
    /// Addresses that it does not connect to: `error` with [`ErrorKind::IpBlocked`](crate::ErrorKind::IpBlocked). Default: none.
    #[doc(alias = "blockList")]
    pub block_list: Option<BlockList>,
    /// The TCP options: no-delay and keep-alive are set once it is connected, the others before.
    pub tcp: TcpOptions,
    /// Output limits. Off by default.
    pub output_limits: OutputLimits,
}

impl Default for SocketOptions {
    fn default() -> Self {
        SocketOptions {
            allow_half_open: false,
            high_water_mark: DEFAULT_HIGH_WATER_MARK,
            local_address: None,
            local_port: 0,
            block_list: None,
            tcp: TcpOptions::default(),
            output_limits: OutputLimits::default(),
        }
    }
}

impl SocketOptions {
    setters! {
        allow_half_open: bool,
        high_water_mark: usize,
        local_address: Option<IpAddr>,
        local_port: u16,
        block_list: Option<BlockList>,
        tcp: TcpOptions,
        no_delay in tcp: bool,
        keep_alive in tcp: Option<KeepAlive>,
        type_of_service in tcp: Option<u8>,
        user_timeout in tcp: Option<Duration>,
        receive_buffer in tcp: Option<usize>,
        send_buffer in tcp: Option<usize>,
        output_limits: OutputLimits,
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        check_mark(self.high_water_mark)?;
        self.tcp.check()?;
        self.output_limits.check()
    }
}

/// What a file is opened with.
///
/// ```
/// use tidegate::{OpenMode, FileOptions};
///
/// let options = FileOptions::append().high_water_mark(4096);
/// assert_eq!(options.mode, OpenMode::Append);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileOptions {
    /// What for. Of a descriptor that is open already only the direction counts.
    #[doc(alias = "flags")]
    pub mode: OpenMode,
    /// The mark, in bytes. Of a file that is read: the most bytes of one `data` event, which are never more than
    /// 64 KiB, and of what is read ahead. Of one that is written: what waits when `write` returns false. Default 64 KiB,
    /// from 1 byte to 1 GiB.
    #[doc(alias = "highWaterMark")]
    pub high_water_mark: usize,
}

impl FileOptions {
    /// A file that is opened so, with the default mark.
    #[must_use]
    pub fn new(mode: OpenMode) -> Self {
        FileOptions { mode, high_water_mark: DEFAULT_HIGH_WATER_MARK }
    }

    /// A file that is read.
    #[doc(alias = "createReadStream")]
    pub fn read() -> Self {
        FileOptions::new(OpenMode::Read)
    }

    /// A file that is made, or cut to nothing, and written.
    #[doc(alias = "createWriteStream")]
    pub fn write() -> Self {
        FileOptions::new(OpenMode::Write)
    }

    /// A file that is written at its end.
    pub fn append() -> Self {
        FileOptions::new(OpenMode::Append)
    }

    /// Sets [`high_water_mark`](field@Self::high_water_mark).
    #[must_use]
    pub fn high_water_mark(mut self, high_water_mark: usize) -> Self {
        self.high_water_mark = high_water_mark;
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.high_water_mark == 0 {
            return Err(Error::invalid("high-water mark 0: that of a file is at least 1 byte"));
        }
        check_mark(self.high_water_mark)
    }
}

/// What is done about a connection whose other side does not read what it is sent. All off by default, as in Node.
///
/// They count unsent bytes, those that the kernel has not taken, in every state of the connection, whatever put them
/// there; but not what a pipe carries, which is bounded by pausing its source.
///
/// ```
/// use std::time::Duration;
/// use tidegate::{OutputLimits, SoftLimit};
///
/// let soft = SoftLimit::new(256 << 10, Duration::from_secs(10));
/// let limits = OutputLimits::new().hard(1 << 20).soft(soft);
/// ```
///
/// [`OutputLimits::disconnect_above`] is the short way to the usual one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputLimits {
    /// Above so many bytes the policy acts at once.
    pub hard: Option<usize>,
    /// Above so many bytes for so long the policy acts.
    pub soft: Option<SoftLimit>,
    /// What is done.
    pub policy: OutputPolicy,
}

/// The limits of a connection.
pub(super) type Limits = Rc<OutputLimits>;

/// See [`OutputLimits::soft`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SoftLimit {
    /// Unsent bytes from which the time runs. It stops as soon as there are fewer.
    pub bytes: usize,
    /// How long it may stay above, at least 1 ms.
    pub grace: Duration,
}

impl SoftLimit {
    /// Above `bytes` for as long as `grace`.
    #[must_use]
    pub fn new(bytes: usize, grace: Duration) -> Self {
        SoftLimit { bytes, grace }
    }
}

/// What is done about a slow reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputPolicy {
    /// It is destroyed, with an `error` and the reason in `close`.
    #[default]
    Disconnect,
    /// A message that would pass the hard limit is not queued. The soft limit does not count.
    DropNewest,
    /// The oldest messages that wait whole are dropped until the hard limit holds. The soft limit does not count.
    DropOldest,
    /// The senders of `broadcast_from` are not read from while it is above the soft limit. If it stays there for the
    /// grace period, or passes the hard limit, it is destroyed.
    PauseSenders,
}

impl OutputLimits {
    setters! {
        hard: Option<usize>,
        soft: Option<SoftLimit>,
        policy: OutputPolicy,
    }

    /// Who has left more than so many bytes unread is disconnected: the hard limit alone.
    pub fn disconnect_above(bytes: usize) -> Self {
        OutputLimits { hard: Some(bytes), ..OutputLimits::default() }
    }

    /// As connections have them. Those that a server has accepted share its own. None for those that limit nothing.
    pub(super) fn shared(self) -> Option<Limits> {
        (self.hard.is_some() || self.soft.is_some()).then(|| Rc::new(self))
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if let (Some(hard), Some(soft)) = (self.hard, self.soft)
            && soft.bytes > hard
        {
            return Err(Error::invalid(format!(
                "output limits: the soft one, {} bytes, is above the hard one, {hard} bytes",
                soft.bytes
            )));
        }
        match self.soft {
            Some(soft) if soft.grace < Duration::from_millis(1) => {
                Err(Error::invalid("output limits: the grace period is at least 1 ms; a hard limit has none"))
            }
            _ => Ok(()),
        }
    }
}

impl TcpOptions {
    fn check(&self) -> Result<(), Error> {
        check_keep_alive(self.keep_alive)?;
        check_user_timeout(self.user_timeout)?;
        for (name, size) in [("receive", self.receive_buffer), ("send", self.send_buffer)] {
            if let Some(bytes) = size
                && !(1..=LARGEST_BUFFER).contains(&bytes)
            {
                return Err(Error::invalid(format!(
                    "{name} buffer of {bytes} bytes: it is from 1 to {LARGEST_BUFFER} bytes (1 GiB)"
                )));
            }
        }
        Ok(())
    }

    /// Without those that are set once the socket is connected.
    pub(super) fn set_before_connect(self) -> Self {
        TcpOptions { no_delay: false, keep_alive: None, ..self }
    }
}

pub(super) fn check_user_timeout(timeout: Option<Duration>) -> Result<(), Error> {
    match timeout {
        Some(timeout) if !(1..=i32::MAX as u128).contains(&timeout.as_millis()) => {
            Err(Error::invalid(format!("user timeout of {timeout:?}: it is from 1 ms to {} ms", i32::MAX)))
        }
        _ => Ok(()),
    }
}

impl SocketPermissions {
    fn check(&self) -> Result<(), Error> {
        match self.mode {
            Some(mode) if mode > 0o777 => {
                Err(Error::invalid(format!("mode {mode:#o} of a Unix socket: it is at most 0o777")))
            }
            _ => Ok(()),
        }
    }
}

fn check_mark(mark: usize) -> Result<(), Error> {
    if mark > LARGEST_BUFFER {
        return Err(Error::invalid(format!("high-water mark {mark}: it is at most {LARGEST_BUFFER} bytes (1 GiB)")));
    }
    Ok(())
}

pub(super) fn check_keep_alive(keep_alive: Option<KeepAlive>) -> Result<(), Error> {
    /// Linux takes no more (tcp(7): TCP_KEEPIDLE and TCP_KEEPINTVL, TCP_KEEPCNT).
    const LONGEST: u64 = 32767;
    const MOST: u32 = 127;
    let Some(KeepAlive { initial_delay, interval, count }) = keep_alive else { return Ok(()) };
    if initial_delay.as_secs() > LONGEST {
        let seconds = initial_delay.as_secs();
        return Err(Error::invalid(format!("keep-alive after {seconds} s: the initial delay is at most {LONGEST} s")));
    }
    if let Some(interval) = interval
        && !(1..=LONGEST).contains(&interval.as_secs())
    {
        return Err(Error::invalid(format!("keep-alive every {interval:?}: the interval is from 1 s to {LONGEST} s")));
    }
    match count {
        Some(count) if !(1..=MOST).contains(&count) => {
            Err(Error::invalid(format!("keep-alive with {count} probes: there are from 1 to {MOST}")))
        }
        _ => Ok(()),
    }
}
