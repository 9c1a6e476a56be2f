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
//! | `output.rs` | writing: at once, queued, flushed |
//! | `accept.rs`, `adopt.rs` | servers; sockets that somebody else made |
//! | `broadcast.rs`, `limits.rs` | one message to many, and what is done about those who do not read |
//! | `pipe.rs` | one socket or file into another |
//! | `file.rs` | files, pipes of the system's and terminals: connections with one half |
//! | `clock.rs`, `questions.rs` | timers; what can be asked of a socket |
//! | `invariants.rs` | what is true between two turns |
//! | `line.rs`, `link.rs` | who stands in line to be served; a connection with its descriptor and its latches |

mod accept;
#[cfg(unix)]
mod adopt;
mod broadcast;
mod clock;
mod event;
mod file;
mod invariants;
mod limits;
mod line;
mod link;
mod options;
mod output;
mod pipe;
mod questions;
mod serve;
mod ticks;
mod turn;

use std::collections::VecDeque;
use std::time::Duration;

pub use event::{Chunk, Closed, Dropped, Event};
pub use file::FileOptions;
pub use options::{OutputLimits, OutputPolicy, ServerOptions, SocketOptions, SoftLimit};

use crate::arena::Arena;
use crate::connection::{CallbackId, CloseReason, Connection, Segments, Stage};
use crate::endpoint::ToEndpoint;
use crate::error::{Code, Error, Syscall};
use crate::id::{ServerId, SocketId, TimerId};
use crate::kernel::{KeepAlive, Kernel, Ready, SocketOption};
use crate::timers::{Due, Timers};
use accept::Server;
use line::Line;
use link::{Link, ResetPlace};
use serve::Serving;
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

#[derive(Debug)]
struct UserTimer {
    due: Due,
    /// For a timer that comes again.
    every: Option<Duration>,
    referenced: bool,
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

    // ---- sockets: commands -----------------------------------------------------------------------------------------------

    /// A socket that is not connected yet.
    ///
    /// # Errors
    /// An option out of its bounds.
    pub fn new_socket(&mut self, options: SocketOptions) -> Result<SocketId, Error> {
        options.check()?;
        let connection = Connection::new(options.high_water_mark as u32, options.allow_half_open);
        Ok(self.sockets.insert_with(|_| Link::unconnected(connection, &options)))
    }

    /// Takes back a socket that nobody has seen.
    pub(crate) fn forget_fresh(&mut self, id: SocketId) {
        if self.sockets.get(id).is_some_and(|link| link.connection.stage() == Stage::Fresh) {
            self.sockets.remove(id);
        }
    }

    /// Connects a socket that is fresh or closed. What goes wrong on the way is an event.
    ///
    /// # Errors
    /// Text that is no address; one of another family than the local address; a socket that is connecting, connected,
    /// closing, or gone: after `on_close` has returned there is no connecting again.
    #[doc(alias = "createConnection")]
    pub fn connect(&mut self, id: SocketId, to: impl ToEndpoint) -> Result<(), Error> {
        let to = to.to_endpoint()?.to_connect_to();
        let inherited = self.inherited_keep_alive(self.server_of(id));
        let (link, mut later) = self.link(id).ok_or_else(|| Error::new(Code::Gone))?;
        if link.leaving {
            return Err(Error::new(Code::Gone));
        }
        let to = match link.rare().setup.local_address {
            Some(local) => to.reached_from(local)?,
            None => to,
        };
        if link.file.is_some() {
            return Err(Error::invalid("a file cannot be connected: make a socket"));
        }
        link.connection.connect(&mut later)?;
        link.begin_connect(to);
        // The server that has accepted it once is its no more.
        link.rare_mut().keep_alive.get_or_insert(inherited);
        self.touch_at(id, self.time_of_call());
        Ok(())
    }

    /// Stops the `data` events. Reading goes on until read-ahead is full: the mark - 1 + 64 KiB at most.
    pub fn pause(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id) {
            link.connection.pause();
        }
    }

    /// Lets `data` events come, from the next tick on, those that were kept first.
    pub fn resume(&mut self, id: SocketId) {
        if let Some((link, mut later)) = self.link(id) {
            link.connection.resume(&mut later);
        }
    }

    /// Has [`Event::Callback`] with this number come when a read has found nothing more, or the end: all that the other
    /// side had sent until then was delivered. With a graceful stop in mind: what it has said is heard, and what it says
    /// later is not waited for. A pause is respected: it does not come before `resume`. If the socket is destroyed
    /// first, it comes with an error.
    pub fn catch_up(&mut self, id: SocketId, callback: CallbackId) {
        let Some((link, mut later)) = self.link(id) else { return };
        if link.connection.is_destroyed() {
            link.connection.callback_due(callback, Err(Error::new(Code::Destroyed)), &mut later);
        } else {
            link.rare_mut().catching_up.push(callback);
            self.look_for_more(id);
            self.list_if_readable(id);
        }
    }

    /// A read has found nothing more. What was read and not delivered is still to come.
    fn caught_up(&mut self, id: SocketId) {
        let Some((link, mut later)) = self.link(id) else { return };
        if link.connection.read_ahead() > 0 {
            return;
        }
        let Some(rare) = link.rare_if_any() else { return };
        for callback in std::mem::take(&mut rare.catching_up) {
            link.connection.callback_due(callback, Ok(()), &mut later);
        }
    }

    /// Who is to catch up has nothing left that was read: the next read tells whether there is more.
    fn look_for_more(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        if link.rare().catching_up.is_empty() {
            return;
        }
        if link.connection.has_ended() {
            self.caught_up(id);
        } else if link.connection.stage() == Stage::Connected {
            link.latches.readable = true;
        }
    }

    /// Says that somebody takes the data of this socket, or that nobody does any more. As adding a `data` handler does
    /// in Node, it lets the data flow unless the socket was paused; removing it does not pause.
    pub fn listen_for_data(&mut self, id: SocketId, listening: bool) {
        if let Some((link, mut later)) = self.link(id) {
            link.listener = listening;
            let anybody = listening || link.is_piped();
            if listening || !anybody {
                link.connection.set_listening(anybody, &mut later);
            }
        }
    }

    /// Ends a connection at once. Unsent bytes are thrown away; `close` follows.
    pub fn destroy(&mut self, id: SocketId) {
        self.destroy_as(id, None, Some(CloseReason::DestroyedHere));
    }

    /// As [`Net::destroy`], with the reason that `close` is to give.
    pub fn destroy_because(&mut self, id: SocketId, reason: CloseReason) {
        self.destroy_as(id, None, Some(reason));
    }

    /// As [`Net::destroy`], with an error that is told first.
    pub fn destroy_with(&mut self, id: SocketId, error: Error) {
        self.destroy_as(id, Some(error), Some(CloseReason::DestroyedHere));
    }

    /// Ends, and destroys when all is written: it does not wait for the other side's end.
    #[doc(alias = "destroySoon")]
    pub fn destroy_soon(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        if link.connection.is_finished() {
            self.destroy(id);
        } else {
            link.destroy_on_finish = true;
            if link.connection.is_writable() {
                self.end(id, None);
            }
        }
    }

    /// Closes with a reset (RST). While connecting it waits for the connection; a socket that never was connected gets
    /// an error.
    #[doc(alias = "resetAndDestroy")]
    pub fn reset(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        match link.connection.stage() {
            Stage::Connecting => {
                let place = match link.connection.is_parked() {
                    true => ResetPlace::BehindTheWrite,
                    false => ResetPlace::BeforeTheWrite,
                };
                link.reset_when_connected.get_or_insert(place);
            }
            Stage::Connected => {
                link.reset = true;
                self.destroy(id);
            }
            Stage::Fresh => self.destroy_with(id, Error::new(Code::SocketClosed)),
            Stage::Destroyed { .. } | Stage::Closed => {}
        }
    }

    /// Sets Node's idle clock: `timeout` is told when nothing moved for so long, once for each idle period. `None` or
    /// zero turns it off. It does nothing else to the socket, and does not keep the loop running.
    ///
    /// As in Node, a write in flight that moves holds it off, and one that stalls altogether is told after twice the
    /// time. Resolution 1 ms, at most 2^31 - 1 ms.
    #[doc(alias = "setTimeout")]
    pub fn set_timeout(&mut self, id: SocketId, period: Option<Duration>) {
        let now = self.time_of_call();
        let Some(link) = self.sockets.get_mut(id) else { return };
        if link.connection.is_destroyed() {
            return;
        }
        let period = period.filter(|period| !period.is_zero());
        if let Some(due) = link.connection.set_idle(period, now, &mut self.timers) {
            self.timers.push(due, Alarm::Idle(id));
        }
        // An entry that a shorter period has overtaken, or that stands for a clock that is off.
        self.forget_alarm();
    }

    /// TCP_NODELAY. Before the connection it is remembered; the same value again makes no system call.
    #[doc(alias = "setNoDelay")]
    pub fn set_no_delay(&mut self, id: SocketId, on: bool) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        if link.no_delay != on {
            link.no_delay = on;
            if let Some(handle) = link.handle_if_connected() {
                set_option(&mut *self.kernel, handle, SocketOption::NoDelay(on));
            }
        }
    }

    /// Keep-alive probes, or `None` to turn them off. Before the connection it is remembered; the same value again makes
    /// no system call.
    ///
    /// # Errors
    /// A time or a count out of its bounds: see [`KeepAlive`].
    #[doc(alias = "setKeepAlive")]
    pub fn set_keep_alive(&mut self, id: SocketId, keep_alive: Option<KeepAlive>) -> Result<(), Error> {
        options::check_keep_alive(keep_alive)?;
        let inherited = self.inherited_keep_alive(self.server_of(id));
        let Some(link) = self.sockets.get_mut(id) else { return Ok(()) };
        if link.rare().keep_alive.unwrap_or(inherited) != keep_alive {
            link.rare_mut().keep_alive = Some(keep_alive);
            if let Some(handle) = link.handle_if_connected() {
                set_option(&mut *self.kernel, handle, SocketOption::KeepAlive(keep_alive));
            }
        }
        Ok(())
    }

    /// IP_TOS and IPV6_TCLASS: how routers are to treat what is sent. The two lowest bits are the system's own (ECN).
    /// Before the connection it is remembered.
    #[doc(alias = "setTypeOfService")]
    pub fn set_type_of_service(&mut self, id: SocketId, value: u8) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        link.tuning_mut().type_of_service = Some(value);
        if let Some(handle) = link.handle_if_connected() {
            set_option(&mut *self.kernel, handle, SocketOption::TypeOfService(value));
        }
    }

    /// TCP_USER_TIMEOUT, on Linux: when what was sent has no answer for so long, the connection is over with ETIMEDOUT.
    /// `None` is the system's own, some 15 minutes. Before the connection it is remembered.
    ///
    /// # Errors
    /// A time that is not from 1 ms to 2^31 - 1 ms.
    pub fn set_user_timeout(&mut self, id: SocketId, timeout: Option<Duration>) -> Result<(), Error> {
        options::check_user_timeout(timeout)?;
        let Some(link) = self.sockets.get_mut(id) else { return Ok(()) };
        link.tuning_mut().user_timeout = timeout;
        if let Some(handle) = link.handle_if_connected() {
            set_option(&mut *self.kernel, handle, SocketOption::UserTimeout(timeout));
        }
        Ok(())
    }

    /// Whether the socket keeps the loop running while it is active.
    #[doc(alias = "ref")]
    #[doc(alias = "unref")]
    pub fn set_ref(&mut self, id: SocketId, on: bool) {
        if let Some(link) = self.sockets.get_mut(id) {
            link.referenced = on;
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

    /// Closes the descriptor now, and owes the `close`. Both halves being over gives no reason of its own.
    fn destroy_as(&mut self, id: SocketId, error: Option<Error>, reason: Option<CloseReason>) {
        let Some((link, mut later)) = self.link(id) else { return };
        let (stage, had_idle_entry) =
            (link.connection.stage(), link.connection.idle.as_ref().is_some_and(|idle| idle.has_entry()));
        if !link.connection.destroy(error, reason, &mut later) {
            return;
        }
        let (handle, reset, server) = (link.handle.take(), link.reset, link.server);
        for callback in link.rare_if_any().map(|rare| std::mem::take(&mut rare.catching_up)).unwrap_or_default() {
            link.connection.callback_due(callback, Err(Error::new(Code::Destroyed)), &mut later);
        }
        self.discard_output(id);
        if let Some(handle) = handle {
            if reset {
                self.kernel.reset(handle)
            } else {
                self.kernel.close(handle)
            }
            self.descriptor_was_freed();
        }
        if stage != Stage::Fresh {
            self.closing.push(id);
        }
        self.relieve(id);
        if had_idle_entry {
            self.forget_alarm();
        }
        if let Some(server) = server {
            self.connection_was_destroyed(server);
        }
    }

    /// Destroys it for an error of a system call.
    fn broke(&mut self, id: SocketId, error: Error) {
        let reason = reason_of(&error);
        self.destroy_as(id, Some(error), Some(reason));
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

    /// Puts a socket on the flush list, once.
    #[inline]
    fn flush_later(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id)
            && !link.to_be_flushed
        {
            link.to_be_flushed = true;
            self.flushing.push_back(id);
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

/// What a connection died of.
fn reason_of(error: &Error) -> CloseReason {
    match (error.code().name(), error.syscall()) {
        (_, Some(Syscall::Connect | Syscall::Bind | Syscall::SetOption)) => CloseReason::ConnectFailed,
        ("ECONNRESET" | "EPIPE" | "ECONNABORTED", _) => CloseReason::PeerReset,
        ("ERR_IP_BLOCKED", _) => CloseReason::ConnectFailed,
        ("ETIMEDOUT", _) => CloseReason::Timeout,
        _ => CloseReason::Error,
    }
}

/// Sets an option, and lets it be where the system will not: a peer that is gone already makes it fail, and that peer's
/// connection tells so itself. Node ignores it too.
fn set_option(kernel: &mut dyn Kernel, handle: crate::kernel::Handle, option: SocketOption) {
    if let Err(error) = kernel.set_option(handle, option) {
        log::debug!("{option:?} was not set: {error}");
    }
}
