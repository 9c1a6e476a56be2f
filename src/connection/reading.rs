//! The reading half: what becomes of the bytes that come in, and of the end after them.
//!
//! ```text
//!   received ──flowing──▶ data                      Initial: nobody has asked yet; Paused: the user has
//!      │                   ▲
//!      └──not flowing──▶ read-ahead ──resume──┘     full at the high-water mark: the kernel is not read from
//! ```

use super::{Change, ConnTask, Connection, Stage, Tasks};

/// The state of the reading half of a connection.
#[derive(Debug)]
pub(super) struct ReadHalf {
    pub state: Reading,
    pub flow: Flow,
    interest: Interest,
    /// Somebody takes the data: a `data` handler, or a pipe. Apart from the flow: data that flows without is lost.
    listening: bool,
    /// A [`ConnTask::Resume`] is in the queue: a second one would let data flow twice.
    resume_scheduled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Open,
    EndSeen,
    EndEmitted,
}

/// Node's `readableFlowing`: null, false, true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Initial,
    Paused,
    Flowing,
}

/// Whether the kernel is read from. It stops when read-ahead reaches the mark, not when the user pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interest {
    Off,
    /// A read was asked for before there was a connection: it begins then, even if the user has paused meanwhile.
    OnceConnected,
    On,
}

/// What to do with a chunk that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Emit `data`, or write it into the pipes.
    Deliver,
    /// It is for [`Connection::keep_or_lose`].
    Hold,
}

impl ReadHalf {
    pub fn new() -> Self {
        ReadHalf {
            state: Reading::Open,
            flow: Flow::Initial,
            interest: Interest::Off,
            listening: false,
            resume_scheduled: false,
        }
    }

    /// That of a connection whose data waits for `resume`.
    pub fn paused() -> Self {
        ReadHalf { flow: Flow::Paused, ..ReadHalf::new() }
    }

    /// That of a file that is written.
    pub fn ended() -> Self {
        ReadHalf { state: Reading::EndEmitted, ..ReadHalf::new() }
    }

    /// Another connection begins.
    pub fn begin(&mut self) {
        self.state = Reading::Open;
    }
}

impl Connection {
    /// A handler for data came or went. The first one makes it flow, unless the user has paused.
    pub fn set_listening(&mut self, listening: bool, tasks: &mut impl Tasks) {
        self.read.listening = listening;
        if listening && self.read.flow != Flow::Paused {
            self.resume(tasks);
        }
    }

    /// A socket that is destroyed stays as it is, and so it is when it connects again.
    pub fn pause(&mut self, tasks: &mut impl Tasks) {
        if !self.is_destroyed() {
            self.set_flow(Flow::Paused, tasks);
        }
    }

    pub fn resume(&mut self, tasks: &mut impl Tasks) {
        if self.is_destroyed() || self.read.flow == Flow::Flowing {
            return;
        }
        self.set_flow(Flow::Flowing, tasks);
        if !self.read.resume_scheduled {
            self.read.resume_scheduled = true;
            tasks.push(ConnTask::Resume);
        }
    }

    /// A chunk of so many bytes was read.
    #[inline]
    pub fn received(&mut self, length: usize) -> Received {
        self.bytes_read += length as u64;
        if self.read.flow == Flow::Flowing && self.read.listening && !self.has_failed() {
            return Received::Deliver;
        }
        Received::Hold
    }

    /// Keeps a chunk for `resume`, or loses it if nobody wants it.
    #[cold]
    pub fn keep_or_lose(&mut self, chunk: &[u8]) {
        if self.has_failed() {
            // A failed write will destroy it in a moment. Node throws the bytes away too.
            self.disarm();
        } else if self.read.flow != Flow::Flowing {
            self.read_ahead.push(chunk);
            if !self.is_below_read_mark() {
                self.disarm();
            }
        }
    }

    /// The peer's end was read. `end` follows when all is delivered, even if nobody listens and the user has paused.
    pub fn reached_end(&mut self, tasks: &mut impl Tasks) {
        self.disarm();
        if self.read.state == Reading::Open {
            self.set_reading(Reading::EndSeen, tasks);
            if self.read_ahead.length() == 0 {
                tasks.push(ConnTask::End);
            }
        }
    }

    /// [`ConnTask::Resume`]: reading begins again, and what was kept flows: see [`Connection::next_kept`].
    pub fn resume_now(&mut self) {
        self.arm_below_mark();
        self.read.resume_scheduled = false;
    }

    /// The next kept chunk, if it flows. None ends the flow.
    pub fn next_kept(&mut self, tasks: &mut impl Tasks) -> Option<Vec<u8>> {
        loop {
            if self.read.flow != Flow::Flowing {
                return None;
            }
            let Some(chunk) = self.read_ahead.pop() else {
                self.arm_below_mark();
                return None;
            };
            if self.read_ahead.length() < self.high_water_mark() {
                self.arm();
            }
            if self.read.state == Reading::EndSeen && self.read_ahead.length() == 0 {
                tasks.push(ConnTask::End);
            }
            if self.read.listening && !self.is_sealed() {
                return Some(chunk);
            }
        }
    }

    /// What came before the peer's end was delivered at last, if it was: then `end` follows.
    pub fn end_if_due(&mut self, tasks: &mut impl Tasks) {
        if self.read.state == Reading::EndSeen && self.read_ahead.length() == 0 {
            tasks.push(ConnTask::End);
        }
    }

    /// Whether a kept chunk flows.
    pub fn has_kept_to_deliver(&self) -> bool {
        self.read.flow == Flow::Flowing && self.read_ahead.length() > 0
    }

    /// [`ConnTask::End`]: whether `end` is emitted now.
    pub fn emits_end(&mut self, tasks: &mut impl Tasks) -> bool {
        let emits = self.read.state == Reading::EndSeen
            && self.read_ahead.length() == 0
            && !self.has_failed()
            && !self.is_sealed();
        if emits {
            self.set_reading(Reading::EndEmitted, tasks);
        }
        emits
    }

    /// [`ConnTask::AfterEnd`]: unless half-open is allowed, this side ends on the next task.
    pub fn after_end(&mut self, tasks: &mut impl Tasks) {
        if self.is_writable() && !self.allow_half_open {
            tasks.push(ConnTask::EndWriting);
        }
    }

    /// Whether the kernel is to be read from.
    #[inline]
    pub fn is_armed(&self) -> bool {
        self.read.interest == Interest::On
    }

    pub fn is_paused(&self) -> bool {
        self.read.flow == Flow::Paused
    }

    /// Whether what is read goes to somebody at once, and nothing is kept of it.
    pub fn is_flowing(&self) -> bool {
        self.read.flow == Flow::Flowing && self.read.listening && self.read_ahead.length() == 0
    }

    pub fn is_listening(&self) -> bool {
        self.read.listening
    }

    /// Whether the peer's end was read.
    pub fn has_ended(&self) -> bool {
        self.read.state != Reading::Open
    }

    pub fn end_was_emitted(&self) -> bool {
        self.read.state == Reading::EndEmitted
    }

    /// Node's `readable`: `data` or `end` can still come.
    pub fn is_readable(&self) -> bool {
        !self.is_destroyed() && self.read.state != Reading::EndEmitted
    }

    pub fn read_ahead(&self) -> usize {
        self.read_ahead.length()
    }

    /// The memory of what is read ahead.
    pub fn read_ahead_held(&self) -> usize {
        self.read_ahead.held()
    }

    /// Whether what is read now would be kept.
    pub fn reads_ahead(&self) -> bool {
        self.read.flow != Flow::Flowing
    }

    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The connection is there: reading begins, unless it was to begin paused.
    pub(super) fn read_from_connection(&mut self) {
        if self.read.interest == Interest::OnceConnected || self.read.flow != Flow::Paused {
            self.read.interest = Interest::Off;
            self.arm();
        }
    }

    /// Whether it is not read from, as nobody has asked for its data and as much was read ahead as may be.
    pub fn is_read_ahead_full(&self) -> bool {
        self.read.flow == Flow::Initial && self.read.state == Reading::Open && !self.is_below_read_mark()
    }

    fn is_below_read_mark(&self) -> bool {
        let length = self.read_ahead.length();
        length == 0 || length < self.high_water_mark()
    }

    fn arm_below_mark(&mut self) {
        if self.is_below_read_mark() {
            self.arm();
        }
    }

    /// Reads from the kernel from now on, or from the connection on.
    pub(super) fn arm(&mut self) {
        if self.read.state != Reading::Open || self.is_destroyed() || self.has_failed() {
            return;
        }
        self.read.interest = match self.stage {
            Stage::Connected => Interest::On,
            _ => Interest::OnceConnected,
        };
    }

    /// Reads no more. What was asked for before there was a connection stays.
    pub(super) fn disarm(&mut self) {
        if self.read.interest == Interest::On {
            self.read.interest = Interest::Off;
        }
    }

    fn set_reading(&mut self, state: Reading, tasks: &mut impl Tasks) {
        self.read.state = state;
        tasks.tell(Change::Reading(state));
    }

    fn set_flow(&mut self, flow: Flow, tasks: &mut impl Tasks) {
        if self.read.flow != flow {
            self.read.flow = flow;
            tasks.tell(Change::Flow(flow));
        }
    }
}
