//! What has to hold at the end of a simulation, line by line: that of the nodes alone (`tests/`), and that of whole rooms
//! (`../tests/`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::super::names::Folded;
use super::entry::What;
use super::roster::Whom;
use super::{Entry, EntryId, Notice, Output};

/// A node, from its start to its end.
pub struct Life {
    pub label: String,
    pub boot: u64,
    /// At the end of all.
    pub is_there: bool,
    pub told: Vec<Output>,
    /// How many lines its guests have said.
    pub said: u64,
    /// How many entries it had read before it began to tell.
    pub began: Option<usize>,
    /// Its roster at the end, and its own guests by what they are called.
    pub who: Vec<(String, Vec<String>)>,
    pub guests: BTreeSet<String>,
    pub not_heard: u64,
    /// Each entry that was no repetition, with the names at its place.
    pub trace: Vec<(EntryId, Vec<(String, Whom)>)>,
}

/// All that ever stood in the stream.
pub type Entries = BTreeMap<EntryId, Entry>;

/// The boot whose guest has said it: each text begins with that, and each is said once.
fn boot_of(text: &str) -> u64 {
    let (boot, _) = text.split_once(' ').unwrap();
    u64::from_str_radix(boot, 16).unwrap()
}

pub fn check(lives: &[Life], all: &Entries) {
    for life in lives {
        no_line_is_told_twice(life);
        the_order_is_that_of_the_stream(life, all);
        if life.is_there {
            every_loss_is_told(life, all);
            what_nobody_hears_is_told(life, all);
        }
    }
    no_name_stands_for_two_guests(lives, all);
    let there: Vec<&Life> = lives.iter().filter(|life| life.is_there).collect();
    the_rosters_are_those_who_are_there(&there);
    no_end_is_lost(&there, all);
}

fn said(life: &Life) -> impl Iterator<Item = &str> {
    life.told.iter().filter_map(|told| match told {
        Output::Said { text, .. } => Some(text.as_str()),
        _ => None,
    })
}

fn no_line_is_told_twice(life: &Life) {
    let mut texts = HashSet::new();
    for text in said(life) {
        assert!(texts.insert(text), "{} was told twice: {text}", life.label);
    }
}

/// Where each line stands that the node has read, with who has said it.
fn places<'e>(life: &Life, all: &'e Entries) -> HashMap<&'e str, (EntryId, Whom)> {
    let lines = life.trace.iter().filter_map(|(id, _)| match &all[id] {
        Entry { boot, what: What::Say { guest, text }, .. } => {
            Some((text.as_str(), (*id, Whom { boot: *boot, guest: *guest })))
        }
        _ => None,
    });
    lines.collect()
}

/// What is told while the node is away are lines of its own. All else rises in the stream.
fn the_order_is_that_of_the_stream(life: &Life, all: &Entries) {
    let places = places(life, all);
    let (mut is_away, mut last) = (false, EntryId::ZERO);
    for told in &life.told {
        match told {
            Output::Notice(Notice::OutOfReach { .. }) => {
                assert!(!is_away);
                is_away = true;
            }
            Output::Notice(Notice::TogetherAgain { .. }) => {
                assert!(is_away);
                is_away = false;
            }
            Output::Said { text, .. } if is_away => assert_eq!(boot_of(text), life.boot, "{text}"),
            Output::Said { text, .. } => {
                let Some((place, _)) = places.get(text.as_str()).copied() else {
                    assert!(is_of_its_stop(text, life, all), "{}: {text} was not read", life.label);
                    continue;
                };
                assert!(place > last, "{}: {text} at {place} after {last}", life.label);
                last = place;
            }
            _ => {}
        }
    }
}

/// What is said after the goodbye of a node is told there alone.
fn is_of_its_stop(text: &str, life: &Life, all: &Entries) -> bool {
    let is_said = |entry: &Entry| matches!(&entry.what, What::Say { text: said, .. } if said == text);
    boot_of(text) == life.boot && !life.is_there && !all.values().any(is_said)
}

/// All lines of each boot were told, or told as a loss, from the place on where the node began.
fn every_loss_is_told(life: &Life, all: &Entries) {
    let born = life.trace.iter().map(|(id, _)| *id).find(|id| all[id].boot == life.boot).unwrap();
    let mut lines: BTreeMap<u64, (u64, u64)> = BTreeMap::new(); // of each boot: before, and up to the last
    for (at, (id, _)) in life.trace.iter().enumerate() {
        let entry = &all[id];
        let is_younger = *id > born && entry.born > born;
        let before = if is_younger { 0 } else { entry.lines - u64::from(entry.what.is_line()) };
        let (from, to) = lines.entry(entry.boot).or_insert((before, before));
        if life.began.is_none_or(|began| at < began) {
            *from = entry.lines;
        }
        *to = entry.lines;
    }
    lines.insert(life.boot, (0, life.said));
    let due: u64 = lines.values().map(|(from, to)| to - from).sum();
    let told = said(life).count() as u64;
    let lost = sum(life, |notice| match notice {
        Notice::Gone { lines } | Notice::Lost { lines, .. } => *lines,
        _ => 0,
    });
    assert_eq!(told + lost, due, "{}: {told} told, {lost} lost", life.label);
}

fn sum(life: &Life, of: impl Fn(&Notice) -> u64) -> u64 {
    let notices = life.told.iter().filter_map(|told| match told {
        Output::Notice(notice) => Some(notice),
        _ => None,
    });
    notices.map(of).sum()
}

/// The lines of its own guests that the others cannot hear were counted, and told: those that it has not read itself.
fn what_nobody_hears_is_told(life: &Life, all: &Entries) {
    let own = life.trace.iter().map(|(id, _)| &all[id]).filter(|entry| entry.boot == life.boot);
    let heard = own.filter(|entry| entry.what.is_line()).count() as u64;
    let not_heard = life.said - heard;
    assert_eq!(life.not_heard, not_heard, "{}", life.label);
    let told = sum(life, |notice| if let Notice::NotHeard { lines } = notice { *lines } else { 0 });
    let lost = |notice: &Notice| match notice {
        Notice::Lost { lines, label } if **label == life.label => *lines, // also of a boot before it
        _ => 0,
    };
    assert!(told <= not_heard && not_heard <= told + sum(life, lost), "{}: {told} of {not_heard}", life.label);
}

/// What a node has not read of itself, others have read only if it is gone from the stream: trimmed, or lost with the engine.
pub fn what_others_read_of_a_node_it_has_read(lives: &[Life], all: &Entries, gone: &BTreeSet<EntryId>) {
    for life in lives.iter().filter(|life| life.is_there) {
        let read: BTreeSet<EntryId> = life.trace.iter().map(|(id, _)| *id).collect();
        let mut last = 0;
        let end = read.last().copied().unwrap_or_default();
        for (id, entry) in all.range(..=end).filter(|(_, entry)| entry.boot == life.boot) {
            let is_read = read.contains(id);
            assert!(is_read || entry.sequence <= last || gone.contains(id), "{}: {id} was not read", life.label);
            last = if is_read { entry.sequence } else { last };
        }
    }
}

fn no_name_stands_for_two_guests(lives: &[Life], all: &Entries) {
    let mut names: HashMap<(EntryId, &str), Whom> = HashMap::new();
    for life in lives {
        for (id, here) in &life.trace {
            for (name, whom) in here {
                let other = *names.entry((*id, name)).or_insert(*whom);
                assert_eq!(other, *whom, "{} at {id}: {name}", life.label);
            }
        }
    }
    for life in lives {
        let places = places(life, all);
        let mut is_away = false;
        for told in &life.told {
            match told {
                Output::Notice(Notice::OutOfReach { .. }) => is_away = true,
                Output::Notice(Notice::TogetherAgain { .. }) => is_away = false,
                Output::Said { text, name, .. } if !is_away && !name.contains('@') => {
                    let Some((id, whom)) = places.get(text.as_str()).copied() else { continue };
                    let folded = Folded::of(name).to_string();
                    let owner = names.get(&(id, folded.as_str()));
                    assert_eq!(owner, Some(&whom), "{} at {id}: {name}: {text}", life.label);
                }
                _ => {}
            }
        }
    }
}

fn the_rosters_are_those_who_are_there(there: &[&Life]) {
    let really: BTreeMap<&str, &BTreeSet<String>> =
        there.iter().map(|life| (life.label.as_str(), &life.guests)).collect();
    let mut all = HashSet::new();
    for name in really.values().flat_map(|names| names.iter()) {
        assert!(all.insert(Folded::of(name)), "{name} twice: {really:?}");
    }
    for life in there {
        let who: Vec<(&str, BTreeSet<String>)> =
            life.who.iter().map(|(label, names)| (label.as_str(), names.iter().cloned().collect())).collect();
        assert_eq!(who.len(), there.len(), "{}: {who:?} and there are {really:?}", life.label);
        for (label, names) in who {
            assert_eq!(names, *really[label], "{} about {label}", life.label);
        }
    }
}

/// The last that each node knows of each other is the last that it has said.
fn no_end_is_lost(there: &[&Life], all: &Entries) {
    for life in there {
        for other in there {
            let last = life.trace.iter().rev().map(|(id, _)| &all[id]).find(|entry| entry.boot == other.boot);
            assert_eq!(last.unwrap().lines, other.said, "{} about {}", life.label, other.label);
        }
    }
}
