//! Shutting a loop down: what has arrived is handled, what was written is sent, and all is ended in order.
//!
//! ```text
//!   a socket that is read from ──it has caught up────────▶ it is ended, after those that pipe into it
//!   any other socket ────────────────────────────────────▶ it is ended, after those that pipe into it
//!   a file ──────────────────no connection is left──────▶ it is ended
//!   an ended socket ─────────nothing arrives any more───▶ it is destroyed
//!   one that outlasts ───────────────────────────────────▶ it is left to the program
//!   what a handler opens ────the turn is over───────────▶ as the others; a server is closed
//!
//!   patience is over: all are destroyed, some each turn ──each has had its `close`──▶ what handlers have opened since is taken away
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::lingering::Linger;
use super::shut_down_options::{EndOrder, ShutDownOptions, ShutDownReport};
use super::{Loop, RunState, Stop};
use crate::base::id::{SocketId, TimerId};
use crate::connection::{CallbackId, CloseReason};
use crate::net::{Closed, ConnectionInfo};

/// What an end has to wait for, and what was lost. When it is over nothing stays but its number and the report.
#[derive(Debug, Default)]
pub(crate) struct ShutDown {
    /// Which one of this loop it is. What an earlier one was waiting for is not for this one.
    pub(super) number: u64,
    pub(super) options: ShutDownOptions,
    /// Those of the patience.
    timers: Vec<TimerId>,
    /// One for each socket that is waited for: it catches up, or was ended and lingers.
    pub(super) clocks: BTreeMap<SocketId, TimerId>,
    /// What handlers have opened in this turn.
    opened: Vec<SocketId>,
    /// Nobody is waited for any more who sends again and again.
    is_late: bool,
    /// Sockets for which something may still arrive, each with the sockets that it pipes into.
    catching_up: BTreeMap<SocketId, Vec<SocketId>>,
    /// How many of those pipe into a socket. It is ended after them, since what they read is written to it.
    sources: BTreeMap<SocketId, u32>,
    /// The sockets that were ended, with how many bytes their handlers had seen by then. None: they hear on, or wanted nothing before.
    ended: BTreeMap<SocketId, Option<u64>>,
    /// Those that were there when the patience was over, and have not closed yet.
    closing: BTreeSet<SocketId>,
    /// Those of them that were not destroyed yet, since there was no time.
    to_destroy: VecDeque<SocketId>,
    /// When it goes on with them.
    next_piece: Option<CallbackId>,
    report: ShutDownReport,
}

impl ShutDown {
    fn new(number: u64, options: ShutDownOptions) -> Self {
        ShutDown { number, options, ..ShutDown::default() }
    }

    /// A socket has to catch up, and those that it pipes into wait for it.
    fn catches_up(&mut self, id: SocketId, targets: Vec<SocketId>) {
        for target in &targets {
            *self.sources.entry(*target).or_default() += 1;
        }
        self.catching_up.insert(id, targets);
    }

    pub(super) fn has_ended(&self, id: SocketId) -> bool {
        self.ended.contains_key(&id)
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
        let seen = self.ended.remove(&id).flatten().unwrap_or(read);
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
    /// 1. No server listens any more, but those that stand apart ([`ServerOptions::apart`](field@crate::ServerOptions::apart)).
    /// 2. Each socket is read until it has caught up: a read finds nothing more, and nothing arrives for a short time
    ///    after it. So what has arrived is handled. A paused socket is waited for. Nothing is read from a socket without a
    ///    handler for data.
    /// 3. Then the socket is ended, after all that was written to it. If another socket pipes into it, that one comes
    ///    first. What arrives later is discarded, unless [`ShutDownOptions::discard`] is off. A socket that outlasts the others
    ///    ([`SocketOptions::outlasts`](field@crate::SocketOptions::outlasts)) is not ended, and waited for.
    /// 4. Files are ended when no connection is left, since any handler may write to them. A file that is read is not waited
    ///    for: what has arrived from it is still read, unless it is paused, and then it is destroyed. A socket that it is
    ///    piped into waits for it, as for any other source.
    /// 5. What is not closed after `patience` is destroyed, some in each turn if they are many, with [`CloseReason::Shutdown`]. What was not sent is the
    ///    `unsent` of [`Socket::on_close`](crate::Socket::on_close).
    ///
    /// Handlers go on working. What they write before their socket is ended is sent. What they open meanwhile is brought to
    /// its end as well: a server is closed when the turn is over, and a socket is treated as those that were there. When the
    /// patience is over, handlers still hear the `close` of what was destroyed. What they open then, a socket that connects
    /// again in its `close` for example, is taken away without an event. So `run` returns in time whatever they do.
    ///
    /// Nothing is left when it is over, no timer and no socket, and the loop can be run again. A second call does nothing.
    /// [`Loop::stop`] gives it up. [`Loop::shut_down_with`] has options, and [`Loop::shut_down_report`] says what was lost.
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
        if self.is_shutting_down() {
            return;
        }
        self.handlers.run_state = RunState::ShuttingDown;
        self.handlers.shut_down = ShutDown::new(self.handlers.shut_down.number + 1, options);
        self.net.close_servers_that_count();
        self.set_deadlines();
        self.bring_to_their_ends(self.net.socket_ids().collect());
        self.end_files_if_alone();
    }

    /// Whether [`Loop::shut_down`] was called, and has not come to its end.
    pub fn is_shutting_down(&self) -> bool {
        self.handlers.run_state != RunState::Running
    }

    /// What was lost since the loop began to shut down, on sockets that have closed. After
    /// [`EventLoop::run`](crate::EventLoop::run) that is everything.
    pub fn shut_down_report(&self) -> ShutDownReport {
        self.handlers.shut_down.report
    }

    fn set_deadlines(&mut self) {
        let options = self.handlers.shut_down.options;
        let deadline = self.after(options.patience, |event_loop| event_loop.lose_patience());
        let longest_wait = self.after(options.longest_wait(), |event_loop| {
            event_loop.handlers.shut_down.is_late = true;
            if event_loop.handlers.shut_down.options.order == EndOrder::Together {
                event_loop.handlers.shut_down.catching_up.clear();
                event_loop.end_all();
            }
        });
        self.handlers.shut_down.timers.extend([deadline, longest_wait]);
    }

    /// All that is there is destroyed. The loop ends when it has closed.
    fn lose_patience(&mut self) {
        self.handlers.run_state = RunState::OutOfPatience;
        let to_destroy: VecDeque<_> = self.net.socket_ids().filter(|id| !self.net.connection(*id).is_over()).collect();
        self.handlers.shut_down.closing = to_destroy.iter().copied().collect();
        self.handlers.shut_down.to_destroy = to_destroy;
        self.destroy_some();
    }

    /// As many as the time of the turn allows, and the rest in the next turns: a thousand sockets with unread data take 20 ms.
    fn destroy_some(&mut self) {
        self.handlers.shut_down.next_piece = None;
        while let Some(id) = self.handlers.shut_down.to_destroy.pop_front() {
            // One that has closed meanwhile may be connected again.
            if self.handlers.shut_down.closing.contains(&id) {
                self.destroy_or_reset(id);
            }
            if self.net.time_is_up() && !self.handlers.shut_down.to_destroy.is_empty() {
                let next_piece = self.put_off(|event_loop| event_loop.destroy_some());
                self.handlers.shut_down.next_piece = Some(next_piece);
                return;
            }
        }
    }

    /// Where the peers are to end their connections, a plain close would be an end of this side, which nobody has made.
    fn destroy_or_reset(&mut self, id: SocketId) {
        let info = self.net.connection(id);
        if let Some(seen @ None) = self.handlers.shut_down.ended.get_mut(&id) {
            *seen = Some(seen_by_handlers(&info));
        }
        if self.handlers.shut_down.options.order == EndOrder::ByPeers && !info.is_pending() && !info.is_finished() {
            self.net.reset_because(id, CloseReason::Shutdown);
        } else {
            self.net.destroy_because(id, CloseReason::Shutdown);
        }
    }

    // ---- to be called by the loop --------------------------------------------------------------------------------------

    /// A handler has opened a socket, or a server has. What it is for is not said before the turn is over.
    pub(super) fn has_opened(&mut self, id: SocketId) {
        if self.handlers.run_state == RunState::ShuttingDown && !self.net.connection(id).is_apart() {
            self.handlers.shut_down.opened.push(id);
        }
    }

    /// A turn is over.
    pub(super) fn go_on_shutting_down(&mut self) {
        match self.handlers.run_state {
            RunState::Running => return,
            RunState::ShuttingDown => {
                self.net.close_servers_that_count();
                let opened = std::mem::take(&mut self.handlers.shut_down.opened);
                self.bring_to_their_ends(opened);
                self.end_files_if_alone();
            }
            RunState::OutOfPatience if self.handlers.shut_down.closing.is_empty() => self.take_all_away(),
            RunState::OutOfPatience => {}
        }
        if self.net.sockets() == 0 {
            self.take_all_away(); // what stands apart
            self.finish_shutting_down();
            self.handlers.stop = Stop::Now;
        }
    }

    /// To be called when it is stopped.
    pub(super) fn give_up_shutting_down(&mut self) {
        if self.is_shutting_down() {
            self.finish_shutting_down();
        }
    }

    fn finish_shutting_down(&mut self) {
        let ShutDown { number, report, timers, clocks, next_piece, .. } = std::mem::take(&mut self.handlers.shut_down);
        if let Some(number) = next_piece {
            self.take_back(number);
        }
        for timer in timers.into_iter().chain(clocks.into_values()) {
            self.cancel(timer);
        }
        self.handlers.shut_down = ShutDown { number, report, ..ShutDown::default() };
        self.handlers.run_state = RunState::Running;
    }

    /// What stands apart, and what handlers have opened although the patience is over.
    fn take_all_away(&mut self) {
        self.net.close_servers();
        for id in self.net.connections().map(|info| info.id()).collect::<Vec<_>>() {
            self.cancel_timers_of(id);
            self.handlers.remove_socket(id);
            for callback in self.net.take_away(id) {
                self.handlers.take_callback(callback);
            }
        }
    }

    // ---- inside --------------------------------------------------------------------------------------------------------

    /// Those that catch up are all known before one of them has.
    fn bring_to_their_ends(&mut self, ids: Vec<SocketId>) {
        for id in &ids {
            if self.is_to_catch_up(*id) {
                let targets = self.net.piped_to(*id);
                self.handlers.shut_down.catches_up(*id, targets);
            }
        }
        for id in ids {
            self.bring_to_its_end(id);
        }
    }

    fn is_to_catch_up(&self, id: SocketId) -> bool {
        let info = self.net.connection(id);
        self.handlers.shut_down.options.order != EndOrder::ByPeers
            && info.may_be_read()
            && !info.outlasts()
            && !(info.is_file() && info.waits_for_resume())
    }

    fn bring_to_its_end(&mut self, id: SocketId) {
        if self.net.connection(id).is_destroyed() || self.net.connection(id).outlasts() {
            // Its `close` comes, or its end is up to the program.
        } else if self.net.connection(id).is_pending() && !self.net.connection(id).is_connecting() {
            // It has no connection to bring to its end.
            self.net.destroy_because(id, CloseReason::Shutdown);
        } else if self.handlers.shut_down.catching_up.contains_key(&id) {
            if let Some(mut socket) = self.socket(id) {
                socket.catch_up_quietly(socket.handlers.shut_down.number, None);
            }
        } else if self.handlers.shut_down.options.order != EndOrder::ByPeers {
            // What has arrived waits for a handler that there never was. Nothing would come of waiting as well.
            self.end_unless_it_waits(id);
        }
    }

    pub(super) fn has_caught_up(&mut self, id: SocketId) {
        let mut waited = self.handlers.shut_down.caught_up(id);
        waited.push(id);
        self.end_those_that_waited(waited);
    }

    fn end_those_that_waited(&mut self, waited: Vec<SocketId>) {
        if self.handlers.shut_down.options.order == EndOrder::Together {
            return self.end_all();
        }
        for id in waited {
            self.end_unless_it_waits(id);
        }
    }

    fn end_all(&mut self) {
        if self.handlers.shut_down.catching_up.is_empty() {
            for id in self.net.socket_ids().collect::<Vec<_>>() {
                self.end_unless_it_waits(id);
            }
        }
    }

    fn end_unless_it_waits(&mut self, id: SocketId) {
        if !self.net.connection(id).is_file()
            && !self.net.connection(id).is_destroyed()
            && !self.net.connection(id).outlasts()
            && !self.handlers.shut_down.waits_for(id)
        {
            self.bring_to_an_end(id);
        }
    }

    /// At the end of each turn, since a handler of the last `close` may still have written to them.
    fn end_files_if_alone(&mut self) {
        if self.net.socket_ids().all(|id| self.net.connection(id).is_file()) {
            for id in self.net.socket_ids().collect::<Vec<_>>() {
                if !self.file_is_waited_for(id) {
                    self.bring_to_an_end(id);
                }
            }
        }
    }

    /// A file that nobody needs any more is not waited for: its writer may stay for ever.
    fn file_is_waited_for(&self, id: SocketId) -> bool {
        let (shut_down, info) = (&self.handlers.shut_down, self.net.connection(id));
        let is_needed = !info.is_file_to_read()
            || !self.net.piped_to(id).is_empty()
            || !shut_down.is_late && !info.waits_for_resume();
        is_needed && shut_down.waits_for(id)
    }

    fn bring_to_an_end(&mut self, id: SocketId) {
        if self.handlers.shut_down.has_ended(id) {
            return;
        }
        let is_heard = !self.handlers.shut_down.options.discard && self.goes_on_to_be_heard(id);
        let ShutDown { options, ended, number, .. } = &mut self.handlers.shut_down;
        let info = self.net.connection(id);
        let seen = seen_by_handlers(&info);
        let was_given_up = !info.is_writable() && !info.may_be_read(); // by the program, which wants nothing more of it
        ended.insert(id, (!is_heard && !was_given_up).then_some(seen));
        let shut_down = Some(*number);
        let linger = options.linger.map(|time| Linger { time, shut_down });
        if self.net.connection(id).is_file_to_read() {
            // Its end comes from elsewhere, or never.
            self.net.destroy_because(id, CloseReason::Shutdown);
        } else if self.net.connection(id).is_file() && self.net.connection(id).is_readable() {
            // A terminal has no end that would follow its own.
            self.net.destroy_soon(id);
        } else if let Some(mut socket) = self.socket(id) {
            match is_heard {
                true => socket.end_and_hear(linger),
                false => socket.end_and_linger(linger),
            }
        }
    }

    /// Whether somebody hears it after its end: a handler, or what it is piped into. That may be ended as well, and takes nothing more.
    fn goes_on_to_be_heard(&mut self, id: SocketId) -> bool {
        let stays = |to: &SocketId| self.net.connection(*to).outlasts() || self.net.connection(*to).is_file();
        let (staying, ended): (Vec<_>, Vec<_>) = self.net.piped_to(id).into_iter().partition(stays);
        let info = self.net.connection(id);
        let (is_paused, has_listener) = (info.waits_for_resume(), info.has_listener());
        let is_heard = info.may_be_read() && (has_listener || !staying.is_empty() || ended.is_empty());
        if is_heard
            && !ended.is_empty()
            && let Some(mut socket) = self.socket(id)
        {
            ended.into_iter().for_each(|to| socket.unpipe(to));
            if !is_paused {
                socket.resume(); // a socket that loses its last pipe is paused
            }
        }
        is_heard
    }

    /// To be called before the handler of a `close`.
    pub(super) fn count_loss(&mut self, id: SocketId, closed: &Closed) {
        if self.is_shutting_down() && !self.net.connection(id).is_apart() {
            self.handlers.shut_down.count_loss(id, closed.unsent, self.net.connection(id).bytes_read());
        }
    }

    /// To be called after the handler of a `close`, which may write to others.
    pub(super) fn has_closed(&mut self, id: SocketId) {
        self.handlers.shut_down.closing.remove(&id);
        self.handlers.shut_down.clocks.remove(&id);
        if self.handlers.shut_down.catching_up.contains_key(&id) {
            let targets = self.handlers.shut_down.caught_up(id);
            self.end_those_that_waited(targets);
        }
    }
}

fn seen_by_handlers(info: &ConnectionInfo<'_>) -> u64 {
    info.bytes_read().saturating_sub(info.read_ahead() as u64)
}
