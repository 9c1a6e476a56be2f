//! What is read, and whether something is missing before it.
//!
//! A stream is trimmed at its beginning, and an engine that is killed may lose its end. A node that reads on after its last
//! entry would not see either. So after each connect, and while it reads one batch after the other, it reads from just before
//! that entry: if it does not come again, entries were missed.
//!
//! A node that has read to the end waits for what comes next, and cannot ask so. But if entries are trimmed before it reads
//! them, there are more than one batch, as the history is longer than a batch. So a batch that is not the end is read once more
//! in that manner.

use std::time::Duration;

use super::super::EntryId;
use super::super::absence::Until;
use super::super::entry::{Entry, Malformed};
use super::super::notice::Notice;
use super::super::output::Output;
use super::super::seen::{Seen, Sight};
use super::{Connection, Node, Stand};

pub type Read = (EntryId, Result<Entry, Malformed>);

impl Node {
    /// What stood behind the last place that was to be read from, or behind the last entry. `is_end`: nothing more was there.
    pub fn read(&mut self, entries: &[Read], is_end: bool, now: Duration) {
        let is_sudden = self.connection == Connection::Live && self.expected.is_none() && !is_end;
        if is_sudden && self.read_to != EntryId::ZERO {
            return self.read_on();
        }
        let missed = self.expected.take().filter(|place| entries.first().map(|(id, _)| id) != Some(place));
        if is_sudden || missed.is_some() {
            return self.read_all_again(self.born.is_some());
        }
        for (id, entry) in entries {
            if *id > self.read_to {
                if entry.as_ref().is_ok_and(|entry| self.roster.is_refuted_by(entry)) {
                    return self.read_all_again(true);
                }
                self.read_to = *id;
                self.take(*id, entry, now);
            }
        }
        if is_end {
            self.has_read_to_the_end(now)
        } else {
            self.read_on()
        }
        self.catch_up_with_guests(now);
    }

    /// From the last entry on.
    pub(super) fn read_on(&mut self) {
        self.expected = (self.read_to != EntryId::ZERO).then_some(self.read_to);
        self.outputs.push_back(Output::ReadFrom(self.read_to.before()));
    }

    /// Names that were decided meanwhile are not known. So the roster is made anew from all that is left, and the names of the
    /// guests here are claimed again. And own entries may be among what was missed: all that was not read back is published
    /// again.
    fn read_all_again(&mut self, has_to_say_hello: bool) {
        self.roster = self.roster.anew(has_to_say_hello);
        self.folded = Seen::default();
        self.takes_back_what_may_be_old();
        self.is_to_begin_anew = true;
        self.hello = None;
        self.connection = Connection::Reading;
        self.read_to = EntryId::ZERO;
        self.read_on();
    }

    fn has_read_to_the_end(&mut self, now: Duration) {
        self.connection = Connection::Live;
        self.roster.has_reached_end();
        let is_back = match &self.stand {
            Stand::Starting => true,
            Stand::Together => false,
            Stand::Away(absence) => absence.until() == Until::End,
        };
        if is_back {
            self.come_back(now);
        }
        self.declare_the_silent_dead(now);
    }

    fn take(&mut self, id: EntryId, entry: &Result<Entry, Malformed>, now: Duration) {
        let Ok(entry) = entry else {
            self.malformed += u64::from(id > self.malformed_to);
            self.malformed_to = self.malformed_to.max(id);
            return;
        };
        for death in self.roster.reads(id) {
            self.tell_death(death);
        }
        let is_younger = self.born.is_some_and(|born| entry.born > born);
        if self.folded.see(entry, is_younger) == Sight::Repeated {
            return self.roster.hear_again(id, entry.boot);
        }
        if entry.boot == self.boot && self.hello == Some(entry.sequence) {
            self.roster.says_hello();
        }
        // What is read again was told, and is only for the roster.
        let sight = self.seen.see(entry, is_younger || entry.boot == self.boot);
        let is_told = match sight {
            Sight::Fresh { lost } if entry.boot == self.boot => self.read_back(id, entry, lost, now),
            Sight::Fresh { lost } => {
                self.miss_lines(lost, entry);
                false
            }
            Sight::Repeated => false,
        };
        let was_sure = self.roster.is_sure();
        let change = self.roster.apply(id, entry);
        self.is_to_list |= !was_sure && self.roster.is_sure();
        if sight != Sight::Repeated {
            self.tell_entry(entry, change, is_told, now);
            #[cfg(test)]
            self.trace.push((id, self.names_now()));
        }
    }

    fn miss_lines(&mut self, lines: u64, entry: &Entry) {
        if lines == 0 || !self.has_begun {
            return;
        }
        self.lost = self.lost.saturating_add(lines);
        match &mut self.stand {
            Stand::Starting => {}
            Stand::Together => {
                let label = entry.label.clone();
                self.outputs.push_back(Output::Notice(Notice::Lost { lines, label }));
            }
            Stand::Away(absence) => absence.miss(lines),
        }
    }

    /// An entry of this node has come. `lost`: so many lines before it did not, and will not. Whether the guests here know it.
    fn read_back(&mut self, id: EntryId, entry: &Entry, lost: u64, now: Duration) -> bool {
        self.born.get_or_insert(id);
        let back = self.outbox.read_back(entry.sequence, entry.lines);
        self.not_heard = self.not_heard.saturating_add(lost);
        self.untold_not_heard += lost.saturating_sub(back.untold_lines);
        if let Stand::Away(absence) = &mut self.stand {
            absence.set_until(Until::End);
        }
        if back.skipped > 0 {
            self.lose(entry.sequence - 1, back.skipped_hello);
        }
        if back.untold_lines > 0 {
            let notice = Notice::Lost { lines: back.untold_lines, label: self.label.clone() };
            self.lost = self.lost.saturating_add(back.untold_lines);
            self.tell(Output::Notice(notice));
        }
        match back.entry {
            Some((is_told, since)) => {
                self.lag = Some(now.saturating_sub(since));
                is_told
            }
            None => true, // it was dropped, and all that is dropped was told before
        }
    }

    #[cfg(test)]
    fn names_now(&self) -> Vec<(String, super::Whom)> {
        self.roster.names().map(|(folded, whom)| (folded.to_string(), whom)).collect()
    }
}
