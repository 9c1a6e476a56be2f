//! What can be set for servers and sockets, with defaults and bounds.

use std::time::Duration;

use crate::error::Error;
use crate::kernel::{Inherit, KeepAlive};

/// Node's default mark: 64 KiB.
pub(super) const DEFAULT_HIGH_WATER_MARK: u32 = 64 * 1024;

/// The largest mark: 1 GiB. Node takes more, and no connection has use for it.
const LARGEST_MARK: usize = 1 << 30;

/// What a server is made with. The defaults are Node's.
///
/// ```
/// use tidegate::ServerOptions;
///
/// let options = ServerOptions { allow_half_open: true, no_delay: true, ..ServerOptions::default() };
/// assert_eq!(options.backlog, 511);
/// ```
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Whether accepted sockets stay writable when the other side has ended. Off: they end in their turn.
    #[doc(alias = "allowHalfOpen")]
    pub allow_half_open: bool,
    /// Whether accepted sockets begin paused: nothing at all is read from them until `resume`.
    #[doc(alias = "pauseOnConnect")]
    pub pause_on_connect: bool,
    /// TCP_NODELAY for accepted sockets: small writes go out at once. Off, as in Node.
    #[doc(alias = "noDelay")]
    pub no_delay: bool,
    /// Keep-alive probes for accepted sockets. Off by default.
    #[doc(alias = "keepAlive")]
    pub keep_alive: Option<KeepAlive>,
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
    /// Output limits of accepted sockets. Off by default.
    pub output_limits: OutputLimits,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            allow_half_open: false,
            pause_on_connect: false,
            no_delay: false,
            keep_alive: None,
            high_water_mark: DEFAULT_HIGH_WATER_MARK as usize,
            max_connections: None,
            backlog: 511,
            output_limits: OutputLimits::default(),
        }
    }
}

impl ServerOptions {
    pub(super) fn check(&self) -> Result<(), Error> {
        check_mark(self.high_water_mark)?;
        check_keep_alive(self.keep_alive)?;
        if self.backlog == 0 || self.backlog > i32::MAX as u32 {
            return Err(Error::invalid(format!("backlog {}: it is from 1 to {}", self.backlog, i32::MAX)));
        }
        self.output_limits.check()
    }

    pub(super) fn inherit(&self) -> Inherit {
        Inherit { no_delay: self.no_delay, keep_alive: self.keep_alive }
    }
}

/// What a connecting socket is made with. The defaults are Node's.
#[derive(Clone, Debug)]
pub struct SocketOptions {
    /// Whether it stays writable when the other side has ended. Off: it ends in its turn.
    #[doc(alias = "allowHalfOpen")]
    pub allow_half_open: bool,
    /// TCP_NODELAY: small writes go out at once. Off, as in Node.
    #[doc(alias = "noDelay")]
    pub no_delay: bool,
    /// Keep-alive probes. Off by default.
    #[doc(alias = "keepAlive")]
    pub keep_alive: Option<KeepAlive>,
    /// The mark for both directions, in bytes. Default 64 KiB, at most 1 GiB.
    #[doc(alias = "highWaterMark")]
    pub high_water_mark: usize,
    /// Output limits. Off by default.
    pub output_limits: OutputLimits,
}

impl Default for SocketOptions {
    fn default() -> Self {
        SocketOptions {
            allow_half_open: false,
            no_delay: false,
            keep_alive: None,
            high_water_mark: DEFAULT_HIGH_WATER_MARK as usize,
            output_limits: OutputLimits::default(),
        }
    }
}

impl SocketOptions {
    pub(super) fn check(&self) -> Result<(), Error> {
        check_mark(self.high_water_mark)?;
        check_keep_alive(self.keep_alive)?;
        self.output_limits.check()
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
/// let limits = OutputLimits {
///     hard: Some(1 << 20),
///     soft: Some(SoftLimit { bytes: 256 << 10, grace: Duration::from_secs(10) }),
///     ..OutputLimits::default()
/// };
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimits {
    /// Above so many bytes the policy acts at once.
    pub hard: Option<usize>,
    /// Above so many bytes for so long the policy acts.
    pub soft: Option<SoftLimit>,
    /// What is done.
    pub policy: OutputPolicy,
}

/// See [`OutputLimits::soft`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoftLimit {
    /// Unsent bytes from which the time runs. It stops as soon as there are fewer.
    pub bytes: usize,
    /// How long it may stay above, at least 1 ms.
    pub grace: Duration,
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
    pub(super) fn is_off(&self) -> bool {
        self.hard.is_none() && self.soft.is_none()
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

pub(super) fn check_mark(mark: usize) -> Result<(), Error> {
    if mark > LARGEST_MARK {
        return Err(Error::invalid(format!("high-water mark {mark}: it is at most {LARGEST_MARK} bytes (1 GiB)")));
    }
    Ok(())
}

pub(super) fn check_keep_alive(keep_alive: Option<KeepAlive>) -> Result<(), Error> {
    /// Linux takes no more (tcp(7), TCP_KEEPIDLE).
    const LONGEST: u64 = 32767;
    match keep_alive {
        Some(KeepAlive { initial_delay }) if initial_delay.as_secs() > LONGEST => Err(Error::invalid(format!(
            "keep-alive after {} s: the initial delay is at most {LONGEST} s",
            initial_delay.as_secs()
        ))),
        _ => Ok(()),
    }
}
