//! What is true between two turns, whatever users and peers do.
//!
//! A release does not look. With debug assertions (a test, a user's debug build) each turn looks at what costs nothing,
//! and every 64th at everything. The simulation (`tests/sim/simulation`) also asks at its end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::link::Link;
use super::{Alarm, Net, READ_BUFFER};
use crate::base::id::{ServerId, SocketId};
use crate::connection::Stage;
use crate::kernel::{Token, Whose};

/// One walk over everything in so many turns.
const TURNS_PER_WALK: u64 = 64;

/// How often each socket stands in a list.
type Places = HashMap<SocketId, u32>;

impl Net {
    /// At the end of a turn, where debug assertions are on.
    pub(super) fn check_turn(&self) {
        debug_assert!(self.deferred.is_empty() && self.then.is_none(), "a turn ended before its ticks");
        debug_assert!(self.closing_now.is_empty(), "a `close` was not told in its turn");
        debug_assert!(self.serving.is_none(), "a socket was not served to its end");
        if cfg!(debug_assertions)
            && self.counters.turns.is_multiple_of(TURNS_PER_WALK)
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
        let ready = self.ready.iter().filter_map(socket_of);
        let ready = places(ready.chain(self.just_connected.iter().chain(&self.just_watched).copied()));
        let flushing = places(self.flushing.iter().copied());
        let closing = places(self.closing.iter().chain(&self.closing_now).copied());
        let alarms = self.live_alarms()?;
        let mut held: Places = HashMap::new();
        for (_, link) in self.sockets.iter() {
            link.held_senders().iter().for_each(|sender| *held.entry(*sender).or_default() += 1);
        }
        for (id, link) in self.sockets.iter() {
            let of = |places: &Places| places.get(&id).copied().unwrap_or(0);
            check_link(link, of(&ready), of(&flushing), of(&closing), of(&held))
                .and_then(|()| link.connection.check(READ_BUFFER))
                .and_then(|()| check_alarms(id, link, &alarms))
                .map_err(|what| format!("{id:?}: {what}\n{link:?}"))?;
        }
        self.check_servers(&alarms)?;
        self.check_user_timers(&alarms)?;
        self.check_pipes()?;
        self.check_segments()
    }

    /// What the entries of the timers stand for, those that stand for something.
    fn live_alarms(&self) -> Result<BTreeSet<Alarm>, String> {
        let mut alarms = BTreeSet::new();
        let mut dead = 0;
        for (due, alarm) in self.timers.iter() {
            if !self.is_live(due, alarm) {
                dead += 1;
            } else if !alarms.insert(alarm) && !matches!(alarm, Alarm::Retry(_)) {
                return Err(format!("{alarm:?} has two entries in the timers"));
            }
        }
        let bound = 64 + self.timers.len() / 2;
        match dead > bound {
            true => Err(format!("{dead} entries of the timers stand for nothing, the bound is {bound}")),
            false => Ok(alarms),
        }
    }

    fn check_servers(&self, alarms: &BTreeSet<Alarm>) -> Result<(), String> {
        let mut connections: HashMap<ServerId, usize> = HashMap::new();
        for (_, link) in self.sockets.iter() {
            if let Some(server) = link.server.filter(|_| !link.connection.is_destroyed()) {
                *connections.entry(server).or_default() += 1;
            }
        }
        for (id, server) in self.servers.iter() {
            let listed = self.ready.iter().filter(|token| token.whose() == Whose::Server(id)).count();
            server
                .check(connections.get(&id).copied().unwrap_or(0), listed, alarms.contains(&Alarm::Accept(id)))
                .map_err(|what| format!("{id:?}: {what}\n{server:?}"))?;
        }
        Ok(())
    }

    fn check_user_timers(&self, alarms: &BTreeSet<Alarm>) -> Result<(), String> {
        for (id, timer) in self.user_timers.iter() {
            if !alarms.contains(&Alarm::User(id)) {
                return Err(format!("nothing will wake {timer:?}"));
            }
        }
        let referenced = self.user_timers.iter().filter(|(_, timer)| timer.referenced).count();
        match referenced == self.referenced_timers {
            true => Ok(()),
            false => Err(format!("{referenced} timers are referenced, {} are counted", self.referenced_timers)),
        }
    }

    /// Each range that a queue holds counts among its segment's holders, and no segment is left that nobody holds.
    fn check_segments(&self) -> Result<(), String> {
        let mut holders: BTreeMap<u32, u32> = BTreeMap::new();
        for (_, link) in self.sockets.iter() {
            link.connection.queue().segments().for_each(|segment| *holders.entry(segment).or_default() += 1);
        }
        self.segments.check(&holders)
    }
}

/// What is between a connection and the lists that it stands in.
fn check_link(link: &Link, ready: u32, flushing: u32, closing: u32, held: u32) -> Result<(), String> {
    let connection = &link.connection;
    let stage = connection.stage();
    let promises = [
        (ready == u32::from(link.listed), "its place on the ready list"),
        (link.listed || !link.has_work(), "an edge was latched, and it is on no list: a lost wake-up"),
        (flushing == u32::from(link.to_be_flushed), "its place on the flush list"),
        (link.to_be_flushed || !connection.has_unit_ready(), "what waits will not be flushed"),
        (link.to_be_flushed || link.rare().outcome.is_none(), "the outcome of a write will not be told"),
        (link.to_be_flushed || !link.shutdown_wanted || !connection.awaits_shutdown(), "it will not be shut down"),
        (closing == u32::from(matches!(stage, Stage::Destroyed { .. })), "its place among those that close"),
        (stage != Stage::Closed, "`close` was told, and nobody has forgotten it"),
        (
            link.handle.is_some() == matches!(stage, Stage::Connecting | Stage::Connected),
            "its descriptor does not go with its stage",
        ),
        (held == link.held_by, "the number of receivers that hold it up"),
        (link.held_senders().is_empty() || link.holds_senders(), "it holds senders up that it has no reason to"),
        (!link.is_in_grace() || link.is_above_soft(), "it is below its soft limit, and its grace period runs"),
    ];
    match promises.iter().find(|(kept, _)| !kept) {
        Some((_, what)) => Err((*what).to_owned()),
        None => Ok(()),
    }
}

/// Every clock that runs will wake somebody.
fn check_alarms(id: SocketId, link: &Link, alarms: &BTreeSet<Alarm>) -> Result<(), String> {
    if link.connection.idle.as_ref().is_some_and(|idle| idle.is_running()) && !alarms.contains(&Alarm::Idle(id)) {
        return Err("its idle clock runs, and nothing will wake it".to_owned());
    }
    if link.is_in_grace() && !alarms.contains(&Alarm::Grace(id)) {
        return Err("its grace period runs, and nothing will end it".to_owned());
    }
    Ok(())
}

fn socket_of(token: &Token) -> Option<SocketId> {
    match token.whose() {
        Whose::Socket(id) => Some(id),
        Whose::Server(_) => None,
    }
}

fn places(of: impl Iterator<Item = SocketId>) -> Places {
    let mut places = Places::new();
    of.for_each(|id| *places.entry(id).or_default() += 1);
    places
}
