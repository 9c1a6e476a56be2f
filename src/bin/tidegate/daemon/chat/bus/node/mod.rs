//! A node of the room.
//!
//! ```text
//!                      read to the end                 patience is over, or refused
//!   Starting ───────────────────────────▶ Together ◀─────────────────────────────────▶ Away
//!   it tells nothing                      it tells what it reads     end read again    it tells what its guests say at once,
//!                                                                                      and keeps what it reads
//! ```
//!
//! Whether there is a connection is another question ([`Connection`]): for as long as the patience, a node that has none is
//! together with the others.
//!
//! This file has the states and what time does. `guests.rs` has what guests do, `reading.rs` what is read, `telling.rs` what
//! becomes of an entry that was read, `publishing.rs` what the node says to others, and `vacant.rs` the names that the next guests
//! get.

mod guests;
mod publishing;
mod reading;
mod telling;
mod vacant;

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use super::EntryId;
use super::absence::{Absence, Until};
use super::entry::What;
use super::here::Here;
use super::notice::Notice;
use super::outbox::Outbox;
use super::output::Output;
use super::roster::{Roster, Whom};
use super::seen::Seen;
#[cfg(test)]
pub use reading::Read;

/// Bounds of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long what is said here waits for the engine.
    pub patience: Duration,
    /// Of what has not been read back. The oldest goes.
    pub outbox_bytes: usize,
    /// How many lines of those that were said elsewhere are told after an absence.
    pub catch_up: usize,
    /// How many guests of all nodes are known. Others have no names here.
    pub most_guests: usize,
}

/// How the node stands to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not read the stream to its end yet.
    Starting,
    Together,
    Away,
}

/// What an inspector shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    pub standing: Standing,
    /// Names that are claimed are decided.
    pub is_sure: bool,
    pub outbox_entries: usize,
    pub outbox_bytes: usize,
    /// Lines that were not read back, those that were too much for the outbox among them.
    pub outbox_lines: usize,
    /// Between saying something and reading it, the last one.
    pub lag: Option<Duration>,
    /// Nodes that are heard of, this one among them.
    pub nodes: usize,
    /// Guests of all nodes that the others know of.
    pub guests: u64,
    /// Lines of others that did not come, those that are gone among them.
    pub lost: u64,
    /// Lines of this node that the others do not hear.
    pub not_heard: u64,
    /// Entries that were not understood.
    pub malformed: u64,
}

/// See the module.
pub struct Node {
    label: Rc<str>,
    boot: u64,
    settings: Settings,
    stand: Stand,
    connection: Connection,
    /// The stream was read to its end once. What was in it before is not told.
    has_begun: bool,
    /// The place of the first own entry. Only the hello is published before it is known.
    born: Option<EntryId>,
    /// What was read is not told yet, so nothing more is read. If not: since when.
    is_behind: bool,
    reads_since: Duration,
    /// How far the stream was read, and the entry that has to come again: see `reading.rs`.
    read_to: EntryId,
    expected: Option<EntryId>,
    roster: Roster,
    /// What the roster was made of.
    folded: Seen,
    /// What was told.
    seen: Seen,
    here: Here,
    outbox: Outbox,
    /// From this one on, own guests may lack a claim or a join in the stream.
    reconciled: Option<u64>,
    is_to_list: bool,
    /// The sequence of the hello after which the names of the guests are claimed. None if it is still to be said.
    hello: Option<u64>,
    /// Own entries may be among those that were missed.
    is_to_begin_anew: bool,
    /// Boots that this node has declared dead and not read it yet.
    declared: BTreeSet<u64>,
    /// It was never parted from the others, so it cannot be that all were. Then silence counts as the clock of the engine has it.
    is_fresh: bool,
    /// The sequence of the goodbye.
    bye: Option<u64>,
    due: Due,
    /// When each guest gets a name of its own, if it has none by then.
    unnamed: VecDeque<(Duration, u64)>,
    outputs: VecDeque<Output>,
    lag: Option<Duration>,
    lost: u64,
    not_heard: u64,
    /// Lines that were not heard elsewhere, of which the guests here were not told.
    untold_not_heard: u64,
    /// Entries that were not understood, and the last of them. What is read again is not counted again.
    malformed: u64,
    malformed_to: EntryId,
    /// The names after each entry.
    #[cfg(test)]
    pub trace: Vec<(EntryId, Vec<(String, Whom)>)>,
    /// How many of those there were when it began to tell.
    #[cfg(test)]
    pub began: Option<usize>,
}

enum Stand {
    Starting,
    Together,
    Away(Absence),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Lost {
        since: Duration,
    },
    /// It reads to the end. Nothing is published.
    Reading,
    /// It has read to the end.
    Live,
}

/// When the node says something of its own accord.
#[derive(Debug)]
struct Due {
    alive: Duration,
    list: Duration,
    /// Not before this time.
    answer: Duration,
    hello: Duration,
}

/// A loss at the end is seen after this time.
const ALIVE: Duration = Duration::from_secs(5);
const LIST: Duration = Duration::from_secs(10);
/// Hellos and the lists that answer them are not more frequent: otherwise nodes that miss entries would crowd more of them out.
const ANSWER: Duration = Duration::from_millis(500);
const HELLO: Duration = Duration::from_secs(2);

impl Node {
    /// `label` is one that [`checked_label`](super::checked_label) has given, and `boot` is drawn at random at each start.
    pub fn new(label: Rc<str>, boot: u64, settings: Settings, now: Duration) -> Self {
        let mut outbox = Outbox::new(settings.outbox_bytes);
        let hello = outbox.push(What::Hello, true, now);
        Node {
            label,
            boot,
            stand: Stand::Starting,
            connection: Connection::Lost { since: now },
            has_begun: false,
            born: None,
            is_behind: false,
            reads_since: now,
            read_to: EntryId::ZERO,
            expected: None,
            roster: Roster::new(boot, settings.most_guests),
            folded: Seen::default(),
            seen: Seen::default(),
            here: Here::default(),
            outbox,
            reconciled: None,
            is_to_list: false,
            hello: Some(hello),
            is_to_begin_anew: false,
            declared: BTreeSet::new(),
            is_fresh: true,
            bye: None,
            due: Due { alive: now, list: now, answer: now, hello: now },
            unnamed: VecDeque::new(),
            outputs: VecDeque::new(),
            lag: None,
            lost: 0,
            not_heard: 0,
            untold_not_heard: 0,
            malformed: 0,
            malformed_to: EntryId::ZERO,
            settings,
            #[cfg(test)]
            trace: Vec::new(),
            #[cfg(test)]
            began: None,
        }
    }

    /// From now on these bounds hold.
    pub fn set_bounds(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// What is to be done, in this order.
    pub fn next_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    // ---- the connection ----------------------------------------------------------------------------------------------------

    pub fn connected(&mut self, now: Duration) {
        self.connection = Connection::Reading;
        if self.born.is_none() && self.outbox.is_under_way() {
            self.hello = None; // the first may have been read and forgotten, and this boot be dead: another one is said
        }
        self.roster.was_parted();
        self.takes_back_what_may_be_old();
        self.outbox.begins_anew();
        self.due.alive = now + ALIVE;
        self.read_on();
    }

    pub fn lost(&mut self, now: Duration) {
        if !matches!(self.connection, Connection::Lost { .. }) {
            self.connection = Connection::Lost { since: now };
            self.expected = None;
            self.is_fresh &= !self.has_begun;
        }
    }

    /// The engine takes nothing: away at once, until it has taken something. The connection is lost, too.
    pub fn refused(&mut self, now: Duration) {
        self.lost(now);
        self.go_away(Until::ReadBack);
    }

    /// Whether the guests here are still to be told what was read, so that nothing more is read. What is said here cannot come back
    /// before, and that is not for want of an engine.
    pub fn is_behind(&mut self, is_behind: bool, now: Duration) {
        if std::mem::replace(&mut self.is_behind, is_behind) && !is_behind {
            self.reads_since = now;
        }
    }

    /// Whether half of the outbox is free.
    pub fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    // ---- together and away -------------------------------------------------------------------------------------------------

    /// Tells what waits here, and from now on what is said here at once.
    fn go_away(&mut self, until: Until) {
        if let Stand::Away(absence) = &mut self.stand {
            if until == Until::ReadBack {
                absence.set_until(until);
            }
            return;
        }
        self.stand = Stand::Away(Absence::new(until));
        self.outputs.push_back(Output::Notice(Notice::OutOfReach { here: self.here.announced() }));
        self.tell_what_waits();
    }

    /// The stream was read to its end.
    fn come_back(&mut self, now: Duration) {
        match std::mem::replace(&mut self.stand, Stand::Together) {
            Stand::Starting | Stand::Together => {}
            Stand::Away(absence) => {
                self.outputs.extend(absence.end());
                self.outbox.begin_waiting(now);
                self.reconciled = Some(0);
            }
        }
        self.has_begun = true;
        #[cfg(test)]
        self.began.get_or_insert(self.trace.len());
        self.due.list = now + LIST;
    }

    /// What is said here is told at once.
    pub fn is_away(&self) -> bool {
        matches!(self.stand, Stand::Away(_))
    }

    // ---- time --------------------------------------------------------------------------------------------------------------

    /// To be called at [`Node::next_deadline`].
    pub fn expire(&mut self, now: Duration) {
        if self.patience_ends().is_some_and(|end| end <= now) {
            let is_live = self.connection == Connection::Live;
            self.go_away(if is_live { Until::ReadBack } else { Until::End });
        }
        while let Some((until, guest)) = self.unnamed.front().copied()
            && until <= now
        {
            self.unnamed.pop_front();
            self.name_by_itself(guest);
        }
        if self.connection == Connection::Live && self.bye.is_none() {
            self.say_of_own_accord(now);
        }
        self.catch_up_with_guests(now);
    }

    pub fn next_deadline(&self) -> Option<Duration> {
        let of_guests = self.unnamed.front().map(|(until, _)| *until);
        let own = (self.connection == Connection::Live && self.bye.is_none()).then(|| self.next_of_own_accord());
        [self.patience_ends(), of_guests, own].into_iter().flatten().min()
    }

    /// When the node goes away.
    fn patience_ends(&self) -> Option<Duration> {
        if self.is_away() {
            return None;
        }
        let unconnected = match self.connection {
            Connection::Lost { since } => Some(since),
            Connection::Reading | Connection::Live => None,
        };
        let oldest = self.outbox.oldest().filter(|_| !self.is_behind).map(|since| since.max(self.reads_since));
        let since = unconnected.into_iter().chain(oldest).min()?;
        Some(since + self.settings.patience)
    }

    // ---- what is known -----------------------------------------------------------------------------------------------------

    fn whom(&self, guest: u64) -> Whom {
        Whom { boot: self.boot, guest }
    }

    /// The name that a guest of this node has here.
    #[cfg(test)]
    pub fn name(&self, guest: u64) -> Option<&str> {
        self.here.get(guest)?.shown.as_deref()
    }

    /// For each node its label and the names of its guests that the others know of, this node first.
    pub fn who(&self) -> Vec<(Rc<str>, Vec<String>)> {
        let here = self.here.iter().filter(|(_, guest)| guest.is_announced);
        let own = here.map(|(number, guest)| match &guest.shown {
            Some(shown) => shown.clone(),
            None => own_name(number, &self.label, self.boot),
        });
        let others = self.roster.others().map(|(boot, label)| {
            let named = self.roster.announced_of(boot);
            let names = named.map(|(guest, name)| name.map_or_else(|| own_name(guest, label, boot), str::to_owned));
            (Rc::clone(label), names.collect())
        });
        [(Rc::clone(&self.label), own.collect())].into_iter().chain(others).collect()
    }

    /// Guests of all nodes that the others know of.
    pub fn online(&self) -> u64 {
        self.roster.announced_elsewhere() + self.here.announced()
    }

    /// How much is kept for the return.
    #[cfg(test)]
    pub fn kept(&self) -> usize {
        match &self.stand {
            Stand::Away(absence) => absence.len(),
            Stand::Starting | Stand::Together => 0,
        }
    }

    /// How many guests the roster has.
    #[cfg(test)]
    pub fn known_guests(&self) -> usize {
        self.roster.guests()
    }

    #[cfg(test)]
    pub fn boot(&self) -> u64 {
        self.boot
    }

    pub fn figures(&self) -> Figures {
        Figures {
            standing: match self.stand {
                Stand::Starting => Standing::Starting,
                Stand::Together => Standing::Together,
                Stand::Away(_) => Standing::Away,
            },
            is_sure: self.roster.is_sure(),
            outbox_entries: self.outbox.len(),
            outbox_bytes: self.outbox.bytes(),
            outbox_lines: self.outbox.lines_not_read_back() as usize,
            lag: self.lag,
            nodes: self.roster.others().count() + 1,
            guests: self.online(),
            lost: self.lost,
            not_heard: self.not_heard,
            malformed: self.malformed,
        }
    }
}

/// The name of a guest that has none: no guest can choose one with an `@`.
fn own_name(guest: u64, label: &str, boot: u64) -> String {
    format!("guest{guest}@{label}-{:04x}", boot & 0xFFFF)
}

#[cfg(test)]
mod tests;
