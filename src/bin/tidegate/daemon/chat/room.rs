//! The guests of the room, and their names. It sends nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tidegate::{OutputLimits, SocketId, TimerId};

use super::super::Peer;
use super::super::admission::counted_as;
use super::super::engine::{self, Link};
use super::announcements::Announcements;
use super::flood::{Left, TokenBucket};
use super::names::{self, Folded, Refused};
use super::online::{LineEnd, Online};
use super::pressure::{Pressure, SaidInTurn};
use super::shared::Shared;
use super::turned_away::TurnedAway;
use super::typed::Typed;
use crate::cli::ChatOptions;

/// The state of the event loop.
pub struct Room {
    pub guests: HashMap<SocketId, Guest>,
    pub online: Online,
    /// How many of those the others know of.
    pub announced: usize,
    /// The names in use. If the room is shared, its node has them.
    names: HashMap<Folded, SocketId>,
    /// A number is used once, but for one of whom nobody has heard.
    next_number: u64,
    pub announcements: Announcements,
    pub turned_away: TurnedAway,
    pub left: Left,
    pub said: SaidInTurn,
    pub pressure: Pressure,
    /// Bytes of guests who sent faster than the flood limit, which the stop of the room has dropped.
    pub dropped: u64,
    /// Bytes of guests whose time was up before they were read, while the room stopped.
    pub too_late: u64,
    /// Lines are built here, so that none needs an allocation.
    pub line: String,
    pub options: ChatOptions,
    /// If the room is one with rooms elsewhere. Then it decides the names, and those here are what it has said.
    pub shared: Option<Box<Shared>>,
    /// To the engine, if it is shared. Otherwise it does nothing.
    pub link: Link,
    /// What the servers give each connection, whatever the options say now.
    pub accepted_with: OutputLimits,
}

/// A guest, from the connection to its close.
pub struct Guest {
    pub number: u64,
    pub name: String,
    pub typed: Typed,
    /// What was read while the flood limit pauses the guest.
    pub held: Vec<u8>,
    pub bucket: Option<TokenBucket>,
    /// The address that the bucket counts for when the guest has gone.
    pub address: Option<IpAddr>,
    pub too_long: u32,
    pub arrival: Arrival,
    presence: Presence,
    pub line_end: LineEnd,
    /// When something of it was read last.
    pub last_heard: Duration,
    /// What dismisses it if it says nothing.
    pub silence: Option<TimerId>,
}

/// What is known of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Nobody was told of it. This timer is for that.
    Unannounced(TimerId),
    /// It has said nothing. Its first line may still show that it is no chat client.
    Silent,
    Spoken,
}

/// How far a guest has gone. See [`Guest::goes_on`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    Here,
    /// Its end was noticed then. What has come before it is still passed on.
    Leaving(Duration),
    /// A part of what it has sent was dropped: nothing after it is heard.
    CutOff,
    /// The guest is not in the room any more, and the connection is about to close.
    Gone,
}

/// What became of a request for another name.
#[derive(Debug, PartialEq, Eq)]
pub enum Renamed {
    From(String),
    Same,
    /// Another guest has this name, which is the same or looks like it.
    TakenBy(String),
    NotAllowed(Refused),
}

impl Room {
    pub fn new(options: ChatOptions) -> Self {
        Room {
            guests: HashMap::new(),
            online: Online::default(),
            announced: 0,
            names: HashMap::new(),
            next_number: 1,
            announcements: Announcements::default(),
            turned_away: TurnedAway::default(),
            left: Left::default(),
            said: SaidInTurn::default(),
            pressure: Pressure::default(),
            dropped: 0,
            too_late: 0,
            line: String::new(),
            accepted_with: options.output.limits(),
            options,
            shared: None,
            link: Link::new(engine::Settings::default()),
        }
    }

    /// Adds a guest, and returns its name, which is made of the next number.
    pub fn admit(&mut self, id: SocketId, arrival: Arrival, peer: Peer, now: Duration) -> String {
        let address = peer.address().map(counted_as);
        let bucket = self.options.flood_limit(peer.is_local()).map(|limit| self.left.begin(address, limit, now));
        let number = self.number();
        let name = format!("guest{number}");
        let line_end = if self.options.crlf { LineEnd::CrLf } else { LineEnd::Lf };
        if self.shared.is_none() {
            self.names.insert(Folded::of(&name), id);
        }
        self.online.add(number, id, line_end);
        self.announced += usize::from(arrival.is_announced());
        let guest = Guest {
            number,
            name: name.clone(),
            typed: Typed::default(),
            held: Vec::new(),
            bucket,
            address,
            too_long: 0,
            arrival,
            presence: Presence::Here,
            line_end,
            last_heard: now,
            silence: None,
        };
        self.guests.insert(id, guest);
        name
    }

    /// A new one, unless the room is shared and nobody has heard of one who has gone.
    fn number(&mut self) -> u64 {
        if let Some(vacant) = self.shared.as_mut().and_then(|shared| shared.node.vacant()) {
            return vacant;
        }
        self.next_number += 1;
        self.next_number - 1
    }

    /// How many are in the room, here and elsewhere.
    pub fn online(&self) -> u64 {
        let here = self.online.len() as u64;
        match &self.shared {
            None => here,
            Some(shared) => shared.node.online() + here.saturating_sub(self.announced as u64),
        }
    }

    /// Removes a guest from the room, and returns its number, its name and what was known of it. None if the guest is not in the
    /// room.
    pub fn remove(&mut self, id: SocketId, now: Duration) -> Option<(u64, String, Arrival)> {
        let guest = self.guests.get_mut(&id).filter(|guest| guest.presence() != Presence::Gone)?;
        guest.goes_on(Presence::Gone);
        guest.held = Vec::new();
        if let (Some(address), Some(bucket)) = (guest.address, guest.bucket.take()) {
            self.left.end(address, bucket, now);
        }
        self.online.remove(guest.number);
        self.announced -= usize::from(guest.arrival.is_announced());
        self.names.remove(&Folded::of(&guest.name));
        Some((guest.number, guest.name.clone(), guest.arrival))
    }

    /// From now on the lines for this guest end with CR LF.
    pub fn use_crlf(&mut self, id: SocketId) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        if guest.line_end == LineEnd::Lf && guest.presence() != Presence::Gone {
            guest.line_end = LineEnd::CrLf;
            self.online.remove(guest.number);
            self.online.add(guest.number, id, LineEnd::CrLf);
        }
    }

    pub fn rename(&mut self, id: SocketId, wanted: &str) -> Renamed {
        let Some(guest) = self.guests.get(&id).filter(|guest| guest.name != wanted) else { return Renamed::Same };
        let folded = match names::check(wanted, guest.number) {
            Ok(folded) => folded,
            Err(refused) => return Renamed::NotAllowed(refused),
        };
        if let Some(owner) = self.names.get(&folded).filter(|owner| **owner != id) {
            return Renamed::TakenBy(self.guests.get(owner).map_or_else(String::new, |owner| owner.name.clone()));
        }
        let Some(guest) = self.guests.get_mut(&id) else { return Renamed::Same };
        let old = std::mem::replace(&mut guest.name, wanted.to_owned());
        self.names.remove(&Folded::of(&old));
        self.names.insert(folded, id);
        Renamed::From(old)
    }
}

impl Renamed {
    /// What all are told.
    pub fn line(from: &str, to: &str) -> String {
        format!("* {from} is now {to}\n")
    }

    /// What the guest is told who wanted it.
    pub fn answer(&self, wanted: &str) -> String {
        match self {
            Renamed::From(_) | Renamed::Same => format!("* you are {wanted}\n"),
            Renamed::TakenBy(name) if name.eq_ignore_ascii_case(wanted) => format!("* name taken: {wanted}\n"),
            Renamed::TakenBy(name) => format!("* name taken: {wanted} (it looks like {name})\n"),
            Renamed::NotAllowed(refused) => format!("* name not allowed: {wanted} ({})\n", refused.reason()),
        }
    }
}

impl Guest {
    pub fn presence(&self) -> Presence {
        self.presence
    }

    /// To the next presence, and never back: only the first end counts, and who is cut off stays so.
    pub fn goes_on(&mut self, next: Presence) {
        let is_next = match self.presence {
            Presence::Here => true,
            Presence::Leaving(_) => matches!(next, Presence::CutOff | Presence::Gone),
            Presence::CutOff | Presence::Gone => next == Presence::Gone,
        };
        if is_next {
            self.presence = next;
        }
    }
}

impl Arrival {
    pub fn is_announced(self) -> bool {
        !matches!(self, Arrival::Unannounced(_))
    }
}

#[cfg(test)]
mod tests {
    use tidegate::EventLoop;
    use tidegate::sim::Sim;

    use super::super::bus::{Node, Settings};
    use super::*;

    #[test]
    fn nothing_is_kept_of_guests_who_have_left_a_room_that_is_shared() {
        let mut room = Room::new(ChatOptions::of(&[]));
        let (patience, now) = (Duration::from_secs(2), Duration::ZERO);
        let settings = Settings { patience, outbox_bytes: 1 << 20, catch_up: 100, most_guests: 100 };
        room.shared = Some(Box::new(Shared::new(Node::new("web1".into(), 1, settings, now))));
        let mut event_loop = EventLoop::on(Sim::new(1).kernel(), ());
        for number in 1..=3 {
            let id =
                event_loop.event_loop().connect("10.0.0.1:1".parse::<std::net::SocketAddr>().unwrap(), |_| {}).unwrap();
            room.admit(id, Arrival::Silent, Peer::Unix(None), now);
            room.guests.get_mut(&id).unwrap().name = format!("guest{}", 100 + number);
            room.remove(id, now);
        }
        assert_eq!(room.names.len(), 0);
        assert_eq!(room.online.len(), 0);
    }
}
