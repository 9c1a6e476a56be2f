//! What was done, until it is told.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::base::id::{ServerId, SocketId, TimerId};

/// Whom a note concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whom {
    Socket(SocketId),
    Server(ServerId),
    /// The loop itself: a timer, a signal, the time of the turn.
    Loop,
}

/// What kind of thing was done: only some can be the cause of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The kernel has reported a readiness.
    Edge,
    /// This signal has come.
    Signal(i32),
    /// Another thread has woken the loop.
    Woken,
    Read,
    /// A read has found the end, or nothing.
    ReadNothing,
    /// Chunks that were kept flow.
    Kept,
    Wrote,
    /// The end of the writing half has gone out.
    Written,
    Accepted,
    Connected,
    Listens,
    Failed,
    Destroyed,
    /// Another state has changed.
    State,
    /// A user has asked for something.
    Asked,
    /// A user has put something off, under this number.
    PutOff(u64),
    /// A user has set this timer.
    Set(TimerId),
    /// It is due, and may come again.
    Came {
        timer: TimerId,
        again: bool,
    },
    /// It was taken back.
    TakenBack(TimerId),
    /// Somebody has to wait.
    Held,
    /// A message was dropped, by an output limit.
    Dropped,
    /// Its turn was given away.
    Yielded,
    /// A time is over.
    Due,
    /// The time of the turn is over.
    Budget,
    /// Another call of the kernel.
    Call,
}

#[derive(Debug)]
pub struct Note {
    pub whom: Whom,
    pub kind: Kind,
    pub text: String,
}

/// The notes of a loop. It has none while it is not traced.
#[derive(Clone, Debug, Default)]
pub struct Notes(Option<Rc<RefCell<Vec<Note>>>>);

impl Notes {
    /// Those of a loop that is traced. All clones are one.
    pub fn kept() -> Self {
        Notes(Some(Rc::default()))
    }

    /// Something was done. The text is only made if it will be told.
    #[inline]
    pub fn add(&self, whom: impl Into<Whom>, kind: Kind, text: impl FnOnce() -> String) {
        if let Some(notes) = &self.0 {
            notes.borrow_mut().push(Note { whom: whom.into(), kind, text: text() });
        }
    }

    /// All since this was called last.
    pub fn take(&self) -> Vec<Note> {
        self.0.as_ref().map_or_else(Vec::new, |notes| notes.take())
    }
}

impl From<SocketId> for Whom {
    fn from(id: SocketId) -> Self {
        Whom::Socket(id)
    }
}

impl From<ServerId> for Whom {
    fn from(id: ServerId) -> Self {
        Whom::Server(id)
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whom::Socket(id) => id.fmt(f),
            Whom::Server(id) => id.fmt(f),
            Whom::Loop => f.write_str("loop"),
        }
    }
}
