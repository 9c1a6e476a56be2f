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
    waiting: Vec<WaitingCallback>,
    end: Vec<CallbackId>,
    /// Those whose outcome has come, in the order of the tasks that run them.
    ready: VecDeque<Ready>,
}

#[derive(Debug)]
struct WaitingCallback {
    callback: CallbackId,
    /// The number of its write; an empty one has none, because nobody can drop it.
    number: Option<u64>,
    /// How many bytes wait, up to the end of its write.
    until: usize,
}

#[derive(Debug)]
struct Ready {
    callback: CallbackId,
    outcome: Result<(), Error>,
    /// Of a write that has failed while it waited: how many bytes still wait when it runs.
    rest: Option<usize>,
}

/// Where the task for some callbacks goes in the queue of tasks. They go to the same place among those that are ready, so
/// that each task finds its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Before all others: it follows the present task or event.
    First,
    Last,
}

impl Callbacks {
    pub fn add_to_current(&mut self, callback: CallbackId) {
        self.current.push(callback);
    }

    pub fn add_waiting(&mut self, callback: CallbackId, number: Option<u64>, until: usize) {
        self.waiting.push(WaitingCallback { callback, number, until });
    }

    pub fn add_to_end(&mut self, callback: CallbackId) {
        self.end.push(callback);
    }

    /// All that waits becomes the current write.
    pub fn begin_current(&mut self) {
        self.current.extend(self.waiting.drain(..).map(|waiting| waiting.callback));
    }

    /// The current write is over. Says how many callbacks are ready, as do the others.
    pub fn current_is_over(&mut self, outcome: &Result<(), Error>, place: Place) -> u32 {
        let current = self.current.drain(..);
        make_ready(&mut self.ready, current.map(|callback| Ready::new(callback, outcome)), place)
    }

    pub fn end_is_over(&mut self, outcome: &Result<(), Error>, place: Place) -> u32 {
        let end = self.end.drain(..);
        make_ready(&mut self.ready, end.map(|callback| Ready::new(callback, outcome)), place)
    }

    /// What waits will not be written, and the end after it will not be sent. If the bytes that wait still count, so many,
    /// each callback sees what is left of them.
    pub fn waiting_is_over(&mut self, bytes: Option<usize>, outcome: &Result<(), Error>, place: Place) -> u32 {
        let writes = self.waiting.drain(..).map(|write| (write.callback, write.until));
        let end = self.end.drain(..).map(|callback| (callback, usize::MAX));
        let all: Vec<_> = writes.chain(end).collect();
        let ready = all.into_iter().map(|(callback, until)| Ready {
            rest: bytes.map(|bytes| bytes.saturating_sub(until)),
            ..Ready::new(callback, outcome)
        });
        make_ready(&mut self.ready, ready, place)
    }

    /// Takes that of the write with this number out.
    pub fn take_waiting(&mut self, number: u64) -> Option<CallbackId> {
        let at = self.waiting.iter().position(|write| write.number == Some(number))?;
        Some(self.waiting.remove(at).callback)
    }

    pub fn has_any_for_end(&self) -> bool {
        !self.end.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.current.is_empty() && self.waiting.is_empty() && self.end.is_empty()
    }
}

impl Ready {
    fn new(callback: CallbackId, outcome: &Result<(), Error>) -> Self {
        Ready { callback, outcome: outcome.clone(), rest: None }
    }
}

fn make_ready(
    ready: &mut VecDeque<Ready>,
    callbacks: impl DoubleEndedIterator<Item = Ready> + ExactSizeIterator,
    place: Place,
) -> u32 {
    let count = callbacks.len() as u32;
    match place {
        Place::Last => ready.extend(callbacks),
        Place::First => callbacks.rev().for_each(|callback| ready.push_front(callback)),
    }
    count
}

impl Connection {
    /// A callback is due as the next task.
    pub fn callback_due(&mut self, callback: CallbackId, outcome: Result<(), Error>, tasks: &mut impl Tasks) {
        self.callbacks_mut().ready.push_back(Ready { callback, outcome, rest: None });
        tasks.push(ConnTask::Callbacks(1));
    }

    /// All callbacks that no outcome has come for get this one. Says how many.
    pub(super) fn fail_all(&mut self, kind: ErrorKind) -> u32 {
        let Some(callbacks) = self.callbacks() else { return 0 };
        let outcome = Err(Error::new(kind));
        callbacks.current_is_over(&outcome, Place::Last) + callbacks.waiting_is_over(None, &outcome, Place::Last)
    }

    /// Whether a callback is still to run.
    pub fn has_callbacks_due(&self) -> bool {
        self.extras().callbacks.as_ref().is_some_and(|callbacks| !callbacks.ready.is_empty())
    }

    /// Takes the next callback whose turn has come.
    pub fn take_callback(&mut self) -> Option<(CallbackId, Result<(), Error>)> {
        let extras = self.extras.as_mut()?;
        let callbacks = extras.callbacks.as_mut()?;
        let Ready { callback, outcome, rest } = callbacks.ready.pop_front()?;
        if callbacks.is_empty() {
            extras.callbacks = None;
        }
        if let (Some(rest), Some(outgoing)) = (rest, &mut self.outgoing) {
            outgoing.waiting.bytes = rest;
        }
        Some((callback, outcome))
    }

    /// Takes all that there are, for a connection that is taken away.
    pub fn take_all_callbacks(&mut self) -> Vec<CallbackId> {
        self.fail_all(ErrorKind::Destroyed);
        std::iter::from_fn(|| self.take_callback()).map(|(callback, _)| callback).collect()
    }

    /// The callback of what was refused.
    pub fn refuse(&mut self, callback: CallbackId, kind: ErrorKind, tasks: &mut impl Tasks) {
        self.callback_due(callback, Err(Error::new(kind)), tasks);
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
