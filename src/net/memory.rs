//! The memory that a loop holds for its connections, and a limit for it.
//!
//! ```text
//!   queues' own bytes ─┐
//!   segments, once     ├─▶ held ──▶ above the limit: the connection with the most output is judged by its policy, then the next
//!   read-ahead ────────┘       └──▶ near the limit: nothing more is read ahead
//! ```
//!
//! The limits of a connection bound one connection; what they come to together only this bounds. It looks after each flush,
//! as the others do: what the kernel takes at once was never held.
//!
//! The connection that holds the most is found without asking all of them. Each that the kernel has refused bytes of has a size
//! class, eight for each power of two, and is moved in a sorted set when its class changes and at no other time. A class in the
//! set may be out of date, since a queue that is emptied in its usual way does not say so; whoever comes up is asked again.

use std::collections::{BTreeSet, VecDeque};

use super::Net;
use super::conn::Conn;
use super::cx::Cx;
use super::read_buffer::READ_BUFFER;
use crate::base::id::{Id, SocketId};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Memory {
    /// `usize::MAX` if there is none.
    limit: usize,
    /// The memory of all read-ahead.
    read_ahead: usize,
    most_held: usize,
    index: Index,
    /// Whether nothing more is read ahead.
    pub stops_reading_ahead: bool,
    /// Those that are not read from because of that, in the order in which they came.
    pub waiting: VecDeque<SocketId>,
}

/// Connections by what they have to send: by their slots, as one that is gone is found out when it comes up.
#[derive(Debug, Default)]
struct Index {
    classes: Vec<u16>,
    sorted: BTreeSet<(u16, u32)>,
}

impl Memory {
    pub fn new() -> Self {
        Memory {
            limit: usize::MAX,
            read_ahead: 0,
            most_held: 0,
            index: Index::default(),
            stops_reading_ahead: false,
            waiting: VecDeque::new(),
        }
    }

    pub fn has_limit(&self) -> bool {
        self.limit != usize::MAX
    }

    /// What a connection has read ahead takes other memory than before.
    pub fn read_ahead_changed(&mut self, before: usize, now: usize) {
        self.read_ahead = self.read_ahead + now - before;
        self.stops_reading_ahead |= self.read_ahead + READ_BUFFER > self.most_read_ahead();
    }

    pub fn read_ahead(&self) -> usize {
        self.read_ahead
    }

    /// So that what is read and not taken cannot drive out all that is to be sent.
    fn most_read_ahead(&self) -> usize {
        if self.has_limit() { self.limit / 2 } else { usize::MAX }
    }
}

impl Index {
    fn set(&mut self, slot: u32, class: u16) {
        let at = slot as usize;
        if at >= self.classes.len() {
            self.classes.resize(at + 1, 0);
        }
        let before = std::mem::replace(&mut self.classes[at], class);
        if before == class {
            return;
        }
        if before > 0 {
            self.sorted.remove(&(before, slot));
        }
        if class > 0 {
            self.sorted.insert((class, slot));
        }
    }

    fn heaviest(&self) -> Option<(u16, u32)> {
        self.sorted.last().copied()
    }
}

/// The size class of so many bytes. In one class, the most are at most an eighth more than the fewest. 0 for none.
fn class(bytes: usize) -> u16 {
    if bytes == 0 {
        return 0;
    }
    let zeros = bytes.leading_zeros();
    let highest_four = (bytes << zeros) >> (usize::BITS - 4);
    ((usize::BITS - zeros) * 8) as u16 + (highest_four - 8) as u16
}

impl Cx {
    /// All queued output and read-ahead, in bytes of memory.
    #[inline]
    pub fn memory_held(&self) -> usize {
        self.segments.held() + self.segments.queues() + self.memory.read_ahead
    }

    fn is_above_memory_limit(&self) -> bool {
        self.memory_held() > self.memory.limit
    }

    pub fn most_memory_held(&self) -> usize {
        self.memory.most_held.max(self.memory_held())
    }

    /// How many connections may read ahead once more.
    fn reads_left(&self) -> usize {
        let memory = &self.memory;
        let of_read_ahead = memory.most_read_ahead().saturating_sub(memory.read_ahead);
        let of_all = memory.limit.saturating_sub(self.memory_held());
        of_read_ahead.min(of_all) / READ_BUFFER
    }
}

impl Conn {
    /// What its queue holds may have changed: its place in the index.
    #[inline]
    pub fn weigh(&self, cx: &mut Cx) {
        if cx.memory.has_limit() {
            cx.memory.index.set(self.id.key().slot, self.class());
        }
    }

    fn class(&self) -> u16 {
        class(self.connection.queue().weight())
    }

    /// It would read ahead, and there is no room: it is not read from until there is some.
    #[cold]
    pub fn wait_for_memory(&mut self, cx: &mut Cx) {
        self.lists.memory = true;
        self.held_by += 1;
        cx.memory.waiting.push_back(self.id);
    }

    /// It takes what is read from now on, or is destroyed.
    pub fn stop_waiting_for_memory(&mut self, cx: &mut Cx) {
        if self.lists.memory {
            cx.memory.waiting.retain(|id| *id != self.id);
            self.read_ahead_again(cx);
        }
    }

    /// There is room again.
    fn read_ahead_again(&mut self, cx: &mut Cx) {
        self.lists.memory = false;
        self.release(cx);
    }

    /// The loop is above its limit, and this one has the most to send: what its policy says.
    fn make_room(&mut self, cx: &mut Cx) {
        let before = self.connection.queue().unsent();
        self.drop_for_memory(Cx::is_above_memory_limit, cx);
        if self.connection.queue().unsent() == before {
            cx.counters.memory_limited += 1;
            self.disconnect("memory", cx.memory.limit, cx);
        }
    }
}

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
    /// what a turn may write, less some 300 bytes for each connection.
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

    #[cold]
    fn keep_memory_limit(&mut self) {
        while self.cx.is_above_memory_limit()
            && let Some((class, slot)) = self.cx.memory.index.heaviest()
        {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_an_eighth_wide_and_none_has_two() {
        assert_eq!(class(0), 0);
        let mut fewest = 1;
        for bytes in 1..100_000_usize {
            if class(bytes) != class(fewest) {
                assert!(class(bytes) > class(fewest));
                fewest = bytes;
            }
            assert!(bytes - fewest <= fewest / 8, "{fewest} and {bytes}");
        }
        assert!(class(usize::MAX) > class(usize::MAX / 2));
    }

    #[test]
    fn the_heaviest_is_known_however_they_change() {
        let mut index = Index::default();
        for (slot, bytes) in [(3, 100), (1, 5000), (7, 300), (1, 10), (7, 0), (3, 101)] {
            index.set(slot, class(bytes));
        }
        assert_eq!(index.heaviest(), Some((class(100), 3)));
        index.set(3, 0);
        assert_eq!(index.heaviest(), Some((class(10), 1)));
        index.set(1, 0);
        assert_eq!(index.heaviest(), None);
    }
}
