//! The questions that are under way: who waits for each, which stand in line, and which are with a server, and until when.
//!
//! ```text
//!   add ──▶ in line ── take_first, ask ──▶ with a server ── end ──▶ it is over
//!              ▲                                 │
//!              └── stand_in_line ◀── withdraw ───┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slab::Slab;

use super::{Asked, Ticket};
use crate::base::id::Key;
use crate::names::Question;
use crate::names::asking::Asking;

#[derive(Debug, Default)]
pub(super) struct Questions {
    under_way: Slab<UnderWay>,
    /// With their numbers. From this one on others may join them.
    by_question: BTreeMap<(Question, u64), Asked>,
    joinable_from: u64,
    /// Those that stand in line, by their numbers.
    line: BTreeMap<u64, Asked>,
    with_servers: usize,
    deadlines: BTreeSet<(Duration, Asked)>,
    next_number: u64,
}

/// A question that is under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub question: Question,
    /// Who waits for the answer. Thousands may, and each may give it up.
    pub waiting: BTreeSet<Ticket>,
    /// Since when it is under way.
    pub since: Duration,
    /// How many names were asked for before it, for `rotate`.
    pub turn: usize,
    /// How many questions came before it: that is its place in line. The id has the low half of it.
    number: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// One that was begun and could not be sent goes on where it was.
    InLine(Option<Asking>),
    WithServer {
        asking: Asking,
        id: u16,
        deadline: Duration,
    },
}

impl Questions {
    pub fn get(&self, asked: Asked) -> Option<&UnderWay> {
        self.under_way.get(asked.0.slot as usize).filter(|under_way| under_way.number as u32 == asked.0.generation)
    }

    fn get_mut(&mut self, asked: Asked) -> Option<&mut UnderWay> {
        let found = self.under_way.get_mut(asked.0.slot as usize);
        found.filter(|under_way| under_way.number as u32 == asked.0.generation)
    }

    /// One more waits for the answer to a question, if it is under way.
    pub fn join(&mut self, question: &Question, ticket: Ticket) -> bool {
        let joinable = self.by_question.range((*question, self.joinable_from)..=(*question, u64::MAX));
        let asked = joinable.map(|(_, asked)| *asked).next();
        asked.and_then(|asked| self.get_mut(asked)).is_some_and(|under_way| under_way.waiting.insert(ticket))
    }

    /// Adds a question, at the end of the line.
    pub fn add(&mut self, question: Question, ticket: Ticket, turn: usize, now: Duration) {
        let number = self.next_number;
        self.next_number += 1;
        let (waiting, state) = (BTreeSet::from([ticket]), State::InLine(None));
        let slot = self.under_way.insert(UnderWay { question, waiting, since: now, turn, number, state });
        let asked = Asked(Key { slot: slot as u32, generation: number as u32 });
        self.by_question.insert((question, number), asked);
        self.line.insert(number, asked);
    }

    /// Nobody joins those that are under way any more: they are with servers that are not asked now.
    pub fn set_apart(&mut self) {
        self.joinable_from = self.next_number;
    }

    /// One does not wait for the answer any more. The question, if nobody does.
    pub fn leave(&mut self, question: &Question, ticket: Ticket) -> Option<Asked> {
        let all: Vec<Asked> =
            self.by_question.range((*question, 0)..=(*question, u64::MAX)).map(|(_, it)| *it).collect();
        for asked in all {
            if let Some(under_way) = self.get_mut(asked)
                && under_way.waiting.remove(&ticket)
            {
                return under_way.waiting.is_empty().then_some(asked);
            }
        }
        None
    }

    pub fn with_servers(&self) -> usize {
        self.with_servers
    }

    pub fn first_in_line(&self) -> Option<(Asked, &UnderWay)> {
        let asked = *self.line.values().next()?;
        Some((asked, self.get(asked)?))
    }

    /// The first in line leaves it, with what it has begun, and how many names were asked for before it.
    pub fn take_first(&mut self) -> Option<(Asked, Option<Asking>, usize)> {
        let (_, asked) = self.line.pop_first()?;
        let under_way = self.get_mut(asked)?;
        let State::InLine(begun) = &mut under_way.state else { return None };
        Some((asked, begun.take(), under_way.turn))
    }

    /// It is with a server, until this time. The question, to be sent.
    pub fn ask(&mut self, asked: Asked, asking: Asking, id: u16, deadline: Duration) -> Option<&Question> {
        let under_way = self.under_way.get_mut(asked.0.slot as usize)?;
        under_way.state = State::WithServer { asking, id, deadline };
        self.with_servers += 1;
        self.deadlines.insert((deadline, asked));
        Some(&under_way.question)
    }

    /// What is asked of a server, and by which number.
    pub fn asking(&self, asked: Asked) -> Option<(&UnderWay, &Asking, u16)> {
        let under_way = self.get(asked)?;
        match &under_way.state {
            State::WithServer { asking, id, .. } => Some((under_way, asking, *id)),
            State::InLine(_) => None,
        }
    }

    /// It is not with a server any more, nor in line: it is asked again, put in line, or ended.
    pub fn withdraw(&mut self, asked: Asked) -> Option<Asking> {
        let state = &mut self.get_mut(asked)?.state;
        match std::mem::replace(state, State::InLine(None)) {
            State::WithServer { asking, deadline, .. } => {
                self.with_servers -= 1;
                self.deadlines.remove(&(deadline, asked));
                Some(asking)
            }
            in_line => {
                *state = in_line;
                None
            }
        }
    }

    /// It waits for its turn, at its old place: before all that came after it.
    pub fn stand_in_line(&mut self, asked: Asked, begun: Asking) {
        if let Some(under_way) = self.get_mut(asked) {
            under_way.state = State::InLine(Some(begun));
            let number = under_way.number;
            self.line.insert(number, asked);
        }
    }

    /// It is not under way any more. Whether it was with a server comes with it.
    pub fn end(&mut self, asked: Asked) -> Option<(UnderWay, bool)> {
        self.get(asked)?;
        let was_asked = self.withdraw(asked).is_some();
        let ended = self.under_way.try_remove(asked.0.slot as usize)?;
        self.by_question.remove(&(ended.question, ended.number));
        self.line.remove(&ended.number);
        Some((ended, was_asked))
    }

    pub fn first_deadline(&self) -> Option<(Duration, Asked)> {
        self.deadlines.first().copied()
    }

    /// How many entries all its lists have.
    #[cfg(all(test, target_os = "linux"))]
    pub fn entries(&self) -> [usize; 5] {
        let Questions { under_way, by_question, line, with_servers, deadlines, .. } = self;
        [under_way.len(), by_question.len(), line.len(), *with_servers, deadlines.len()]
    }
}
