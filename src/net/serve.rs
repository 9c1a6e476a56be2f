//! A socket that is ready: its connect comes to its outcome, it is read from, its queue goes on.
//!
//! One socket is served at a time, in steps, and between two steps the tasks run: what a handler does about a chunk takes
//! effect before the next chunk is read. What one step does with one connection is in `conn/`; here a chunk goes from its
//! source to its destinations.

use super::Net;
use super::conn::read::{NoRead, ReadOutcome};
use super::event::Event;
use super::serving::{ServeStep, Serving};
use super::trace::Kind;
use super::turn::Step;
use crate::base::id::Key;
use crate::kernel::TokenOwner;

/// What an accept takes, in the units of `turn_time.rs`.
const UNITS_OF_AN_ACCEPT: usize = 4;

impl Net {
    /// Sockets in their turn, step by step, up to an event or a task: most turns come to their end without either.
    // Not inline, so that what it works with stays in registers: every message comes by.
    #[inline(never)]
    pub(super) fn serve(&mut self) -> Step {
        if let Some(signal) = self.cx.agenda.signals.pop_front() {
            return Step::Event(Event::Signal(signal));
        }
        if std::mem::take(&mut self.cx.agenda.woken) {
            return Step::Event(Event::Wake);
        }
        loop {
            if self.cx.time_is_up() && self.serving.is_none() && !self.begins_another() {
                self.cx.agenda.ready.cut();
                self.tell_cut();
            }
            let step = match self.serving {
                Some(serving) => self.go_on_serving(serving),
                None => match self.cx.agenda.ready.next().map(|token| token.owner()) {
                    Some(TokenOwner::Socket(key)) => match self.read_once(Serving::begin(key)) {
                        // Once more, so that what most reads come to has no `Step` to be looked at.
                        ReadOutcome::Pipe(to, length) => {
                            self.pipe_read_bytes(key, to, length);
                            if self.cx.agenda.has_tasks() {
                                return Step::Worked;
                            }
                            continue;
                        }
                        outcome => self.hand_on(key, outcome),
                    },
                    Some(TokenOwner::Server(key)) => {
                        self.cx.time.spend(UNITS_OF_AN_ACCEPT);
                        self.accept_one(key)
                    }
                    #[cfg(feature = "names")]
                    Some(TokenOwner::Question(key)) => {
                        self.cx.time.spend(1);
                        self.cx.serve_question(key);
                        Step::Worked
                    }
                    #[cfg(not(feature = "names"))]
                    Some(TokenOwner::Question(_)) => Step::Worked,
                    None => return Step::Over,
                },
            };
            if !matches!(step, Step::Worked) || self.cx.agenda.has_tasks() {
                return step;
            }
        }
    }

    #[inline(never)]
    fn go_on_serving(&mut self, serving: Serving) -> Step {
        self.serving = None;
        let reads = match serving.next {
            ServeStep::Begin => true,
            // What a full read may have left waits for the next turn, if the time is up.
            ServeStep::Read => !self.cx.time_is_up(),
            ServeStep::Write | ServeStep::ShutDown => false,
        };
        if reads {
            let outcome = self.read_once(serving);
            return self.hand_on(serving.key, outcome);
        }
        let Some(conn) = self.conns.by_key_mut(serving.key) else { return Step::Worked };
        if serving.next != ServeStep::ShutDown && conn.wants_to_write() {
            self.serving = Some(serving.then(ServeStep::ShutDown));
            conn.go_on_writing(&mut self.cx);
            return Step::Worked;
        }
        if serving.next == ServeStep::ShutDown || conn.shuts_down_when_served() {
            conn.shut_down_if_due(&mut self.cx);
        }
        // Its turn is over. If there is more to do, it stands in line again.
        if conn.has_work() {
            let more = || "has more to do: it is served again in the next turn".to_owned();
            self.cx.agenda.notes.add(conn.id, Kind::State, more);
            conn.make_ready(&mut self.cx);
        }
        Step::Worked
    }

    #[inline(always)]
    fn read_once(&mut self, serving: Serving) -> ReadOutcome {
        match self.conns.by_key_mut(serving.key) {
            Some(conn) => conn.read_once(serving, &mut self.serving, &mut self.buffer, &mut self.cx),
            None => ReadOutcome::Done,
        }
    }

    /// What becomes of a read: the source has read, the destination writes, and the source waits if it is full.
    fn hand_on(&mut self, from: Key, outcome: ReadOutcome) -> Step {
        match outcome {
            ReadOutcome::Done | ReadOutcome::NoRead(NoRead::Write) => Step::Worked,
            ReadOutcome::Pipe(to, length) => {
                self.pipe_read_bytes(from, to, length);
                Step::Worked
            }
            ReadOutcome::Deliver(delivery, length) => {
                let id = self.conns.id(from);
                let chunk = self.buffer.lend(length);
                self.deliver(id, delivery, chunk).map_or(Step::Worked, Step::Event)
            }
            ReadOutcome::NoRead(NoRead::GoOn(after)) => self.go_on(self.conns.id(from), after),
            ReadOutcome::NoRead(NoRead::Connect) => {
                let conn = self.conns.by_key_mut(from);
                let event = conn.and_then(|conn| conn.finish_connect(&mut self.cx));
                event.map_or(Step::Worked, Step::Event)
            }
        }
    }
}
