//! The limit for the memory of a loop as a whole: what is done when it is passed.

use super::Net;
use super::memory::Index;
use super::statistics::Budget;

impl Net {
    /// Sets a limit for the memory of the loop as a whole: all output that is queued and all that was read and not delivered, of
    /// all connections and files, in bytes of memory. What a broadcast has queued for many counts once. `None`, the default,
    /// is no limit.
    ///
    /// Output limits bound what one connection holds ([`OutputLimits`](crate::OutputLimits)); a thousand that stay just below
    /// theirs hold a thousand times that. When the limit is passed, the connection that has the most to send is treated by its
    /// own policy: it is disconnected, or messages are dropped until there is room. One whose policy is to pause the senders is
    /// disconnected, as above its hard limit, and so is one that has no limits, and one that has nothing left that may be dropped.
    /// Then it is the next one's turn, until the limit holds. The error and the reason in `close` are those of an output limit,
    /// and the text names the memory limit. Which has the most is known to an eighth.
    ///
    /// What is read ahead, because a socket is paused or nobody listens, is bounded by not reading: it takes half of the limit at
    /// most. A socket that would pass that is not read from until there is room, or until it is resumed. Nobody is disconnected for it.
    ///
    /// The limit is looked at when the flush of a turn is over. Between that and the next look a turn may pass it by what its
    /// handlers write, and by what was broadcast and not offered to the kernel yet. So set it to what the process may use, less
    /// what a turn may write, less some 300 bytes for each connection. Where many are to be disconnected, that takes as many turns
    /// as the [budget](Net::set_turn_budget) needs.
    ///
    /// ```
    /// # let mut event_loop = tidegate::EventLoop::new()?;
    /// event_loop.net.set_memory_limit(Some(256 << 20));
    /// assert!(event_loop.net.counters().memory_held < 256 << 20);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn set_memory_limit(&mut self, limit: Option<usize>) {
        self.cx.memory.limit = limit.unwrap_or(usize::MAX);
        self.cx.memory.index = Index::default();
        for (_, conn) in self.conns.iter() {
            conn.weigh(&mut self.cx);
        }
        self.cx.memory.is_behind = self.cx.is_above_memory_limit();
        self.read_ahead_again();
    }

    /// The flush is over: what it has left is looked at.
    #[inline]
    pub(super) fn look_at_memory(&mut self) {
        let memory_held = self.cx.memory_held();
        let memory = &mut self.cx.memory;
        memory.most_held = memory.most_held.max(memory_held);
        if memory.has_limit() {
            self.keep_memory_limit();
        }
    }

    /// One connection at least, and as many as there is time for. The rest is the next turn's.
    #[cold]
    fn keep_memory_limit(&mut self) {
        self.cx.memory.is_behind = false;
        let mut has_begun = false;
        while self.cx.is_above_memory_limit()
            && let Some((class, slot)) = self.cx.memory.index.heaviest()
        {
            if has_begun && self.cx.time_is_up() {
                self.cx.memory.is_behind = true;
                self.cx.cut(Budget::Memory);
                break;
            }
            has_begun = true;
            self.cx.time.spend(1);
            let Some(conn) = self.conns.by_slot_mut(slot) else {
                self.cx.memory.index.set(slot, 0);
                continue;
            };
            if conn.class() >= class {
                conn.make_room(&mut self.cx);
            }
            conn.weigh(&mut self.cx);
        }
        self.read_ahead_again();
    }

    /// Those that wait for room to read ahead are read from again, as many as there is room for.
    fn read_ahead_again(&mut self) {
        let mut left = self.cx.reads_left();
        self.cx.memory.stops_reading_ahead = left == 0;
        while left > 0
            && let Some(id) = self.cx.memory.waiting.pop_front()
        {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.read_ahead_again(&mut self.cx);
                left -= 1;
            }
        }
    }
}
