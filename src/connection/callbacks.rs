//! The callbacks of writes and of `end`: each waits with what it is for, until that is over, and then for its turn.
//!
//! ```text
//!   write ──▶ waiting ──▶ current ──┐
//!                                   ├── it is over ──▶ ready ──▶ run, in this order
//!   end ────────────────────────────┘
//! ```

use std::collections::VecDeque;

use super::{ConnTask, Connection, Tasks};
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;

/// The number of a callback of a write, an `end` or a `catch_up`. Whoever pulls the events of a [`Net`](crate::Net) chooses
/// it, and gets it back with [`Event::Callback`](crate::Event::Callback).
///
/// An [`EventLoop`](crate::EventLoop) pulls the events of its net itself, and chooses numbers with the highest bit set, also
/// for `next_tick` and `next_turn`. What is given to `event_loop.net` under another number comes back to nobody. Give closures
/// there: [`Socket::write_then`](crate::Socket::write_then), [`Loop::next_tick`](crate::Loop::next_tick).
pub type CallbackId = u64;

/// Those of one connection. Most connections never have any.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    current: Vec<CallbackId>,
    /// With the numbers of their writes; an empty one has none, because nobody can drop it.
    waiting: Vec<(Option<u64>, CallbackId)>,
    end: Vec<CallbackId>,
    /// Those whose turn has come, with their outcome.
    ready: VecDeque<(CallbackId, Result<(), Error>)>,
}

impl Callbacks {
    pub fn add_to_current(&mut self, callback: CallbackId) {
        self.current.push(callback);
    }

    pub fn add_waiting(&mut self, number: Option<u64>, callback: CallbackId) {
        self.waiting.push((number, callback));
    }

    pub fn add_to_end(&mut self, callback: CallbackId) {
        self.end.push(callback);
    }

    /// All that waits becomes the current write.
    pub fn begin_current(&mut self) {
        self.current.extend(self.waiting.drain(..).map(|(_, callback)| callback));
    }

    /// The current write is over. Says how many callbacks are ready, as do the others.
    pub fn current_is_over(&mut self, outcome: &Result<(), Error>) -> u32 {
        let count = self.current.len() as u32;
        self.ready.extend(self.current.drain(..).map(|callback| (callback, outcome.clone())));
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

    /// Takes that of the write with this number out.
    pub fn take_waiting(&mut self, number: u64) -> Option<CallbackId> {
        let at = self.waiting.iter().position(|(of, _)| *of == Some(number))?;
        Some(self.waiting.remove(at).1)
    }

    pub fn has_any_for_end(&self) -> bool {
        !self.end.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.current.is_empty() && self.waiting.is_empty() && self.end.is_empty()
    }
}

impl Connection {
    /// A callback is due as the next task.
    pub fn callback_due(&mut self, callback: CallbackId, outcome: Result<(), Error>, tasks: &mut impl Tasks) {
        self.callbacks_mut().ready.push_back((callback, outcome));
        tasks.push(ConnTask::Callbacks(1));
    }

    /// All callbacks that no outcome has come for get this one. Says how many.
    pub(super) fn fail_all(&mut self, kind: ErrorKind) -> u32 {
        let Some(callbacks) = self.callbacks() else { return 0 };
        let outcome = Err(Error::new(kind));
        callbacks.current_is_over(&outcome) + callbacks.waiting_is_over(&outcome) + callbacks.end_is_over(&outcome)
    }

    /// Whether a callback is still to run.
    pub fn has_callbacks_due(&self) -> bool {
        self.extras().callbacks.as_ref().is_some_and(|callbacks| !callbacks.ready.is_empty())
    }

    /// Takes the next callback whose turn has come.
    pub fn take_callback(&mut self) -> Option<(CallbackId, Result<(), Error>)> {
        let extras = self.extras.as_mut()?;
        let callbacks = extras.callbacks.as_mut()?;
        let next = callbacks.ready.pop_front();
        if callbacks.is_empty() {
            extras.callbacks = None;
        }
        next
    }

    /// Takes all that there are, for a connection that is taken away.
    pub fn take_all_callbacks(&mut self) -> Vec<CallbackId> {
        self.fail_all(ErrorKind::Destroyed);
        std::iter::from_fn(|| self.take_callback()).map(|(callback, _)| callback).collect()
    }

    pub(super) fn refuse(&mut self, callback: Option<CallbackId>, kind: ErrorKind, tasks: &mut impl Tasks) {
        if let Some(callback) = callback {
            self.callback_due(callback, Err(Error::new(kind)), tasks);
        }
    }

    /// Those that there are.
    #[inline]
    pub(super) fn callbacks(&mut self) -> Option<&mut Callbacks> {
        self.extras.as_mut()?.callbacks.as_mut()
    }

    pub(super) fn callbacks_mut(&mut self) -> &mut Callbacks {
        self.extras_mut().callbacks.get_or_insert_default()
    }
}
