//! The engine: it owns the kernel's side of all connections, carries out what they ask, and returns events.
//!
//! It calls nobody. A user of the engine alone pulls events and matches; the event loop (`event_loop/`) does just that and
//! runs closures. Everything is by id, every call is legal at any time, and one that comes too late does nothing.
//!
//! ```text
//!   Net ── conns ───── everything about one connection: Conn, with methods on (&mut self, cx)
//!    │ └── servers ─── everything about one server: Server, likewise
//!    └──── cx ──────── kernel, agenda, clock, segments, counters: all that these need, and never another connection
//! ```
//!
//! What concerns two connections is the net's: it goes from one look-up to the next.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `turn.rs`, `turn_time.rs`, `serve.rs` | waiting, and the phases of a turn: read it first; how long it may take; a socket that is ready |
//! | `conn/` | one connection: reading, writing, its ends, its limits |
//! | `agenda.rs`, `serving.rs` | all lists of what is to be done; the socket whose turn it is |
//! | `cx.rs`, `clock.rs`, `counters.rs`, `server_counts.rs` | what a connection needs to do its work |
//! | `read_buffer.rs`, `event.rs` | the one read buffer; what comes out |
//! | `commands.rs`, `info.rs`, `paused_by.rs` | what a user asks of a connection; what can be asked about it; why it is not read from |
//! | `memory.rs`, `memory_limit.rs` | what all of it holds; a limit for that |
//! | `pipe.rs`, `broadcast.rs` | one connection into another; one message to many |
//! | `listen.rs`, `server.rs`, `accepting.rs` | servers; one of them; how it accepts |
//! | `file.rs`, `adopt.rs` | files; sockets that were made elsewhere |
//! | `timers.rs`, `user_timers.rs`, `timeouts.rs` | what a user asks of time; the timers that were set; those that are due |
//! | `names.rs`, `looking_up.rs` | the sockets and files of the resolver; who looks a name up |
//! | `waker.rs` | waking it from another thread |
//! | `trace/`, `tracing.rs`, `labels.rs` | what the loop does, in words; what users call their connections |
//! | `statistics/`, `counting.rs` | what the loop does, in numbers; when it is counted |
//! | `around.rs` | a kernel around the kernel, for both |
//! | `options.rs`, `output_limits.rs` | what can be set |
//! | `check.rs` | what is true between two turns |

mod accepting;
#[cfg(unix)]
mod adopt;
mod agenda;
mod around;
mod broadcast;
mod check;
mod clock;
mod commands;
mod conn;
mod connect_defaults;
mod counters;
mod counting;
mod cx;
mod event;
mod file;
#[cfg(feature = "names")]
mod file_lines;
mod info;
mod labels;
mod listen;
mod listen_on_name;
#[cfg(feature = "names")]
mod looking_up;
mod lookup;
mod memory;
mod memory_limit;
#[cfg(feature = "names")]
mod name_files;
#[cfg(feature = "names")]
mod names;
mod naming;
mod options;
mod output_limits;
mod own_lookups;
mod paused_by;
mod pipe;
mod read_buffer;
mod routes;
mod serve;
mod server;
mod server_counts;
mod serving;
mod statistics;
mod timeouts;
mod timers;
mod trace;
mod tracing;
mod turn;
mod turn_time;
mod user_timers;
mod waker;

use std::collections::BTreeSet;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::time::Duration;

pub(crate) use clock::Sleep;
#[cfg(any(test, fuzzing))]
pub(crate) use conn::harness;
pub use counters::Counters;
pub use event::{Chunk, Closed, Dropped, Event, Lookup};
pub use info::{ConnectionInfo, ConnectionKind};
pub use lookup::{LookupAsker, LookupId, LookupRequest};
pub use options::{FileOptions, ServerOptions, SocketOptions};
pub use output_limits::{OutputLimits, OutputPolicy, SoftLimit};
pub use paused_by::PausedBy;
pub use statistics::{Figure, FigureKind, FigureValue, Histogram, LongestTurn, Statistics};
pub use trace::{Explainer, TraceLine, TraceSink};
pub use waker::Waker;

use crate::base::arena::Arena;
use crate::base::error::Error;
use crate::base::id::{Id, Owner, SocketId};
use crate::kernel::{Kernel, Ready, TokenOwner};
use agenda::Phase;
use conn::Conn;
use conn::dial::Manner;
use conn::piping::KeptForPipes;
use cx::Cx;
use read_buffer::ReadBuffer;
use server::Server;
use serving::Serving;
use trace::Tracer;
use user_timers::UserTimers;
use waker::Wakers;

/// The engine: all sockets, servers and timers of a loop.
///
/// It owns the kernel's side, carries out what connections ask, and returns events one at a time; it calls nobody. All
/// commands and questions are by id and legal at any time: one that comes too late does nothing. [`crate::EventLoop`]
/// runs closures on it; it can be used alone as well:
///
/// ```
/// use tidegate::kernel::MioKernel;
/// use tidegate::{Event, Net};
///
/// // An echo without closures.
/// let mut net = Net::new(MioKernel::new()?);
/// let server = net.new_server(Default::default())?;
/// net.listen(server, "127.0.0.1:0")?;
/// let client = net.new_socket(Default::default())?;
/// net.connect(client, net.server_address(server).expect("it listens"))?;
/// net.write(client, b"hello");
/// net.listen_for_data(client, true);
/// let mut received = Vec::new();
/// while received != b"hello" {
///     while let Some(event) = net.next_event(None)? {
///         match event {
///             Event::Connection { socket, .. } => net.pipe(socket, socket)?,
///             Event::Data { chunk, .. } => {
///                 received.extend_from_slice(&chunk);
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
    conns: Arena<Conn>,
    servers: Arena<Server>,
    timers: UserTimers,
    cx: Cx,
    /// How sockets connect to names whose options do not say.
    connect_defaults: Manner,

    phase: Phase,
    /// Rounds of flushes that are left in this phase, with the present one.
    flush_rounds: u8,
    /// The socket whose turn it is.
    serving: Option<Serving>,
    buffer: ReadBuffer,
    /// While the handler of a `data` event runs.
    kept_for_pipes: Option<KeptForPipes>,
    /// The kernel's answer of this turn; empty outside `wait`.
    found: Vec<Ready>,
    wakers: Wakers,
    /// The signals that are watched: one may come at any time, and keeps nothing running.
    watched_signals: BTreeSet<i32>,
    /// A socket or a server that was seen to keep the loop running, so that not all are asked each turn.
    alive_hint: Option<TokenOwner>,
    /// While it is traced.
    tracer: Option<Box<Tracer>>,
    /// Whether it is traced or statistics are kept: one question for each event.
    is_watched: bool,
}

impl Net {
    /// A net on a kernel: that of the machine, [`MioKernel`](crate::kernel::MioKernel), or any other.
    pub fn new(kernel: impl Kernel + 'static) -> Self {
        let owner = Owner::unique();
        Net {
            conns: Arena::new(owner),
            servers: Arena::new(owner),
            timers: UserTimers::new(owner),
            cx: Cx::new(Box::new(kernel)),
            connect_defaults: Manner::USUAL,
            phase: Phase::Start,
            flush_rounds: 0,
            serving: None,
            buffer: ReadBuffer::default(),
            kept_for_pipes: None,
            found: Vec::new(),
            wakers: Wakers::default(),
            watched_signals: BTreeSet::new(),
            alive_hint: None,
            tracer: None,
            is_watched: false,
        }
    }

    /// Asks for a signal as an event, [`Event::Signal`], in place of its default effect: see [`Loop::on_signal`].
    ///
    /// # Errors
    /// A number that no signal has; a signal that cannot be caught; a build without the feature `signals`.
    ///
    /// [`Loop::on_signal`]: crate::Loop::on_signal
    pub fn watch_signal(&mut self, signal: i32) -> Result<(), Error> {
        self.cx.kernel.watch_signal(signal)?;
        self.watched_signals.insert(signal);
        Ok(())
    }

    /// Takes [`Net::watch_signal`] back. No event comes for the signal any more, and it has its default effect again: see
    /// [`Loop::off_signal`](crate::Loop::off_signal).
    pub fn unwatch_signal(&mut self, signal: i32) {
        self.cx.kernel.unwatch_signal(signal);
        self.watched_signals.remove(&signal);
        self.cx.agenda.signals.retain(|arrived| *arrived != signal);
    }

    /// For other threads: has [`Event::Wake`] come. See [`Waker`].
    ///
    /// # Errors
    /// Out of descriptors; a kernel that cannot be woken.
    pub fn waker(&mut self) -> Result<Waker, Error> {
        self.wakers.waker(&mut *self.cx.kernel)
    }

    /// Whether anything is left that keeps the loop running: what is referenced *and* active, that is, listening,
    /// connecting, reading or writing; a timer; a [`Waker`]; work that is due.
    pub fn is_alive(&mut self) -> bool {
        self.waits_for_something() || self.has_work()
    }

    /// Whether something that is referenced and active may bring work.
    fn waits_for_something(&mut self) -> bool {
        // Each turn asks the one that was seen last, and looks for another only when that is over.
        let seen_last = match self.alive_hint {
            Some(TokenOwner::Socket(key)) => self.conns.by_key_mut(key).is_some_and(|conn| conn.keeps_alive()),
            Some(TokenOwner::Server(key)) => self.servers.by_key_mut(key).is_some_and(|server| server.keeps_alive()),
            Some(TokenOwner::Question(_)) | None => false,
        };
        seen_last || self.timers.referenced() > 0 || self.wakers.keep_alive() || self.finds_one_alive()
    }

    fn finds_one_alive(&mut self) -> bool {
        let from = match self.alive_hint {
            Some(TokenOwner::Socket(key)) => key.slot,
            _ => 0,
        };
        let server = self.servers.find_from(0, Server::keeps_alive).map(|id| TokenOwner::Server(id.key()));
        let socket = || self.conns.find_from(from, Conn::keeps_alive).map(|id| TokenOwner::Socket(id.key()));
        self.alive_hint = server.or_else(socket);
        self.alive_hint.is_some()
    }

    /// Whether anything at all may bring work, whether it is referenced and active or not.
    fn can_be_woken(&self) -> bool {
        !self.watched_signals.is_empty()
            || self.cx.clock.timers.next().is_some()
            || self.servers.iter().any(|(_, server)| server.is_listening())
            || self.conns.iter().any(|(_, conn)| conn.is_watched())
    }

    /// Fills a buffer with random bytes that nobody can guess. On the simulated kernel they come from its seed. A program that
    /// is to be recorded takes them from here, so that they are the same when the run is played: see [`guide`](crate::guide).
    ///
    /// # Errors
    /// The system's; a kernel that has none.
    pub fn random(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        Ok(self.cx.kernel.random(buffer)?)
    }

    /// The time on the loop's clock. All handlers of a turn see the same time, that of the turn. Between two turns it is
    /// the time of the call.
    pub fn now(&self) -> Duration {
        self.cx.now()
    }

    /// When the next turn has something to do even if nothing comes, on the clock of [`Net::now`]. It is not after the
    /// present if there is work already; `None` if only an event can bring some. Each call may change it, so a loop
    /// around this one asks before each of its waits.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.has_work() { Some(self.now()) } else { self.cx.clock.timers.next() }
    }

    /// A descriptor that becomes readable when a turn has something to do, for a loop inside another loop. It is the same
    /// as long as the net lives. `None` on a kernel that has none, as the simulated one.
    #[cfg(unix)]
    pub fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.cx.kernel.poll_fd()
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        let (memory_held, most_memory_held) = (self.cx.memory_held(), self.cx.most_memory_held());
        Counters { memory_held, most_memory_held, ..self.cx.counters }
    }

    /// Takes the buffer of a `data` event back.
    #[inline]
    pub fn recycle(&mut self, chunk: Chunk) {
        self.buffer.take_back(chunk);
    }

    /// An error came that nobody listened to. In Node that ends the process; here it ended its connection, and is logged.
    pub(crate) fn count_unhandled(&mut self, error: &Error) {
        self.cx.counters.errors_unhandled += 1;
        log::debug!("{error}");
    }

    /// Whether a turn has something to do at once.
    fn has_work(&self) -> bool {
        self.cx.agenda.has_work(|id| self.conns.get(id).is_some_and(Conn::has_work)) || self.cx.memory.is_behind
    }

    /// The one look-up of a command. What the connection does then concerns nobody else.
    #[inline]
    fn conn(&mut self, id: SocketId) -> Option<(&mut Conn, &mut Cx)> {
        Some((self.conns.get_mut(id)?, &mut self.cx))
    }
}
