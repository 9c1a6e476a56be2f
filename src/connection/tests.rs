//! The connection as pure transitions: no sockets, no clock, ticks that are only collected.
//!
//! [`Driver`] stands for the net: it does what the connection asks, against a kernel that takes so many bytes and no
//! more, and writes down what a user would be told. The last test drives it with random operations against a model
//! that knows nothing but sums and orders.

use super::*;
use std::fmt::Write;

/// What the net does with a connection, without a socket.
struct Driver {
    connection: Connection,
    ticks: Vec<Tick>,
    segments: Segments,
    /// How many bytes the kernel takes until it is full.
    room: usize,
    /// How many it has taken.
    taken: usize,
    told: Vec<String>,
    closed: Option<(bool, CloseReason)>,
    shutdown_wanted: bool,
    shutdowns: u32,
}

impl Driver {
    fn on(connection: Connection) -> Self {
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

    fn accepted() -> Self {
        Driver::on(Connection::accepted(100, false, false))
    }

    /// One that is read from.
    fn flowing() -> Self {
        let mut driver = Driver::accepted();
        driver.listen();
        driver.run();
        driver
    }

    fn fresh() -> Self {
        Driver::on(Connection::new(100, false))
    }

    fn connecting() -> Self {
        let mut driver = Driver::fresh();
        driver.connection.connect(&mut driver.ticks).unwrap();
        driver.run();
        driver
    }

    // ---- the user ---------------------------------------------------------------------------------------------------

    fn listen(&mut self) {
        self.connection.set_listening(true, &mut self.ticks);
    }

    fn write(&mut self, length: usize, callback: CallbackId) -> bool {
        match self.connection.write(length, Last::No, Some(callback), &mut self.ticks) {
            Admission::Now => {
                self.connection.queue.push(&vec![0; length], Borders::Merge);
                self.attempt();
            }
            Admission::Queue => {
                self.connection.queue.push(&vec![0; length], Borders::Merge);
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

    fn end(&mut self, callback: Option<CallbackId>) {
        self.connection.uncork_for_end();
        self.dispatch_waiting();
        self.connection.end(callback, &mut self.ticks);
        self.finish_if_done();
    }

    fn uncork(&mut self) {
        self.connection.uncork();
        self.dispatch_waiting();
    }

    fn destroy(&mut self, error: Option<Error>, reason: Option<CloseReason>) {
        if self.connection.destroy(error, reason, &mut self.ticks) {
            self.connection.queue.clear(&mut self.segments);
        }
    }

    // ---- the net ----------------------------------------------------------------------------------------------------

    /// Runs all ticks, as the net does before its next piece of work, and then the shutdown that they ask for.
    fn run(&mut self) {
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

    fn tick(&mut self, tick: Tick) {
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
                let code = self.connection.error().unwrap().code().name();
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

    fn tell(&mut self, event: impl Into<String>) {
        assert!(self.closed.is_none(), "told after close");
        self.told.push(event.into());
    }

    fn callbacks(&mut self, count: u32) {
        for _ in 0..count {
            let (callback, outcome) = self.connection.take_callback().unwrap();
            let outcome = outcome.map_or_else(|error| error.code().name(), |()| "ok");
            self.told.push(format!("{callback} {outcome}"));
        }
    }

    fn attempt(&mut self) {
        let sent = self.connection.unsent_in_flight().min(self.room);
        self.take(sent);
        self.connection.dispatched(sent, &mut self.ticks);
    }

    fn take(&mut self, sent: usize) {
        self.room -= sent;
        self.taken += sent;
        self.connection.queue.sent(sent, &mut self.segments);
    }

    fn dispatch_waiting(&mut self) {
        if self.connection.next_unit() {
            self.attempt();
        }
    }

    fn after_write(&mut self, callbacks: u32) {
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

    fn finish_if_done(&mut self) {
        if self.connection.finish_if_done(&mut self.ticks) == Finish::Shutdown {
            self.shutdown_wanted = true;
        }
    }

    // ---- the kernel -------------------------------------------------------------------------------------------------

    fn connected(&mut self) {
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
    fn has_room(&mut self, more: usize) {
        self.room = self.room.saturating_add(more);
        self.go_on();
        self.run();
    }

    fn go_on(&mut self) {
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

    fn broken_pipe(&mut self) {
        let callbacks = self.connection.failed(Error::new(Code::Canceled));
        self.callbacks(callbacks);
        let error = self.connection.error().cloned();
        self.destroy(error, Some(CloseReason::PeerReset));
        self.run();
    }

    fn receive(&mut self, length: usize) {
        if self.connection.received(&vec![0; length]) == Received::Deliver {
            self.tell(format!("data {length}"));
        }
        self.run();
    }

    fn peer_ends(&mut self) {
        self.connection.reached_end(&mut self.ticks);
        self.run();
    }

    fn close(&mut self) {
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
    fn expect(&mut self, told: &[&str]) {
        self.run();
        assert_eq!(self.told, told);
        self.told.clear();
    }
}

// ---- stages ---------------------------------------------------------------------------------------------------------

#[test]
fn ready_state_reads_as_nodes_in_every_stage() {
    let state = |driver: &Driver| driver.connection.ready_state().name();
    let mut driver = Driver::fresh();
    assert_eq!(state(&driver), "open");
    driver.connection.connect(&mut driver.ticks).unwrap();
    assert_eq!(state(&driver), "opening");
    driver.run();
    driver.connected();
    assert_eq!(state(&driver), "open");
    driver.end(None);
    assert_eq!(state(&driver), "readOnly");
    driver.run();
    driver.peer_ends();
    assert_eq!(state(&driver), "closed");

    let mut half_open = Driver::on(Connection::accepted(100, true, false));
    half_open.peer_ends();
    assert_eq!(state(&half_open), "writeOnly");
}

#[test]
fn a_connect_is_an_error_unless_fresh_or_closed() {
    let mut driver = Driver::connecting();
    assert!(driver.connection.connect(&mut driver.ticks).is_err());
    driver.connected();
    assert!(driver.connection.connect(&mut driver.ticks).is_err());
    driver.destroy(None, None);
    assert!(driver.connection.connect(&mut driver.ticks).is_err());
    driver.run();
    driver.close();
    assert!(driver.connection.connect(&mut driver.ticks).is_ok());
    assert_eq!(driver.ticks, [Tick::Connect]);
}

#[test]
fn a_destroy_counts_once_and_the_first_reason_stays() {
    let mut ticks = Vec::new();
    let mut connection = Connection::accepted(100, false, false);
    assert!(connection.destroy(None, Some(CloseReason::DestroyedHere), &mut ticks));
    assert!(!connection.destroy(Some(Error::new(Code::Other)), Some(CloseReason::Error), &mut ticks));
    assert_eq!(ticks, [Tick::Seal]);
    assert_eq!(connection.close(), (false, CloseReason::DestroyedHere));
}

#[test]
fn what_never_had_a_descriptor_closes_on_a_tick() {
    let mut driver = Driver::fresh();
    driver.destroy(None, None);
    assert_eq!(driver.ticks, [Tick::Seal, Tick::Close]);
    driver.expect(&["close(false)"]);
}

#[test]
fn the_reason_is_who_ended_first() {
    let mut driver = Driver::flowing();
    driver.peer_ends();
    driver.close();
    assert_eq!(driver.closed, Some((false, CloseReason::PeerEnded)));
    let mut driver = Driver::flowing();
    driver.end(None);
    driver.peer_ends();
    driver.close();
    assert_eq!(driver.closed, Some((false, CloseReason::EndedHere)));
}

#[test]
fn connecting_again_forgets_the_last_connection_and_keeps_what_the_user_has_set() {
    let mut driver = Driver::connecting();
    driver.connected();
    driver.listen();
    driver.receive(5);
    driver.write(3, 0);
    driver.run();
    driver.destroy(Some(Error::new(Code::Other)), Some(CloseReason::Error));
    driver.run();
    driver.close();
    assert_eq!((driver.connection.bytes_read(), driver.connection.bytes_written()), (5, 3));
    driver.connection.connect(&mut driver.ticks).unwrap();
    assert_eq!((driver.connection.bytes_read(), driver.connection.bytes_written()), (0, 0));
    assert_eq!(driver.connection.length(), 0);
    assert!(driver.connection.error().is_none());
    assert!(driver.connection.is_writable() && driver.connection.is_readable());
    driver.closed = None;
    driver.told.clear();
    driver.run();
    driver.connected();
    driver.receive(4);
    driver.expect(&["connect(2)", "connect", "data 4"]);
}

// ---- reading --------------------------------------------------------------------------------------------------------

#[test]
fn reading_begins_at_once_unless_it_was_to_begin_paused() {
    assert!(Connection::accepted(100, false, false).is_armed());
    let paused = Connection::accepted(100, false, true);
    assert!(!paused.is_armed() && paused.is_paused());
    let mut driver = Driver::connecting();
    assert!(!driver.connection.is_armed());
    driver.connected();
    assert!(driver.connection.is_armed());
    let mut driver = Driver::connecting();
    driver.connection.pause();
    driver.connected();
    assert!(!driver.connection.is_armed());
    driver.connection.resume(&mut driver.ticks);
    driver.run();
    assert!(driver.connection.is_armed());
}

#[test]
fn read_ahead_stops_at_the_mark_and_flows_in_the_order_of_arrival() {
    let mut driver = Driver::accepted();
    driver.receive(60);
    assert!(driver.connection.is_armed(), "60 of 100");
    driver.receive(39);
    assert!(driver.connection.is_armed(), "99 of 100");
    driver.receive(65536);
    assert!(!driver.connection.is_armed(), "the bound is the mark - 1 and one read");
    assert_eq!(driver.connection.read_ahead(), 99 + 65536);
    driver.listen();
    driver.expect(&["data 60", "data 39", "data 65536"]);
    assert!(driver.connection.is_armed());
    assert_eq!(driver.connection.read_ahead(), 0);
}

#[test]
fn a_mark_of_0_reads_one_chunk_ahead() {
    let mut driver = Driver::on(Connection::accepted(0, false, false));
    driver.receive(1);
    assert!(!driver.connection.is_armed());
    driver.listen();
    driver.expect(&["data 1"]);
    assert!(driver.connection.is_armed());
}

#[test]
fn a_pause_keeps_what_comes_and_a_handler_does_not_undo_it() {
    let mut driver = Driver::flowing();
    driver.connection.pause();
    driver.receive(5);
    driver.listen();
    driver.expect(&[]);
    driver.connection.resume(&mut driver.ticks);
    assert!(!driver.connection.is_paused(), "at once, for whoever asks");
    assert!(driver.told.is_empty(), "but nothing is told inside the call");
    driver.expect(&["data 5"]);
}

#[test]
fn a_pause_in_the_middle_of_the_flow_holds_the_rest_back() {
    let mut ticks = Vec::new();
    let mut connection = Connection::accepted(100, false, false);
    connection.received(b"one");
    connection.received(b"two");
    connection.set_listening(true, &mut ticks);
    connection.resume_now();
    assert_eq!(connection.flow(&mut ticks).as_deref(), Some(&b"one"[..]));
    connection.pause();
    assert_eq!(connection.flow(&mut ticks), None);
    assert_eq!(connection.read_ahead(), 3);
}

#[test]
fn end_waits_for_what_was_kept() {
    let mut driver = Driver::accepted();
    driver.receive(5);
    driver.peer_ends();
    driver.expect(&[]);
    driver.listen();
    driver.expect(&["data 5", "end", "finish"]);
    driver.close();
    driver.expect(&["close(false)"]);
}

#[test]
fn end_is_told_once_and_without_any_listener() {
    let mut driver = Driver::on(Connection::accepted(100, true, false));
    driver.connection.pause();
    driver.peer_ends();
    driver.peer_ends();
    driver.expect(&["end"]);
    assert!(!driver.connection.is_armed() && !driver.connection.is_readable() && driver.connection.is_writable());
}

#[test]
fn a_destroyed_connection_tells_neither_data_nor_end() {
    let mut driver = Driver::accepted();
    driver.receive(5);
    driver.peer_ends();
    driver.listen();
    driver.destroy(None, None);
    driver.close();
    assert!(!driver.told.iter().any(|event| event == "end"), "{:?}", driver.told);
}

// ---- writing --------------------------------------------------------------------------------------------------------

#[test]
fn a_write_that_is_taken_whole_leaves_nothing_and_its_callback_to_a_tick() {
    let mut driver = Driver::accepted();
    assert!(driver.write(1000, 7), "above the mark, but flushed");
    assert_eq!((driver.connection.length(), driver.connection.bytes_written()), (0, 1000));
    assert_eq!(driver.ticks, [Tick::AfterWrite(1)]);
    driver.expect(&["7 ok"]);
}

#[test]
fn one_unit_is_in_flight_and_the_next_is_all_that_waits() {
    let mut driver = Driver::accepted();
    driver.room = 10;
    assert!(!driver.write(100, 0), "100 of 100");
    assert!(!driver.write(5, 1));
    assert!(!driver.write(5, 2));
    assert_eq!((driver.connection.length(), driver.connection.unsent_in_flight()), (110, 90));
    driver.has_room(50);
    assert_eq!(driver.connection.length(), 110, "the unit counts whole until it is completed");
    driver.has_room(43);
    driver.expect(&["0 ok"]);
    assert_eq!((driver.connection.length(), driver.connection.unsent_in_flight()), (10, 7));
    driver.has_room(7);
    driver.expect(&["drain", "1 ok", "2 ok"]);
}

#[test]
fn corked_writes_wait_for_as_many_uncorks_and_go_out_as_one_unit() {
    let mut driver = Driver::accepted();
    driver.connection.cork();
    driver.connection.cork();
    driver.write(1, 0);
    driver.write(2, 1);
    driver.uncork();
    assert_eq!((driver.connection.length(), driver.taken), (3, 0));
    driver.uncork();
    assert_eq!((driver.connection.length(), driver.taken), (0, 3));
    driver.uncork();
    driver.expect(&["0 ok", "1 ok"]);
}

#[test]
fn what_waits_for_the_connection_goes_out_one_then_all() {
    let mut driver = Driver::connecting();
    driver.told.clear();
    driver.write(1, 0);
    driver.write(2, 1);
    driver.write(3, 2);
    driver.end(Some(3));
    assert_eq!((driver.connection.length(), driver.connection.bytes_written()), (6, 6));
    driver.connected();
    driver.expect(&["connect", "0 ok", "1 ok", "2 ok", "3 ok", "finish"]);
    assert_eq!((driver.taken, driver.shutdowns), (6, 1));
}

#[test]
fn the_writing_side_goes_from_open_over_each_step_to_finished() {
    let mut driver = Driver::accepted();
    driver.room = 0;
    driver.write(1, 0);
    driver.end(Some(1));
    assert_eq!(driver.connection.writing, Writing::Ending);
    driver.room = 1;
    driver.go_on();
    assert_eq!(driver.connection.writing, Writing::ShuttingDown);
    driver.connection.shut(&mut driver.ticks);
    assert_eq!(driver.connection.writing, Writing::Shut);
    assert!(!driver.connection.is_finished());
    driver.expect(&["0 ok", "1 ok", "finish"]);
    assert_eq!(driver.connection.writing, Writing::Finished);
    assert!(driver.connection.is_finished() && !driver.connection.is_destroyed(), "reading goes on");
}

#[test]
fn no_drain_after_end_nor_after_destroy() {
    let mut driver = Driver::accepted();
    driver.room = 0;
    assert!(!driver.write(100, 0));
    assert!(driver.connection.needs_drain());
    driver.end(None);
    assert!(!driver.connection.needs_drain());
    driver.has_room(100);
    driver.expect(&["0 ok", "finish"]);
    let mut driver = Driver::accepted();
    driver.room = 0;
    assert!(!driver.write(100, 0));
    driver.destroy(None, None);
    driver.close();
    driver.expect(&["0 ECANCELED", "close(false)"]);
}

#[test]
fn a_message_is_admitted_where_a_write_is_and_is_nobodys_mistake_elsewhere() {
    assert!(!Connection::new(100, false).admit_message(1), "never connected");
    assert!(Driver::connecting().connection.admit_message(1));
    let mut driver = Driver::accepted();
    assert!(driver.connection.admit_message(1));
    assert_eq!(driver.connection.length(), 1);
    driver.connection.queue.push(&[0], Borders::Merge);
    driver.dispatch_waiting();
    driver.end(None);
    assert!(!driver.connection.admit_message(1), "ended");
    driver.destroy(None, None);
    assert!(!driver.connection.admit_message(1), "destroyed");
    assert!(driver.connection.error().is_none());
}

#[test]
fn each_wrong_write_has_the_error_of_its_state() {
    let mut driver = Driver::fresh();
    assert!(!driver.write(1, 0));
    driver.expect(&["0 ERR_SOCKET_CLOSED", "error ERR_SOCKET_CLOSED", "close(true)"]);

    let mut driver = Driver::accepted();
    driver.end(None);
    assert!(!driver.write(1, 0));
    driver.expect(&["0 ERR_STREAM_WRITE_AFTER_END", "error ERR_STREAM_WRITE_AFTER_END"]);

    let mut driver = Driver::accepted();
    driver.room = 0;
    driver.write(1, 0);
    driver.peer_ends();
    driver.expect(&["end"]);
    assert!(!driver.write(1, 1));
    driver.expect(&["1 EPIPE", "error EPIPE"]);
    driver.close();
    driver.expect(&["0 ECANCELED", "close(true)"]);

    let mut driver = Driver::accepted();
    driver.destroy(None, None);
    assert!(!driver.write(1, 0));
    driver.expect(&["0 ERR_STREAM_DESTROYED"]);
}

#[test]
fn a_write_that_breaks_fails_all_behind_it_and_then_the_connection() {
    let mut driver = Driver::flowing();
    driver.room = 0;
    driver.write(1, 0);
    driver.write(1, 1);
    driver.end(Some(2));
    driver.broken_pipe();
    driver.expect(&["0 ECANCELED", "1 ECANCELED", "2 ECANCELED", "error ECANCELED"]);
    driver.close();
    driver.expect(&["close(true)"]);
}

#[test]
fn bytes_that_were_only_queued_are_not_counted_as_written_after_a_destroy() {
    let mut driver = Driver::accepted();
    driver.room = 10;
    driver.write(100, 0);
    driver.write(5, 1);
    assert_eq!(driver.connection.bytes_written(), 105);
    driver.destroy(None, None);
    assert_eq!(driver.connection.bytes_written(), 105);
    driver.run();
    driver.close();
    assert_eq!(driver.connection.bytes_written(), 100);
}

// ---- at random ------------------------------------------------------------------------------------------------------

/// What a user has done and was told, as sums and orders.
#[derive(Default)]
struct Model {
    /// Lengths of the writes that were admitted, by their callback.
    writes: Vec<usize>,
    received: usize,
    owes_drain: bool,
    ended: bool,
    peer_ended: bool,
}

impl Model {
    /// Looks at what was told since the last look.
    fn check(&mut self, driver: &Driver, seen: &mut usize, answered: &mut Vec<u64>, delivered: &mut usize) {
        for event in &driver.told[*seen..] {
            let mut words = event.split(' ');
            match (words.next().unwrap(), words.next()) {
                ("data", Some(length)) => *delivered += length.parse::<usize>().unwrap(),
                ("end", None) => {
                    assert!(self.peer_ended, "an end that nobody sent");
                    assert_eq!(*delivered, self.received, "end before the last byte");
                }
                ("drain", None) => {
                    assert!(self.owes_drain && !self.ended, "a drain that is not owed");
                    self.owes_drain = false;
                }
                ("finish", None) => assert!(self.ended || self.peer_ended),
                ("connect" | "error" | "close(true)" | "close(false)", _) => {}
                (callback, Some(outcome)) => {
                    let callback = callback.parse::<u64>().unwrap();
                    assert!(!answered.contains(&callback), "callback {callback} twice");
                    if outcome == "ok" {
                        assert!(answered.iter().all(|earlier| *earlier < callback), "callback {callback} out of order");
                        let before: usize = self.writes[..=callback as usize].iter().sum();
                        assert!(driver.taken >= before, "callback {callback} before its bytes");
                    }
                    answered.push(callback);
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        *seen = driver.told.len();
        assert!(*delivered <= self.received);
        let connection = &driver.connection;
        if !connection.is_destroyed() && connection.error().is_none() {
            let written: usize = self.writes.iter().sum();
            assert_eq!(connection.bytes_written(), written as u64);
            assert_eq!(connection.queue.unsent(), written - driver.taken);
            assert!(connection.length() >= written - driver.taken, "what is unsent counts");
            assert_eq!(connection.length() == 0, written == driver.taken);
            assert_eq!(connection.bytes_read(), self.received as u64);
        }
    }
}

#[test]
fn random_operations_keep_every_order_and_every_sum() {
    for seed in 1..=2000u64 {
        let mut log = String::new();
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| random_run(seed, &mut log)));
        if let Err(panic) = run {
            eprintln!("seed {seed}, operations:{log}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn random_run(seed: u64, log: &mut String) {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mark = [0, 1, 50, 1000][random(4)];
    let half_open = random(2) == 0;
    let mut driver = if random(2) == 0 {
        Driver::on(Connection::accepted(mark, half_open, random(4) == 0))
    } else {
        let mut driver = Driver::on(Connection::new(mark, half_open));
        driver.connection.connect(&mut driver.ticks).unwrap();
        driver.ticks.clear();
        driver
    };
    driver.room = random(300);
    let mut model = Model::default();
    let (mut seen, mut answered, mut delivered) = (0, Vec::new(), 0);
    for _ in 0..random(120) {
        // A user may do several things in one handler; the kernel is only asked when all ticks have run.
        let operation = random(18);
        let _ = write!(log, " {operation}");
        if operation >= 9 {
            driver.run();
            model.check(&driver, &mut seen, &mut answered, &mut delivered);
        }
        let live = driver.connection.stage() == Stage::Connected;
        match operation {
            0..=3 => {
                let length = random(120);
                if driver.connection.is_writable() {
                    let callback = model.writes.len() as CallbackId;
                    model.writes.push(length);
                    let returned = driver.write(length, callback);
                    model.owes_drain |= !returned;
                    let room = driver.connection.length() == 0 || driver.connection.length() < mark as usize;
                    assert_eq!(returned, room && driver.connection.error().is_none());
                }
            }
            4 => driver.connection.cork(),
            5 => driver.uncork(),
            6 => driver.connection.pause(),
            // What flows while nobody listens is lost, which is the user's own doing.
            7 if driver.connection.is_listening() => driver.connection.resume(&mut driver.ticks),
            8 => driver.listen(),
            9..=11 if live && driver.connection.is_armed() => {
                let length = 1 + random(200);
                model.received += length;
                driver.receive(length);
            }
            12 if live && driver.connection.is_armed() && random(3) == 0 => {
                model.peer_ended = true;
                driver.peer_ends();
            }
            13 | 14 if live => driver.has_room(random(200)),
            15 if driver.connection.stage() == Stage::Connecting => driver.connected(),
            16 if random(6) == 0 => {
                model.ended = true;
                driver.end(None);
            }
            17 if random(25) == 0 => match random(2) {
                0 => driver.destroy(None, Some(CloseReason::DestroyedHere)),
                _ => driver.destroy(Some(Error::new(Code::Other)), Some(CloseReason::Error)),
            },
            _ => {}
        }
        model.check(&driver, &mut seen, &mut answered, &mut delivered);
    }
    // To the end: all corks pulled, all room there is, everybody listening.
    driver.run();
    if driver.connection.stage() == Stage::Connecting {
        driver.connected();
    }
    model.check(&driver, &mut seen, &mut answered, &mut delivered);
    if driver.connection.stage() == Stage::Connected {
        driver.listen();
        driver.connection.resume(&mut driver.ticks);
        driver.run();
        model.ended = true;
        driver.end(None);
        driver.has_room(usize::MAX);
        if !model.peer_ended {
            model.peer_ended = true;
            driver.peer_ends();
        }
        driver.run();
        assert!(driver.connection.is_destroyed(), "both halves are over: {:?}", driver.told);
        assert_eq!(driver.told.iter().filter(|event| *event == "finish").count(), 1);
        assert_eq!(driver.told.iter().filter(|event| *event == "end").count(), 1);
        assert_eq!(driver.shutdowns, 1);
    }
    driver.close();
    model.check(&driver, &mut seen, &mut answered, &mut delivered);
    answered.sort_unstable();
    assert!(answered.iter().copied().eq(0..model.writes.len() as u64), "each callback once: {answered:?}");
    assert!(driver.told.last().is_some_and(|event| event.starts_with("close") || event.contains(' ')));
}
