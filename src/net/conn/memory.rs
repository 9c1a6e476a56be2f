//! What a connection has to do with the memory limit of its loop.

use super::Conn;
use crate::base::id::Id;
use crate::net::cx::Cx;
use crate::net::memory::class;
use crate::net::trace::Kind;

impl Conn {
    /// What its queue holds may have changed: its place in the index.
    #[inline]
    pub fn weigh(&self, cx: &mut Cx) {
        if cx.memory.has_limit() {
            cx.memory.index.set(self.id.key().slot, self.class());
        }
    }

    pub fn class(&self) -> u16 {
        class(self.connection.queue().weight())
    }

    /// There is no room to read ahead. If it would, it is not read from until there is some.
    #[cold]
    pub fn waits_for_memory(&mut self, cx: &mut Cx) -> bool {
        let waits = self.connection.reads_ahead();
        if waits {
            self.lists.memory = true;
            self.held_by += 1;
            let held = || "not read: the memory limit has no room for what would be kept".to_owned();
            cx.agenda.notes.add(self.id, Kind::Held, held);
            cx.memory.waiting.push_back(self.id);
        }
        waits
    }

    /// It takes what is read from now on, or is destroyed.
    pub fn stop_waiting_for_memory(&mut self, cx: &mut Cx) {
        if self.lists.memory {
            cx.memory.waiting.retain(|id| *id != self.id);
            self.read_ahead_again(cx);
        }
    }

    /// There is room again.
    pub fn read_ahead_again(&mut self, cx: &mut Cx) {
        self.lists.memory = false;
        self.release(cx);
    }

    /// The loop is above its limit, and this one has the most to send: what its policy says.
    pub fn make_room(&mut self, cx: &mut Cx) {
        let before = self.connection.queue().unsent();
        self.drop_for_memory(Cx::is_above_memory_limit, cx);
        if self.connection.queue().unsent() == before {
            cx.counters.memory_limited += 1;
            self.disconnect("memory", cx.memory.limit, cx);
        }
    }
}
