//! The callbacks of writes and of `end`: each waits with what it is for, until that is over, and then for its turn.
//!
//! ```text
//!   write ──▶ waiting ──▶ unit ──┐
//!                                ├── it is over ──▶ ready ──▶ the net, in this order
//!   end ─────────────────────────┘
//! ```

use std::collections::VecDeque;
use std::ops::Range;

use crate::error::Error;

/// Names a callback of a write or an `end`; whoever gave the callback knows what it stands for.
pub type CallbackId = u64;

/// Those of one connection. Most connections never have any.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    unit: Vec<CallbackId>,
    /// With the numbers of their writes; an empty one has none, because nobody can drop it.
    waiting: Vec<(Option<u64>, CallbackId)>,
    end: Vec<CallbackId>,
    /// Those whose turn has come, with their outcome.
    ready: VecDeque<(CallbackId, Result<(), Error>)>,
}

impl Callbacks {
    pub fn add_to_unit(&mut self, callback: CallbackId) {
        self.unit.push(callback);
    }

    pub fn add_waiting(&mut self, number: Option<u64>, callback: CallbackId) {
        self.waiting.push((number, callback));
    }

    pub fn add_to_end(&mut self, callback: CallbackId) {
        self.end.push(callback);
    }

    pub fn add_ready(&mut self, callback: CallbackId, outcome: Result<(), Error>) {
        self.ready.push_back((callback, outcome));
    }

    /// All that waits becomes the unit.
    pub fn begin_unit(&mut self) {
        self.unit.extend(self.waiting.drain(..).map(|(_, callback)| callback));
    }

    /// The unit is over. Says how many callbacks are ready, as do the others.
    pub fn unit_is_over(&mut self, outcome: &Result<(), Error>) -> u32 {
        let count = self.unit.len() as u32;
        self.ready.extend(self.unit.drain(..).map(|callback| (callback, outcome.clone())));
        count
    }

    pub fn waiting_is_over(&mut self, outcome: &Result<(), Error>) -> u32 {
        let count = self.waiting.len() as u32;
        self.ready.extend(self.waiting.drain(..).map(|(_, callback)| (callback, outcome.clone())));
        count
    }

    pub fn end_is_over(&mut self, outcome: &Result<(), Error>) -> u32 {
        let count = self.end.len() as u32;
        self.ready.extend(self.end.drain(..).map(|callback| (callback, outcome.clone())));
        count
    }

    /// Takes those of the writes with these numbers out.
    pub fn take_waiting(&mut self, numbers: &Range<u64>) -> Vec<CallbackId> {
        let is_one = |(number, _): &mut (Option<u64>, _)| number.is_some_and(|number| numbers.contains(&number));
        self.waiting.extract_if(.., is_one).map(|(_, callback)| callback).collect()
    }

    pub fn has_any_for_end(&self) -> bool {
        !self.end.is_empty()
    }

    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub fn take_ready(&mut self) -> Option<(CallbackId, Result<(), Error>)> {
        self.ready.pop_front()
    }

    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.unit.is_empty() && self.waiting.is_empty() && self.end.is_empty()
    }
}
