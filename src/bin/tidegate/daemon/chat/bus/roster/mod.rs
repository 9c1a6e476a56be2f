//! Who is in the room at a place of the stream, folded from its entries: the first claim has the name.
//!
//! All nodes fold the same entries, so all have the same roster. One that has not read all of them, as it has just started or
//! as entries were trimmed before it came back, has a [`Roster`] that is not whole: then `whole.rs` says what it may conclude.

mod clock;
mod lists;
mod lives;
mod whole;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::super::names::Folded;
use super::EntryId;
use super::entry::{Entry, What};
use super::list::MOST_BOOTS;
use clock::Clock;
use whole::Whole;

/// The label of a boot that others have named, and that has said nothing itself.
const UNHEARD: &str = "unheard";

/// A guest of one of the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whom {
    pub boot: u64,
    pub guest: u64,
}

#[derive(Debug)]
pub struct Roster {
    own: u64,
    boots: BTreeMap<u64, Boot>,
    names: HashMap<Folded, Whom>,
    guests: usize,
    most_guests: usize,
    /// The highest number of a `guestN` that was claimed.
    highest_number: u64,
    whole: Whole,
    /// Since the first entry that was read.
    clock: Clock,
    /// No boot is dead by its silence before this time.
    next_death: u64,
    /// How many guests have claimed a name while it could not be decided here.
    undecided: usize,
}

/// A start of a node.
#[derive(Debug)]
struct Boot {
    label: Rc<str>,
    life: Life,
    /// Where it was heard of first, or its last hello.
    since: EntryId,
    /// Where it has said hello: its guests have only names that were granted later.
    hello: EntryId,
    /// The place of its last entry.
    heard: EntryId,
    /// When that was, by the time that counts.
    heard_at: u64,
    guests: BTreeMap<u64, Member>,
    announced: u64,
    /// Its names are known: it has said hello or listed all its guests since this node began to read without a gap.
    is_settled: bool,
    /// A list that comes in parts was read so far.
    listed_to: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Alive,
    /// It was declared dead there, and this node cannot tell whether that counts.
    Doubtful(EntryId),
    /// It has said goodbye, or was declared dead. What it says is told, but it has no guests until it says hello.
    Dead,
}

#[derive(Debug, Default)]
struct Member {
    name: Option<String>,
    granted: EntryId,
    /// It has claimed a name there. Only its own node knows what became of it.
    undecided: Option<EntryId>,
    is_announced: bool,
}

/// What an entry has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// A claim: `from` is the name before it.
    Granted {
        from: Option<String>,
        is_announced: bool,
    },
    Refused {
        taken_by: String,
    },
    /// The others know of the guest now.
    Joined,
    /// The others knew of the guest.
    Left {
        name: Option<String>,
    },
    /// All guests of a boot have left. So many of them were known.
    Died {
        boot: u64,
        label: Rc<str>,
        guests: u64,
    },
}

impl Roster {
    /// `own`: the boot of the node that reads.
    pub fn new(own: u64, most_guests: usize) -> Self {
        Roster {
            own,
            boots: BTreeMap::new(),
            names: HashMap::new(),
            guests: 0,
            most_guests,
            highest_number: 0,
            whole: Whole::new(false),
            clock: Clock::default(),
            next_death: 0,
            undecided: 0,
        }
    }

    /// To be called for each entry, before what it says is applied. Returns who is dead by then.
    pub fn reads(&mut self, id: EntryId) -> Vec<Change> {
        self.clock.reads(id);
        self.end_the_silent(id)
    }

    /// Entries have to come in the order of the stream, each once.
    pub fn apply(&mut self, id: EntryId, entry: &Entry) -> Change {
        self.whole.reads(id);
        let is_hello = entry.what == What::Hello;
        if !self.hear(id, entry, is_hello) {
            return Change::Nothing;
        }
        let whom = |guest: u64| Whom { boot: entry.boot, guest };
        let change = match &entry.what {
            What::Hello => self.begin(entry.boot),
            What::Claim { guest, name } => self.claim(whom(*guest), name, id),
            What::Join { guest } => self.join(whom(*guest)),
            What::Say { .. } | What::Alive => Change::Nothing,
            What::Leave { guest } => self.leave(whom(*guest)),
            What::List(list) => self.list(entry.boot, list, id),
            What::Dead { boot } if self.is_certain(entry.boot) => self.die(*boot, id),
            What::Dead { boot } => self.doubt(*boot, id),
            What::Bye => self.die(entry.boot, id),
        };
        self.conclude();
        change
    }

    /// An entry has come twice: it shows only that the boot is there.
    pub fn hear_again(&mut self, id: EntryId, boot: u64) {
        if let Some(boot) = self.boots.get_mut(&boot) {
            boot.heard = boot.heard.max(id);
            boot.heard_at = self.clock.time();
        }
    }

    /// Whether what the boot says counts.
    fn hear(&mut self, id: EntryId, entry: &Entry, is_hello: bool) -> bool {
        if !self.boots.contains_key(&entry.boot) {
            self.add_boot(entry.boot, &entry.label, Life::Alive, id);
        }
        let Some(boot) = self.boots.get_mut(&entry.boot) else { return false };
        boot.heard = boot.heard.max(id);
        boot.heard_at = self.clock.time();
        if boot.label != entry.label {
            boot.label = Rc::clone(&entry.label);
        }
        if is_hello {
            boot.life = Life::Alive;
            boot.since = id;
            boot.hello = id;
        }
        if let What::List(list) = &entry.what {
            boot.is_there_after(list.read);
        }
        boot.life == Life::Alive
    }

    /// There is a bound: one that is dead makes room, or the new one is not known.
    fn add_boot(&mut self, boot: u64, label: &Rc<str>, life: Life, id: EntryId) {
        if self.boots.len() >= MOST_BOOTS {
            let dead = self.boots.iter().filter(|(_, boot)| boot.life == Life::Dead);
            let Some(oldest) = dead.min_by_key(|(_, boot)| boot.heard).map(|(boot, _)| *boot) else { return };
            self.boots.remove(&oldest);
        }
        let label = Rc::clone(label);
        let guests = BTreeMap::new();
        let boot_here = Boot {
            label,
            life,
            since: id,
            hello: EntryId::ZERO,
            heard: id,
            heard_at: self.clock.time(),
            guests,
            announced: 0,
            is_settled: false,
            listed_to: None,
        };
        self.boots.insert(boot, boot_here);
    }

    fn claim(&mut self, whom: Whom, name: &str, id: EntryId) -> Change {
        let folded = Folded::of(name);
        self.see_number(&folded);
        if !self.whole.is_sure() {
            self.leave_undecided(whom, id);
            if let Some(owner) = self.names.get(&folded).copied() {
                self.leave_undecided(owner, id); // it may have lost the name unseen
            }
            return Change::Nothing;
        }
        if let Some(owner) = self.names.get(&folded).filter(|owner| **owner != whom) {
            return Change::Refused { taken_by: self.name(*owner).unwrap_or(name).to_owned() };
        }
        let from = self.unname(whom);
        let Some(member) = self.member(whom) else { return Change::Nothing };
        member.name = Some(name.to_owned());
        member.granted = id;
        let is_announced = member.is_announced;
        self.names.insert(folded, whom);
        Change::Granted { from, is_announced }
    }

    fn see_number(&mut self, folded: &Folded) {
        // Numbers that nobody reaches by counting do not count.
        let number = folded.number().filter(|number| *number < 1 << 50);
        self.highest_number = self.highest_number.max(number.unwrap_or(0));
    }

    fn join(&mut self, whom: Whom) -> Change {
        match self.member(whom) {
            Some(member) if !member.is_announced => {
                member.is_announced = true;
                self.count_announced(whom.boot, 1);
                Change::Joined
            }
            _ => Change::Nothing,
        }
    }

    fn leave(&mut self, whom: Whom) -> Change {
        let is_announced = self.is_announced(whom);
        let name = self.remove(whom);
        if is_announced { Change::Left { name } } else { Change::Nothing }
    }

    // ---- a roster that is not whole ----------------------------------------------------------------------------------------

    /// One that knows nothing yet. A number that was claimed is not claimed again. `has_to_say_hello`:
    /// it is not sure before its own hello was read.
    pub fn anew(&self, has_to_say_hello: bool) -> Self {
        let anew = Roster::new(self.own, self.most_guests);
        Roster { highest_number: self.highest_number, whole: Whole::new(has_to_say_hello), ..anew }
    }

    /// The own hello is read, after which all own names are claimed.
    pub fn says_hello(&mut self) {
        self.whole.has_said_hello();
    }

    /// There is a new connection.
    pub fn was_parted(&mut self) {
        self.whole.was_parted();
    }

    /// Whether this entry shows that a roster that is sure should not be: a boot is sure as well, and was not known. Somebody
    /// has emptied the stream while nodes were there.
    pub fn is_refuted_by(&self, entry: &Entry) -> bool {
        let is_of_a_sure_boot = matches!(&entry.what, What::List(list) if list.boots.is_some());
        let is_known = match self.boots.get(&entry.boot) {
            Some(there) => there.life != Life::Alive || there.is_settled,
            None => self.boots.len() >= MOST_BOOTS,
        };
        self.is_sure() && is_of_a_sure_boot && !is_known
    }

    /// The end was reached. If nothing was there, nothing is missed.
    pub fn has_reached_end(&mut self) {
        self.whole.has_reached_end();
    }

    /// Whether a claim can be decided here.
    pub fn is_sure(&self) -> bool {
        self.whole.is_sure()
    }

    /// Something is to be decided that only other nodes can decide.
    pub fn has_undecided(&self) -> bool {
        let is_doubtful = |boot: &Boot| matches!(boot.life, Life::Doubtful(_));
        !self.is_sure() && (self.undecided > 0 || self.boots.values().any(is_doubtful))
    }

    // ---- guests ------------------------------------------------------------------------------------------------------------

    fn member(&mut self, whom: Whom) -> Option<&mut Member> {
        let boot = self.boots.get_mut(&whom.boot)?;
        if !boot.guests.contains_key(&whom.guest) {
            if self.guests >= self.most_guests {
                return None;
            }
            self.guests += 1;
        }
        Some(boot.guests.entry(whom.guest).or_default())
    }

    fn get(&self, whom: Whom) -> Option<&Member> {
        self.boots.get(&whom.boot)?.guests.get(&whom.guest)
    }

    fn remove(&mut self, whom: Whom) -> Option<String> {
        let name = self.unname(whom);
        self.decide(whom);
        if let Some(member) = self.boots.get_mut(&whom.boot).and_then(|boot| boot.guests.remove(&whom.guest)) {
            self.guests -= 1;
            self.count_announced(whom.boot, -i64::from(member.is_announced));
        }
        name
    }

    /// Its name is free.
    fn unname(&mut self, whom: Whom) -> Option<String> {
        let member = self.boots.get_mut(&whom.boot)?.guests.get_mut(&whom.guest)?;
        let name = member.name.take()?;
        self.names.remove(&Folded::of(&name));
        Some(name)
    }

    fn leave_undecided(&mut self, whom: Whom, id: EntryId) {
        self.unname(whom);
        if let Some(member) = self.member(whom)
            && member.undecided.replace(id).is_none()
        {
            self.undecided += 1;
        }
    }

    fn decide(&mut self, whom: Whom) {
        let member = self.boots.get_mut(&whom.boot).and_then(|boot| boot.guests.get_mut(&whom.guest));
        if member.is_some_and(|member| member.undecided.take().is_some()) {
            self.undecided -= 1;
        }
    }

    fn count_announced(&mut self, boot: u64, more: i64) {
        if let Some(boot) = self.boots.get_mut(&boot) {
            boot.announced = boot.announced.saturating_add_signed(more);
        }
    }

    pub fn name(&self, whom: Whom) -> Option<&str> {
        self.get(whom)?.name.as_deref()
    }

    /// Where it got its name.
    pub fn granted(&self, whom: Whom) -> EntryId {
        self.get(whom).map_or(EntryId::ZERO, |member| member.granted)
    }

    pub fn knows(&self, whom: Whom) -> bool {
        self.get(whom).is_some()
    }

    pub fn is_announced(&self, whom: Whom) -> bool {
        self.get(whom).is_some_and(|member| member.is_announced)
    }

    /// Who has the name, and how it is written.
    pub fn owner(&self, folded: &Folded) -> Option<(Whom, &str)> {
        let owner = *self.names.get(folded)?;
        Some((owner, self.name(owner)?))
    }

    pub fn highest_number(&self) -> u64 {
        self.highest_number
    }

    // ---- nodes -------------------------------------------------------------------------------------------------------------

    /// Guests of other nodes that are known to all.
    pub fn announced_elsewhere(&self) -> u64 {
        self.elsewhere().map(|(_, boot)| boot.announced).sum()
    }

    /// The labels of the other nodes.
    pub fn others(&self) -> impl Iterator<Item = (u64, &Rc<str>)> {
        self.elsewhere().map(|(boot, there)| (*boot, &there.label))
    }

    /// The guests of a node that are known to all, with their names.
    pub fn announced_of(&self, boot: u64) -> impl Iterator<Item = (u64, Option<&str>)> {
        let guests = self.boots.get(&boot).into_iter().flat_map(|there| &there.guests);
        let announced = guests.filter(|(_, member)| member.is_announced);
        announced.map(|(guest, member)| (*guest, member.name.as_deref()))
    }

    fn elsewhere(&self) -> impl Iterator<Item = (&u64, &Boot)> {
        self.boots.iter().filter(|(boot, there)| **boot != self.own && there.life == Life::Alive)
    }

    #[cfg(test)]
    pub fn guests(&self) -> usize {
        self.guests
    }

    #[cfg(test)]
    pub fn names(&self) -> impl Iterator<Item = (&Folded, Whom)> {
        self.names.iter().map(|(name, whom)| (name, *whom))
    }
}

#[cfg(test)]
mod tests;
