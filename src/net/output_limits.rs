//! The limits for the output of a connection, and what happens beyond them. `conn/limits.rs` keeps them.

use std::rc::Rc;
use std::time::Duration;

use crate::base::error::Error;
use crate::kernel::setters::setters;

/// The bounds for what waits to be sent to a peer that does not read, and what happens beyond them. All are off by default,
/// as in Node.
///
/// They count unsent bytes, which are those that the kernel has not taken, in every state of the connection and from every
/// source except a pipe: a pipe is bounded because it pauses its source.
///
/// ```
/// use std::time::Duration;
/// use tidegate::{OutputLimits, SoftLimit};
///
/// let soft = SoftLimit::new(256 << 10, Duration::from_secs(10));
/// let limits = OutputLimits::new().hard(1 << 20).soft(soft);
/// ```
///
/// [`OutputLimits::disconnect_above`] is the short form of the usual one. What all connections hold together,
/// [`Net::set_memory_limit`](crate::Net::set_memory_limit) bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputLimits {
    /// The policy acts at once above so many bytes.
    pub hard: Option<usize>,
    /// The policy acts when there have been more than so many bytes for so long.
    pub soft: Option<SoftLimit>,
    /// What happens.
    pub policy: OutputPolicy,
}

/// The limits of a connection.
pub(super) type Limits = Rc<OutputLimits>;

/// See [`OutputLimits::soft`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SoftLimit {
    /// The time runs while there are more unsent bytes than this, and stops as soon as there are not. It is set back when
    /// nothing is unsent: then the other side has caught up.
    pub bytes: usize,
    /// How long there may be more, at least 1 ms.
    pub grace: Duration,
}

impl SoftLimit {
    /// More than `bytes` for `grace`.
    #[must_use]
    pub fn new(bytes: usize, grace: Duration) -> Self {
        SoftLimit { bytes, grace }
    }
}

/// What happens to a peer that does not read fast enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputPolicy {
    /// The connection is destroyed, with an `error` and the reason in `close`.
    #[default]
    Disconnect,
    /// A message that would pass the hard limit is not queued. The soft limit does not count.
    DropNewest,
    /// The oldest messages of which nothing has been sent are dropped until the hard limit holds. The soft limit does not
    /// count.
    DropOldest,
    /// The senders of `broadcast_from` are not read from while the connection is above the soft limit. If it stays there for
    /// the grace period, or passes the hard limit, it is destroyed.
    PauseSenders,
}

impl OutputLimits {
    setters! {
        hard: Option<usize>,
        soft: Option<SoftLimit>,
        policy: OutputPolicy,
    }

    /// Disconnects a peer that has left more than so many bytes unread: the hard limit alone.
    pub fn disconnect_above(bytes: usize) -> Self {
        OutputLimits { hard: Some(bytes), ..OutputLimits::default() }
    }

    /// The form that connections have. All that a server accepts share one. `None` if nothing is limited.
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
