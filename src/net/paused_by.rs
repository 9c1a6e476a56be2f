//! Why a connection is not read from, and because of whom.

use std::collections::HashMap;
use std::fmt;

use super::conn::Conn;
use crate::base::arena::Arena;
use crate::base::id::SocketId;

/// Why a connection is not read from, though its peer may send: see [`ConnectionInfo::paused_by`].
///
/// [`ConnectionInfo::paused_by`]: crate::ConnectionInfo::paused_by
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PausedBy {
    /// [`Net::pause`](crate::Net::pause) was called, or [`Net::pause_for`](crate::Net::pause_for) with this reason.
    User(Option<&'static str>),
    /// This one is full, which it is piped into: it has to drain.
    Pipe(SocketId),
    /// This receiver of its broadcasts is above its soft limit ([`Net::broadcast_from`](crate::Net::broadcast_from)). There
    /// may be more.
    Receiver(SocketId),
    /// The loop holds as much memory as it may ([`Net::set_memory_limit`](crate::Net::set_memory_limit)).
    Memory,
    /// It has used up the time of its turn, and goes on in a later one ([`Net::set_turn_budget`](crate::Net::set_turn_budget)).
    Turn,
    /// Nobody takes its data, neither a handler nor a pipe, and as much was read ahead as may be.
    ReadAhead,
}

impl fmt::Display for PausedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PausedBy::User(None) => f.write_str("the program"),
            PausedBy::User(Some(reason)) => write!(f, "the program ({reason})"),
            PausedBy::Pipe(to) => write!(f, "a pipe into {to}"),
            PausedBy::Receiver(receiver) => write!(f, "receiver {receiver}"),
            PausedBy::Memory => f.write_str("the memory limit"),
            PausedBy::Turn => f.write_str("the turn's time"),
            PausedBy::ReadAhead => f.write_str("read-ahead that nobody takes"),
        }
    }
}

/// Which receiver holds a connection up. Only the receivers know whom they hold up.
#[derive(Clone, Copy)]
pub(super) enum Holder<'a> {
    /// It was looked up for all of a table.
    Known(Option<SocketId>),
    /// It is one of these.
    AmongAll(&'a Arena<Conn>),
}

impl fmt::Debug for Holder<'_> {
    /// Without all connections.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Known(receiver) => receiver.fmt(f),
            Holder::AmongAll(_) => f.write_str(".."),
        }
    }
}

impl Holder<'_> {
    pub fn of(self, sender: SocketId) -> Option<SocketId> {
        match self {
            Holder::Known(receiver) => receiver,
            Holder::AmongAll(conns) => conns.iter().find(|(_, conn)| conn.held_senders().contains(&sender))?.0.into(),
        }
    }
}

/// For each sender that is held up, one receiver that does so.
pub(super) fn holders(conns: &Arena<Conn>) -> HashMap<SocketId, SocketId> {
    let mut holders = HashMap::new();
    for (receiver, conn) in conns.iter() {
        for sender in conn.held_senders() {
            holders.entry(*sender).or_insert(receiver);
        }
    }
    holders
}
