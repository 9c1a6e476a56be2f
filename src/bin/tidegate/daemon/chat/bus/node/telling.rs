//! What the guests here are told of an entry that was read.

use std::time::Duration;

use super::super::entry::{Entry, What};
use super::super::notice::Notice;
use super::super::output::Output;
use super::super::roster::{Change, Whom};
use super::{Node, Stand, own_name};

impl Node {
    /// `is_told`: the guests here know it already, as the node was away when it was said.
    pub(super) fn tell_entry(&mut self, entry: &Entry, change: Change, is_told: bool, now: Duration) {
        let is_own = entry.boot == self.boot;
        match (&entry.what, change) {
            (What::Say { guest, text }, _) if !is_told => self.tell_line(entry, *guest, text),
            (What::Claim { guest, name }, Change::Granted { .. }) if is_own => {
                self.is_granted(*guest, name, entry.sequence, is_told, now);
            }
            (What::Claim { name, .. }, Change::Granted { from: Some(from), is_announced: true }) if from != *name => {
                self.tell(Output::Renamed { by: None, from, to: name.clone() });
            }
            (What::Claim { guest, name }, Change::Refused { taken_by }) if is_own => {
                self.is_refused(*guest, entry.sequence, name, taken_by, is_told, now);
            }
            (What::Join { guest }, change) => self.tell_join(entry, *guest, change == Change::Joined && !is_told),
            (What::Leave { guest }, Change::Left { name }) if !is_told => {
                let name = name.unwrap_or_else(|| own_name(*guest, &entry.label, entry.boot));
                let online = self.online();
                self.tell(Output::Left { name, online });
            }
            (What::Hello, _) if !is_own => self.is_to_list = true,
            (What::Hello, _) => self.reconciled = Some(0), // the names are gone
            (_, death) => self.tell_death(death),
        }
    }

    /// Told now, or kept until the node is back. What was in the stream before the node began is not told.
    pub(super) fn tell(&mut self, output: Output) {
        match &mut self.stand {
            _ if !self.has_begun => {}
            Stand::Starting => {}
            Stand::Together => self.outputs.push_back(output),
            Stand::Away(absence) => absence.keep(output, self.settings.catch_up),
        }
    }

    fn tell_line(&mut self, entry: &Entry, guest: u64, text: &str) {
        let by = (entry.boot == self.boot && self.here.get(guest).is_some()).then_some(guest);
        let name = self.name_in_stream(entry, guest);
        self.tell(Output::Said { by, name, text: text.to_owned() });
    }

    fn tell_join(&mut self, entry: &Entry, guest: u64, is_news: bool) {
        let here = if entry.boot == self.boot { self.here.get_mut(guest) } else { None };
        let by = here.is_some().then_some(guest);
        let mut is_known_here = false;
        if let Some(here) = here {
            here.join.take_if(|sequence| *sequence == entry.sequence);
            is_known_here = here.is_joined;
            here.is_joined |= is_news;
        }
        if is_news && !is_known_here {
            let (name, online) = (self.name_in_stream(entry, guest), self.online());
            self.tell(Output::Joined { by, name, online });
        }
    }

    pub(super) fn tell_death(&mut self, change: Change) {
        let Change::Died { boot, label, guests } = change else { return };
        self.declared.remove(&boot);
        if boot == self.boot {
            self.hello = None;
            return;
        }
        if guests > 0 {
            let online = self.online();
            self.tell(Output::Notice(Notice::NodeLeft { label, guests, online }));
        }
    }

    fn name_in_stream(&self, entry: &Entry, guest: u64) -> String {
        let name = self.roster.name(Whom { boot: entry.boot, guest });
        name.map_or_else(|| own_name(guest, &entry.label, entry.boot), str::to_owned)
    }
}
