//! The notes of a piece of work become lines: with the turn, the phase, the label, and the cause of each event.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::cause::{ERROR, told};
use super::line::{TraceLine, TraceSink};
use super::notes::{Kind, Note, Whom};
use crate::base::id::TimerId;
use crate::net::event::Event;
use crate::net::labels::Labels;

/// Where the loop is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub turn: u64,
    pub time: Duration,
    pub phase: &'static str,
}

pub struct Tracer {
    sink: Box<dyn TraceSink>,
    /// The last note. It waits for the event that it may give rise to, which is told in the same line.
    last: Option<(Note, Place)>,
    /// The latest note of each kind, of each that is there: what may be the cause of a later event.
    causes: HashMap<Whom, Vec<Cause>>,
    notes: u64,
    /// The handler that runs: what is done meanwhile, it has done.
    handler: Option<(Whom, String)>,
    /// Who has set each timer that runs, and in which turn.
    timers: HashMap<TimerId, (String, u64)>,
}

struct Cause {
    kind: Kind,
    number: u64,
    turn: u64,
    text: String,
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("notes", &self.notes).finish_non_exhaustive()
    }
}

impl Tracer {
    pub fn new(sink: Box<dyn TraceSink>) -> Self {
        Tracer { sink, last: None, causes: HashMap::new(), notes: 0, handler: None, timers: HashMap::new() }
    }

    /// What was done in a piece of work, or by the handler that has run.
    pub fn tell(&mut self, notes: Vec<Note>, place: Place, labels: &Labels) {
        for mut note in notes {
            let by = self.handler.as_ref().map(|(whom, event)| match whom {
                _ if *whom == note.whom => format!(", by its {event} handler"),
                Whom::Loop => format!(", by the loop's {event} handler"),
                Whom::Socket(_) | Whom::Server(_) => format!(", by {whom}'s {event} handler"),
            });
            note.text.extend(self.who_has_set(note.kind, by.as_deref(), place.turn));
            note.text.extend(by);
            self.remember(&note, place);
            self.show_last(labels);
            self.last = Some((note, place));
        }
    }

    /// Of a timer that is due: who has set it. `by` says who does what is told now.
    fn who_has_set(&mut self, what: Kind, by: Option<&str>, turn: u64) -> Option<String> {
        let (by, then) = match what {
            Kind::Set(timer) => {
                self.timers.insert(timer, (by?.to_owned(), turn));
                return None;
            }
            Kind::TakenBack(timer) => {
                self.timers.remove(&timer);
                return None;
            }
            Kind::Came { timer, again: true } => self.timers.get(&timer).cloned()?,
            Kind::Came { timer, again: false } => self.timers.remove(&timer)?,
            _ => return None,
        };
        let when = if then == turn { String::new() } else { format!(" (turn {then})") };
        Some(format!(": it was set{}{when}", by.trim_start_matches(',')))
    }

    /// The handler of the last event has returned.
    pub fn handler_returned(&mut self) {
        self.handler = None;
    }

    /// An event comes, and its handler runs.
    pub fn event(&mut self, event: &Event, place: Place, labels: &Labels) {
        let told = told(event);
        let (of, kinds) = told.cause;
        let last = self.last.take_if(|(note, _)| note.whom == told.whom);
        self.show_last(labels);
        let text = match last {
            Some((note, _)) if of == told.whom && kinds.contains(&note.kind) => {
                format!("{} → {}", note.text, told.detailed)
            }
            Some((note, _)) => {
                format!("{} → {} ← {}", note.text, told.detailed, self.cause(told.whom, of, &kinds, place.turn))
            }
            None => format!("{} ← {}", told.detailed, self.cause(told.whom, of, &kinds, place.turn)),
        };
        self.show(told.whom, &text, place, labels);
        // A loop has many timers and signals: the number says which.
        let name = if told.whom == Whom::Loop { told.detailed } else { told.name.to_owned() };
        self.handler = Some((told.whom, name));
        self.forget(event, told.whom);
    }

    /// The run is over.
    pub fn end(&mut self) {
        self.sink.end();
    }

    /// The loop is about to sleep, or the turn is over.
    pub fn pause(&mut self, labels: &Labels) {
        self.show_last(labels);
        self.sink.pause();
    }

    fn show_last(&mut self, labels: &Labels) {
        if let Some((note, place)) = self.last.take() {
            self.show(note.whom, &note.text, place, labels);
        }
    }

    fn show(&mut self, whom: Whom, text: &str, place: Place, labels: &Labels) {
        let label = match whom {
            Whom::Socket(id) => labels.get(id),
            Whom::Server(_) | Whom::Loop => None,
        };
        let Place { turn, time, phase } = place;
        self.sink.line(&TraceLine { turn, time, phase, whom, label, text });
    }

    /// What can be the cause of nothing any more.
    fn forget(&mut self, event: &Event, whom: Whom) {
        match event {
            Event::Close { .. } | Event::ServerClose(_) => {
                self.causes.remove(&whom);
            }
            Event::Tick(number) => self.forget_kinds(whom, |kind| kind == Kind::PutOff(*number)),
            Event::Timer(id) => {
                self.forget_kinds(whom, |kind| matches!(kind, Kind::Came { timer, .. } if timer == *id));
            }
            _ => {}
        }
    }

    fn forget_kinds(&mut self, whom: Whom, of: impl Fn(Kind) -> bool) {
        if let Some(causes) = self.causes.get_mut(&whom) {
            causes.retain(|cause| !of(cause.kind));
        }
    }

    fn remember(&mut self, note: &Note, place: Place) {
        if let Kind::Set(_) | Kind::TakenBack(_) = note.kind {
            return;
        }
        self.notes += 1;
        let (kind, text) = (note.kind, note.text.clone());
        let cause = Cause { kind, number: self.notes, turn: place.turn, text };
        let causes = self.causes.entry(note.whom).or_default();
        match causes.iter_mut().find(|other| other.kind == kind) {
            Some(other) => *other = cause,
            None => causes.push(cause),
        }
    }

    /// The latest note of one of these kinds.
    fn cause(&self, whom: Whom, of: Whom, kinds: &[Kind], turn: u64) -> String {
        let causes = self.causes.get(&of).into_iter().flatten();
        let latest = causes.filter(|cause| kinds.contains(&cause.kind)).max_by_key(|cause| cause.number);
        let latest = match latest {
            // What has failed is the cause of the destroy that follows from it.
            Some(destroyed) if destroyed.kind == Kind::Destroyed && kinds == ERROR => {
                let mut causes = self.causes.get(&of).into_iter().flatten();
                let failed = |cause: &&Cause| cause.kind == Kind::Failed && cause.turn == destroyed.turn;
                causes.find(failed).or(Some(destroyed))
            }
            latest => latest,
        };
        let Some(cause) = latest else { return "what was done before the trace began".to_owned() };
        let mut text = if whom == of { cause.text.clone() } else { format!("{of} {}", cause.text) };
        if cause.turn != turn {
            text.push_str(&format!(" (turn {})", cause.turn));
        }
        text
    }
}
