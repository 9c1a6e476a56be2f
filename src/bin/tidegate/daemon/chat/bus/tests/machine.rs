//! A machine: one node after the other, its guests, and its connection to the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::checks::Life;
use super::super::entry::checked_label;
use super::super::{EntryId, Figures, Node, Output, Settings, Standing};
use super::{EPOCH, Random, Wire};

const NAMES: [&str; 6] = ["anna", "bob", "carl", "ANNA", "B-ob", "dora"];

pub struct Machine {
    label: String,
    settings: Settings,
    pub node: Option<Node>,
    pub boot: u64,
    pub wire: Option<Wire>,
    pub wires: u64,
    /// The last question that was asked. Answers to others do not count.
    pub question: u64,
    pub cursor: EntryId,
    pub last_arrival: u64,
    pub last_answer: u64,
    pub asleep_until: u64,
    pub cut_off_until: u64,
    pub holds_until: u64,
    pub told: Vec<Output>,
    pub is_stopping: bool,
    guests: BTreeMap<u64, bool>,
    next_guest: u64,
    said: u64,
}

/// Returns its number.
fn arrives(node: &mut Node, wanted: Option<&str>, next: &mut u64, now: Duration) -> u64 {
    let vacant = if wanted.is_none() { node.vacant() } else { None };
    let guest = vacant.unwrap_or(*next);
    *next += u64::from(vacant.is_none());
    node.arrives(guest, wanted, now);
    guest
}

impl Machine {
    pub fn new(at: usize, settings: Settings) -> Self {
        Machine {
            label: format!("web{at}"),
            settings,
            node: None,
            boot: 0,
            wire: None,
            wires: 0,
            question: 0,
            cursor: EntryId::ZERO,
            last_arrival: 0,
            last_answer: 0,
            asleep_until: 0,
            cut_off_until: 0,
            holds_until: 0,
            told: Vec::new(),
            is_stopping: false,
            guests: BTreeMap::new(),
            next_guest: 1,
            said: 0,
        }
    }

    pub fn starts(&mut self, boot: u64, now: Duration) {
        let label = checked_label(&self.label).unwrap();
        self.node = Some(Node::new(label, boot, self.settings.clone(), now));
        self.boot = boot;
        self.is_stopping = false;
        self.holds_until = 0;
        self.said = 0;
    }

    pub fn on_node<T>(&mut self, act: impl FnOnce(&mut Node) -> T) -> Option<T> {
        let node = self.node.as_mut()?;
        Some(act(node))
    }

    /// In milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        let deadline = self.node.as_ref()?.next_deadline()?;
        Some((deadline.as_millis() as u64).max(self.asleep_until.saturating_sub(EPOCH)))
    }

    pub fn guest_acts(&mut self, random: &mut Random, now: Duration) {
        let Some(node) = self.node.as_mut().filter(|_| !self.is_stopping) else { return };
        let guests: Vec<u64> = self.guests.keys().copied().collect();
        let action = random.below(20);
        if guests.is_empty() || action == 0 && guests.len() < 5 {
            let wanted = random.one_in(4).then_some(NAMES[random.below(6) as usize]);
            let guest = arrives(node, wanted, &mut self.next_guest, now);
            self.guests.insert(guest, false);
            return;
        }
        let guest = guests[random.below(guests.len() as u64) as usize];
        match action {
            1 => {
                let name = NAMES[random.below(6) as usize];
                let given = format!("guest{}", random.below(9));
                let name = if random.one_in(5) { &given } else { name };
                let _ = node.renames(guest, name, now);
                if random.one_in(3) {
                    let _ = node.renames(guest, NAMES[random.below(6) as usize], now);
                }
            }
            2 => {
                node.leaves(guest, now);
                self.guests.remove(&guest);
            }
            3 => {
                let guest = arrives(node, None, &mut self.next_guest, now);
                node.leaves(guest, now);
            }
            _ => {
                if let Some(is_announced @ false) = self.guests.get_mut(&guest) {
                    *is_announced = true;
                    node.joins(guest, now);
                }
                for _ in 0..if random.one_in(20) { 20 } else { 1 } {
                    self.said += 1;
                    node.says(guest, &format!("{:x} {}", self.boot, self.said), now);
                }
            }
        }
    }

    /// Memory is bounded.
    pub fn look_at_bounds(&self) {
        let Some(node) = &self.node else { return };
        let figures: Figures = node.figures();
        assert!(figures.outbox_bytes <= self.settings.outbox_bytes, "{figures:?}");
        assert!(node.kept() <= 2 * self.settings.catch_up);
        assert!(node.known_guests() <= self.settings.most_guests);
    }

    pub fn check_that_it_is_quiet(&self) {
        let figures = self.node.as_ref().unwrap().figures();
        assert!(figures.is_sure && figures.standing == Standing::Together, "{}: {figures:?}", self.label);
        assert_eq!(figures.malformed, 0);
    }

    pub fn dies(&mut self) -> Option<Life> {
        self.guests.clear();
        self.life(false)
    }

    pub fn at_the_end(&mut self) -> Option<Life> {
        self.life(true)
    }

    fn life(&mut self, is_there: bool) -> Option<Life> {
        let node = self.node.take()?;
        let announced = self.guests.iter().filter(|(_, is_announced)| **is_announced);
        let guests: BTreeSet<String> =
            announced.map(|(guest, _)| node.name(*guest).unwrap_or("nobody").to_owned()).collect();
        for guest in self.guests.keys().filter(|_| is_there) {
            assert!(node.name(*guest).is_some_and(|name| !name.contains('@')), "{guest}: {:?}", node.name(*guest));
        }
        Some(Life {
            label: self.label.clone(),
            boot: self.boot,
            is_there,
            told: std::mem::take(&mut self.told),
            said: self.said,
            began: node.began,
            who: node.who().into_iter().map(|(label, names)| (label.to_string(), names)).collect(),
            guests,
            not_heard: node.figures().not_heard,
            trace: node.trace,
        })
    }
}
