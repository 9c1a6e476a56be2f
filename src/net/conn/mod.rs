//! One connection, with what the loop knows of it: its descriptor, its latches, its places in the agenda's lists.
//!
//! The rules are in `connection/`, which does nothing itself; here are the system calls. Each method takes the context
//! ([`Cx`]), which holds everything but the connections: a connection cannot reach another one.
//!
//! | file | |
//! | --- | --- |
//! | `mod.rs`, `remote.rs` | what a connection is, and when it has work; its other end |
//! | `read.rs` | reading, pausing, catching up |
//! | `write.rs`, `send.rs` | writing: at once or queued; what the kernel takes |
//! | `connect.rs` | from `connect` to the connection |
//! | `dialing.rs`, `dial.rs` | the same to a host by its name; what it has meanwhile |
//! | `end.rs` | its ends: in order, at once, by a reset |
//! | `hang_up.rs` | a peer that is gone, while nothing is read |
//! | `tasks.rs` | what happens between two pieces of work |
//! | `limits.rs`, `memory.rs` | what is done about a peer that does not read; about all of them together |
//! | `yielding.rs` | its turn, given to the others |
//! | `options.rs` | its clocks and options |
//! | `pipe.rs`, `piping.rs` | what it does for its pipes; what it knows of them |
//! | `file.rs`, `rare.rs` | what a file has and a socket has not; what most connections never have |

mod connect;
pub(super) mod dial;
mod dialing;
mod end;
pub(super) mod file;
mod hang_up;
#[cfg(any(test, fuzzing))]
pub(crate) mod harness;
mod limits;
mod memory;
mod options;
mod pipe;
pub(super) mod piping;
pub(super) mod rare;
pub(super) mod read;
mod remote;
mod send;
mod tasks;
#[cfg(test)]
mod tests;
pub(super) mod write;
mod yielding;

use super::agenda::{Task, TasksOf};
use super::clock::TimerKind;
use super::cx::Cx;
use super::output_limits::Limits;
use super::read_buffer::READ_BUFFER;
use crate::base::arena::HasId;
use crate::base::id::{ServerId, SocketId};
use crate::connection::{CloseReason, ConnTask, Connection, ReadyState, Stage};
use crate::kernel::{Handle, Readiness, Watch};
use file::FileEnd;
use piping::{DrainWait, Piping};
use rare::{Rare, USUAL};
pub(super) use remote::Remote;

/// One socket or file of the net.
#[derive(Debug)]
pub(super) struct Conn {
    pub id: SocketId,
    pub connection: Connection,
    /// From connect(2) or accept(2) until destroyed.
    pub handle: Option<Handle>,
    pub server: Option<ServerId>,
    /// The other end, from the connection on.
    pub remote: Remote,
    latches: Latches,
    hang_up: HangUp,
    pub lists: Lists,
    ending: Ending,
    /// The user has a handler for data. A pipe is another consumer, so it is not the connection's `listening`.
    listener: bool,
    /// It keeps the loop running while it is active: Node's `ref`.
    pub referenced: bool,
    /// Its server stands apart.
    pub apart: bool,
    /// A shut-down leaves its end to the program.
    pub outlasts: bool,
    /// TCP_NODELAY, as it was set last: the same value again makes no system call.
    no_delay: bool,
    read_size: ReadSize,
    drain_wait: DrainWait,
    /// How many receivers hold this sender up, and one more while it has given its turn away: it is not read from.
    pub held_by: u32,
    /// When it was made, and when a byte of it moved last, in seconds of the loop's clock.
    pub since: u32,
    pub active: u32,
    pub piping: Option<Box<Piping>>,
    limits: Option<Limits>,
    rare: Option<Box<Rare>>,
}

/// What the kernel has reported and nobody has used yet. It reports an edge once, so edges are kept here. Five, as they come and go
/// apart from each other.
#[derive(Clone, Copy, Debug, Default)]
struct Latches {
    readable: bool,
    writable: bool,
    /// The peer's end stands after what is to be read.
    ended: bool,
    /// That, or urgent data, or an end of both directions: a read that was short has not emptied the socket.
    has_more: bool,
    /// The other side is gone altogether. This stays.
    hung_up: bool,
}

/// What is known of the end of both directions, which the kernel reports also where nothing is read: see `hang_up.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HangUp {
    /// Nobody has asked for it. A read or a write will tell.
    Unnoticed,
    Awaited,
    /// It was reported. Whether it was an error is not known yet.
    Reported,
}

/// On which lists it stands. It stands on each once at most, and may stand on several.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lists {
    /// The ready list, or one of those that come to it at the next wait.
    pub ready: bool,
    pub flush: bool,
    /// Those that are read from when there is memory for it: it counts among those that hold it up.
    pub memory: bool,
}

/// How much is read from it at once: the read buffer; that doubled so often, for the source of a pipe; or what a file moves
/// in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadSize {
    Usual,
    Times2,
    Times4,
    Times8,
    Times16,
    Piece,
}

impl ReadSize {
    /// Of a socket, up to 1 MiB: fewer calls where much is moved.
    fn bytes(self) -> usize {
        match self {
            ReadSize::Usual | ReadSize::Piece => READ_BUFFER,
            ReadSize::Times2 => READ_BUFFER * 2,
            ReadSize::Times4 => READ_BUFFER * 4,
            ReadSize::Times8 => READ_BUFFER * 8,
            ReadSize::Times16 => READ_BUFFER * 16,
        }
    }

    fn doubled(self) -> Self {
        match self {
            ReadSize::Usual => ReadSize::Times2,
            ReadSize::Times2 => ReadSize::Times4,
            ReadSize::Times4 => ReadSize::Times8,
            ReadSize::Times8 | ReadSize::Times16 => ReadSize::Times16,
            ReadSize::Piece => ReadSize::Piece,
        }
    }

    fn halved(self) -> Self {
        match self {
            ReadSize::Usual | ReadSize::Times2 => ReadSize::Usual,
            ReadSize::Times4 => ReadSize::Times2,
            ReadSize::Times8 => ReadSize::Times4,
            ReadSize::Times16 => ReadSize::Times8,
            ReadSize::Piece => ReadSize::Piece,
        }
    }
}

/// How a connection is to end, where that is not as usual. A reset that waits goes before a destroy that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    AsUsual,
    /// `destroy_soon`: it is destroyed at `finish`, be it that of the next connection, as in Node. Pipes that were made
    /// from `pipes` on notice the `finish` after that: their sources are not paused by it.
    DestroyOnFinish {
        pipes: u64,
    },
    /// It is reset as soon as there is a connection.
    ResetOnConnect(ResetPlace, CloseReason),
    /// Its close is a reset.
    Reset,
    /// `on_close` has returned without a connect: there will be no other.
    Leaving,
}

/// When a reset that waits for the connection has its turn, once there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResetPlace {
    BeforeTheWrite,
    AfterTheWrite,
}

impl HasId for Conn {
    type Id = SocketId;

    #[inline]
    fn id(&self) -> SocketId {
        self.id
    }
}

impl Conn {
    /// One that is made at this second of the loop's clock.
    pub fn new(id: SocketId, connection: Connection, now: u32) -> Self {
        Conn {
            id,
            connection,
            handle: None,
            server: None,
            remote: Remote::Unknown,
            latches: Latches::default(),
            hang_up: HangUp::Unnoticed,
            lists: Lists::default(),
            ending: Ending::AsUsual,
            listener: false,
            referenced: true,
            apart: false,
            outlasts: false,
            no_delay: false,
            read_size: ReadSize::Usual,
            drain_wait: DrainWait::Single,
            held_by: 0,
            since: now,
            active: now,
            piping: None,
            limits: None,
            rare: None,
        }
    }

    /// A connection that is there already: accepted, or made by somebody else.
    pub fn connected(self, handle: Handle, remote: Remote) -> Self {
        Conn { handle: Some(handle), remote, ..self }
    }

    /// It is no part of the program: it does not keep the loop running.
    pub fn stands_apart(self, apart: bool) -> Self {
        Conn { apart, referenced: !apart, ..self }
    }

    /// One that a server has accepted.
    pub fn accepted_by(self, server: ServerId, no_delay: bool, limits: Option<Limits>) -> Self {
        Conn { server: Some(server), no_delay, limits, ..self }
    }

    /// It is a file. `readable` says whether a read may be tried before any readiness was reported.
    pub fn become_file(&mut self, file: FileEnd, readable: bool) {
        let always = file.watch == Watch::AlwaysReady;
        self.rare_mut().file = Some(file);
        self.read_size = ReadSize::Piece;
        self.latch(Readiness { readable: always || readable, writable: always, ..Readiness::default() });
    }

    // ---- readiness, and its places in the lists --------------------------------------------------------------------------

    /// Remembers what the kernel has reported.
    #[inline]
    pub fn latch(&mut self, found: Readiness) {
        if found.hung_up {
            // Reading and writing will both say why.
            self.latches = Latches { readable: true, writable: true, hung_up: true, ..self.latches };
            self.hangs_up();
        }
        self.latches.readable |= found.readable;
        self.latches.writable |= found.writable;
        self.latches.ended |= found.ended;
        self.latches.has_more |= found.ended | found.urgent;
    }

    /// Whether the peer's end has come, be it read or not.
    pub fn has_peer_ended(&self) -> bool {
        self.latches.ended || self.connection.has_ended()
    }

    /// Whether there is something to do now.
    #[inline]
    pub fn has_work(&self) -> bool {
        self.wants_to_read()
            || self.wants_to_write()
            || (self.latches.writable && self.connection.is_connecting())
            || self.may_be_gone()
    }

    #[inline]
    pub fn wants_to_read(&self) -> bool {
        self.latches.readable && self.connection.is_armed() && self.held_by == 0
    }

    #[inline]
    pub fn wants_to_write(&self) -> bool {
        self.latches.writable && self.connection.unsent_in_flight() > 0
    }

    /// Whether an end of this side is sent right after a read, and not in the next flush: libuv does so where the other side is
    /// gone.
    #[inline]
    pub fn shuts_down_when_served(&self) -> bool {
        self.latches.hung_up && self.connection.awaits_shutdown()
    }

    /// Stands on the ready list, once.
    #[inline]
    pub fn make_ready(&mut self, cx: &mut Cx) {
        if !self.lists.ready {
            self.lists.ready = true;
            cx.agenda.ready.push(self.id.into());
        }
    }

    /// Begins to be watched. libuv tells epoll so just before it waits, so its readiness comes after that of all that were
    /// ready by then: it stands last in the next round.
    pub fn watch(&mut self, cx: &mut Cx) {
        if !self.lists.ready {
            self.lists.ready = true;
            cx.agenda.just_watched.push(self.id);
        }
    }

    /// It may have begun to read: the kernel has reported what is there before, and does not report it again.
    #[inline]
    pub fn watch_if_readable(&mut self, cx: &mut Cx) {
        if self.wants_to_read() {
            self.watch(cx);
        }
    }

    /// It stood on a list for the next wait, which has come: on the ready list, if there is something to do.
    pub fn list_if_work(&mut self, cx: &mut Cx) {
        self.lists.ready = self.has_work() || self.waits_for_its_turn();
        if self.lists.ready {
            cx.agenda.ready.push(self.id.into());
        }
    }

    /// Stands on the flush list, once.
    #[inline]
    pub fn flush_later(&mut self, cx: &mut Cx) {
        if !self.lists.flush {
            self.lists.flush = true;
            cx.agenda.flush.push(self.id);
        }
    }

    /// Whether the kernel may report something of it. It never does of a file that is always ready.
    pub fn is_watched(&self) -> bool {
        if self.has_attempts() {
            return true;
        }
        self.handle.is_some() && self.file().is_none_or(|file| file.watch == Watch::Edges)
    }

    /// Referenced and active: connecting, reading, or with a write or an end under way (libuv's rule).
    pub fn keeps_alive(&self) -> bool {
        self.referenced
            && match self.connection.stage() {
                Stage::Connecting => !self.awaits_program(),
                Stage::Connected => {
                    self.connection.is_armed() || self.connection.is_in_flight() || self.connection.awaits_shutdown()
                }
                Stage::Fresh | Stage::Destroyed { .. } | Stage::Closed => false,
            }
    }

    // ---- inside ----------------------------------------------------------------------------------------------------------

    /// Something moved: the idle period begins again.
    #[inline]
    pub fn touch(&mut self, cx: &mut Cx) {
        self.active = cx.clock.second();
        if self.connection.idle().is_some() {
            self.touch_idle(cx);
        }
    }

    // Not inline: most connections have no idle clock, and every message comes by.
    #[inline(never)]
    fn touch_idle(&mut self, cx: &mut Cx) {
        let now = cx.timer_base();
        self.connection.activity(now, &mut cx.clock.timers, TimerKind::Idle(self.id));
    }

    /// Whether the outcome of a write or a connect waits for the flush.
    pub fn has_outcome_to_emit(&self) -> bool {
        self.rare().outcome.is_some()
    }

    /// Where tasks of this connection go: after those that are there.
    #[inline]
    fn tasks<'a>(&self, cx: &'a mut Cx) -> TasksOf<'a> {
        cx.agenda.of(self.id)
    }

    fn task(&self, task: ConnTask) -> Task {
        Task::Conn(self.id, task)
    }

    /// What it has that is a file.
    pub fn file(&self) -> Option<&FileEnd> {
        self.rare.as_ref()?.file.as_ref()
    }

    #[inline]
    pub fn is_file(&self) -> bool {
        matches!(self.remote, Remote::File)
    }

    pub fn handle_if_connected(&self) -> Option<Handle> {
        self.handle.filter(|_| self.connection.is_connected())
    }

    /// The destination of a pipe that it waits for.
    pub fn awaits_drain_of(&self) -> Option<SocketId> {
        self.piping.as_ref()?.awaited()
    }

    /// How many receivers hold it up.
    pub fn held_by_receivers(&self) -> u32 {
        self.held_by - u32::from(self.has_yielded()) - u32::from(self.lists.memory)
    }

    /// Its state in a word, for statistics.
    pub fn state(&self) -> &'static str {
        match (self.connection.stage(), self.connection.ready_state()) {
            (Stage::Fresh, _) => "fresh",
            (Stage::Connecting, _) => "connecting",
            (Stage::Connected, ReadyState::ReadOnly) => "read_only",
            (Stage::Connected, ReadyState::WriteOnly) => "write_only",
            (Stage::Connected, ReadyState::Open | ReadyState::Opening) => "open",
            (Stage::Connected, ReadyState::Closed) | (Stage::Destroyed { .. } | Stage::Closed, _) => "closing",
        }
    }

    pub fn is_piped(&self) -> bool {
        self.piping.as_ref().is_some_and(|piping| piping.has_destinations())
    }

    #[inline]
    fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&USUAL)
    }

    /// To be changed; where there is nothing to be taken away, [`Conn::rare_if_any`] makes nothing.
    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    #[inline]
    fn rare_if_any(&mut self) -> Option<&mut Rare> {
        self.rare.as_deref_mut()
    }
}
