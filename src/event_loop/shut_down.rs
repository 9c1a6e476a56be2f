//! Shutting a loop down: what has arrived is handled, what was written is sent, and all is ended in order.
//!
//! ```text
//!   a socket that is read from ──it has caught up────────▶ it is ended, after those that pipe into it
//!   any other socket ────────────────────────────────────▶ it is ended, after those that pipe into it
//!   a file ──────────────────no connection is left──────▶ it is ended
//!   an ended socket ─────────nothing arrives any more───▶ it is destroyed
//! ```

use std::collections::HashMap;
use std::time::Duration;

use super::{Loop, RunState};
use crate::base::id::{SocketId, TimerId};
use crate::connection::CloseReason;
use crate::event_loop::socket::Socket;
use crate::event_loop::socket_handlers::SocketHandlers;
use crate::kernel::setters::setters;
use crate::net::Closed;

/// How [`Loop::shut_down_with`] ends a loop.
///
/// ```
/// use std::time::Duration;
/// use tidegate::ShutDownOptions;
///
/// let options = ShutDownOptions::new().patience(Duration::from_secs(10)).linger(Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutDownOptions {
    /// What is not closed after this time is destroyed. Default 10 s.
    pub patience: Duration,
    /// A socket has caught up when a read finds nothing more, and nothing arrives for this long after it. It should be
    /// longer than a round trip to the peer, which may have had no room to send into. Default 200 ms, and never more than
    /// a quarter of the patience. A peer that sends again and again is waited for no longer than a second, or half of the
    /// patience if that is shorter.
    pub quiet: Duration,
    /// An ended socket is destroyed when it has sent everything, and then nothing arrives for this long. Default: it is
    /// not, and waits for its peer as long as the patience lasts.
    pub linger: Option<Duration>,
    /// Which sockets wait for which. Default [`EndOrder::Each`].
    pub order: EndOrder,
}

/// Which sockets are ended when, while a loop is shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndOrder {
    /// Each socket when it has caught up, and when the sockets that pipe into it have.
    #[default]
    Each,
    /// All sockets together, when all have caught up: for a program that writes to one peer what it reads from another.
    /// The last one is waited for no longer than a second, or half of the patience if that is shorter.
    Together,
    /// None: the peers end their connections, for as long as the patience lasts.
    ByPeers,
}

impl Default for ShutDownOptions {
    fn default() -> Self {
        let (patience, quiet) = (Duration::from_secs(10), Duration::from_millis(200));
        ShutDownOptions { patience, quiet, linger: None, order: EndOrder::default() }
    }
}

impl ShutDownOptions {
    setters! {
        patience: Duration,
        quiet: Duration,
        linger: Option<Duration>,
        order: EndOrder,
    }

    /// The longest wait for a peer that sends again and again.
    fn longest_wait(&self) -> Duration {
        Duration::from_secs(1).min(self.patience / 2)
    }
}

/// What was lost since a loop began to shut down: see [`Loop::shut_down_report`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutDownReport {
    /// Bytes that were written, and not sent before the close.
    pub unsent_bytes: u64,
    /// The sockets to which they were written.
    pub unsent_sockets: u64,
    /// Bytes that arrived too late: no handler has seen them.
    pub discarded_bytes: u64,
    /// The sockets on which they arrived.
    pub discarded_sockets: u64,
}

/// What an end has to wait for, and what was lost.
#[derive(Debug, Default)]
pub(crate) struct ShutDown {
    options: ShutDownOptions,
    timers: Vec<TimerId>,
    /// Sockets for which something may still arrive, each with the sockets that it pipes into.
    catching_up: HashMap<SocketId, Vec<SocketId>>,
    /// How many of those pipe into a socket. It is ended after them, since what they read is written to it.
    sources: HashMap<SocketId, u32>,
    /// The sockets that were ended, with how many bytes their handlers had seen by then.
    ended: HashMap<SocketId, u64>,
    report: ShutDownReport,
}

impl ShutDown {
    fn new(options: ShutDownOptions, catching_up: HashMap<SocketId, Vec<SocketId>>) -> Self {
        let mut sources = HashMap::new();
        for target in catching_up.values().flatten() {
            *sources.entry(*target).or_default() += 1;
        }
        ShutDown { options, catching_up, sources, ..ShutDown::default() }
    }

    fn waits_for(&self, id: SocketId) -> bool {
        let is_awaited = self.catching_up.contains_key(&id) || self.sources.get(&id).is_some_and(|count| *count > 0);
        is_awaited || self.options.order == EndOrder::Together && !self.catching_up.is_empty()
    }

    /// Gives the sockets that this one pipes into.
    fn caught_up(&mut self, id: SocketId) -> Vec<SocketId> {
        let targets = self.catching_up.remove(&id).unwrap_or_default();
        for target in &targets {
            if let Some(sources) = self.sources.get_mut(target) {
                *sources -= 1;
            }
        }
        targets
    }

    fn count_loss(&mut self, id: SocketId, unsent: usize, read: u64) {
        let seen = self.ended.remove(&id).unwrap_or(read);
        let (unsent, discarded) = (unsent as u64, read.saturating_sub(seen));
        self.report.unsent_bytes += unsent;
        self.report.unsent_sockets += u64::from(unsent > 0);
        self.report.discarded_bytes += discarded;
        self.report.discarded_sockets += u64::from(discarded > 0);
    }
}

impl<S> Loop<'_, S> {
    /// Ends everything in order. Then [`EventLoop::run`](crate::EventLoop::run) returns, whatever timers there are.
    ///
    /// 1. No server listens any more.
    /// 2. Each socket is read until it has caught up: a read finds nothing more, and nothing arrives for a short time
    ///    after it. So what has arrived is handled. A paused socket is waited for. Nothing is read from a socket without a
    ///    handler for data.
    /// 3. Then the socket is ended, after all that was written to it. If another socket pipes into it, that one comes
    ///    first. What arrives later is discarded.
    /// 4. Files are ended when no connection is left, since any handler may write to them.
    /// 5. What is not closed after `patience` is destroyed, with [`CloseReason::Shutdown`]. What was not sent is the
    ///    `unsent` of [`Socket::on_close`].
    ///
    /// Handlers go on working. What they write before their socket is ended is sent. A second call does nothing.
    /// [`Loop::shut_down_with`] has options, and [`Loop::shut_down_report`] says what was lost.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tidegate::EventLoop;
    /// let mut event_loop = EventLoop::new()?;
    /// let server = event_loop.listen("127.0.0.1:0", |socket| {
    ///     socket.on_data(|socket, chunk| {
    ///         socket.write(chunk);
    ///         socket.event_loop().shut_down(Duration::from_secs(10)); // most programs do so at a signal
    ///     });
    /// })?;
    /// let address = event_loop.net.server_address(server).expect("it listens");
    /// event_loop.connect(address, |client| {
    ///     client.write("hello");
    ///     client.on_text(|_, text| assert_eq!(text, "hello"));
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn shut_down(&mut self, patience: Duration) {
        self.shut_down_with(ShutDownOptions::new().patience(patience));
    }

    /// As [`Loop::shut_down`], with options.
    pub fn shut_down_with(&mut self, options: ShutDownOptions) {
        if self.handlers.run_state != RunState::Running {
            return;
        }
        self.handlers.run_state = RunState::ShuttingDown;
        self.net.close_servers();
        let all: Vec<SocketId> = self.net.socket_ids().collect();
        let catches_up = |id: &SocketId| options.order != EndOrder::ByPeers && self.net.connection(*id).may_be_read();
        let catching_up = all.iter().copied().filter(catches_up).map(|id| (id, self.net.piped_to(id))).collect();
        let previous = std::mem::replace(&mut self.handlers.shut_down, ShutDown::new(options, catching_up));
        self.set_deadlines(previous.timers);
        for id in all {
            self.bring_to_its_end(id);
        }
        self.end_files_if_alone();
    }

    /// Whether [`Loop::shut_down`] was called, and has not come to its end.
    pub fn is_shutting_down(&self) -> bool {
        self.handlers.run_state == RunState::ShuttingDown
    }

    /// What was lost since the loop began to shut down, on sockets that have closed. After
    /// [`EventLoop::run`](crate::EventLoop::run) that is everything.
    pub fn shut_down_report(&self) -> ShutDownReport {
        self.handlers.shut_down.report
    }

    /// A loop can run again after it was shut down, so timers of the previous time may be left.
    fn set_deadlines(&mut self, previous: Vec<TimerId>) {
        for timer in previous {
            self.cancel(timer);
        }
        let options = self.handlers.shut_down.options;
        let deadline = self.after(options.patience, |event_loop| {
            if event_loop.is_shutting_down() {
                event_loop.net.destroy_all();
            }
        });
        self.handlers.shut_down.timers.push(deadline);
        if options.order == EndOrder::Together {
            let no_longer = self.after(options.longest_wait(), |event_loop| {
                event_loop.handlers.shut_down.catching_up.clear();
                event_loop.end_all();
            });
            self.handlers.shut_down.timers.push(no_longer);
        }
    }

    fn bring_to_its_end(&mut self, id: SocketId) {
        if self.net.connection(id).is_pending() && !self.net.connection(id).is_connecting() {
            // It has no connection to bring to its end.
            self.net.destroy_because(id, CloseReason::Shutdown);
        } else if self.handlers.shut_down.catching_up.contains_key(&id) {
            if let Some(mut socket) = self.socket(id) {
                socket.catch_up_quietly(None);
            }
        } else if self.handlers.shut_down.options.order != EndOrder::ByPeers {
            // What has arrived waits for a handler that there never was. Nothing would come of waiting as well.
            self.end_unless_it_waits(id);
        }
    }

    fn has_caught_up(&mut self, id: SocketId) {
        let targets = self.handlers.shut_down.caught_up(id);
        if self.handlers.shut_down.options.order == EndOrder::Together {
            return self.end_all();
        }
        for id in targets.into_iter().chain([id]) {
            self.end_unless_it_waits(id);
        }
    }

    fn end_all(&mut self) {
        if self.is_shutting_down() && self.handlers.shut_down.catching_up.is_empty() {
            for id in self.net.socket_ids().collect::<Vec<_>>() {
                self.end_unless_it_waits(id);
            }
        }
    }

    fn end_unless_it_waits(&mut self, id: SocketId) {
        if !self.net.connection(id).is_file()
            && !self.net.connection(id).is_destroyed()
            && !self.handlers.shut_down.waits_for(id)
        {
            self.end_and_discard(id);
        }
    }

    /// To be called at the end of each turn: a handler of the last `close` may still have written to them.
    pub(super) fn end_files_if_alone(&mut self) {
        if self.is_shutting_down() && self.net.socket_ids().all(|id| self.net.connection(id).is_file()) {
            for id in self.net.socket_ids().collect::<Vec<_>>() {
                if !self.handlers.shut_down.waits_for(id) {
                    self.end_and_discard(id);
                }
            }
        }
    }

    fn end_and_discard(&mut self, id: SocketId) {
        let ShutDown { options, ended, .. } = &mut self.handlers.shut_down;
        if ended.contains_key(&id) {
            return;
        }
        ended.insert(
            id,
            self.net.connection(id).bytes_read().saturating_sub(self.net.connection(id).read_ahead() as u64),
        );
        let linger = options.linger;
        if let Some(mut socket) = self.socket(id) {
            socket.end_and_discard(linger);
        }
    }

    /// To be called before the handler of a `close`.
    pub(super) fn count_loss(&mut self, id: SocketId, closed: &Closed) {
        if self.is_shutting_down() {
            self.handlers.shut_down.count_loss(id, closed.unsent, self.net.connection(id).bytes_read());
        }
    }

    /// To be called after the handler of a `close`, which may write to others.
    pub(super) fn has_closed(&mut self, id: SocketId) {
        if self.handlers.shut_down.catching_up.contains_key(&id) {
            self.has_caught_up(id);
        }
    }
}

/// What a socket has read, and until when it is waited for.
type Quiet = (u64, Duration);

impl<S> Socket<'_, S> {
    /// Ends this side after all that was written, and discards what still arrives, up to the other side's end: a lingering
    /// close. The idle timeout of the socket is turned off. With a `linger` time the socket is destroyed when it has sent
    /// everything, and then nothing arrives for that long.
    ///
    /// A socket that is destroyed before it was read to its end would be reset by the system, and what is on its way to the
    /// peer could be lost.
    pub fn end_and_discard(&mut self, linger: Option<Duration>) {
        for to in self.net.piped_to(self.id) {
            self.unpipe(to);
        }
        self.set(SocketHandlers::remove_readers);
        self.net.listen_for_data(self.id, false);
        self.resume();
        self.set_timeout(None);
        match linger {
            None => self.end(),
            Some(linger) => self.end_then(move |socket, _| socket.destroy_if_silent(linger)),
        }
    }

    fn destroy_if_silent(&mut self, linger: Duration) {
        let before = self.bytes_read();
        self.after(linger, move |socket| {
            if socket.bytes_read() == before {
                socket.destroy_because(CloseReason::Timeout);
            } else {
                socket.destroy_if_silent(linger);
            }
        });
    }

    /// Reads until nothing more arrives, for as long as the options say.
    fn catch_up_quietly(&mut self, before: Option<Quiet>) {
        self.catch_up(move |socket, caught_up| {
            let options = socket.handlers.shut_down.options;
            let (read, now) = (socket.bytes_read(), socket.net.now());
            let (read_before, until) = before.unzip();
            let until = until.unwrap_or(now + options.longest_wait());
            let quiet = options.quiet.min(options.patience / 4);
            if caught_up.is_err() {
                // It was destroyed; its `close` comes.
            } else if read_before == Some(read) || now >= until || quiet.is_zero() || !socket.is_readable() {
                let id = socket.id();
                socket.event_loop().has_caught_up(id);
            } else {
                socket.after(quiet, move |socket| socket.catch_up_quietly(Some((read, until))));
            }
        });
    }
}
