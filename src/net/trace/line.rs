//! A line of the trace, and the sink that it goes to.

use std::fmt;
use std::time::Duration;

use super::notes::Whom;

/// One line of the trace: `turn 12 serve #5 anna: read 3 bytes → data`.
///
/// The parts can be asked for one by one, and [`fmt::Display`] gives them all. The words are for people, and may change from version to
/// version.
#[derive(Clone, Copy, Debug)]
pub struct TraceLine<'a> {
    pub(super) turn: u64,
    pub(super) time: Duration,
    pub(super) phase: &'static str,
    pub(super) whom: Whom,
    pub(super) label: Option<&'a str>,
    pub(super) text: &'a str,
}

impl TraceLine<'_> {
    /// The number of the turn, from 1.
    pub fn turn(&self) -> u64 {
        self.turn
    }

    /// When, on the loop's clock: [`Net::now`](crate::Net::now).
    pub fn time(&self) -> Duration {
        self.time
    }

    /// The phase of the turn: `flush`, `wait`, `serve`, `next turns`, `closes`, `timeouts`; `between` two turns.
    pub fn phase(&self) -> &'static str {
        self.phase
    }

    /// The number of the connection that it concerns, as it is shown behind `#`. None for a server and for the loop itself.
    pub fn number(&self) -> Option<u32> {
        match self.whom {
            Whom::Socket(id) => Some(id.number()),
            Whom::Server(_) | Whom::Loop => None,
        }
    }

    /// The label of the connection: [`Net::set_label`](crate::Net::set_label).
    pub fn label(&self) -> Option<&str> {
        self.label
    }

    /// What was done, and why.
    pub fn text(&self) -> &str {
        self.text
    }

    /// Whom it concerns: `#5 anna`, `server #1`, `loop`.
    pub fn name(&self) -> impl fmt::Display + '_ {
        Named { whom: self.whom, label: self.label }
    }
}

impl fmt::Display for TraceLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "turn {} {} {}: {}", self.turn, self.phase, self.name(), self.text)
    }
}

/// Somebody with a label.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub whom: Whom,
    pub label: Option<&'a str>,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.whom.fmt(f)?;
        match self.label {
            Some(label) => write!(f, " {label}"),
            None => Ok(()),
        }
    }
}

/// Where the lines of a trace go: any closure that takes one, or an [`Explainer`](super::Explainer).
pub trait TraceSink {
    /// The next line.
    fn line(&mut self, line: &TraceLine<'_>);

    /// The turn is over, or is about to sleep: what was gathered should be shown.
    fn pause(&mut self) {}

    /// The run is over, or the program is about to exit: there are no more lines.
    fn end(&mut self) {}
}

impl<F: FnMut(&TraceLine<'_>)> TraceSink for F {
    fn line(&mut self, line: &TraceLine<'_>) {
        self(line);
    }
}
