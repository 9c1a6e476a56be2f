//! The reading half: what becomes of the bytes that come in, and of the end behind them.
//!
//! ```text
//!   received ──flowing──▶ data                      Initial: nobody has asked yet; Paused: the user has
//!      │                   ▲
//!      └──not flowing──▶ read-ahead ──resume──┘     full at the high-water mark: the kernel is not read from
//! ```

use super::{AfterEnd, Connection, Flow, Reading, Received, Stage, Tick, Ticks, Writing};

impl Connection {
    /// A handler for data came or went. The first one makes it flow, unless the user has paused.
    pub fn set_listening(&mut self, listening: bool, ticks: &mut impl Ticks) {
        self.listening = listening;
        if listening && self.flow != Flow::Paused {
            self.resume(ticks);
        }
    }

    pub fn pause(&mut self) {
        self.flow = Flow::Paused;
    }

    pub fn resume(&mut self, ticks: &mut impl Ticks) {
        if self.is_destroyed() || self.flow == Flow::Flowing {
            return;
        }
        self.flow = Flow::Flowing;
        if !self.resume_scheduled {
            self.resume_scheduled = true;
            ticks.defer(Tick::Resume);
        }
    }

    /// `chunk` was read.
    #[inline]
    pub fn received(&mut self, chunk: &[u8]) -> Received {
        self.bytes_read += chunk.len() as u64;
        if self.flow == Flow::Flowing && self.listening && self.error.is_none() {
            return Received::Deliver;
        }
        self.keep_or_lose(chunk);
        Received::Done
    }

    #[cold]
    fn keep_or_lose(&mut self, chunk: &[u8]) {
        if self.error.is_some() {
            // A failed write will destroy it in a moment. Node throws the bytes away too.
            self.armed = false;
        } else if self.flow != Flow::Flowing {
            self.read_ahead.push(chunk);
            self.armed = self.below_read_mark();
        }
    }

    /// The peer's end was read. `end` follows when all is delivered, even if nobody listens and the user has paused.
    pub fn reached_end(&mut self, ticks: &mut impl Ticks) {
        self.armed = false;
        if self.reading == Reading::Open {
            self.reading = Reading::EndSeen;
            if self.read_ahead.length() == 0 {
                ticks.defer(Tick::End);
            }
        }
    }

    /// [`Tick::Resume`]: reading begins again, and what was kept flows: see [`Connection::flow`].
    pub fn resume_now(&mut self) {
        self.arm_below_mark();
        self.resume_scheduled = false;
    }

    /// The next kept chunk, if it flows. None ends the flow.
    pub fn flow(&mut self, ticks: &mut impl Ticks) -> Option<Vec<u8>> {
        loop {
            if self.flow != Flow::Flowing {
                return None;
            }
            let Some(chunk) = self.read_ahead.pop() else {
                self.arm_below_mark();
                return None;
            };
            if self.read_ahead.length() < self.high_water_mark() {
                self.arm();
            }
            if self.reading == Reading::EndSeen && self.read_ahead.length() == 0 {
                ticks.defer(Tick::End);
            }
            if self.listening && !self.is_sealed() {
                return Some(chunk);
            }
        }
    }

    /// [`Tick::End`]: whether `end` is to be told.
    pub fn tell_end(&mut self) -> bool {
        let tell = self.reading == Reading::EndSeen
            && self.read_ahead.length() == 0
            && self.error.is_none()
            && !self.is_sealed();
        if tell {
            self.reading = Reading::EndTold;
        }
        tell
    }

    /// `end` was told. What follows from it.
    pub fn after_end(&mut self, ticks: &mut impl Ticks) -> AfterEnd {
        if self.is_writable() && !self.allow_half_open {
            ticks.defer(Tick::EndWriting);
        } else if self.writing == Writing::Finished {
            return AfterEnd::Destroy;
        }
        AfterEnd::Nothing
    }

    /// Whether the kernel is to be read from.
    #[inline]
    pub fn is_armed(&self) -> bool {
        self.armed
    }

    pub fn is_paused(&self) -> bool {
        self.flow == Flow::Paused
    }

    /// Whether what is read goes to somebody at once, and nothing is kept of it.
    pub fn is_flowing(&self) -> bool {
        self.flow == Flow::Flowing && self.listening && self.read_ahead.length() == 0
    }

    pub fn is_listening(&self) -> bool {
        self.listening
    }

    /// Whether the peer's end was read.
    pub fn has_ended(&self) -> bool {
        self.reading != Reading::Open
    }

    pub fn end_was_told(&self) -> bool {
        self.reading == Reading::EndTold
    }

    /// Node's `readable`: `data` or `end` can still come.
    pub fn is_readable(&self) -> bool {
        !self.is_destroyed() && self.reading != Reading::EndTold
    }

    pub fn read_ahead(&self) -> usize {
        self.read_ahead.length()
    }

    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    fn below_read_mark(&self) -> bool {
        let length = self.read_ahead.length();
        length == 0 || length < self.high_water_mark()
    }

    fn arm_below_mark(&mut self) {
        if self.below_read_mark() {
            self.arm();
        }
    }

    /// Reads from the kernel from now on, or from the connection on.
    pub(super) fn arm(&mut self) {
        if self.reading != Reading::Open || self.is_destroyed() || self.error.is_some() {
            return;
        }
        match self.stage {
            Stage::Connected => self.armed = true,
            _ => self.read_when_connected = true,
        }
    }
}
