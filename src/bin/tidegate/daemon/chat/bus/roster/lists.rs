//! What a list of a node changes, and what a roster that is not whole learns from it.

use super::super::super::names::Folded;
use super::super::EntryId;
use super::super::list::{List, Listed};
use super::{Boot, Change, Life, Member, Roster, UNHEARD, Whom};

impl Roster {
    /// A node knows best who its guests are, and what they are called as far as it had read. A roster that is whole has the
    /// names already. Joins and leaves that were dropped it has not.
    pub(super) fn list(&mut self, boot: u64, list: &List, id: EntryId) -> Change {
        let hello = self.boots.get(&boot).map_or(EntryId::ZERO, |there| there.hello);
        let has_names = !self.whole.is_sure() && self.whole.covers(list.read) && list.read >= hello;
        for listed in &list.guests {
            let whom = Whom { boot, guest: listed.guest };
            self.set_announced(whom, listed.is_announced);
            if has_names {
                self.set_name(whom, listed, list.read);
            }
        }
        let Some(there) = self.boots.get(&boot) else { return Change::Nothing };
        let is_listed = |guest: &u64| list.guests.binary_search_by_key(guest, |listed| listed.guest).is_ok();
        let known = there.guests.range(list.from..=list.to).map(|(guest, _)| *guest);
        let gone: Vec<u64> = known.filter(|guest| !is_listed(guest)).collect();
        gone.into_iter().for_each(|guest| drop(self.remove(Whom { boot, guest })));
        self.settle(boot, list);
        if let Some(boots) = list.boots.as_ref().filter(|_| !self.whole.is_sure() && self.whole.covers(list.read)) {
            self.learn_boots(boots, list.read, id);
        }
        Change::Nothing
    }

    /// A node that is sure says which boots were there when it had read so far.
    fn learn_boots(&mut self, boots: &[u64], read: EntryId, id: EntryId) {
        let unknown: Vec<u64> = boots.iter().copied().filter(|boot| !self.boots.contains_key(boot)).collect();
        unknown.into_iter().for_each(|boot| self.add_boot(boot, &UNHEARD.into(), Life::Alive, id));
        let own = self.own;
        let is_gone = |(boot, there): &(&u64, &Boot)| there.since <= read && **boot != own && !boots.contains(boot);
        let gone: Vec<u64> = self.boots.iter().filter(is_gone).map(|(boot, _)| *boot).collect();
        gone.into_iter().for_each(|boot| drop(self.die(boot, id)));
        for (_, there) in self.boots.iter_mut().filter(|(boot, _)| boots.contains(boot)) {
            there.is_there_after(read);
        }
        self.whole.knows_all_boots();
    }

    fn set_announced(&mut self, whom: Whom, is_announced: bool) {
        let Some(member) = self.member(whom) else { return };
        let was_announced = std::mem::replace(&mut member.is_announced, is_announced);
        self.count_announced(whom.boot, i64::from(is_announced) - i64::from(was_announced));
    }

    fn set_name(&mut self, whom: Whom, listed: &Listed, read: EntryId) {
        let is_newer =
            |member: &Member| member.granted > read || member.undecided.is_some_and(|claimed| claimed > read);
        if self.get(whom).is_none_or(is_newer) {
            return;
        }
        self.decide(whom);
        self.unname(whom);
        let Some(name) = &listed.name else { return };
        let folded = Folded::of(name);
        self.see_number(&folded);
        if let Some(owner) = self.names.get(&folded).copied() {
            if self.granted(owner) <= listed.granted {
                return;
            }
            self.unname(owner);
        }
        if let Some(member) = self.member(whom) {
            member.name = Some(name.clone());
            member.granted = listed.granted;
            self.names.insert(folded, whom);
        }
    }

    /// The names of the boot are known if the whole list was read, and was made after the gap.
    fn settle(&mut self, boot: u64, list: &List) {
        let is_recent = self.whole.covers(list.read);
        let Some(boot) = self.boots.get_mut(&boot) else { return };
        let goes_on = match boot.listed_to {
            _ if !is_recent => false,
            _ if list.from == 0 => true,
            Some(to) => to.checked_add(1) == Some(list.from),
            None => false,
        };
        boot.is_settled |= goes_on && list.to == u64::MAX;
        boot.listed_to = goes_on.then_some(list.to);
    }

    /// See `whole.rs`.
    pub(super) fn conclude(&mut self) {
        let others = self.boots.iter().filter(|(boot, _)| **boot != self.own);
        let is_settled = |boot: &Boot| match boot.life {
            Life::Alive => boot.is_settled,
            Life::Doubtful(_) => false,
            Life::Dead => true,
        };
        if !self.whole.is_sure() && self.undecided == 0 && others.map(|(_, boot)| boot).all(is_settled) {
            self.whole.all_is_known(self.clock.time());
        }
    }
}
