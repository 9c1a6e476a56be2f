//! What a node keeps while it is away: what was said elsewhere, to be told when it is back.

use std::collections::VecDeque;

use super::notice::Notice;
use super::output::Output;

#[derive(Debug)]
pub struct Absence {
    kept: VecDeque<Output>,
    kept_lines: usize,
    /// All lines that were said elsewhere meanwhile, and those of them that cannot be told.
    lines: u64,
    gone: u64,
    until: Until,
}

/// What ends an absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The stream was read to its end.
    End,
    /// And something of this node was read there: the engine did not take it, or not in time.
    ReadBack,
}

impl Absence {
    pub fn new(until: Until) -> Self {
        Absence { kept: VecDeque::new(), kept_lines: 0, lines: 0, gone: 0, until }
    }

    pub fn until(&self) -> Until {
        self.until
    }

    pub fn set_until(&mut self, until: Until) {
        self.until = until;
    }

    /// The last `catch_up` lines are kept, and of all else as much as that.
    pub fn keep(&mut self, output: Output, catch_up: usize) {
        let is_line = is_line(&output);
        self.lines = self.lines.saturating_add(u64::from(is_line));
        self.kept_lines += usize::from(is_line);
        self.kept.push_back(output);
        while (self.kept_lines > catch_up || self.kept.len() > 2 * catch_up)
            && let Some(oldest) = self.kept.pop_front()
        {
            self.kept_lines -= usize::from(self::is_line(&oldest));
            self.gone = self.gone.saturating_add(u64::from(self::is_line(&oldest)));
        }
    }

    /// Lines that should have been read, and were not there.
    pub fn miss(&mut self, lines: u64) {
        self.lines = self.lines.saturating_add(lines);
        self.gone = self.gone.saturating_add(lines);
    }

    /// What is told when it is over.
    pub fn end(self) -> impl Iterator<Item = Output> {
        let notices = [Notice::TogetherAgain { lines: self.lines }, Notice::Gone { lines: self.gone }];
        let notices = notices.into_iter().filter(|notice| *notice != Notice::Gone { lines: 0 });
        notices.map(Output::Notice).chain(self.kept)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.kept.len()
    }
}

fn is_line(output: &Output) -> bool {
    matches!(output, Output::Said { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Output {
        Output::Said { by: None, name: "anna".into(), text: text.into() }
    }

    fn left() -> Output {
        Output::Left { name: "anna".into(), online: 3 }
    }

    #[test]
    fn the_last_lines_are_kept_and_all_are_counted() {
        let mut absence = Absence::new(Until::End);
        for output in [said("a"), left(), said("b"), said("c")] {
            absence.keep(output, 2);
        }
        absence.miss(4);
        let told: Vec<_> = absence.end().collect();
        let notices = [Notice::TogetherAgain { lines: 7 }, Notice::Gone { lines: 5 }].map(Output::Notice);
        assert_eq!(told, [&notices[..], &[left(), said("b"), said("c")]].concat());
    }

    #[test]
    fn numbers_from_the_stream_do_not_wrap_around() {
        let mut absence = Absence::new(Until::End);
        absence.miss(u64::MAX - 1);
        ["a", "b", "c"].into_iter().for_each(|text| absence.keep(said(text), 1));
        absence.miss(2);
        let notices = [Notice::TogetherAgain { lines: u64::MAX }, Notice::Gone { lines: u64::MAX }].map(Output::Notice);
        assert_eq!(absence.end().take(2).collect::<Vec<_>>(), notices);
    }

    #[test]
    fn all_else_is_bounded_too() {
        let mut absence = Absence::new(Until::End);
        absence.keep(said("a"), 2);
        (0..100).for_each(|_| absence.keep(left(), 2));
        assert_eq!(absence.len(), 4);
        assert_eq!(absence.end().next(), Some(Output::Notice(Notice::TogetherAgain { lines: 1 })));
    }
}
