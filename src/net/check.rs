//! What is true between two turns, whatever users and peers do.
//!
//! A release does not look. With debug assertions (a test, a user's debug build) each turn looks at what costs nothing,
//! and every 64th at everything. The simulation (`tests/sim/`) also asks at its end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Net;
use super::clock::TimerKind;
use super::conn::Conn;
use super::conn::piping::Pipe;
use super::read_buffer::READ_BUFFER;
use crate::base::id::{Id, ServerId, SocketId};
use crate::base::timers::Due;
use crate::connection::{Connection, Idle, Stage};
use crate::kernel::{Token, TokenOwner};

/// One walk over everything in so many turns.
const TURNS_PER_WALK: u64 = 64;

/// How often each socket stands in a list.
type Places = HashMap<SocketId, u32>;

impl Net {
    /// At the end of a turn, where debug assertions are on.
    pub(super) fn check_turn(&self) {
        debug_assert!(!self.cx.agenda.has_tasks(), "a turn ended before its tasks");
        debug_assert!(self.kept_for_pipes.is_none(), "a chunk did not get to all pipes");
        debug_assert!(self.serving.is_none(), "a socket was not served to its end");
        if cfg!(debug_assertions)
            && self.cx.counters.turns.is_multiple_of(TURNS_PER_WALK)
            && let Err(what) = self.check()
        {
            debug_assert!(false, "{what}");
        }
    }

    /// Looks at all sockets, servers, lists, timers and buffers, and says what does not fit together. To be called
    /// between two turns; it takes as long as there are connections. For tests, of this library and of its users.
    ///
    /// # Errors
    /// The first promise that is broken: a bug of this library.
    pub fn check(&self) -> Result<(), String> {
        let agenda = &self.cx.agenda;
        let ready = agenda.ready.iter().filter_map(|token| self.socket_of(*token));
        let ready = places(ready.chain(agenda.just_connected.iter().chain(&agenda.just_watched).copied()));
        let flushing = places(agenda.flush.iter().copied());
        let closing = places(agenda.closes.iter().copied());
        let timers: BTreeSet<(Due, TimerKind)> = self.cx.clock.timers.iter().collect();
        let held = places(self.conns.iter().flat_map(|(_, conn)| conn.held_senders()).copied());
        if self.cx.labels.len() > self.conns.len() {
            return Err("a label of a connection that is gone is kept".to_owned());
        }
        if self.conns.iter().filter(|(_, conn)| conn.apart).count() != self.cx.sockets_apart {
            return Err(format!("{} sockets are said to stand apart", self.cx.sockets_apart));
        }
        let mut known = 0;
        for (id, conn) in self.conns.iter() {
            let of = |places: &Places| places.get(&id).copied().unwrap_or(0);
            check_conn(conn, of(&ready), of(&flushing), of(&closing), of(&held))
                .and_then(|()| conn.connection.check(READ_BUFFER))
                .and_then(|()| conn.connection.queue().check(!conn.lists.flush, &self.cx.segments))
                .and_then(|()| check_timers(conn, &timers, &mut known))
                .map_err(|what| format!("{id:?}: {what}\n{conn:?}"))?;
        }
        self.check_servers(&timers, &mut known)?;
        self.timers.check(|due, kind| timers.contains(&(due, kind)))?;
        known += self.timers.len();
        #[cfg(feature = "names")]
        if let Some(due) = self.cx.names_due() {
            if !timers.contains(&(due, TimerKind::Names)) {
                return Err("nothing will wake those that look names up".to_owned());
            }
            known += 1;
        }
        if known != timers.len() {
            return Err(format!("{known} timers are known, {} are set: some stand for nothing", timers.len()));
        }
        self.check_pipes()?;
        self.check_segments()
    }

    fn check_servers(&self, timers: &BTreeSet<(Due, TimerKind)>, known: &mut usize) -> Result<(), String> {
        let mut connections: HashMap<ServerId, usize> = HashMap::new();
        for (_, conn) in self.conns.iter() {
            if let Some(server) = conn.server.filter(|_| !conn.connection.is_destroyed()) {
                *connections.entry(server).or_default() += 1;
            }
        }
        for (id, server) in self.servers.iter() {
            let there = connections.get(&id).copied().unwrap_or(0);
            let counted = self.cx.servers.connections(id);
            if counted != there {
                return Err(format!("{id:?}: {there} connections are there, {counted} are counted\n{server:?}"));
            }
            let is_listed = |token: &&Token| token.owner() == TokenOwner::Server(id.key());
            let listed = self.cx.agenda.ready.iter().filter(is_listed).count();
            let entries = timers.iter().filter(|(_, kind)| *kind == TimerKind::Accept(id)).count();
            *known += entries;
            server.check(listed, entries == 1).map_err(|what| format!("{id:?}: {what}\n{server:?}"))?;
        }
        Ok(())
    }

    /// Both ends of each pipe know of it.
    fn check_pipes(&self) -> Result<(), String> {
        for (from, conn) in self.conns.iter() {
            let Some(piping) = &conn.piping else { continue };
            for Pipe { to, .. } in piping.destinations.iter() {
                let Some(destination) = self.conns.get(*to) else { continue };
                let there = piping.destinations.iter().filter(|pipe| pipe.to == *to).count();
                let sources = destination.piping.iter().flat_map(|piping| piping.sources.iter());
                let here = sources.filter(|source| **source == from).count();
                if here != there {
                    return Err(format!("{from:?} has {there} pipes into {to:?}, which knows of {here}"));
                }
            }
        }
        Ok(())
    }

    /// Each range that a queue holds counts among its segment's holders, and no segment is left that nobody holds.
    fn check_segments(&self) -> Result<(), String> {
        let mut holders: BTreeMap<u32, u32> = BTreeMap::new();
        for (_, conn) in self.conns.iter() {
            conn.connection.queue().segments().for_each(|segment| *holders.entry(segment).or_default() += 1);
        }
        self.cx.segments.check(&holders)?;
        self.check_memory()
    }

    /// What all connections hold is what was counted.
    fn check_memory(&self) -> Result<(), String> {
        let connections = || self.conns.iter().map(|(_, conn)| &conn.connection);
        let queues: usize = connections().map(|connection| connection.queue().held()).sum();
        let read_ahead: usize = connections().map(Connection::read_ahead_held).sum();
        let counted = (self.cx.segments.queues(), self.cx.memory.read_ahead());
        if counted != (queues, read_ahead) {
            return Err(format!("queues and read-ahead hold {queues} and {read_ahead}, counted are {counted:?}"));
        }
        let mut waiting: Vec<_> = self.cx.memory.waiting.iter().copied().collect();
        let mut flagged: Vec<_> = self.conns.iter().filter(|(_, conn)| conn.lists.memory).map(|(id, _)| id).collect();
        waiting.sort();
        flagged.sort();
        if waiting != flagged {
            return Err(format!("{flagged:?} wait for memory, and {waiting:?} are told when there is some"));
        }
        Ok(())
    }

    fn socket_of(&self, token: Token) -> Option<SocketId> {
        match token.owner() {
            TokenOwner::Socket(key) => Some(self.conns.id(key)),
            TokenOwner::Server(_) | TokenOwner::Question(_) => None,
        }
    }
}

/// What is between a connection and the lists that it stands in.
fn check_conn(conn: &Conn, ready: u32, flushing: u32, closing: u32, held: u32) -> Result<(), String> {
    let (connection, lists) = (&conn.connection, conn.lists);
    let stage = connection.stage();
    let promises = [
        (ready == u32::from(lists.ready), "its place on the ready list"),
        (lists.ready || !conn.has_work(), "an edge was latched, and it is on no list: a lost wake-up"),
        (flushing == u32::from(lists.flush), "its place on the flush list"),
        (lists.flush || !connection.has_write_ready(), "what waits will not be flushed"),
        (lists.flush || !conn.has_outcome_to_emit(), "the outcome of a write or a connect will not be emitted"),
        (lists.flush || !connection.awaits_shutdown(), "it will not be shut down"),
        (closing == u32::from(matches!(stage, Stage::Destroyed { .. })), "its place among those that close"),
        (stage != Stage::Closed, "`close` was emitted, and nobody has forgotten it"),
        (
            conn.handle.is_some()
                == match stage {
                    // That of a connect that has failed is gone before it is told.
                    Stage::Connecting if conn.is_dialing() => false,
                    Stage::Connecting => !conn.has_outcome_to_emit(),
                    Stage::Connected => true,
                    Stage::Fresh | Stage::Destroyed { .. } | Stage::Closed => false,
                },
            "its descriptor does not go with its stage",
        ),
        (held == conn.held_by_receivers(), "the number of those that hold it up"),
        (lists.ready || !conn.waits_for_its_turn(), "it has given its turn away, and will get no other"),
        (conn.held_senders().is_empty() || conn.holds_senders(), "it holds senders up that it has no reason to"),
        (
            conn.connect_limit().is_none() || connection.is_connecting(),
            "it does not connect, and its time for that runs",
        ),
        (conn.grace().is_none() || conn.is_above_soft(), "it is below its soft limit, and its grace period runs"),
    ];
    match promises.iter().find(|(kept, _)| !kept) {
        Some((_, what)) => Err((*what).to_owned()),
        None => Ok(()),
    }
}

/// Every clock that runs will wake somebody.
fn check_timers(conn: &Conn, timers: &BTreeSet<(Due, TimerKind)>, known: &mut usize) -> Result<(), String> {
    let idle = conn.connection.idle();
    if idle.is_some_and(|idle| idle.is_running() && idle.entry().is_none()) {
        return Err("its idle clock runs, and nothing will wake it".to_owned());
    }
    for (due, kind) in [
        (idle.and_then(Idle::entry), TimerKind::Idle(conn.id)),
        (conn.grace(), TimerKind::Grace(conn.id)),
        (conn.retry(), TimerKind::Retry(conn.id)),
        (conn.connect_limit(), TimerKind::Connect(conn.id)),
        (conn.next_attempt(), TimerKind::Attempt(conn.id)),
    ] {
        let Some(due) = due else { continue };
        if !timers.contains(&(due, kind)) {
            return Err(format!("nothing will wake its {kind:?}"));
        }
        *known += 1;
    }
    Ok(())
}

fn places(of: impl Iterator<Item = SocketId>) -> Places {
    let mut places = Places::new();
    of.for_each(|id| *places.entry(id).or_default() += 1);
    places
}
