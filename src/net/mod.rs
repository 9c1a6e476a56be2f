//! The engine: it owns the kernel's side of all connections, carries out what they ask, and returns events.
//!
//! It calls nobody. A user of the net alone pulls events and matches; the event loop (`event_loop.rs`) does just that
//! and runs closures. Everything is by id, every call is legal at any time, and one that comes too late does nothing.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `turn.rs` | waiting, and the phases of a turn: read it first |
//! | `ticks.rs` | what happens between two pieces of work |
//! | `serve.rs` | a socket that is ready: connect, read, write |
//! | `connect.rs` | from `connect` to the connection |
//! | `output.rs`, `flush.rs` | writing: at once or queued; what waits for its phase |
//! | `commands.rs`, `destroy.rs` | what else a user asks of a socket; its end at once |
//! | `server.rs`, `accept.rs` | servers; how they accept |
//! | `adopt.rs` | sockets that somebody else made |
//! | `broadcast.rs`, `limits.rs` | one message to many, and what is done about those who do not read |
//! | `pipe.rs` | one socket or file into another |
//! | `file.rs` | files, pipes of the system's and terminals: connections with one half |
//! | `clock.rs`, `questions.rs` | timers and what is put off; what can be asked of a socket |
//! | `invariants.rs` | what is true between two turns |
//! | `line.rs`, `link.rs` | who stands in line to be served; a connection with its descriptor and its latches |

mod accept;
#[cfg(unix)]
mod adopt;
mod broadcast;
mod clock;
mod commands;
mod connect;
mod destroy;
mod event;
mod file;
mod flush;
mod invariants;
mod limits;
mod line;
mod link;
mod options;
mod output;
mod pipe;
mod questions;
mod serve;
mod server;
mod ticks;
mod turn;

use std::collections::VecDeque;
use std::time::Duration;

pub use event::{Chunk, Closed, Dropped, Event};
pub use file::FileOptions;
pub use options::{OutputLimits, OutputPolicy, ServerOptions, SocketOptions, SoftLimit};

use crate::base::arena::Arena;
use crate::base::error::Error;
use crate::base::id::{ServerId, SocketId, TimerId};
use crate::base::timers::Timers;
use crate::connection::{Connection, Segments};
use crate::kernel::{Kernel, Ready};
use clock::UserTimer;
use line::Line;
use link::Link;
use serve::Serving;
use server::Server;
use ticks::{Deferred, Later, Then};
use turn::Phase;

/// One read takes so many bytes at most; Node's and libuv's figure, and the best for one core (`docs/benchmarks.md`). Only
/// from one socket into another a read may take more: see `pipe.rs`.
const READ_BUFFER: usize = 64 * 1024;

/// The engine: all sockets, servers and timers of a loop.
///
/// It owns the kernel's side, carries out what connections ask, and returns events one at a time; it calls nobody. All
/// commands and questions are by id and legal at any time: one that comes too late does nothing. [`crate::EventLoop`]
/// runs closures on it; it can be used alone as well:
///
/// ```
/// use tidegate::{Event, EventLoop};
///
/// // An echo without closures.
/// let mut net = EventLoop::new()?.net;
/// let server = net.new_server(Default::default())?;
/// net.listen(server, "127.0.0.1:0")?;
/// let client = net.new_socket(Default::default())?;
/// net.connect(client, net.server_address(server).expect("it listens"))?;
/// net.write(client, b"hello");
/// net.listen_for_data(client, true);
/// let mut heard = Vec::new();
/// while heard != b"hello" {
///     while let Some(event) = net.next_event(None)? {
///         match event {
///             Event::Connection { socket, .. } => net.pipe(socket, socket, true)?,
///             Event::Data { chunk, .. } => {
///                 heard.extend_from_slice(&chunk);
///                 net.recycle(chunk);
///             }
///             _ => {}
///         }
///     }
/// }
/// # Ok::<(), tidegate::Error>(())
/// ```
#[derive(Debug)]
pub struct Net {
    kernel: Box<dyn Kernel>,
    sockets: Arena<SocketId, Link>,
    servers: Arena<ServerId, Server>,
    timers: Timers<Alarm>,
    user_timers: Arena<TimerId, UserTimer>,
    /// How many user timers keep the loop running.
    referenced_timers: usize,

    phase: Phase,
    /// What happens before the next piece of work of any phase.
    deferred: VecDeque<Deferred>,
    /// What is left to do of the tick or the piece of work whose event was handed out last.
    then: Option<(SocketId, Then)>,
    /// The kernel's answer of this turn; empty outside `wait`.
    found: Vec<Ready>,
    signals: VecDeque<i32>,
    /// What the user has put off to the next turn, by number.
    next_turns: VecDeque<u64>,
    next_turns_left: usize,
    /// Sockets and servers with something to do, in the order in which they are served.
    ready: Line,
    /// Sockets that have connected since the last wait.
    just_connected: Vec<SocketId>,
    /// Sockets that have begun to be watched since the last wait.
    just_watched: Vec<SocketId>,
    serving: Option<Serving>,
    /// Sockets with a broadcast to send or a writing side to end.
    flushing: VecDeque<SocketId>,
    flushes_left: usize,
    /// When many of them are to give way to the others.
    flush_until: Duration,
    /// Sockets whose `close` is owed. Last in, first out, as in libuv.
    closing: Vec<SocketId>,
    /// Those of them whose turn has come.
    closing_now: Vec<SocketId>,

    /// The one read buffer, lent out with each chunk. Empty while it is out.
    buffer: Vec<u8>,
    /// A read of more than [`READ_BUFFER`] was made since the loop slept.
    read_wide: bool,
    segments: Segments,
    next_pipe: u64,
    /// The clock as the last wait left it.
    now: Duration,
    /// Clocks that run out up to here belong to the round of timeouts.
    expiring: Duration,
    /// What delays are counted from: `now`, and the slack by which the real clock may be ahead of it.
    counted_from: Duration,
    /// A socket that was seen to keep the loop running, so that not all are asked each turn.
    witness: Option<SocketId>,
    counters: Counters,
}

/// What a net has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Turns.
    pub turns: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once, because their server had as many as it may.
    pub dropped: u64,
    /// Connections closed at once, because their server's block list said so.
    pub blocked: u64,
    /// Connections closed at once, because there was no descriptor for them.
    pub shed: u64,
    /// Messages that output limits dropped.
    pub messages_dropped: u64,
    /// Connections that output limits ended.
    pub limited: u64,
    /// Errors of connections and servers that no handler listened to.
    pub errors_unheard: u64,
}

/// What an entry of the timers stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// A socket's idle clock.
    Idle(SocketId),
    /// A socket above its soft output limit.
    Grace(SocketId),
    /// A write that the kernel had no memory for: no edge tells when it has.
    Retry(SocketId),
    /// A server that could not accept.
    Accept(ServerId),
    User(TimerId),
}

impl Net {
    /// A net on a kernel.
    pub fn new(kernel: Box<dyn Kernel>) -> Self {
        let now = kernel.now();
        let counted_from = now + kernel.clock_slack();
        Net {
            kernel,
            sockets: Arena::new(),
            servers: Arena::new(),
            timers: Timers::new(),
            user_timers: Arena::new(),
            referenced_timers: 0,
            phase: Phase::Flush,
            deferred: VecDeque::new(),
            then: None,
            found: Vec::new(),
            signals: VecDeque::new(),
            next_turns: VecDeque::new(),
            next_turns_left: 0,
            ready: Line::default(),
            just_connected: Vec::new(),
            just_watched: Vec::new(),
            serving: None,
            flushing: VecDeque::new(),
            flushes_left: 0,
            flush_until: now,
            closing: Vec::new(),
            closing_now: Vec::new(),
            buffer: Vec::new(),
            read_wide: false,
            segments: Segments::default(),
            next_pipe: 0,
            now,
            expiring: now,
            counted_from,
            witness: None,
            counters: Counters::default(),
        }
    }

    // ---- the loop --------------------------------------------------------------------------------------------------------

    /// Asks for a signal as an event.
    ///
    /// # Errors
    /// A signal that cannot be caught; a build without the feature `signals`.
    pub fn watch_signal(&mut self, signal: i32) -> Result<(), Error> {
        self.kernel.watch_signal(signal).map_err(Error::from)
    }

    /// Whether anything is left that keeps the loop running: what is referenced *and* active, that is, listening,
    /// connecting, reading or writing; a timer; work that is due.
    pub fn is_alive(&mut self) -> bool {
        if self.referenced_timers > 0 || self.has_work() {
            return true;
        }
        if self.servers.iter().any(|(_, server)| server.keeps_alive()) {
            return true;
        }
        // Each turn asks the one that was seen last, and looks for another only when that is over.
        let from = match self.witness {
            Some(id) if self.sockets.get(id).is_some_and(Link::keeps_alive) => return true,
            Some(id) => id.slot,
            None => 0,
        };
        self.witness = self.sockets.find_from(from, Link::keeps_alive);
        self.witness.is_some()
    }

    /// The time on the loop's clock, as the last wait left it.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// When the next turn has something to do even if nothing comes, on the clock of [`Net::now`]. The present if there
    /// is work already; `None` if only an event can bring some.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.has_work() { Some(self.now) } else { self.timers.next() }
    }

    /// A descriptor that becomes readable when a turn has something to do, for a loop inside another loop.
    pub fn poll_fd(&self) -> Option<i32> {
        self.kernel.poll_fd()
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes the buffer of a `data` event back.
    #[inline]
    pub fn recycle(&mut self, chunk: Chunk) {
        if chunk.buffer.len() >= READ_BUFFER && chunk.buffer.len() >= self.buffer.len() {
            self.buffer = chunk.buffer;
        }
    }

    /// An error came that nobody listened to. In Node that ends the process; here it ended its connection, and is told.
    pub(crate) fn count_unheard(&mut self, error: &Error) {
        self.counters.errors_unheard += 1;
        log::debug!("{error}");
    }

    // ---- inside ----------------------------------------------------------------------------------------------------------

    /// A socket, and where its ticks go.
    #[inline]
    fn link(&mut self, id: SocketId) -> Option<(&mut Link, Later<'_>)> {
        let link = self.sockets.get_mut(id)?;
        Some((link, Later { id, queue: &mut self.deferred }))
    }

    fn ask<T: Default>(&self, id: SocketId, question: impl FnOnce(&Connection) -> T) -> T {
        self.sockets.get(id).map_or_else(T::default, |link| question(&link.connection))
    }

    /// Something moved on a socket: its idle period begins again. It is counted from the turn, which is cheaper than to
    /// look at the clock, and too early by no more than the turn has taken.
    #[inline]
    fn touch(&mut self, id: SocketId) {
        self.touch_at(id, self.counted_from);
    }

    #[inline]
    fn touch_at(&mut self, id: SocketId, now: Duration) {
        if let Some(link) = self.sockets.get_mut(id)
            && let Some(due) = link.connection.activity(now, &mut self.timers)
        {
            self.timers.push(due, Alarm::Idle(id));
        }
    }

    /// Puts a socket on the ready list, once.
    #[inline]
    fn make_ready(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id)
            && !link.listed
        {
            link.listed = true;
            self.ready.join(id.into());
        }
    }

    /// A socket begins to be watched. libuv tells epoll so just before it waits, so its readiness comes behind that of
    /// all who were ready by then: it stands last in the next round.
    fn watch(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id)
            && !link.listed
        {
            link.listed = true;
            self.just_watched.push(id);
        }
    }

    /// A connection may have begun to read: what the kernel has for it was told before, and is not told again.
    #[inline]
    fn list_if_readable(&mut self, id: SocketId) {
        if self.sockets.get(id).is_some_and(Link::wants_to_read) {
            self.watch(id);
        }
    }
}
