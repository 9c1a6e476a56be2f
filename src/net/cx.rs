//! What a connection or a server needs of the net to do its work: everything but the connections and the servers.
//!
//! Everything about one connection is a method of `Conn` on `(&mut self, cx: &mut Cx)`, called as `conn.f(&mut self.cx)`. So
//! a connection is looked up once, and what it does then cannot reach another one: what it wants of others is a task
//! (`agenda.rs`), and the net runs it.

use std::io;
use std::time::Duration;

use super::agenda::{Agenda, Task};
use super::clock::{Clock, TimerKind};
use super::counters::Counters;
use super::labels::Labels;
use super::memory::Memory;
#[cfg(feature = "names")]
use super::names::Names;
use super::read_buffer::READ_BUFFER;
use super::server_counts::ServerCounts;
use super::statistics::{Budget, Tally};
use super::trace::{Kind, Whom};
use super::turn_time::TurnTime;
use crate::base::id::ServerId;
use crate::base::timers::Due;
use crate::connection::Segments;
use crate::kernel::{Handle, Kernel};

#[derive(Debug)]
pub(super) struct Cx {
    pub kernel: Box<dyn Kernel>,
    pub agenda: Agenda,
    pub clock: Clock,
    pub time: TurnTime,
    pub segments: Segments,
    pub memory: Memory,
    pub servers: ServerCounts,
    /// How many sockets have a server that stands apart.
    pub sockets_apart: usize,
    pub counters: Counters,
    pub labels: Labels,
    /// How many look-ups the program was asked for.
    pub own_lookups: u64,
    /// From the first look-up on.
    #[cfg(feature = "names")]
    pub names: Option<Box<Names>>,
    /// While statistics are kept.
    pub tally: Option<Box<Tally>>,
}

impl Cx {
    pub fn new(kernel: Box<dyn Kernel>) -> Self {
        Cx {
            clock: Clock::of(&*kernel),
            kernel,
            time: TurnTime::new(),
            agenda: Agenda::default(),
            segments: Segments::default(),
            memory: Memory::new(),
            servers: ServerCounts::default(),
            sockets_apart: 0,
            counters: Counters::default(),
            labels: Labels::default(),
            own_lookups: 0,
            #[cfg(feature = "names")]
            names: None,
            tally: None,
        }
    }

    pub fn now(&self) -> Duration {
        self.clock.now(&*self.kernel)
    }

    /// The second of the loop's clock in which something is made.
    pub fn second(&self) -> u32 {
        self.now().as_secs() as u32
    }

    /// What activity counts from.
    pub fn timer_base(&self) -> Duration {
        self.clock.timer_base(&*self.kernel)
    }

    /// What a delay that a call sets counts from.
    pub fn time_of_call(&self) -> Duration {
        self.clock.time_of_call(&*self.kernel)
    }

    /// Sets a timer that counts from the turn.
    pub fn set_timer(&mut self, delay: Duration, what: TimerKind) -> Due {
        let base = self.timer_base();
        self.clock.timers.insert_after(base, delay, what)
    }

    /// Whether the time of the turn is up, or the share of the present phase: then nothing more than one piece of work is
    /// begun.
    #[inline(always)]
    pub fn time_is_up(&mut self) -> bool {
        self.time.is_spent() && self.look_at_time()
    }

    #[cold]
    fn look_at_time(&mut self) -> bool {
        if self.time.is_up() {
            return true;
        }
        let is_up = self.time.look(self.kernel.now());
        if is_up {
            self.agenda.notes.add(Whom::Loop, Kind::Budget, || "the time of this phase is over".to_owned());
        }
        is_up
    }

    /// Something has happened that the statistics count.
    #[inline]
    pub fn count(&mut self, count: impl FnOnce(&mut Tally)) {
        if let Some(tally) = &mut self.tally {
            count(tally);
        }
    }

    /// A budget has cut work short.
    #[cold]
    pub fn cut(&mut self, budget: Budget) {
        self.count(|tally| tally.cut(budget));
    }

    /// The kernel was offered so many bytes: counts what it has not taken.
    #[inline]
    pub fn wrote(&mut self, offered: usize, wrote: &io::Result<usize>) {
        if !matches!(wrote, Ok(sent) if *sent == offered) {
            self.wrote_less(offered, wrote);
        }
    }

    #[inline(never)]
    fn wrote_less(&mut self, offered: usize, wrote: &io::Result<usize>) {
        self.count(|tally| {
            match wrote {
                Ok(sent) => tally.writes_short += u64::from(*sent < offered),
                Err(error) => tally.writes_blocked += u64::from(error.kind() == io::ErrorKind::WouldBlock),
            }
            tally.refused += (offered - wrote.as_ref().unwrap_or(&0)) as u64;
        });
    }

    /// Closes a descriptor.
    pub fn close(&mut self, handle: Handle) {
        self.kernel.close(handle);
        self.agenda.descriptor_freed = true;
    }

    /// Closes a descriptor with a reset.
    pub fn reset(&mut self, handle: Handle) {
        self.kernel.reset(handle);
        self.agenda.descriptor_freed = true;
    }

    /// A connection of this server was destroyed. It counts at once, though the socket's own `close` comes later.
    pub fn connection_went(&mut self, server: ServerId) {
        self.servers.connection_went(server);
        self.close_server_if_over(server);
    }

    /// Has the `close` of a server come that neither listens nor has connections.
    pub fn close_server_if_over(&mut self, server: ServerId) {
        if self.servers.is_over(server) {
            let over = || "it neither listens nor has connections".to_owned();
            self.agenda.notes.add(server, Kind::Destroyed, over);
            self.agenda.push(Task::ServerClose(server));
        }
    }

    /// All queued output and read-ahead, in bytes of memory.
    #[inline]
    pub fn memory_held(&self) -> usize {
        self.segments.held() + self.segments.queues() + self.memory.read_ahead()
    }

    pub fn is_above_memory_limit(&self) -> bool {
        self.memory_held() > self.memory.limit
    }

    pub fn most_memory_held(&self) -> usize {
        self.memory.most_held.max(self.memory_held())
    }

    /// How many connections may read ahead once more.
    pub fn reads_left(&self) -> usize {
        let memory = &self.memory;
        let of_read_ahead = memory.most_read_ahead().saturating_sub(memory.read_ahead());
        let of_all = memory.limit.saturating_sub(self.memory_held());
        of_read_ahead.min(of_all) / READ_BUFFER
    }
}
