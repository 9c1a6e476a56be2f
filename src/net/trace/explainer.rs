//! The trace for people: a turn as a paragraph.

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write;

use super::line::{TraceLine, TraceSink};

/// Makes a paragraph of the lines of each turn in which something has happened:
///
/// ```text
/// turn 12, at 1.204 s
///   wait   #5 anna: ready to read
///   serve  #5 anna: read 3 bytes → data
///          #6 bert: wrote 9 of 9 bytes
/// ```
///
/// It goes to a closure, as one text with an LF after each line. A turn that sleeps gives what it has done before by itself.
/// [`EventLoop::explain`](crate::EventLoop::explain) is the shortest way to one.
///
/// ```
/// use tidegate::{EventLoop, Explainer};
///
/// let mut event_loop = EventLoop::new()?;
/// event_loop.net.trace(Explainer::new(|paragraph: &str| print!("{paragraph}")).only(5));
/// # Ok::<(), tidegate::Error>(())
/// ```
pub struct Explainer<F> {
    sink: F,
    /// The only connection that is followed.
    only: Option<Followed>,
    paragraph: String,
    /// The turn and the phase of the last line in it.
    last: Option<(u64, &'static str)>,
}

/// A connection that is followed, and others that there were meanwhile.
#[derive(Debug)]
struct Followed {
    number: u32,
    has_come: bool,
    /// The first of the others.
    others: BTreeSet<u32>,
    /// The highest number of all.
    highest: u32,
}

/// So many others are named when the one that is followed has not come.
const NAMED: usize = 20;

impl Followed {
    fn concerns(&mut self, line: &TraceLine<'_>) -> bool {
        let Some(number) = line.number() else { return false };
        if number == self.number {
            self.has_come = true;
            return true;
        }
        self.highest = self.highest.max(number);
        if self.others.len() < NAMED {
            self.others.insert(number);
        }
        false
    }

    /// That it has not come, once.
    fn missed(&mut self) -> Option<String> {
        if std::mem::replace(&mut self.has_come, true) {
            return None;
        }
        let named = self.others.iter().map(|number| format!("#{number}")).collect::<Vec<_>>().join(", ");
        let there_were = match self.others.last() {
            None => "there was none".to_owned(),
            Some(last) if *last == self.highest => format!("there were {named}"),
            Some(_) => format!("there were {named} and others, up to #{}", self.highest),
        };
        Some(format!("nothing was done with connection #{}: {there_were}\n", self.number))
    }
}

impl<F> fmt::Debug for Explainer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explainer").field("only", &self.only).finish_non_exhaustive()
    }
}

impl<F: FnMut(&str)> Explainer<F> {
    /// One that gives its paragraphs to this closure.
    pub fn new(sink: F) -> Self {
        Explainer { sink, only: None, paragraph: String::new(), last: None }
    }

    /// Follows the connection with this number alone: that behind the `#`. If there was none, it says so at the end, and which
    /// there were.
    #[must_use]
    pub fn only(self, number: u32) -> Self {
        let only = Followed { number, has_come: false, others: BTreeSet::new(), highest: 0 };
        Explainer { only: Some(only), ..self }
    }

    fn add(&mut self, line: &TraceLine<'_>) -> fmt::Result {
        let (turn, phase) = (line.turn(), line.phase());
        if self.last.is_none_or(|last| last.0 != turn) {
            writeln!(self.paragraph, "turn {turn}, at {:.3} s", line.time().as_secs_f64())?;
        }
        let shown = if self.last == Some((turn, phase)) { "" } else { phase };
        self.last = Some((turn, phase));
        writeln!(self.paragraph, "  {shown:<10}  {}: {}", line.name(), line.text())
    }
}

impl<F: FnMut(&str)> TraceSink for Explainer<F> {
    fn line(&mut self, line: &TraceLine<'_>) {
        if self.last.is_some_and(|(turn, _)| turn != line.turn()) {
            self.pause();
        }
        if self.only.as_mut().is_none_or(|only| only.concerns(line)) {
            // A text takes all that is written to it.
            let _ = self.add(line);
        }
    }

    fn pause(&mut self) {
        self.last = None;
        if !self.paragraph.is_empty() {
            (self.sink)(&self.paragraph);
            self.paragraph.clear();
        }
    }

    fn end(&mut self) {
        if let Some(missed) = self.only.as_mut().and_then(Followed::missed) {
            (self.sink)(&missed);
        }
    }
}
