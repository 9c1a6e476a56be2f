//! The guests of the room, and their names. It sends nothing.

use std::collections::{BTreeMap, HashMap};

use tidegate::{Lines, SocketId};

use super::announcements::Announcements;
use super::flood::TokenBucket;
use crate::cli::ChatOptions;

/// The longest line, without its end.
pub const LONGEST_LINE: usize = 4096;

/// The longest name.
const LONGEST_NAME: usize = 32;

/// The state of the event loop.
pub struct Room {
    pub guests: HashMap<SocketId, Guest>,
    /// The guests in the room by number, which is the order in which they joined.
    pub online: BTreeMap<u64, SocketId>,
    /// The names in use, in lower case.
    names: HashMap<String, SocketId>,
    /// A number is used once.
    next_number: u64,
    pub announcements: Announcements,
    /// Lines are built here, so that none needs an allocation.
    pub line: String,
    pub options: ChatOptions,
}

/// A guest, from the connection to its close.
pub struct Guest {
    pub number: u64,
    pub name: String,
    pub lines: Lines,
    /// What was read while the flood limit pauses the guest.
    pub held: Vec<u8>,
    pub bucket: Option<TokenBucket>,
    pub too_long: u32,
    pub presence: Presence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Here,
    /// The guest has ended its side. What is held is still passed on.
    Leaving,
    /// The guest is not in the room any more, and the connection is about to close.
    Gone,
}

/// What became of a request for another name.
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
            line: String::new(),
            options,
        }
    }

    /// Adds a guest, and returns its name, which is made of the next number.
    pub fn admit(&mut self, id: SocketId, bucket: Option<TokenBucket>) -> String {
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

    /// Removes a guest from the room, and returns its name. None if the guest is not in the room.
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

/// Whether the guest with this number may have this name. `guestN` is reserved for guest number N.
fn is_allowed(name: &str, number: u64) -> bool {
    let well_formed = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let lower = name.to_ascii_lowercase();
    let is_reserved = lower
        .strip_prefix("guest")
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()));
    well_formed && (!is_reserved || lower == format!("guest{number}"))
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
    fn the_names_that_the_room_gives_are_reserved() {
        assert!(is_allowed("guest7", 7));
        assert!(is_allowed("GUEST7", 7));
        for reserved in ["guest8", "Guest70", "guest07", "guest0"] {
            assert!(!is_allowed(reserved, 7), "{reserved}");
        }
    }
}
