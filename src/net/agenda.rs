//! All that is to be done, in the order in which it is done.
//!
//! ```text
//!   tasks        before the next piece of work of any phase
//!   ready        sockets and servers with something to do         phase Serve
//!   flush        broadcasts to send, writing sides to end         phases Flush and FlushAgain
//!   next turns   what the user has put off                        phase NextTurns
//!   closes       connections whose `close` comes                  phase Closes
//! ```
//!
//! What comes up in a round belongs to the next one; tasks do not wait. It knows nothing of what is done: `turn.rs` begins
//! the rounds and does the work.

use std::collections::VecDeque;

use crate::base::id::{ServerId, SocketId};
use crate::base::round::Round;
use crate::connection::{Change, ConnTask, Stage, Tasks};
use crate::kernel::Token;
use crate::net::trace::{Kind, Notes};

/// What happens between two pieces of work: Node's next tick, and what follows an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// What comes next for one connection.
    Conn(SocketId, ConnTask),
    /// Chunks that were kept are delivered.
    Flow(SocketId),
    /// The handler for data has run: the pipes after it have their turn.
    PipeKept,
    /// It drained: what pipes into it flows again.
    ResumeSources(SocketId),
    /// It ended: so do the destinations of its pipes. Pipes from this number on were made too late to notice.
    EndPipes(SocketId, u64),
    /// As [`Task::EndPipes`], for a pipe that was made after the end.
    EndPipe(SocketId, SocketId),
    /// It finished, broke or closed: nobody pipes into it any more. The number is as in [`Task::EndPipes`].
    ReleaseSources(SocketId, u64),
    /// A receiver holds this sender up.
    HoldSender(SocketId),
    /// It does not any more.
    ReleaseSender(SocketId),
    /// It is closed, and its last callbacks have run: its id becomes stale.
    Forget(SocketId),
    /// A look-up has come to its outcome.
    #[cfg(feature = "names")]
    LookedUp,
    /// A server that is to listen on a name goes on.
    ListenOnName(ServerId),
    Listening(ServerId),
    ServerClose(ServerId),
    /// What the user asked for by `next_tick`.
    NextTick(u64),
}

/// The phases of a turn: see `turn.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Start,
    Flush,
    Wait,
    Serve,
    FlushAgain,
    NextTurns,
    Closes,
    Timeouts,
}

impl Phase {
    /// What the trace calls it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Start => "between",
            Phase::Flush | Phase::FlushAgain => "flush",
            Phase::Wait => "wait",
            Phase::Serve => "serve",
            Phase::NextTurns => "next turns",
            Phase::Closes => "closes",
            Phase::Timeouts => "timeouts",
        }
    }
}

/// All lists of what is to be done.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    tasks: VecDeque<Task>,
    /// Sockets and servers with something to do, in the order in which they are served.
    pub ready: Round<Token>,
    /// Sockets with a broadcast to send or a writing side to end.
    pub flush: Round<SocketId>,
    /// Sockets whose `close` comes. Last in, first out, as in libuv.
    pub closes: Round<SocketId>,
    /// What the user has put off to the next turn, by number.
    pub next_turns: Round<u64>,
    pub signals: VecDeque<i32>,
    /// Another thread has woken the loop.
    pub woken: bool,
    /// Sockets that have connected since the last wait.
    pub just_connected: Vec<SocketId>,
    /// Sockets that have begun to be watched since the last wait.
    pub just_watched: Vec<SocketId>,
    /// Something was closed: servers that wait for a descriptor need not wait any longer.
    pub descriptor_freed: bool,
    /// What was done, for the trace.
    pub notes: Notes,
    /// How many pipes were made. Each has its number: one that is made in the handler of an event does not notice it.
    pub pipes_made: u64,
}

impl Agenda {
    #[inline]
    pub fn next_task(&mut self) -> Option<Task> {
        self.tasks.pop_front()
    }

    /// After all tasks that are there.
    #[inline]
    pub fn push(&mut self, task: Task) {
        self.tasks.push_back(task);
    }

    /// Before all tasks that are there, in this order: what follows the present task or event.
    pub fn push_first<const N: usize>(&mut self, tasks: [Task; N]) {
        for task in tasks.into_iter().rev() {
            self.tasks.push_front(task);
        }
    }

    /// Where the tasks of this connection go.
    #[inline]
    pub fn of(&mut self, id: SocketId) -> TasksOf<'_> {
        TasksOf { id, tasks: &mut self.tasks, notes: &self.notes }
    }

    #[inline]
    pub fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Whether the phases after Serve have nothing to do, but for the timers.
    #[inline]
    pub fn has_only_ready(&self) -> bool {
        self.flush.is_empty() && self.next_turns.is_empty() && self.closes.is_empty()
    }

    /// A socket does not stand in line any more.
    pub fn not_ready(&mut self, id: SocketId) {
        self.ready.remove(id.into());
        self.just_connected.retain(|other| *other != id);
        self.just_watched.retain(|other| *other != id);
    }

    /// Whether a turn has something to do at once. `connected` says of a socket that has just connected whether it has
    /// work; what is ready but held up by its user is on no list.
    pub fn has_work(&self, connected: impl Fn(SocketId) -> bool) -> bool {
        self.has_tasks()
            || !self.ready.is_empty()
            || !self.just_watched.is_empty()
            || self.just_connected.iter().any(|id| connected(*id))
            || !self.flush.is_empty()
            || !self.closes.is_empty()
            || !self.signals.is_empty()
            || self.woken
            || !self.next_turns.is_empty()
    }
}

/// The end of the queue, for the tasks of one connection, and its notes for the trace.
pub(super) struct TasksOf<'a> {
    id: SocketId,
    tasks: &'a mut VecDeque<Task>,
    notes: &'a Notes,
}

impl Tasks for TasksOf<'_> {
    #[inline]
    fn push(&mut self, task: ConnTask) {
        self.tasks.push_back(Task::Conn(self.id, task));
    }

    #[inline]
    fn tell(&mut self, change: Change) {
        let kind = match change {
            Change::Stage(Stage::Destroyed { sealed: false, .. }, _) => Kind::Destroyed,
            change if change.is_end_sent() => Kind::Written,
            _ => Kind::State,
        };
        self.notes.add(self.id, kind, || change.to_string());
    }
}
