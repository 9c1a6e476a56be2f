//! What the net does with a connection, without a net: no sockets, no clock, a kernel that takes so many bytes and no
//! more. It does what the connection asks, and writes down what a user would be told.
//!
//! For tests only: those of the transitions (`tests.rs`), and the random ones against a model (`properties/`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use super::*;

pub(crate) struct Driver {
    pub connection: Connection,
    pub ticks: Vec<Tick>,
    pub segments: Segments,
    /// How many bytes the kernel takes until it is full.
    pub room: usize,
    /// How many it has taken.
    pub taken: usize,
    pub told: Vec<String>,
    pub closed: Option<(bool, CloseReason)>,
    pub shutdown_wanted: bool,
    pub shutdowns: u32,
}

/// Ticks that are only collected.
impl Ticks for Vec<Tick> {
    fn defer(&mut self, tick: Tick) {
        self.push(tick);
    }
}

impl Driver {
    pub fn on(connection: Connection) -> Self {
        Driver {
            connection,
            ticks: Vec::new(),
            segments: Segments::default(),
            room: usize::MAX,
            taken: 0,
            told: Vec::new(),
            closed: None,
            shutdown_wanted: false,
            shutdowns: 0,
        }
    }

    pub fn accepted() -> Self {
        Driver::on(Connection::accepted(100, false, false))
    }

    /// One that is read from.
    pub fn flowing() -> Self {
        let mut driver = Driver::accepted();
        driver.listen();
        driver.run();
        driver
    }

    pub fn fresh() -> Self {
        Driver::on(Connection::new(100, false))
    }

    pub fn connecting() -> Self {
        let mut driver = Driver::fresh();
        driver.connection.connect(&mut driver.ticks).unwrap();
        driver.run();
        driver
    }

    // ---- the user ---------------------------------------------------------------------------------------------------

    pub fn listen(&mut self) {
        self.connection.set_listening(true, &mut self.ticks);
    }

    pub fn write(&mut self, length: usize, callback: CallbackId) -> bool {
        match self.connection.write(length, Last::No, Some(callback), &mut self.ticks) {
            Admission::Now => {
                self.connection.keep(&vec![0; length], Borders::Merge);
                self.attempt();
            }
            Admission::Queue => {
                self.connection.keep(&vec![0; length], Borders::Merge);
                self.dispatch_waiting();
            }
            Admission::Refused => return false,
            Admission::Destroy(code) => {
                self.destroy(Some(Error::new(code)), Some(CloseReason::Error));
                return false;
            }
        }
        self.connection.write_returns()
    }

    pub fn broadcast(&mut self, message: &[u8]) -> bool {
        let message = self.segments.append(message);
        self.connection.queue_message(message, &mut self.segments)
    }

    pub fn end(&mut self, callback: Option<CallbackId>) {
        self.connection.uncork_for_end();
        self.dispatch_waiting();
        self.connection.end(callback, &mut self.ticks);
        self.finish_if_done();
    }

    pub fn uncork(&mut self) {
        self.connection.uncork();
        self.dispatch_waiting();
    }

    pub fn destroy(&mut self, error: Option<Error>, reason: Option<CloseReason>) {
        if self.connection.destroy(error, reason, &mut self.ticks) {
            self.connection.clear_queue(&mut self.segments);
        }
    }

    // ---- the net ----------------------------------------------------------------------------------------------------

    /// Runs all ticks, as the net does before its next piece of work, and then the shutdown that they ask for.
    pub fn run(&mut self) {
        loop {
            while !self.ticks.is_empty() {
                let tick = self.ticks.remove(0);
                self.tick(tick);
            }
            if !std::mem::take(&mut self.shutdown_wanted) || !self.connection.awaits_shutdown() {
                return;
            }
            self.shutdowns += 1;
            self.connection.shut(&mut self.ticks);
        }
    }

    pub fn tick(&mut self, tick: Tick) {
        match tick {
            Tick::Connect => self.tell("connect(2)"),
            Tick::Resume => {
                self.connection.resume_now();
                while let Some(chunk) = self.connection.flow(&mut self.ticks) {
                    self.tell(format!("data {}", chunk.len()));
                }
            }
            Tick::End => {
                if self.connection.tell_end() {
                    self.tell("end");
                    if self.connection.after_end(&mut self.ticks) == AfterEnd::Destroy {
                        self.destroy(None, None);
                    }
                }
            }
            Tick::EndWriting => {
                if self.connection.is_writable() {
                    self.end(None);
                }
            }
            Tick::AfterWrite(callbacks) => self.after_write(callbacks),
            Tick::WriteFailed(callbacks) => {
                let callbacks = callbacks + self.connection.fail_waiting();
                self.callbacks(callbacks);
                let error = self.connection.error().cloned();
                self.destroy(error, Some(CloseReason::PeerReset));
            }
            Tick::Finish => {
                let callbacks = self.connection.finished();
                self.callbacks(callbacks);
                self.tell("finish");
                if self.connection.end_was_told() {
                    self.destroy(None, None);
                }
            }
            Tick::Error => {
                self.connection.seal();
                let code = self.connection.error().unwrap().code();
                self.tell(format!("error {code}"));
            }
            Tick::Seal => self.connection.seal(),
            Tick::FailWaiting => {
                let callbacks = self.connection.fail_waiting();
                self.callbacks(callbacks);
            }
            Tick::Callbacks(callbacks) => self.callbacks(callbacks),
            Tick::Close => self.close(),
            Tick::Reset => unreachable!("only the net makes it"),
        }
    }

    pub fn tell(&mut self, event: impl Into<String>) {
        assert!(self.closed.is_none(), "told after close");
        self.told.push(event.into());
    }

    pub fn callbacks(&mut self, count: u32) {
        for _ in 0..count {
            let (callback, outcome) = self.connection.take_callback().unwrap();
            let outcome = outcome.map_or_else(|error| error.code(), |()| "ok");
            self.told.push(format!("{callback} {outcome}"));
        }
    }

    pub fn attempt(&mut self) {
        let sent = self.connection.unsent_in_flight().min(self.room);
        self.take(sent);
        self.connection.dispatched(sent, &mut self.ticks);
    }

    pub fn take(&mut self, sent: usize) {
        self.room -= sent;
        self.taken += sent;
        self.connection.queue_mut().sent(sent, &mut self.segments);
    }

    pub fn dispatch_waiting(&mut self) {
        match self.connection.next_unit(&mut self.ticks) {
            Admission::Now => self.attempt(),
            Admission::Refused | Admission::Destroy(_) => self.connection.clear_queue(&mut self.segments),
            Admission::Queue => {}
        }
    }

    pub fn after_write(&mut self, callbacks: u32) {
        if self.connection.after_write() {
            assert_eq!(self.connection.length(), 0, "drain with a buffer that is not empty");
            self.tell("drain");
        }
        self.callbacks(callbacks);
        if self.connection.is_destroyed() {
            let failed = self.connection.fail_waiting();
            self.callbacks(failed);
        } else {
            self.finish_if_done();
        }
    }

    pub fn finish_if_done(&mut self) {
        if self.connection.finish_if_done(&mut self.ticks) == Finish::Shutdown {
            self.shutdown_wanted = true;
        }
    }

    // ---- the kernel -------------------------------------------------------------------------------------------------

    pub fn connected(&mut self) {
        self.connection.connected();
        self.tell("connect");
        match self.connection.start() {
            Start::Nothing => {}
            Start::Dispatch => {
                self.connection.begin_parked();
                self.go_on();
            }
            Start::Shutdown => self.shutdown_wanted = true,
            Start::FailParked => unreachable!("nobody destroyed it in `connect`"),
        }
        self.run();
    }

    /// The kernel takes so many bytes more.
    pub fn has_room(&mut self, more: usize) {
        self.room = self.room.saturating_add(more);
        self.go_on();
        self.run();
    }

    pub fn go_on(&mut self) {
        if !self.connection.is_in_flight() {
            return;
        }
        let sent = self.connection.unsent_in_flight().min(self.room);
        self.take(sent);
        self.connection.progressed(sent);
        if self.connection.unsent_in_flight() == 0 {
            let callbacks = self.connection.completed();
            self.dispatch_waiting();
            self.after_write(callbacks);
        }
    }

    pub fn broken_pipe(&mut self) {
        let callbacks = self.connection.failed(Error::new(Code::Canceled));
        self.callbacks(callbacks);
        let error = self.connection.error().cloned();
        self.destroy(error, Some(CloseReason::PeerReset));
        self.run();
    }

    pub fn receive(&mut self, length: usize) {
        if self.connection.received(&vec![0; length]) == Received::Deliver {
            self.tell(format!("data {length}"));
        }
        self.run();
    }

    pub fn peer_ends(&mut self) {
        self.connection.reached_end(&mut self.ticks);
        self.run();
    }

    pub fn close(&mut self) {
        let callbacks = self.connection.cancel_in_flight();
        self.callbacks(callbacks);
        let (failed, reason) = self.connection.close();
        self.tell(format!("close({failed})"));
        self.closed = Some((failed, reason));
        let callbacks = self.connection.fail_parked(Code::ClosedBeforeConnection);
        self.callbacks(callbacks);
        self.run();
    }

    #[track_caller]
    pub fn expect(&mut self, told: &[&str]) {
        self.run();
        assert_eq!(self.told, told);
        self.told.clear();
    }
}
