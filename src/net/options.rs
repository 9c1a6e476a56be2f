//! The options of servers, sockets and files, with their defaults and bounds.

use std::net::IpAddr;
use std::time::Duration;

use super::output_limits::OutputLimits;
use crate::address::block_list::BlockList;
use crate::address::families::Families;
use crate::address::hints::Hints;
use crate::base::error::Error;
use crate::connection::race::ConnectAttempts;
use crate::kernel::setters::setters;
use crate::kernel::{KeepAlive, ListenOptions, OpenMode, SocketPermissions, TcpOptions};

/// Node's default high-water mark: 64 KiB.
const DEFAULT_HIGH_WATER_MARK: usize = 64 * 1024;

/// The largest high-water mark and the largest buffer of the kernel: 1 GiB. Node takes more, which no connection can use.
const LARGEST_BUFFER: usize = 1 << 30;

/// The options of a server. The defaults are Node's.
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
    /// Whether accepted sockets stay writable after the peer has ended. If it is off, they end too.
    #[doc(alias = "allowHalfOpen")]
    pub allow_half_open: bool,
    /// Whether accepted sockets start paused: nothing is read from them until `resume`.
    #[doc(alias = "pauseOnConnect")]
    pub pause_on_connect: bool,
    /// The high-water mark of accepted sockets, in bytes, for both directions: at the mark `write` returns false, and reading
    /// ahead stops. Default 64 KiB, at most 1 GiB.
    #[doc(alias = "highWaterMark")]
    pub high_water_mark: usize,
    /// The most connections at a time. Further ones are closed when they arrive, with a `drop` event. Default: no limit. With
    /// 0 no connection is taken.
    #[doc(alias = "maxConnections")]
    pub max_connections: Option<usize>,
    /// How many connections may wait to be accepted. Default 511; the system may allow fewer.
    pub backlog: u32,
    /// Who may connect to a Unix socket's path: the mode and the owner of its file, which are set before anybody can connect.
    /// Default: what the umask leaves. TCP ignores it. An abstract name has no file and accepts only the default.
    #[doc(alias = "readableAll")]
    #[doc(alias = "writableAll")]
    pub permissions: SocketPermissions,
    /// Whether an address of IPv6 takes IPv6 alone. Off by default: `[::]`, and so a port alone, takes both families, and a
    /// port alone falls back to `0.0.0.0` if the machine has no IPv6. If it is on, there is no fallback.
    #[doc(alias = "ipv6Only")]
    pub ipv6_only: bool,
    /// SO_REUSEPORT: several sockets, of several processes of one user, listen on one address, and the kernel spreads
    /// the connections over them. Off by default.
    #[doc(alias = "reusePort")]
    pub reuse_port: bool,
    /// The addresses whose clients are closed when they arrive. There is no event, as in Node; they are counted
    /// ([`Counters::blocked`](crate::Counters::blocked)). Default: none.
    #[doc(alias = "blockList")]
    pub block_list: Option<BlockList>,
    /// Whether the peer of an accepted socket that is gone is noticed while nothing is read from it, because it is paused or
    /// its read-ahead is full: see [`SocketOptions::notice_gone_peers`](field@SocketOptions::notice_gone_peers). Off by
    /// default, as in Node.
    pub notice_gone_peers: bool,
    /// The TCP options of accepted sockets. They are set once, on the listening socket, and accepted sockets inherit them.
    pub tcp: TcpOptions,
    /// Output limits of accepted sockets. Off by default.
    pub output_limits: OutputLimits,
    /// Whether the server and its connections stand apart from the others, as what looks at a program does and is no part of
    /// it. They are not in [`Net::sockets`](crate::Net::sockets) and [`Net::socket_ids`](crate::Net::socket_ids), and do not
    /// keep the loop running. [`Loop::shut_down`](crate::Loop::shut_down) lets them be: when all others are over they are taken
    /// away without an event, and are not in its report. Off by default.
    pub apart: bool,
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
            notice_gone_peers: false,
            tcp: TcpOptions::default(),
            output_limits: OutputLimits::default(),
            apart: false,
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
        notice_gone_peers: bool,
        tcp: TcpOptions,
        no_delay in tcp: bool,
        keep_alive in tcp: Option<KeepAlive>,
        type_of_service in tcp: Option<u8>,
        user_timeout in tcp: Option<Duration>,
        receive_buffer in tcp: Option<usize>,
        send_buffer in tcp: Option<usize>,
        urgent_inline in tcp: bool,
        output_limits: OutputLimits,
        apart: bool,
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

/// The options of a socket that connects. The defaults are Node's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SocketOptions {
    /// Whether it stays writable after the peer has ended. If it is off, it ends too.
    #[doc(alias = "allowHalfOpen")]
    pub allow_half_open: bool,
    /// The high-water mark for both directions, in bytes. Default 64 KiB, at most 1 GiB.
    #[doc(alias = "highWaterMark")]
    pub high_water_mark: usize,
    /// The address to connect from. Default: the system chooses. Of `localhost` and of a name, only the addresses of the same
    /// family are tried.
    #[doc(alias = "localAddress")]
    pub local_address: Option<IpAddr>,
    /// The port to connect from. Default 0: the system chooses.
    #[doc(alias = "localPort")]
    pub local_port: u16,
    /// How long `connect` may take, from 1 ms to 2^31 - 1 ms. Default: as long as the system tries, some two minutes on Linux.
    ///
    /// Then there is an `error` of the kind [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut), whose text names the limit,
    /// and the reason of `close` is [`CloseReason::ConnectFailed`](crate::CloseReason::ConnectFailed). The time begins when
    /// the system is asked, on the next tick, and is one for all addresses of `localhost`. For a name it begins with the look-up. Each connect of the socket has it anew. It is exact, where Node's
    /// idle clock ([`Socket::set_timeout`](crate::Socket::set_timeout)) also runs before the connection, but ends nothing.
    pub connect_timeout: Option<Duration>,
    /// Which addresses of a name are looked up. Default: those of both families.
    #[doc(alias = "family")]
    pub families: Families,
    /// Which addresses of a name are left out, and which are added. Default: none, as in Node. An address in digits is taken as it
    /// is, and a look-up of the program's own is only told of them.
    pub hints: Hints,
    /// How the addresses of a name are tried. Default: as [`Net::set_default_attempts`](crate::Net::set_default_attempts) says, and
    /// that is as RFC 8305 wants it.
    #[doc(alias = "autoSelectFamily")]
    pub attempts: Option<ConnectAttempts>,
    /// How long an address of a name may take before the next one is tried, from 1 ms to 2^31 - 1 ms. Less than 10 ms is 10 ms, as in
    /// Node: RFC 8305 has a least delay. Default: as [`Net::set_default_attempt_delay`](crate::Net::set_default_attempt_delay) says,
    /// and that is 250 ms, as RFC 8305 recommends it.
    #[doc(alias = "autoSelectFamilyAttemptTimeout")]
    pub attempt_delay: Option<Duration>,
    /// The addresses that it does not connect to: a connect gives an `error` of the kind
    /// [`ErrorKind::IpBlocked`](crate::ErrorKind::IpBlocked). Default: none.
    #[doc(alias = "blockList")]
    pub block_list: Option<BlockList>,
    /// Whether a peer that is gone is noticed while nothing is read from the socket: it is paused, its read-ahead is full, a
    /// pipe waits for its destination. Off by default, as in Node, where such a socket stays until it is resumed or written
    /// to.
    ///
    /// If it is on, a reset and a time-out of keep-alive destroy the socket at once, with an `error` and the reason
    /// [`CloseReason::PeerReset`](crate::CloseReason::PeerReset) or [`CloseReason::Timeout`](crate::CloseReason::Timeout).
    /// What the peer has sent before that, and was not delivered yet, is discarded. A socket that is read from gets that
    /// first, as always. The peer's end is not noticed so: it follows the data, and the peer may still be reading.
    pub notice_gone_peers: bool,
    /// Whether it outlasts the others when the loop is shut down: [`Loop::shut_down`](crate::Loop::shut_down) does not end it, and waits
    /// until the program has, or until the patience is over. For a connection that handlers of others write to up to their
    /// `close`, a database for example. Off by default.
    pub outlasts: bool,
    /// The TCP options. No-delay and keep-alive are set when the socket is connected, the others before it connects.
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
            connect_timeout: None,
            families: Families::Both,
            hints: Hints::NONE,
            attempts: None,
            attempt_delay: None,
            block_list: None,
            notice_gone_peers: false,
            outlasts: false,
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
        connect_timeout: Option<Duration>,
        families: Families,
        hints: Hints,
        attempts: Option<ConnectAttempts>,
        attempt_delay: Option<Duration>,
        block_list: Option<BlockList>,
        notice_gone_peers: bool,
        outlasts: bool,
        tcp: TcpOptions,
        no_delay in tcp: bool,
        keep_alive in tcp: Option<KeepAlive>,
        type_of_service in tcp: Option<u8>,
        user_timeout in tcp: Option<Duration>,
        receive_buffer in tcp: Option<usize>,
        send_buffer in tcp: Option<usize>,
        urgent_inline in tcp: bool,
        output_limits: OutputLimits,
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        check_mark(self.high_water_mark)?;
        check_time("connect timeout", self.connect_timeout)?;
        check_time("attempt delay", self.attempt_delay)?;
        self.tcp.check()?;
        self.output_limits.check()
    }
}

/// How a file is opened.
///
/// ```
/// use tidegate::{FileOptions, OpenMode};
///
/// let options = FileOptions::append().high_water_mark(4096);
/// assert_eq!(options.mode, OpenMode::Append);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileOptions {
    /// What the file is opened for. If a descriptor is open already, only the direction counts.
    #[doc(alias = "flags")]
    pub mode: OpenMode,
    /// The high-water mark, in bytes. For a file that is read it is the most bytes of one `data` event, which never has more
    /// than 64 KiB, and of what is read ahead. For a file that is written it is how much waits when `write` returns false.
    /// Default 64 KiB, from 1 byte to 1 GiB.
    #[doc(alias = "highWaterMark")]
    pub high_water_mark: usize,
}

impl FileOptions {
    /// A file that is opened in this mode, with the default high-water mark.
    #[must_use]
    pub fn new(mode: OpenMode) -> Self {
        FileOptions { mode, high_water_mark: DEFAULT_HIGH_WATER_MARK }
    }

    /// A file that is read.
    #[doc(alias = "createReadStream")]
    pub fn read() -> Self {
        FileOptions::new(OpenMode::Read)
    }

    /// A file that is created, or truncated, and written.
    #[doc(alias = "createWriteStream")]
    pub fn write() -> Self {
        FileOptions::new(OpenMode::Write)
    }

    /// A file that is written at its end.
    pub fn append() -> Self {
        FileOptions::new(OpenMode::Append)
    }

    /// A device or a FIFO that is read and written. It must exist, and is not truncated.
    pub fn read_write() -> Self {
        FileOptions::new(OpenMode::ReadWrite)
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

    /// Without the options that are set when the socket is connected.
    pub(super) fn before_connect(self) -> Self {
        TcpOptions { no_delay: false, keep_alive: None, ..self }
    }
}

pub(super) fn check_user_timeout(timeout: Option<Duration>) -> Result<(), Error> {
    check_time("user timeout", timeout)
}

pub(super) fn check_time(name: &str, time: Option<Duration>) -> Result<(), Error> {
    match time {
        Some(time) if !(1..=i32::MAX as u128).contains(&time.as_millis()) => {
            Err(Error::invalid(format!("{name} of {time:?}: it is from 1 ms to {} ms", i32::MAX)))
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
