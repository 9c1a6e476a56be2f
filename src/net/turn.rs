//! One turn of the loop.
//!
//! ```text
//!        ┌───────────────────────────────────────────────────────────────────────┐
//!        ▼                                                                       │
//!      Flush ──▶ Wait ──▶ Serve ──▶ FlushAgain ──▶ NextTurns ──▶ Closes ──▶ Timeouts
//!        ▲         ▲        ▲           ▲              ▲           ▲           ▲
//!        └─────────┴────────┴───────────┴──────────────┴───────────┴───────────┘
//!          before every single piece of work of any phase: the tasks (agenda.rs)
//! ```
//!
//! The order is libuv's and Node's, found by comparing traces with Node: most other orders look just as natural and
//! are wrong. Work that comes up in a round waits for the next round, so that no phase can hang the loop; tasks do not
//! wait. The turn as a whole has a budget of time (`turn_time.rs`): a phase whose share is over does one piece of work, and
//! leaves the rest, in order, to the next turn, which then does not sleep.

use std::time::Duration;

use super::agenda::{Agenda, Phase, Task};
use super::clock::Sleep;
use super::conn::rare::AfterYield;
use super::cx::Cx;
use super::event::{Chunk, Event};
use super::trace::{Kind, Whom};
use super::turn_time::nanos;
use super::{Net, Server};
use crate::base::error::{Error, Syscall};
use crate::base::id::{Id, SocketId};
use crate::connection::Stage;
use crate::kernel::{Ready, TokenOwner};

/// Connections flushed at one go: a broadcast to all of 15,000 is cut into pieces of some 0.2 ms, between which the others have
/// their turn. They are few for a second reason: while a peer has more lines than one turn has time for, each receiver is
/// flushed seldom, and then has many of them sent by one call. With 256 the lines of one byte of such a peer took twice the
/// processor. With 8 a queue grows above its high-water mark meanwhile (`docs/benchmarks.md`).
pub(super) const FLUSHES_AT_ONCE: usize = 32;

/// Rounds of flushes after what came in was served: libuv's figure. So what the handler of a `finish` ends has its own
/// `finish` in this turn as well.
const FLUSH_ROUNDS: u8 = 8;

/// What came of a piece of work.
#[derive(Debug)]
pub(super) enum Step {
    Event(Event),
    /// Something was done, or looked at; there may be more.
    Worked,
    /// The phase has nothing left for this round.
    Over,
}

impl Net {
    /// The next event of this turn; `None` when the turn is over. The first call of a turn may sleep: until something
    /// comes or is due, or until `max_wait` has passed. Without a `max_wait` it sleeps as long as anything can wake it,
    /// whether that keeps the loop running ([`Net::is_alive`]) or not. If nothing can, it returns at once.
    ///
    /// # Errors
    /// The system's, of waiting. There is no event for it, and the loop cannot go on.
    pub fn next_event(&mut self, max_wait: Option<Duration>) -> Result<Option<Event>, Error> {
        self.next_event_with(max_wait.map_or(Sleep::UntilWoken, Sleep::AtMost))
    }

    /// As [`Net::next_event`].
    pub(crate) fn next_event_with(&mut self, sleep: Sleep) -> Result<Option<Event>, Error> {
        match self.is_watched {
            false => self.advance(sleep),
            true => self.next_event_watched(sleep),
        }
    }

    /// As [`Net::next_event`].
    pub(super) fn advance(&mut self, sleep: Sleep) -> Result<Option<Event>, Error> {
        if self.phase == Phase::Start {
            self.start_turn();
        }
        loop {
            while let Some(task) = self.cx.agenda.next_task() {
                if let Some(event) = self.run(task) {
                    self.cx.time.spend(1);
                    return Ok(Some(event));
                }
            }
            let step = match self.phase {
                Phase::Start => Step::Over, // what was done between two turns is part of this one
                Phase::Flush | Phase::FlushAgain => self.flush_one(), // broadcasts, and ends of the user's own making
                Phase::Wait => self.wait(sleep)?, // the only place that sleeps
                Phase::Serve => self.serve(), // signals, accepts, connects, reads, writes
                Phase::NextTurns => self.next_turn_one(), // what the user has put off
                Phase::Closes => self.close_one(), // each connection's last event
                Phase::Timeouts => self.expire_one(), // idle clocks and timers
            };
            match step {
                Step::Event(event) => return Ok(Some(event)),
                Step::Worked => {}
                Step::Over if self.phase == Phase::Timeouts => {
                    self.end_turn();
                    return Ok(None);
                }
                Step::Over => self.enter_next(),
            }
        }
    }

    /// The turn begins. Most have nothing to do before their wait, and begin after it.
    fn start_turn(&mut self) {
        let Cx { agenda, memory, time, .. } = &self.cx;
        if !time.is_running() && (agenda.has_tasks() || !agenda.flush.is_empty() || memory.is_behind) {
            let now = self.cx.kernel.now();
            self.cx.time.begin(now, Duration::ZERO);
            self.cx.count(|tally| tally.watch.begin(Some(Phase::Start), nanos(now)));
        }
    }

    /// The turn is over.
    fn end_turn(&mut self) {
        if self.tracer.is_some() {
            // What the last tasks have done belongs to this turn.
            self.tell_notes();
        }
        let counters = &mut self.cx.counters;
        counters.turns += 1;
        let now = self.cx.kernel.now();
        let worked = self.cx.time.end(now, &mut counters.longest_turn);
        if self.is_watched {
            self.count_turn(worked, now);
        }
        self.cx.clock.end_turn();
        self.phase = Phase::Start;
        self.check_turn();
    }

    /// The next phase begins. Most turns wait and serve, and have nothing to do in the other phases: these are passed by.
    #[inline]
    fn enter_next(&mut self) {
        if self.is_watched {
            self.phase_is_over();
        }
        let agenda = &self.cx.agenda;
        let next = match self.phase {
            Phase::Start if agenda.flush.is_empty() => {
                self.flush_is_over();
                Phase::Wait
            }
            Phase::Serve if agenda.has_only_ready() => {
                self.flush_is_over();
                Phase::Timeouts
            }
            Phase::Start => Phase::Flush,
            Phase::Flush => Phase::Wait,
            Phase::Wait => Phase::Serve,
            Phase::Serve => Phase::FlushAgain,
            Phase::FlushAgain => Phase::NextTurns,
            Phase::NextTurns => Phase::Closes,
            Phase::Closes => Phase::Timeouts,
            Phase::Timeouts => Phase::Start,
        };
        self.enter(next);
    }

    /// Fixes what belongs to the round of a phase: all that is there now.
    #[inline]
    fn enter(&mut self, phase: Phase) {
        let agenda = &mut self.cx.agenda;
        match phase {
            Phase::Flush => self.begin_flush(1),
            Phase::FlushAgain => self.begin_flush(FLUSH_ROUNDS),
            Phase::Serve => agenda.ready.begin(),
            Phase::NextTurns => agenda.next_turns.begin(),
            Phase::Closes => agenda.closes.begin_reversed(),
            Phase::Timeouts => self.cx.clock.begin_timeouts(|mark| agenda.ready.has_passed(mark)),
            Phase::Start | Phase::Wait => {}
        }
        self.cx.time.enter(phase);
        self.phase = phase;
    }

    /// Whether the phase begins another piece of work: while there is time, and one piece in any case.
    #[inline(always)]
    pub(super) fn begins_another(&mut self) -> bool {
        !self.cx.time_is_up() || self.cx.time.begins_last()
    }

    /// What happens between two pieces of work, up to an event.
    fn run(&mut self, task: Task) -> Option<Event> {
        match task {
            Task::Conn(id, task) => return self.conns.get_mut(id)?.run(task, &mut self.cx),
            Task::Flow(id) => return self.flow(id),
            #[cfg(feature = "names")]
            Task::LookedUp => return self.looked_up(),
            Task::ListenOnName(id) => return self.listen_on_name(id),
            Task::PipeKept => self.pipe_kept(),
            Task::Listening(id) => {
                let listens = self.servers.get(id).is_some_and(Server::is_listening);
                return listens.then_some(Event::Listening(id));
            }
            Task::ServerClose(id) => return self.servers.contains(id).then_some(Event::ServerClose(id)),
            Task::NextTick(number) => return Some(Event::Tick(number)),
            Task::ResumeSources(id) => self.resume_sources(id),
            Task::EndPipes(id, before) => self.end_pipes(id, before),
            Task::EndPipe(from, to) => self.end_pipe_to(from, to),
            Task::ReleaseSources(id, before) => self.release_sources(id, before),
            Task::HoldSender(id) => self.hold_sender(id),
            Task::ReleaseSender(id) => self.conns.get_mut(id)?.release(&mut self.cx),
            Task::Forget(id) => self.forget_if_closed(id),
        }
        None
    }

    /// The next kept chunk is delivered, if it flows. When the time is up, it waits for the socket's next turn.
    fn flow(&mut self, id: SocketId) -> Option<Event> {
        let conn = self.conns.get_mut(id)?;
        if conn.has_yielded() {
            return None;
        }
        if self.cx.time_is_up() && conn.connection.has_kept_to_deliver() {
            conn.yield_turn(AfterYield::Flow, &mut self.cx);
            return None;
        }
        self.flow_one(id)
    }

    fn flow_one(&mut self, id: SocketId) -> Option<Event> {
        let (chunk, delivery) = self.conns.get_mut(id)?.next_kept(&mut self.cx)?;
        self.cx.agenda.notes.add(id, Kind::Kept, || format!("{} bytes that were kept", chunk.len()));
        self.cx.agenda.push_first([Task::Flow(id)]);
        self.deliver(id, delivery, Chunk::from(chunk))
    }

    /// The turn of a socket has come that had given it away.
    pub(super) fn go_on(&mut self, id: SocketId, after: AfterYield) -> Step {
        match after {
            // One chunk at least, whatever the time is.
            AfterYield::Flow => self.flow_one(id).map_or(Step::Worked, Step::Event),
            AfterYield::Event => {
                self.cx.agenda.push_first([Task::Flow(id)]);
                Step::Event(Event::Continue(id))
            }
        }
    }

    /// The id becomes stale, unless the socket connects again.
    fn forget_if_closed(&mut self, id: SocketId) {
        let Some(conn) = self.conns.get(id) else { return };
        if conn.connection.has_callbacks_due() {
            self.cx.agenda.push(Task::Forget(id));
        } else if conn.connection.stage() == Stage::Closed {
            self.remove(id);
        }
    }

    /// Its place is free, and what it had read ahead is not held any more.
    pub(super) fn remove(&mut self, id: SocketId) {
        let Some(conn) = self.conns.get(id) else { return };
        self.cx.memory.read_ahead_changed(conn.connection.read_ahead_held(), 0);
        self.cx.sockets_apart -= usize::from(conn.apart);
        let read = conn.connection.bytes_read();
        self.cx.count(|tally| tally.bytes_read += read);
        self.leave_destinations(id);
        self.cx.labels.remove(id);
        self.conns.remove(id);
    }

    /// Sleeps if there is nothing to do, and latches what the kernel reports.
    fn wait(&mut self, sleep: Sleep) -> Result<Step, Error> {
        self.accept_again_if_possible();
        let deadline = if self.goes_on(sleep) {
            Some(Duration::ZERO)
        } else {
            let until = match sleep {
                Sleep::AtMost(wait) => Some(self.cx.kernel.now().saturating_add(wait)),
                Sleep::WhileAlive | Sleep::UntilWoken => None,
            };
            [until, self.cx.clock.timers.next()].into_iter().flatten().min()
        };
        if deadline != Some(Duration::ZERO) {
            if self.tracer.is_some() {
                self.pause_trace();
            }
            self.buffer.shrink();
        }
        let worked = match self.cx.time.is_running() {
            true => {
                let now = self.cx.kernel.now();
                self.cx.count(|tally| tally.watch.begin(None, nanos(now)));
                self.cx.time.worked(now)
            }
            false => Duration::ZERO,
        };
        let mut found = std::mem::take(&mut self.found);
        let waited = self.cx.kernel.wait(deadline, &mut found);
        self.cx.clock.read(&*self.cx.kernel, deadline);
        let now = self.cx.clock.now(&*self.cx.kernel);
        self.cx.time.begin(now, worked);
        if self.is_watched {
            self.count_wait(found.len(), now);
        }
        if self.wakers.take_wake() {
            self.cx.agenda.woken = true;
            self.cx.agenda.notes.add(Whom::Loop, Kind::Woken, || "another thread has woken it".to_owned());
        }
        self.line_up(&mut found);
        self.cx.clock.begin_hearing(self.cx.agenda.ready.mark());
        self.found = found;
        waited.map_err(|error| Error::system(&error, Syscall::Wait))?;
        Ok(Step::Over)
    }

    /// Whether the turn goes on without a sleep.
    fn goes_on(&mut self, sleep: Sleep) -> bool {
        if sleep == Sleep::AtMost(Duration::ZERO) || self.has_work() {
            return true;
        }
        match sleep {
            Sleep::AtMost(_) => false,
            Sleep::WhileAlive => !self.waits_for_something(),
            Sleep::UntilWoken => !self.waits_for_something() && !self.can_be_woken(),
        }
    }

    /// Latches what the kernel has reported, and puts all that has something to do in line, in the order in which epoll
    /// would report it to libuv, which is level-triggered and asks for a socket's readiness only just before it waits:
    ///
    /// 1. what was ready in the last turn and is still,
    /// 2. what has connected in the last turn: it stood in line for that,
    /// 3. what the kernel reports,
    /// 4. what began to be watched since the last wait: accepted, connecting, resumed.
    #[inline(never)]
    fn line_up(&mut self, found: &mut Vec<Ready>) {
        if !self.cx.agenda.just_connected.is_empty() {
            found.iter().for_each(|ready| self.latch(*ready, false));
            self.list_if_work(|agenda| &mut agenda.just_connected);
        }
        for ready in found.drain(..) {
            self.latch(ready, true);
        }
        if !self.cx.agenda.just_watched.is_empty() {
            self.list_if_work(|agenda| &mut agenda.just_watched);
        }
    }

    fn list_if_work(&mut self, list: impl Fn(&mut Agenda) -> &mut Vec<SocketId>) {
        let mut ids = std::mem::take(list(&mut self.cx.agenda));
        for id in ids.drain(..) {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.list_if_work(&mut self.cx);
            }
        }
        *list(&mut self.cx.agenda) = ids;
    }

    #[inline(always)]
    fn latch(&mut self, ready: Ready, list: bool) {
        let (token, readiness) = match ready {
            Ready::Io { token, readiness } => (token, readiness),
            Ready::Signal(signal) if list => return self.cx.agenda.signals.push_back(signal),
            Ready::Signal(_) => return,
        };
        match token.owner() {
            TokenOwner::Socket(key) => {
                if let Some(conn) = self.conns.by_key_mut(key) {
                    conn.latch(readiness);
                    if list && conn.has_work() {
                        conn.make_ready(&mut self.cx);
                    }
                }
            }
            TokenOwner::Server(key) if list => {
                if let Some(server) = self.servers.by_key_mut(key) {
                    server.accept_soon(&mut self.cx);
                }
            }
            #[cfg(feature = "names")]
            TokenOwner::Question(_) if list => self.cx.agenda.ready.push(token),
            TokenOwner::Server(_) | TokenOwner::Question(_) => {}
        }
    }

    fn begin_flush(&mut self, rounds: u8) {
        self.cx.agenda.flush.begin_at_most(FLUSHES_AT_ONCE);
        self.flush_rounds = rounds;
    }

    /// One connection of the flush list: a broadcast is sent, a writing side ended.
    fn flush_one(&mut self) -> Step {
        if !self.begins_another() {
            self.cx.agenda.flush.cut();
            self.tell_cut();
        }
        let Some(id) = self.cx.agenda.flush.next() else {
            if self.flush_rounds > 1 && self.cx.agenda.flush.is_worked_off() {
                self.begin_flush(self.flush_rounds - 1);
                return Step::Worked;
            }
            self.flush_is_over();
            return Step::Over;
        };
        if let Some(conn) = self.conns.by_key_mut(id.key()) {
            conn.flush(&mut self.cx);
        }
        Step::Worked
    }

    /// What was broadcast has gone out, or is in the queues of those that it has not.
    #[inline]
    fn flush_is_over(&mut self) {
        if self.cx.agenda.flush.is_empty() {
            self.cx.segments.seal();
        }
        self.look_at_memory();
    }

    /// What was put off once. What is put off meanwhile waits for the next turn.
    fn next_turn_one(&mut self) -> Step {
        if !self.begins_another() {
            self.cx.agenda.next_turns.cut();
            self.tell_cut();
        }
        let Some(number) = self.cx.agenda.next_turns.next() else { return Step::Over };
        self.cx.time.spend(1);
        Step::Event(Event::Tick(number))
    }

    /// The `close` of one connection, last in first out.
    fn close_one(&mut self) -> Step {
        if !self.begins_another() {
            self.cx.agenda.closes.cut();
            self.tell_cut();
        }
        let Some(id) = self.cx.agenda.closes.next() else { return Step::Over };
        self.cx.time.spend(1);
        if let Some(conn) = self.conns.get_mut(id)
            && !conn.close(&mut self.cx)
        {
            self.cx.agenda.closes.push_again(id);
        }
        Step::Worked
    }
}
