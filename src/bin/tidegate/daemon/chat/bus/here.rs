//! The guests of this node: what they are called here, and what the stream is still to say of them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::names::Folded;

#[derive(Debug, Default)]
pub struct Here {
    guests: BTreeMap<u64, Guest>,
    announced: u64,
    /// The highest number that was given to a guest here.
    highest_number: u64,
    /// Guests who have gone, whose names are for the next ones, and since when. They are among the guests.
    vacant: VecDeque<(Duration, u64)>,
}

#[derive(Debug, Default)]
pub struct Guest {
    /// What the guests here call it. None before its first name.
    pub shown: Option<String>,
    /// What it is to be called. None: by a number.
    pub wanted: Option<String>,
    /// The number that it was given, which no other gets.
    pub number: Option<u64>,
    /// A claim in the outbox, with its sequence and its name.
    pub claim: Option<(u64, String)>,
    /// A join in the outbox.
    pub join: Option<u64>,
    /// The others are to know of it.
    pub is_announced: bool,
    /// The guests here know of it.
    pub is_joined: bool,
    /// It has gone, and its name is for the next one.
    pub is_vacant: bool,
}

impl Here {
    pub fn add(&mut self, guest: u64, wanted: Option<&str>) {
        let number = wanted.and_then(|name| Folded::of(name).number());
        let wanted = wanted.map(str::to_owned);
        self.guests.insert(guest, Guest { wanted, number, ..Guest::default() });
    }

    pub fn remove(&mut self, guest: u64) -> Option<Guest> {
        let gone = self.guests.remove(&guest)?;
        self.announced -= u64::from(gone.is_announced);
        Some(gone)
    }

    // ---- names for the next guests: see `node/vacant.rs` -------------------------------------------------------------------

    pub fn vacate(&mut self, guest: u64, now: Duration) {
        self.vacant.push_back((now, guest));
        self.change(guest, |guest| guest.is_vacant = true);
    }

    pub fn vacant(&self) -> usize {
        self.vacant.len()
    }

    pub fn vacant_since(&self) -> Option<Duration> {
        self.vacant.front().map(|(since, _)| *since)
    }

    pub fn oldest_vacant(&mut self) -> Option<u64> {
        self.vacant.pop_front().map(|(_, guest)| guest)
    }

    /// The latest that has its name.
    pub fn take_vacant(&mut self) -> Option<u64> {
        let is_named = |(_, guest): &(Duration, u64)| self.get(*guest).is_some_and(|guest| guest.shown.is_some());
        let at = self.vacant.iter().rposition(is_named)?;
        self.vacant.remove(at).map(|(_, guest)| guest)
    }

    /// Somebody has come for it. None: it was not vacant.
    pub fn occupy(&mut self, guest: u64) -> Option<String> {
        let guest = self.guests.get_mut(&guest)?;
        std::mem::take(&mut guest.is_vacant).then(|| guest.shown.clone())?
    }

    /// Their names are gone.
    pub fn forget_vacant(&mut self) {
        for (_, guest) in std::mem::take(&mut self.vacant) {
            self.guests.remove(&guest);
        }
    }

    // ---- each of them ------------------------------------------------------------------------------------------------------

    pub fn get(&self, guest: u64) -> Option<&Guest> {
        self.guests.get(&guest)
    }

    pub fn get_mut(&mut self, guest: u64) -> Option<&mut Guest> {
        self.guests.get_mut(&guest)
    }

    pub fn change(&mut self, guest: u64, change: impl FnOnce(&mut Guest)) {
        self.guests.get_mut(&guest).map(change);
    }

    /// False if it was announced before.
    pub fn announce(&mut self, guest: u64) -> bool {
        let news = self.guests.get_mut(&guest).filter(|guest| !guest.is_announced);
        news.is_some_and(|guest| {
            guest.is_announced = true;
            self.announced += 1;
            true
        })
    }

    pub fn announced(&self) -> u64 {
        self.announced
    }

    /// The first from this number on.
    pub fn next(&self, from: u64) -> Option<u64> {
        self.guests.range(from..).next().map(|(guest, _)| *guest)
    }

    pub fn numbers(&self) -> Vec<u64> {
        self.guests.keys().copied().collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u64, &Guest)> {
        self.guests.iter().map(|(number, guest)| (*number, guest))
    }

    /// Another guest here that is called so.
    pub fn called(&self, folded: &Folded, but: u64) -> Option<&str> {
        let others = self.guests.iter().filter(|(guest, _)| **guest != but);
        let mut names = others.filter_map(|(_, guest)| guest.shown.as_deref());
        names.find(|name| Folded::of(name) == *folded)
    }

    /// Gives a guest the next number that is above all that were ever claimed. Returns the name made of it.
    pub fn give_number(&mut self, guest: u64, highest_claimed: u64) -> String {
        self.highest_number = self.highest_number.max(highest_claimed) + 1;
        let name = format!("guest{}", self.highest_number);
        if let Some(guest) = self.guests.get_mut(&guest) {
            guest.number = Some(self.highest_number);
            guest.wanted = Some(name.clone());
        }
        name
    }

    /// Claims up to this sequence will not come any more, or do not count.
    pub fn forget_claims(&mut self, up_to: u64) {
        for guest in self.guests.values_mut() {
            guest.claim.take_if(|(sequence, _)| *sequence <= up_to);
        }
    }

    /// Joins up to this sequence will not come any more.
    pub fn forget_joins(&mut self, up_to: u64) {
        for guest in self.guests.values_mut() {
            guest.join.take_if(|sequence| *sequence <= up_to);
        }
    }
}

impl Guest {
    /// Nobody has heard of it, and it has no other name than its number.
    pub fn is_new_number(&self) -> bool {
        let is_number = |name: &Option<String>| name.as_ref().is_none_or(|name| self.is_number(name));
        !self.is_announced && self.number.is_some() && is_number(&self.wanted) && is_number(&self.shown)
    }

    /// Whether the name is the number that was given.
    pub fn is_number(&self, name: &str) -> bool {
        self.number.is_some() && Folded::of(name).number() == self.number
    }
}
