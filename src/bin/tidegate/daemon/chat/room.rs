//! The room: who is in it, and what they may be called. It says nothing to anybody.

use std::collections::{BTreeMap, HashMap};

use tidegate::{Lines, SocketId};

use super::announcements::Announcements;
use super::flood::Bucket;
use crate::cli::ChatOptions;
use crate::daemon::stopping::Stopping;

/// The longest line, its end not counted.
pub const LONGEST_LINE: usize = 4096;

/// The longest name.
const LONGEST_NAME: usize = 32;

/// The room: the state of the loop.
pub struct Room {
    pub guests: HashMap<SocketId, Guest>,
    /// Who is in the room, by number, which is the order of arrival.
    pub online: BTreeMap<u64, SocketId>,
    /// Every name that is in use, in lower case.
    names: HashMap<String, SocketId>,
    /// Guests' numbers are never used again.
    next_number: u64,
    pub announcements: Announcements,
    /// A line is built here, so that saying something costs no allocation.
    pub said: String,
    pub options: ChatOptions,
    pub stopping: Stopping,
}

/// One guest, from the connection to its close.
pub struct Guest {
    pub number: u64,
    pub name: String,
    pub lines: Lines,
    /// What was read and not heard yet: the guest is paused for talking too fast.
    pub held: Vec<u8>,
    pub bucket: Option<Bucket>,
    pub too_long: u32,
    pub presence: Presence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Here,
    /// The other side has ended; what is held is still to be heard.
    Leaving,
    /// Out of the room; the connection is coming to its end.
    Gone,
}

/// What became of a wish for another name.
#[derive(Debug, PartialEq, Eq)]
pub enum Renamed {
    From(String),
    Same,
    Taken,
    NotAllowed,
}

impl Room {
    pub fn new(options: ChatOptions) -> Self {
        Room {
            guests: HashMap::new(),
            online: BTreeMap::new(),
            names: HashMap::new(),
            next_number: 1,
            announcements: Announcements::default(),
            said: String::new(),
            stopping: Stopping::new(options.common.drain_timeout),
            options,
        }
    }

    /// A new guest, with the next number for a name.
    pub fn admit(&mut self, id: SocketId, bucket: Option<Bucket>) -> String {
        let number = self.next_number;
        self.next_number += 1;
        let name = format!("guest{number}");
        self.names.insert(name.clone(), id);
        self.online.insert(number, id);
        let guest = Guest {
            number,
            name: name.clone(),
            lines: Lines::at_most(LONGEST_LINE),
            held: Vec::new(),
            bucket,
            too_long: 0,
            presence: Presence::Here,
        };
        self.guests.insert(id, guest);
        name
    }

    /// Out of the room: the name that the guest had, if still in it.
    pub fn remove(&mut self, id: SocketId) -> Option<String> {
        let guest = self.guests.get_mut(&id).filter(|guest| guest.presence != Presence::Gone)?;
        guest.presence = Presence::Gone;
        guest.held = Vec::new();
        let (number, name) = (guest.number, guest.name.clone());
        self.online.remove(&number);
        self.names.remove(&name.to_lowercase());
        Some(name)
    }

    pub fn rename(&mut self, id: SocketId, wanted: &str) -> Renamed {
        let Some(guest) = self.guests.get_mut(&id) else { return Renamed::NotAllowed };
        if guest.name == wanted {
            return Renamed::Same;
        }
        let key = wanted.to_lowercase();
        match self.names.get(&key) {
            Some(owner) if *owner != id => return Renamed::Taken,
            _ if !is_allowed(wanted, guest.number) => return Renamed::NotAllowed,
            _ => {}
        }
        self.names.remove(&guest.name.to_lowercase());
        self.names.insert(key, id);
        Renamed::From(std::mem::replace(&mut guest.name, wanted.to_owned()))
    }
}

/// Whether the guest with this number may be called so. `guestN` is kept for whom the room calls so.
fn is_allowed(name: &str, number: u64) -> bool {
    let well_formed = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let lower = name.to_ascii_lowercase();
    let kept = lower
        .strip_prefix("guest")
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()));
    well_formed && (!kept || lower == format!("guest{number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "Anna_3-x", "guest", "guestX", "xguest1", &"n".repeat(32)] {
            assert!(is_allowed(good, 7), "{good}");
        }
        for bad in ["", "a b", "ä", "a\u{202e}", "x!", &"n".repeat(33)] {
            assert!(!is_allowed(bad, 7), "{bad}");
        }
    }

    #[test]
    fn the_rooms_own_names_are_kept() {
        assert!(is_allowed("guest7", 7));
        assert!(is_allowed("GUEST7", 7));
        for kept in ["guest8", "Guest70", "guest07", "guest0"] {
            assert!(!is_allowed(kept, 7), "{kept}");
        }
    }
}
