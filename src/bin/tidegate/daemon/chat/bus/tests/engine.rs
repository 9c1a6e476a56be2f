//! A stream as an engine has it: trimmed at its beginning, and lost when it dies.

use std::collections::{BTreeMap, BTreeSet};

use super::super::node::Read;
use super::super::{Entry, EntryId};
use super::{Event, Wire};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    Running,
    /// SIGSTOP: what comes is done when it goes on.
    Stopped,
    /// It does not take what is published.
    Refusing,
    Dead,
}

pub struct Engine {
    pub process: Process,
    history: usize,
    count: usize,
    stream: BTreeMap<EntryId, Entry>,
    /// All that ever stood in the stream.
    pub all: BTreeMap<EntryId, Entry>,
    /// What was trimmed, or did not stand there any more when it was started again.
    pub gone: BTreeSet<EntryId>,
    last: EntryId,
    pub held: Vec<Event>,
    /// Connections to this process. What was sent on them is read, also if the other side has given them up.
    pub open: Vec<Wire>,
    asked: Vec<Asked>,
}

struct Asked {
    wire: Wire,
    question: u64,
    after: EntryId,
    is_first: bool,
}

impl Engine {
    pub fn new(history: usize, count: usize) -> Self {
        Engine {
            process: Process::Running,
            history,
            count,
            stream: BTreeMap::new(),
            all: BTreeMap::new(),
            gone: BTreeSet::new(),
            last: EntryId::ZERO,
            held: Vec::new(),
            open: Vec::new(),
            asked: Vec::new(),
        }
    }

    pub fn add(&mut self, now: u64, entry: Entry) {
        let number = if self.last.milliseconds == now { self.last.number + 1 } else { 0 };
        self.last = EntryId { milliseconds: now, number };
        let fields: Vec<(Vec<u8>, Vec<u8>)> =
            entry.to_fields().into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value.into_bytes())).collect();
        let entry = Entry::from_fields(&fields).unwrap();
        self.stream.insert(self.last, entry.clone());
        self.all.insert(self.last, entry);
        while self.stream.len() > self.history {
            self.gone.extend(self.stream.pop_first().map(|(id, _)| id));
        }
    }

    pub fn len(&self) -> usize {
        self.stream.len()
    }

    /// So many entries are there when it is started again.
    pub fn dies(&mut self, count: usize) {
        self.process = Process::Dead;
        self.open.clear();
        self.held.clear();
        let first_lost = self.stream.keys().nth(count).copied();
        let lost = first_lost.map(|first| self.stream.split_off(&first)).unwrap_or_default();
        self.gone.extend(lost.into_keys());
    }

    /// FLUSHALL: those who are connected notice nothing.
    pub fn empties(&mut self) {
        self.stream.clear();
    }

    pub fn ask(&mut self, wire: Wire, question: u64, after: EntryId, is_first: bool) {
        if !self.open.contains(&wire) {
            return;
        }
        self.asked.push(Asked { wire, question, after, is_first });
    }

    pub fn forget(&mut self, wire: Wire) {
        self.asked.retain(|asked| asked.wire != wire);
    }

    /// For all that were asked and can be answered.
    pub fn answers(&mut self) -> Vec<(Wire, u64, Vec<Read>, bool)> {
        if matches!(self.process, Process::Stopped | Process::Dead) {
            return Vec::new();
        }
        let mut answers = Vec::new();
        for Asked { wire, question, after, is_first } in std::mem::take(&mut self.asked) {
            let behind = self.stream.range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded));
            let entries: Vec<Read> = behind.take(self.count).map(|(id, entry)| (*id, Ok(entry.clone()))).collect();
            if entries.is_empty() && !is_first {
                self.asked.push(Asked { wire, question, after, is_first });
                continue;
            }
            let is_end = entries.len() < self.count;
            answers.push((wire, question, entries, is_end));
        }
        answers
    }
}
