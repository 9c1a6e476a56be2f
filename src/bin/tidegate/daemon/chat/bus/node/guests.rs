//! What the guests of this node do, and what they are called.
//!
//! Together, what they do is told when it is read. Away, it is told at once, and names are decided by what is known here; the
//! stream decides when the node is back.

use std::time::Duration;

use super::super::super::names::{self, Folded, Refused};
use super::super::entry::What;
use super::super::output::Output;
use super::{Node, own_name};

impl Node {
    /// A guest is here, and gets a name: the one that it had before, or a number. The number of a guest is used once, but for those of
    /// [`Node::vacant`].
    pub fn arrives(&mut self, guest: u64, wanted: Option<&str>, now: Duration) {
        if let Some(name) = self.here.occupy(guest) {
            return self.outputs.push_back(Output::Named { guest, name, is_first: true });
        }
        let wanted = wanted.filter(|name| names::check_name(name).is_ok());
        self.here.add(guest, wanted);
        if self.decides_here() {
            self.name_here(guest);
        } else {
            self.unnamed.push_back((now + self.settings.patience, guest));
        }
        self.state(guest, now);
        self.catch_up_with_guests(now);
    }

    /// The others are to know of it.
    pub fn joins(&mut self, guest: u64, now: Duration) {
        if self.here.announce(guest) {
            if self.decides_here() {
                self.tell_join_here(guest);
            }
            self.state(guest, now);
            self.catch_up_with_guests(now);
        }
    }

    /// `text` has gone through `said`.
    pub fn says(&mut self, guest: u64, text: &str, now: Duration) {
        if self.here.get(guest).is_none() {
            return;
        }
        let text = text.to_owned();
        if self.decides_here() {
            let name = self.name_here_of(guest);
            self.outputs.push_back(Output::Said { by: Some(guest), name, text: text.clone() });
        }
        if self.bye.is_some() {
            self.not_heard = self.not_heard.saturating_add(1); // the others have no guests of this node any more
        } else {
            self.outbox.push(What::Say { guest, text }, self.is_away(), now);
        }
        self.catch_up_with_guests(now);
    }

    /// It wants to be called so. What becomes of it comes as an output, also if it has wanted another name just before.
    pub fn renames(&mut self, guest: u64, wanted: &str, now: Duration) -> Result<(), Refused> {
        let Some(here) = self.here.get(guest) else { return Ok(()) };
        let folded = names::check(wanted, here.number.unwrap_or(u64::MAX))?;
        let claimed = here.claim.as_ref().map(|(_, name)| name);
        if claimed.is_some_and(|name| name == wanted) {
            return Ok(()); // its answer is that of this one, too
        }
        let is_called_so = claimed.is_none() && here.shown.as_deref() == Some(wanted);
        let name = wanted.to_owned();
        if is_called_so {
            self.here.change(guest, |here| here.wanted = Some(name.clone()));
            self.outputs.push_back(Output::Named { guest, name, is_first: false });
        } else if !self.decides_here() {
            self.here.change(guest, |here| here.wanted = Some(name));
            self.claim(guest, now);
        } else if let Some(taken_by) = self.taken_here(&folded, guest) {
            self.outputs.push_back(Output::Refused { guest, wanted: name, taken_by });
        } else {
            self.rename_here(guest, wanted);
            self.claim(guest, now);
        }
        self.state(guest, now);
        self.catch_up_with_guests(now);
        Ok(())
    }

    pub fn leaves(&mut self, guest: u64, now: Duration) {
        if !self.vacate(guest, now) {
            self.goes(guest, now);
        }
        self.catch_up_with_guests(now);
    }

    pub(super) fn goes(&mut self, guest: u64, now: Duration) {
        let name = self.name_here_of(guest);
        let Some(gone) = self.here.remove(guest) else { return };
        let is_told = self.decides_here();
        if is_told && gone.is_announced {
            self.outputs.push_back(Output::Left { name, online: self.online() });
        }
        if self.bye.is_some() {
            return;
        }
        if gone.claim.is_some() || gone.join.is_some() || self.roster.knows(self.whom(guest)) {
            self.outbox.push(What::Leave { guest }, is_told, now);
        }
    }

    /// What guests do is told at once: the node is away, or has said goodbye.
    fn decides_here(&self) -> bool {
        self.is_away() || self.bye.is_some()
    }

    /// The node stops in order. What guests do from now on is told here alone. See [`Node::has_stopped`].
    pub fn stops(&mut self, now: Duration) {
        if self.bye.is_none() {
            self.bye = Some(self.outbox.push(What::Bye, true, now));
            self.catch_up_with_guests(now);
        }
    }

    /// Whether all that it has said stands in the stream, its goodbye too.
    pub fn has_stopped(&self) -> bool {
        self.bye.is_some() && self.outbox.len() == 0
    }

    // ---- names in the stream -----------------------------------------------------------------------------------------------

    /// Says in the stream what is lacking there of a guest: its name, and that it has joined.
    pub(super) fn state(&mut self, guest: u64, now: Duration) {
        if !self.may_claim() {
            self.reconciled = Some(0);
            return;
        }
        let whom = self.whom(guest);
        let Some(here) = self.here.get(guest) else { return };
        let has = self.roster.name(whom);
        let is_lacking = if here.wanted.is_some() { has != here.wanted.as_deref() } else { has.is_none() };
        if is_lacking && here.claim.is_none() {
            self.claim(guest, now);
        }
        let Some(here) = self.here.get(guest) else { return };
        if here.is_announced && here.join.is_none() && !self.roster.is_announced(whom) {
            let join = self.outbox.push(What::Join { guest }, here.is_joined, now);
            self.here.change(guest, |here| here.join = Some(join));
        }
    }

    /// The name that it wants, or else a number. Each claim has an answer of its own.
    fn claim(&mut self, guest: u64, now: Duration) {
        if !self.may_claim() {
            self.reconciled = Some(0);
            return;
        }
        let Some(here) = self.here.get(guest) else { return };
        let wanted = here.wanted.clone();
        let name = wanted.unwrap_or_else(|| self.here.give_number(guest, self.roster.highest_number()));
        let claim = self.outbox.push(What::Claim { guest, name: name.clone() }, self.is_away(), now);
        self.here.change(guest, |here| here.claim = Some((claim, name)));
    }

    /// `is_told`: it was decided here before, maybe otherwise.
    pub(super) fn is_granted(&mut self, guest: u64, name: &str, claim: u64, is_told: bool, now: Duration) {
        let Some(here) = self.here.get_mut(guest) else { return };
        here.claim.take_if(|(sequence, _)| *sequence == claim);
        here.wanted.get_or_insert_with(|| name.to_owned());
        if !is_told {
            self.show(guest, name);
        }
        self.show_what_is_decided(guest);
        self.state(guest, now);
    }

    /// `is_told`: it was decided here before. A guest who has claimed another name since does not hear of this one any more.
    pub(super) fn is_refused(
        &mut self,
        guest: u64,
        claim: u64,
        name: &str,
        taken_by: String,
        is_told: bool,
        now: Duration,
    ) {
        let has = self.roster.name(self.whom(guest)).map(str::to_owned);
        let Some(here) = self.here.get_mut(guest) else { return };
        here.claim.take_if(|(sequence, _)| *sequence == claim);
        let (was_given, is_last) = (here.is_number(name), here.claim.is_none());
        if is_last && here.wanted.as_deref() == Some(name) {
            here.wanted = has;
        }
        if !was_given && (is_last || !is_told) {
            self.outputs.push_back(Output::Refused { guest, wanted: name.to_owned(), taken_by });
        }
        self.show_what_is_decided(guest);
        self.state(guest, now);
    }

    // ---- names here --------------------------------------------------------------------------------------------------------

    /// It has the name that it wants. Here it may be called otherwise, as names were decided here meanwhile.
    fn show_what_is_decided(&mut self, guest: u64) {
        let Some(has) = self.roster.name(self.whom(guest)).map(str::to_owned) else { return };
        if self.here.get(guest).is_some_and(|here| here.wanted.as_ref() == Some(&has)) {
            self.show(guest, &has);
        }
    }

    /// From now on the guests here call it so.
    fn show(&mut self, guest: u64, name: &str) {
        if self.here.get(guest).is_some_and(|here| here.shown.as_deref() != Some(name)) {
            self.call(guest, name);
        }
    }

    /// The node is away: the name is decided here.
    fn rename_here(&mut self, guest: u64, name: &str) {
        self.here.change(guest, |here| here.wanted = Some(name.to_owned()));
        self.call(guest, name);
    }

    /// The guests here are told at once, also during an absence: what it says then has that name.
    fn call(&mut self, guest: u64, name: &str) {
        let Some(here) = self.here.get_mut(guest) else { return };
        let to = name.to_owned();
        self.outputs.push_back(match here.shown.replace(to.clone()) {
            None => Output::Named { guest, name: to, is_first: true },
            Some(from) if here.is_joined && from != to => Output::Renamed { by: Some(guest), from, to },
            Some(_) => Output::Named { guest, name: to, is_first: false },
        });
    }

    /// The node is away, and the guest has no name yet.
    fn name_here(&mut self, guest: u64) {
        let Some(here) = self.here.get(guest) else { return };
        let wanted = here.wanted.clone().filter(|wanted| self.taken_here(&Folded::of(wanted), guest).is_none());
        let name = wanted.unwrap_or_else(|| self.here.give_number(guest, self.roster.highest_number()));
        self.rename_here(guest, &name);
    }

    /// Nothing has decided for too long. It gets another name when it can.
    pub(super) fn name_by_itself(&mut self, guest: u64) {
        if self.here.get(guest).is_some_and(|here| here.shown.is_none() && !here.is_vacant) {
            let name = own_name(guest, &self.label, self.boot);
            self.show(guest, &name);
        }
    }

    /// Who has the name, as far as it is known here.
    fn taken_here(&self, folded: &Folded, guest: u64) -> Option<String> {
        let by_stream = self.roster.owner(folded).filter(|(owner, _)| *owner != self.whom(guest));
        // A guest of this node may have got another name here since.
        let by_stream = by_stream.filter(|(owner, _)| owner.boot != self.boot || self.here.get(owner.guest).is_none());
        // No two guests here have the same number: when thousands have come, not each is compared with all.
        let by_guest = || if folded.number().is_some() { None } else { self.here.called(folded, guest) };
        by_stream.map(|(_, name)| name).or_else(by_guest).map(str::to_owned)
    }

    /// One that has left, and whose lines still wait, has the name that it has in the stream.
    fn name_here_of(&self, guest: u64) -> String {
        let shown = match self.here.get(guest) {
            Some(here) => here.shown.as_deref(),
            None => self.roster.name(self.whom(guest)),
        };
        shown.map_or_else(|| own_name(guest, &self.label, self.boot), str::to_owned)
    }

    fn tell_join_here(&mut self, guest: u64) {
        let (name, online) = (self.name_here_of(guest), self.online());
        if let Some(here) = self.here.get_mut(guest)
            && !std::mem::replace(&mut here.is_joined, true)
        {
            self.outputs.push_back(Output::Joined { by: Some(guest), name, online });
        }
    }

    /// The node goes away: what has not come back until now is told.
    pub(super) fn tell_what_waits(&mut self) {
        for guest in self.here.numbers() {
            if self.here.get(guest).is_some_and(|here| here.shown.is_none()) {
                self.name_here(guest);
            }
        }
        for (_, what) in self.outbox.tell_all() {
            match what {
                What::Claim { guest, name } => self.decide_here(guest, &name),
                What::Join { guest } => self.tell_join_here(guest),
                What::Say { guest, text } => {
                    if self.here.get(guest).is_some_and(|here| here.is_announced) {
                        self.tell_join_here(guest);
                    }
                    let name = self.name_here_of(guest);
                    let by = self.here.get(guest).is_some().then_some(guest);
                    self.outputs.push_back(Output::Said { by, name, text });
                }
                What::Leave { guest } if self.roster.is_announced(self.whom(guest)) => {
                    let name = self.name_here_of(guest);
                    self.outputs.push_back(Output::Left { name, online: self.online() });
                }
                _ => {}
            }
        }
        let announced: Vec<u64> =
            self.here.iter().filter(|(_, here)| here.is_announced).map(|(guest, _)| guest).collect();
        announced.into_iter().for_each(|guest| self.tell_join_here(guest));
    }

    /// A claim that waits. If the name is not free here, the guest hears of it when the stream has decided.
    fn decide_here(&mut self, guest: u64, name: &str) {
        let Some(here) = self.here.get(guest).filter(|here| here.shown.as_deref() != Some(name)) else { return };
        let wanted = here.wanted.clone();
        if self.taken_here(&Folded::of(name), guest).is_none() {
            self.rename_here(guest, name);
            self.here.change(guest, |here| here.wanted = wanted); // maybe another name, which it has claimed since
        }
    }
}
