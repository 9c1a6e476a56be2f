//! Which boots are there, and which are dead.

use std::rc::Rc;

use super::super::EntryId;
use super::{Boot, Change, Life, Roster, UNHEARD, Whom};

/// A boot that has said nothing for so many milliseconds of the stream is dead.
pub const LONGEST_SILENCE: u64 = 30_000;

impl Roster {
    pub(super) fn die(&mut self, boot: u64, id: EntryId) -> Change {
        if !self.boots.contains_key(&boot) {
            self.add_boot(boot, &UNHEARD.into(), Life::Dead, id); // what it says later is not to count
        }
        let Some(dead) = self.boots.get_mut(&boot).filter(|boot| boot.life != Life::Dead) else {
            return Change::Nothing;
        };
        dead.life = Life::Dead;
        let (label, announced) = (Rc::clone(&dead.label), dead.announced);
        let guests: Vec<u64> = dead.guests.keys().copied().collect();
        guests.into_iter().for_each(|guest| drop(self.remove(Whom { boot, guest })));
        Change::Died { boot, label, guests: announced }
    }

    pub(super) fn is_certain(&self, boot: u64) -> bool {
        if boot == self.own {
            return self.whole.is_introduced(); // what was published again after a gap may have been read by others before
        }
        self.whole.is_sure() || self.boots.get(&boot).is_some_and(|boot| boot.is_certain)
    }

    /// It may be dead. What it says does not count until that is known.
    pub(super) fn doubt(&mut self, boot: u64, id: EntryId) -> Change {
        if !self.boots.contains_key(&boot) {
            self.add_boot(boot, &UNHEARD.into(), Life::Alive, id);
        }
        self.forget_names_of(boot);
        match self.boots.get_mut(&boot).filter(|there| there.life == Life::Alive) {
            Some(there) => {
                there.life = Life::Doubtful(id);
                there.is_settled = false;
                there.listed_to = None;
            }
            None => return Change::Nothing,
        }
        match self.own == boot {
            true => Change::Died { boot, label: UNHEARD.into(), guests: 0 },
            false => Change::Nothing,
        }
    }

    /// It has said hello: its guests have no names, and that is known.
    pub(super) fn begin(&mut self, boot: u64) -> Change {
        self.forget_names_of(boot);
        if let Some(boot) = self.boots.get_mut(&boot) {
            boot.is_settled = true;
            boot.listed_to = None;
        }
        Change::Nothing
    }

    fn forget_names_of(&mut self, boot: u64) {
        let guests: Vec<u64> = self.boots.get(&boot).into_iter().flat_map(|boot| boot.guests.keys().copied()).collect();
        for guest in guests {
            self.unname(Whom { boot, guest });
            self.decide(Whom { boot, guest });
        }
    }

    /// Other nodes that are to be declared dead, by the time of the stream in which somebody could write.
    pub fn silent(&self) -> Vec<u64> {
        self.silent_if(|there| self.clock.time() - there.heard_at > LONGEST_SILENCE)
    }

    /// Those that are so by the clock of the engine. `now`: the last place.
    pub fn unheard_of(&self, now: EntryId) -> Vec<u64> {
        self.silent_if(|there| now.milliseconds.saturating_sub(there.heard.milliseconds) > LONGEST_SILENCE)
    }

    fn silent_if(&self, is_silent: impl Fn(&Boot) -> bool) -> Vec<u64> {
        let others = self.boots.iter().filter(|(boot, there)| **boot != self.own && there.life != Life::Dead);
        others.filter(|(_, there)| is_silent(there)).map(|(boot, _)| *boot).collect()
    }

    /// The boots that are there, if these are all.
    pub fn boots(&self) -> Option<Vec<u64>> {
        let alive = self.boots.iter().filter(|(_, there)| there.life == Life::Alive);
        self.is_sure().then(|| alive.map(|(boot, _)| *boot).collect())
    }
}
