//! Names of hosts become addresses: the logic of it, without a socket and without a clock.
//!
//! It is a stub resolver: it asks the name servers of `/etc/resolv.conf`, which do the rest. All of it is driven by `now` and by
//! what has come, and says what is to be done: `net/names.rs` does it.
//!
//! ```text
//!   a name ──▶ Resolver ──▶ the hosts file, the cache ──────────────────────────────▶ addresses
//!                 │                                                                      ▲
//!                 └──▶ Lookup: the names of the search list, one after the other          │
//!                        └──▶ Asking: A and AAAA at the same time, server after server ───┘
//! ```
//!
//! | file | what is in it |
//! | --- | --- |
//! | `resolver/` | all look-ups, all questions, and the bounds: read it first |
//! | `lookup.rs` | one name: which names are asked for it, and when it is over |
//! | `asking.rs` | one question: which server is asked next, how, and how long |
//! | `message.rs` | messages as bytes; the only file that knows simple-dns |
//! | `cache.rs` | answers, for as long as they are good |
//! | `resolv_conf.rs`, `hosts.rs` | the two files |
//! | `told.rs` | what the log has of it |
//! | `options.rs` | what can be set |

mod asking;
mod cache;
mod hosts;
mod lookup;
pub(crate) mod message;
mod options;
mod resolv_conf;
mod resolver;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
mod told;

use std::net::IpAddr;

pub(crate) use crate::address::families::Families;
pub(crate) use crate::address::hints::Hints;
use crate::address::host_name::HostName;
use crate::base::error::Error;

pub(crate) use asking::Transport;
pub(crate) use hosts::Hosts;
pub use options::NamesOptions;
pub(crate) use resolv_conf::ResolvConf;
pub(crate) use resolver::{Action, Asked, Failure, Outcome, Resolver, Ticket, is_shortage};

/// A family of addresses. Each has a question of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// A.
    V4,
    /// AAAA.
    V6,
}

impl Families {
    fn each(self) -> &'static [Family] {
        match self {
            Families::Both => &[Family::V4, Family::V6],
            Families::V4 => &[Family::V4],
            Families::V6 => &[Family::V6],
        }
    }
}

/// What a name server is asked: for the addresses of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Question {
    pub name: HostName,
    pub family: Family,
}

/// What has become of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Addresses(Vec<IpAddr>),
    /// The name exists, and has no address of this family.
    NoAddress,
    NoSuchName,
    /// The servers say that they cannot answer (SERVFAIL).
    ServersFail,
    /// They say that they do not want to, or answer with nothing of use.
    ServersRefuse,
    /// No server has answered. If one could not be reached, the error says why, and which.
    NoServer(Option<Error>),
    /// No server was asked: the system says why.
    System(Error),
}
