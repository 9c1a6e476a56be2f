//! What a hub knows: the ring, who hears it, and who speaks.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate::{Net, SocketId, SocketOptions};

use super::brake::Brake;
use super::consumer::{Consumer, Sum};
use super::frames::Framer;
use super::input;
use super::ring::{Cursor, Origin, Ring};
use super::slow::Rule;
use crate::cli::{Backlog, HubOptions};
use crate::daemon::throttle::Throttle;

/// The number of a consumer or a producer. None is used twice.
pub type Key = u64;

/// What a consumer may have beside the ring before it is behind: the high-water mark of its connection.
pub const MARK: usize = 32 * 1024;

/// What is given to those who are live in a turn: less than the mark, so that who takes it all is not asked to drain.
pub const GIVEN_IN_A_TURN: usize = MARK - 1;

/// When so much has not been given to those who are live, the inputs wait.
pub const MOST_UNDISTRIBUTED: u64 = 64 * 1024;

/// The most that one read brings.
const CHUNK: usize = 64 * 1024;

pub struct Hub {
    pub options: HubOptions,
    pub rule: Rule,
    pub ring: Ring,
    /// Up to here everybody who is live has been given all.
    pub live_at: Cursor,
    /// In the order in which they became live.
    pub live: Vec<(SocketId, Key)>,
    pub consumers: BTreeMap<Key, Outlet>,
    pub feeds: BTreeMap<Key, Feed>,
    pub given: GivenInTurn,
    pub inputs: Inputs,
    pub brake: Brake,
    pub phase: Phase,
    /// Whether a turn is asked for in which distribution goes on.
    pub goes_on_next_turn: bool,
    /// The connections of clients that have a place.
    pub clients: usize,
    pub logs: Logs,
    last_key: Key,
}

/// A consumer, with its connection if it has one.
pub struct Outlet {
    pub consumer: Consumer,
    pub socket: Option<SocketId>,
    pub name: String,
    pub kind: Kind,
    /// Since when it has had no connection, or has taken nothing while something waits.
    pub idle_since: Option<Duration>,
    /// Bytes that its connection had taken then.
    pub taken_then: u64,
    /// Whether what it says goes to the inputs.
    pub talks: Option<Framer>,
    /// It has ended its side. It may still read, or it may be gone: only what is sent to it shows that.
    pub has_ended: bool,
}

/// Who a consumer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody who has connected.
    Client,
    /// A place that the command line names.
    Place,
}

/// A producer that is connected, or a file that is read.
pub struct Feed {
    pub socket: SocketId,
    pub framer: Framer,
    pub origin: Origin,
    pub name: String,
    /// What consumers say goes to it.
    pub is_writable: bool,
    /// When it was heard last.
    pub heard: Duration,
}

/// How much was given to those who are live in this turn.
#[derive(Debug, Default)]
pub struct GivenInTurn {
    pub turn: u64,
    pub bytes: usize,
}

/// Whether the inputs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputs {
    Flow,
    Wait,
}

/// What is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// So many inputs have an end and have not come to it. `lasts` says that there are others, which have none.
    Runs { ending: usize, lasts: bool },
    /// Everybody is given all that there is, and is ended.
    Stopping,
}

/// What may come too often for the log.
#[derive(Default)]
pub struct Logs {
    pub losses: Throttle,
    pub left_out: Throttle,
    pub unheard: Throttle,
}

impl Hub {
    pub fn new(options: &HubOptions) -> Self {
        let rule = Rule { slow: options.slow(), queue: options.queue() as u64 };
        // What comes before the inputs are held up, and what one who is live may have been given and not taken: where its frames
        // begin has to be known.
        let beside = MOST_UNDISTRIBUTED as usize + CHUNK + 2 * MARK + 2 * options.max_frame();
        Hub {
            ring: Ring::new(options.queue() + beside),
            options: options.clone(),
            rule,
            live_at: Cursor::default(),
            live: Vec::new(),
            consumers: BTreeMap::new(),
            feeds: BTreeMap::new(),
            given: GivenInTurn::default(),
            inputs: Inputs::Flow,
            brake: Brake::default(),
            phase: Phase::Runs { ending: 0, lasts: false },
            goes_on_next_turn: false,
            clients: 0,
            logs: Logs::default(),
            last_key: 0,
        }
    }

    pub fn new_key(&mut self) -> Key {
        self.last_key += 1;
        self.last_key
    }

    pub fn new_framer(&self) -> Framer {
        Framer::new(self.options.frames, self.options.max_frame())
    }

    pub fn is_stopping(&self) -> bool {
        self.phase == Phase::Stopping
    }

    /// Whether a consumer is a file that is appended to.
    pub fn is_appended(&self, key: Key) -> bool {
        self.consumers.get(&key).is_some_and(|outlet| outlet.name.starts_with("--out file:"))
    }

    /// Where a consumer that joins begins.
    pub fn backlog(&self) -> Cursor {
        let wanted = match &self.options.backlog {
            None => self.ring.head(),
            Some(Backlog::Frames(frames)) => self.ring.newest(u64::from(*frames)),
            Some(Backlog::Bytes(size)) => self.ring.within(size.bytes as u64),
        };
        // What is not given to those who are live yet, it gets with them.
        wanted.max(self.ring.within(self.rule.queue)).min(self.live_at)
    }

    /// Whether somebody certainly hears what is read.
    pub fn is_heard(&self) -> bool {
        self.consumers.values().any(|outlet| outlet.socket.is_some() && !outlet.has_ended)
    }

    /// The byte that the fastest consumer gets next, of those that have a connection. None if it keeps up, and if there is none.
    pub fn fastest(&self) -> Option<u64> {
        if !self.live.is_empty() {
            return None;
        }
        let connected = self.consumers.values().filter(|outlet| outlet.socket.is_some());
        connected.filter_map(|outlet| outlet.consumer.cursor()).map(|cursor| cursor.byte).max()
    }

    /// How far a consumer has come.
    pub fn sum(&self, net: &Net, key: Key) -> Option<Sum> {
        let outlet = self.consumers.get(&key)?;
        let unsent = outlet.socket.map_or(0, |id| net.connection(id).unsent());
        Some(outlet.consumer.sum(self.live_at, unsent, self.rule, &self.ring))
    }

    /// Other flags are in force. Those that say how big the ring is and what a frame is are the same.
    pub fn change(&mut self, options: &HubOptions) {
        self.options = options.clone();
        self.rule.slow = options.slow();
        if let Phase::Runs { lasts, .. } = &mut self.phase {
            *lasts = input::have_one_that_lasts(&options.inputs) || options.has_members();
        }
    }

    /// Of the connections that a hub makes.
    pub fn socket_options(&self) -> SocketOptions {
        const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

        SocketOptions::new()
            .no_delay(true)
            .high_water_mark(MARK)
            .urgent_inline(true)
            .send_buffer(self.options.daemon.send_buffer())
            .keep_alive(self.options.daemon.keep_alive())
            .connect_timeout(CONNECT_TIMEOUT)
            .notice_gone_peers(true)
    }
}
