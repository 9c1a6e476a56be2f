//! The trace for people: a turn as a paragraph.

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
    /// The number of the only connection that is followed.
    only: Option<u32>,
    paragraph: String,
    /// The turn and the phase of the last line in it.
    last: Option<(u64, &'static str)>,
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

    /// Follows the connection with this number alone: that behind the `#`.
    #[must_use]
    pub fn only(self, number: u32) -> Self {
        Explainer { only: Some(number), ..self }
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
        if self.only.is_none_or(|only| line.number() == Some(only)) {
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
}
