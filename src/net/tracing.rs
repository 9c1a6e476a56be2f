//! A net that is traced: when its notes are told.

use std::collections::HashMap;
use std::time::Duration;

use super::Net;
use super::agenda::Phase;
use super::clock::{Sleep, TimerKind};
use super::event::Event;
use super::statistics::Budget;
use super::trace::{Kind, Notes, Place, TraceSink, Tracer, Watched, Whom, number_of_tick};
use crate::base::error::Error;
use crate::base::id::{SocketId, TimerId};

impl Net {
    /// Has all that the loop does told from now on, with turn, phase and connection, and what gave rise to each event: a line
    /// each, to a closure or to an [`Explainer`](super::Explainer). The trace lasts as long as the net; a second one takes the place
    /// of the first.
    ///
    /// A loop that is not traced pays nothing for this.
    ///
    /// ```
    /// # let mut event_loop = tidegate::EventLoop::new()?;
    /// event_loop.net.trace(|line: &tidegate::TraceLine<'_>| eprintln!("{line}"));
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn trace(&mut self, sink: impl TraceSink + 'static) {
        if self.tracer.is_none() {
            let notes = Notes::kept();
            self.cx.agenda.notes = notes.clone();
            let sockets = self.conns.iter().filter_map(|(id, conn)| Some((conn.handle?, Whom::from(id))));
            let servers = self.servers.iter().filter_map(|(id, server)| Some((server.handle?, Whom::from(id))));
            let whose: HashMap<_, _> = sockets.chain(servers).collect();
            Watched::around(&mut self.cx.kernel, notes, self.conns.owner(), whose);
        }
        self.tracer = Some(Box::new(Tracer::new(Box::new(sink))));
        self.is_watched = true;
    }

    /// What the trace, and whoever else names connections, calls this one. An empty label is none. It is kept until the id is
    /// stale.
    pub fn set_label(&mut self, id: SocketId, label: &str) {
        if self.conns.contains(id) {
            self.cx.labels.set(id, label);
        }
    }

    /// Gives what the trace has gathered to its sink: for a program that is about to exit without dropping the net.
    pub fn flush_trace(&mut self) {
        self.pause_trace();
        if let Some(tracer) = &mut self.tracer {
            tracer.end();
        }
    }

    /// As [`Net::next_event`], of a net that is traced.
    #[cold]
    pub(super) fn next_event_traced(&mut self, sleep: Sleep) -> Result<Option<Event>, Error> {
        self.tell_notes();
        if let Some(tracer) = &mut self.tracer {
            tracer.handler_returned();
        }
        let event = self.advance(sleep)?;
        self.tell_notes();
        match &event {
            Some(event) => self.tell_event(event),
            None => self.pause_trace(),
        }
        Ok(event)
    }

    /// What was done since the last call. What went into a pipe says so.
    pub(super) fn tell_notes(&mut self) {
        let mut notes = self.cx.agenda.notes.take();
        if notes.is_empty() {
            return;
        }
        for note in &mut notes {
            if let (Whom::Socket(id), Kind::Read) = (note.whom, note.kind) {
                let to = self.piped_to(id);
                note.text.extend(to.iter().map(|to| format!(" → pipe into {to}")));
            }
        }
        let place = self.place();
        if let Some(tracer) = &mut self.tracer {
            tracer.tell(notes, place, &self.cx.labels);
        }
    }

    fn tell_event(&mut self, event: &Event) {
        let place = self.place();
        if let Some(tracer) = &mut self.tracer {
            tracer.event(event, place, &self.cx.labels);
        }
    }

    pub(super) fn pause_trace(&mut self) {
        self.tell_notes();
        if let Some(tracer) = &mut self.tracer {
            tracer.pause(&self.cx.labels);
        }
    }

    fn place(&self) -> Place {
        Place { turn: self.cx.counters.turns + 1, time: self.cx.now(), phase: self.phase.name() }
    }

    /// The time of the turn is up: what is left of this phase waits for the next one.
    #[cold]
    pub(super) fn tell_cut(&mut self) {
        let agenda = &self.cx.agenda;
        let left = match self.phase {
            Phase::Flush | Phase::FlushAgain => agenda.flush.iter().count(),
            Phase::Serve => agenda.ready.iter().count(),
            Phase::NextTurns => agenda.next_turns.iter().count(),
            Phase::Closes => agenda.closes.iter().count(),
            Phase::Start | Phase::Wait | Phase::Timeouts => 0,
        };
        if left > 0 {
            agenda.notes.add(Whom::Loop, Kind::Budget, || format!("the time is up: {left} wait for the next turn"));
            if let Some(budget) = Budget::of_time(self.phase) {
                self.cx.cut(budget);
            }
        }
    }

    /// A user has put something off.
    pub(super) fn tell_put_off(&self, number: u64, until: &str) {
        let text = || format!("tick {} was put off, {until}", number_of_tick(number));
        self.cx.agenda.notes.add(Whom::Loop, Kind::PutOff(number), text);
    }

    /// A user has set a timer.
    pub(super) fn tell_set(&self, id: TimerId, delay: Duration, again: bool) {
        let text = || format!("{id} was set: it is due {} {delay:?}", if again { "every" } else { "in" });
        self.cx.agenda.notes.add(Whom::Loop, Kind::Set(id), text);
    }

    /// A timer is due.
    pub(super) fn tell_timer(&self, timer: TimerKind) {
        let (whom, text) = match timer {
            TimerKind::Idle(id) => (Whom::from(id), "its idle time is over"),
            TimerKind::Attempt(id) => (id.into(), "the next address has its turn"),
            #[cfg(feature = "names")]
            TimerKind::Names => (Whom::Loop, "a name server has not answered"),
            TimerKind::Connect(id) => (id.into(), "its time to connect is over"),
            TimerKind::Grace(id) => (id.into(), "its grace above the soft limit is over"),
            TimerKind::Retry(id) => (id.into(), "a write that found no memory is tried again"),
            TimerKind::Accept(id) => (id.into(), "it accepts again"),
            TimerKind::User(id) => {
                let came = Kind::Came { timer: id, again: self.timers.comes_again(id) };
                return self.cx.agenda.notes.add(Whom::Loop, came, || format!("{id} is due"));
            }
        };
        self.cx.agenda.notes.add(whom, Kind::Due, || text.to_owned());
    }
}

/// The end of a run is told too, also that by a panic.
impl Drop for Net {
    fn drop(&mut self) {
        self.flush_trace();
    }
}
