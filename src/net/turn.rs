//! One turn of the loop.
//!
//! ```text
//!        ┌───────────────────────────────────────────────────────────────────────┐
//!        ▼                                                                       │
//!      Flush ──▶ Wait ──▶ Serve ──▶ NextTurns ──▶ FlushAgain ──▶ Closes ──▶ Timeouts
//!        ▲         ▲        ▲           ▲             ▲            ▲           ▲
//!        └─────────┴────────┴───────────┴─────────────┴────────────┴───────────┘
//!          before every single piece of work of any phase: what is deferred (ticks.rs)
//! ```
//!
//! The order is libuv's and Node's, found by comparing traces with Node: most other orders look just as natural and
//! are wrong. Work that comes up in a round waits for the next round, so that no phase can hang the loop; deferred work
//! does not wait. Every loop over what peers send has a budget, and what is over goes on in the next turn, which then
//! does not sleep.

use std::time::Duration;

use super::event::Event;
use super::{Alarm, Net};
use crate::base::error::{Error, Syscall};
use crate::base::id::SocketId;
use crate::base::timers::Due;
use crate::connection::Expiry;
use crate::kernel::{Ready, Whose};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Flush,
    Wait,
    Serve,
    NextTurns,
    FlushAgain,
    Closes,
    Timeouts,
}

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
    /// comes or is due, or until `max_wait` has passed.
    ///
    /// # Errors
    /// The system's, of waiting. There is no event for it, and the loop cannot go on.
    pub fn next_event(&mut self, max_wait: Option<Duration>) -> Result<Option<Event>, Error> {
        loop {
            if let Some(event) = self.run_deferred() {
                return Ok(Some(event));
            }
            let (step, next) = match self.phase {
                Phase::Flush => (self.flush_one(), Phase::Wait), // broadcasts and ends of the user's own making
                Phase::Wait => (self.wait(max_wait)?, Phase::Serve), // the only place that sleeps
                Phase::Serve => (self.serve(), Phase::NextTurns), // signals, accepts, connects, reads, writes
                Phase::NextTurns => (self.next_turn_one(), Phase::FlushAgain), // what the user has put off
                Phase::FlushAgain => (self.flush_one(), Phase::Closes), // what they gave rise to
                Phase::Closes => (self.close_one(), Phase::Timeouts), // each connection's last event
                Phase::Timeouts => (self.expire_one(), Phase::Flush), // idle clocks and timers
            };
            match step {
                Step::Event(event) => return Ok(Some(event)),
                Step::Worked => {}
                Step::Over => {
                    let was = self.phase;
                    self.enter(next);
                    if was == Phase::Timeouts {
                        self.counters.turns += 1;
                        self.check_turn();
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Fixes what belongs to the round of a phase: all that is there now.
    fn enter(&mut self, phase: Phase) {
        match phase {
            Phase::Flush | Phase::FlushAgain => self.begin_flush(),
            Phase::Serve => self.ready.begin_round(),
            Phase::NextTurns => self.next_turns_left = self.next_turns.len(),
            Phase::Closes => {
                debug_assert!(self.closing_now.is_empty(), "the last round of closes came to its end");
                std::mem::swap(&mut self.closing, &mut self.closing_now);
            }
            // Only those of the earliest millisecond: a loop that is late catches up in order, and between a timer and
            // a later one what came in meanwhile has its turn, as it would have had in time.
            Phase::Timeouts => self.expiring = self.timers.next().map_or(self.now, |next| next.min(self.now)),
            Phase::Wait => {}
        }
        self.phase = phase;
    }

    /// Sleeps if there is nothing to do, and latches what the kernel tells.
    fn wait(&mut self, max_wait: Option<Duration>) -> Result<Step, Error> {
        // Nothing that is alive will ever wake a loop that has nothing alive.
        let nothing_to_wait_for = max_wait.is_none() && !self.is_alive();
        let deadline = if self.has_work() || nothing_to_wait_for || max_wait == Some(Duration::ZERO) {
            Some(Duration::ZERO)
        } else {
            let max_wait = max_wait.map(|wait| self.kernel.now().saturating_add(wait));
            [max_wait, self.next_alarm()].into_iter().flatten().min()
        };
        if deadline != Some(Duration::ZERO) {
            self.give_back_the_wide_buffer();
        }
        let mut found = std::mem::take(&mut self.found);
        let waited = self.kernel.wait(deadline, &mut found);
        self.now = self.kernel.now();
        self.counted_from = self.now + self.kernel.clock_slack();
        self.line_up(&mut found);
        self.found = found;
        waited.map_err(|error| Error::system(&error, Syscall::Wait))?;
        Ok(Step::Over)
    }

    /// Latches what the kernel has told, and puts all that has something to do in line, in the order in which epoll
    /// would tell it to libuv, which is level-triggered and asks for a socket's readiness only just before it waits:
    ///
    /// 1. what was ready in the last turn and is still,
    /// 2. what has connected in the last turn: it stood in line for that,
    /// 3. what the kernel tells,
    /// 4. what began to be watched since the last wait: accepted, connecting, resumed.
    fn line_up(&mut self, found: &mut Vec<Ready>) {
        let mut connected = std::mem::take(&mut self.just_connected);
        if connected.is_empty() {
            for ready in found.drain(..) {
                self.latch(ready, true);
            }
        } else {
            found.iter().for_each(|ready| self.latch(*ready, false));
            connected.drain(..).for_each(|id| self.list_if_work(id));
            found.drain(..).for_each(|ready| self.latch(ready, true));
        }
        self.just_connected = connected;
        let mut watched = std::mem::take(&mut self.just_watched);
        watched.drain(..).for_each(|id| self.list_if_work(id));
        self.just_watched = watched;
    }

    fn list_if_work(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id) {
            link.listed = link.has_work();
            if link.listed {
                self.ready.join(id.into());
            }
        }
    }

    #[inline(always)]
    fn latch(&mut self, ready: Ready, list: bool) {
        let (token, readiness) = match ready {
            Ready::Io { token, readiness } => (token, readiness),
            Ready::Signal(signal) if list => return self.signals.push_back(signal),
            Ready::Signal(_) => return,
        };
        match token.whose() {
            Whose::Socket(id) => {
                if let Some(link) = self.sockets.get_mut(id) {
                    link.latch(readiness);
                    if list && !link.listed && link.has_work() {
                        link.listed = true;
                        self.ready.join(token);
                    }
                }
            }
            Whose::Server(id) if list => self.make_accepting(id),
            Whose::Server(_) => {}
        }
    }

    /// Whether a turn has something to do at once. What is ready but held up by a user is not on a list.
    pub(super) fn has_work(&self) -> bool {
        !(self.deferred.is_empty()
            && self.then.is_none()
            && self.ready.is_empty()
            && self.just_watched.is_empty()
            && !self.just_connected.iter().any(|id| self.sockets.get(*id).is_some_and(super::link::Link::has_work))
            && self.flushing.is_empty()
            && self.closing.is_empty()
            && self.signals.is_empty()
            && self.next_turns.is_empty())
    }

    /// What was put off once. What is put off meanwhile waits for the next turn.
    fn next_turn_one(&mut self) -> Step {
        if self.next_turns_left == 0 {
            return Step::Over;
        }
        self.next_turns_left -= 1;
        self.next_turns.pop_front().map_or(Step::Over, |number| Step::Event(Event::Tick(number)))
    }

    /// The `close` of one connection, last in first out.
    fn close_one(&mut self) -> Step {
        match self.closing_now.pop() {
            Some(id) => self.close(id).map_or(Step::Worked, Step::Event),
            None => Step::Over,
        }
    }

    /// One clock that has run out.
    fn expire_one(&mut self) -> Step {
        let Some((entry, alarm)) = self.timers.pop(self.expiring) else { return Step::Over };
        debug_assert!(entry.time() <= self.kernel.now(), "a timer is never early");
        let event = match alarm {
            Alarm::Idle(id) => self.expire_idle(id, entry),
            Alarm::Grace(id) => {
                self.expire_grace(id, entry);
                None
            }
            Alarm::Retry(id) => {
                self.retry_write(id);
                None
            }
            Alarm::Accept(id) => {
                self.end_pause(id, entry);
                None
            }
            Alarm::User(id) => self.expire_user(id, entry),
        };
        event.map_or(Step::Worked, Step::Event)
    }

    fn expire_idle(&mut self, id: SocketId, entry: Due) -> Option<Event> {
        let expiry = self.sockets.get_mut(id).and_then(|link| {
            let unsent = link.connection.unsent_in_flight();
            let idle = link.connection.idle.as_mut()?;
            Some(idle.expire(entry, unsent, self.counted_from, &mut self.timers))
        });
        match expiry.unwrap_or(Expiry::Stale) {
            Expiry::Stale => {
                self.timers.dropped_stale();
                None
            }
            Expiry::Later(due) => {
                self.timers.push(due, Alarm::Idle(id));
                None
            }
            Expiry::Timeout => Some(Event::Timeout(id)),
        }
    }
}
