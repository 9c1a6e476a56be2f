//! Which boots are there, and which are dead.

use std::rc::Rc;

use super::super::EntryId;
use super::{Boot, Change, Life, Roster, UNHEARD, Whom};

/// A boot that has said nothing for so many milliseconds of the stream is declared dead.
pub const LONGEST_SILENCE: u64 = 30_000;

/// It is dead now, also if nobody was there to declare it: so whoever has read for so long has heard of all that are not dead.
pub const CERTAIN_DEATH: u64 = LONGEST_SILENCE + 5_000;

impl Boot {
    /// It was there when all was read up to this place.
    pub(super) fn is_there_after(&mut self, read: EntryId) {
        if matches!(self.life, Life::Doubtful(place) if place <= read) {
            self.life = Life::Alive;
        }
    }
}

impl Roster {
    pub(super) fn end_the_silent(&mut self, id: EntryId) -> Vec<Change> {
        let now = self.clock.time();
        if now < self.next_death {
            return Vec::new();
        }
        let there = self.boots.iter().filter(|(_, there)| there.life != Life::Dead);
        let (silent, others): (Vec<_>, Vec<_>) = there.partition(|(_, there)| now - there.heard_at >= CERTAIN_DEATH);
        let heard = others.iter().map(|(_, there)| there.heard_at);
        self.next_death = heard.min().unwrap_or(now).saturating_add(CERTAIN_DEATH);
        let silent: Vec<u64> = silent.into_iter().map(|(boot, _)| *boot).collect();
        silent.into_iter().map(|boot| self.die(boot, id)).collect()
    }

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

    /// Whether what the boot declares counts. Whoever is not sure does not know whether it is dead itself, and whether others
    /// have read the same declaration before: it may have been published again.
    pub(super) fn is_certain(&self, boot: u64) -> bool {
        self.whole.is_sure() || boot == self.own && self.whole.is_introduced()
    }

    /// It may be dead. What it says does not count until that is known: it says hello, or it lists its guests and knows of this
    /// declaration, or a node that is sure says that it is there, or it is silent.
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

    /// The boots that are there, if these are all. None also if there are none: this one was declared dead.
    pub fn boots(&self) -> Option<Vec<u64>> {
        let alive = self.boots.iter().filter(|(_, there)| there.life == Life::Alive);
        let boots: Vec<u64> = alive.map(|(boot, _)| *boot).collect();
        (self.is_sure() && !boots.is_empty()).then_some(boots)
    }
}
