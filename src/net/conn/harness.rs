//! One connection on the real agenda, with a kernel that takes so many bytes and no more, and without a net.
//!
//! For tests only: those of the transitions (`tests.rs`), and the random ones against a model (`properties/`). It does what
//! the net does with one connection, a task at a time, and writes down the events that a user would get.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]
#![cfg_attr(fuzzing, allow(dead_code, reason = "the fuzz targets use a part of it"))]

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::time::Duration;

use super::read::ReadOutcome;
use super::write::WriteKind;
use super::{Conn, Remote};
use crate::address::Address;
use crate::address::endpoint::Endpoint;
use crate::base::error::{Error, Syscall};
use crate::base::id::{Id, Key, Owner, SocketId};
use crate::connection::{CallbackId, CloseReason, Connection};
use crate::kernel::{ConnectOptions, Handle, Kernel, ListenOptions, Readiness, Ready, SocketOption, Token};
use crate::net::agenda::Task;
use crate::net::cx::Cx;
use crate::net::event::Event;
use crate::net::read_buffer::ReadBuffer;
use crate::net::serving::Serving;

const HANDLE: Handle = Handle(0);

/// What the kernel of a [`Harness`] has and does.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// How many bytes it takes until it is full.
    pub room: usize,
    /// How many it has taken.
    pub taken: usize,
    /// How many bytes come next, or the end, or nothing.
    incoming: Option<usize>,
    is_connected: bool,
    /// Writes fail from now on.
    is_gone: bool,
    pub shutdowns: u32,
}

pub(crate) struct Harness {
    conn: Conn,
    cx: Cx,
    pub peer: Rc<RefCell<Peer>>,
    pub emitted: Vec<String>,
    pub closed: Option<(bool, CloseReason)>,
    /// The `close` handler connects again.
    pub connects_again: bool,
    buffer: ReadBuffer,
}

/// Any id.
pub(crate) fn an_id() -> SocketId {
    SocketId::new(Key { slot: 0, generation: 0 }, Owner::unique())
}

impl Harness {
    fn on(connection: Connection, is_connected: bool) -> Self {
        let peer = Rc::new(RefCell::new(Peer { room: usize::MAX, is_connected, ..Peer::default() }));
        let conn = Conn::new(an_id(), connection, 0);
        let conn = if is_connected { conn.connected(HANDLE, Remote::Unknown) } else { conn };
        let cx = Cx::new(Box::new(Small { peer: peer.clone() }));
        let mut harness = Harness {
            conn,
            cx,
            peer,
            emitted: Vec::new(),
            closed: None,
            connects_again: false,
            buffer: ReadBuffer::default(),
        };
        harness.conn.latch(Readiness { writable: is_connected, ..Readiness::default() });
        harness
    }

    pub fn accepted_with(high_water_mark: usize, allow_half_open: bool, paused: bool) -> Self {
        Harness::on(Connection::accepted(high_water_mark, allow_half_open, paused), true)
    }

    pub fn accepted() -> Self {
        Harness::accepted_with(100, false, false)
    }

    /// One that is read from.
    pub fn flowing() -> Self {
        let mut harness = Harness::accepted();
        harness.listen();
        harness.run();
        harness
    }

    pub fn fresh() -> Self {
        Harness::on(Connection::new(100, false), false)
    }

    pub fn connecting_with(high_water_mark: usize, allow_half_open: bool) -> Self {
        let mut harness = Harness::on(Connection::new(high_water_mark, allow_half_open), false);
        harness.connect().unwrap();
        harness.run();
        harness
    }

    pub fn connecting() -> Self {
        Harness::connecting_with(100, false)
    }

    pub fn connection(&self) -> &Connection {
        &self.conn.connection
    }

    pub fn room(&self, bytes: usize) {
        self.peer.borrow_mut().room = bytes;
    }

    pub fn taken(&self) -> usize {
        self.peer.borrow().taken
    }

    // ---- the user ---------------------------------------------------------------------------------------------------

    pub fn connect(&mut self) -> Result<(), Error> {
        let to: Endpoint = "127.0.0.1:1".parse().unwrap();
        self.conn.connect(to.to_connect_to(), None, &mut self.cx)
    }

    pub fn listen(&mut self) {
        self.conn.listen_for_data(true, &mut self.cx);
    }

    pub fn pause(&mut self) {
        self.conn.connection.pause(&mut self.cx.agenda.of(self.conn.id));
    }

    pub fn resume(&mut self) {
        self.conn.resume(&mut self.cx);
    }

    pub fn write(&mut self, length: usize, callback: CallbackId) -> bool {
        self.conn.write(&vec![0; length], Some(callback), WriteKind::USER, &mut self.cx)
    }

    pub fn broadcast(&mut self, message: &[u8]) -> bool {
        let before = self.connection().length();
        let span = self.cx.segments.append(message);
        self.conn.queue_message(span, None, &mut self.cx);
        self.connection().length() > before
    }

    pub fn cork(&mut self) {
        self.conn.connection.cork();
    }

    pub fn uncork(&mut self) {
        self.conn.uncork(&mut self.cx);
    }

    pub fn end(&mut self, callback: Option<CallbackId>) {
        self.conn.end(callback, &mut self.cx);
    }

    pub fn destroy(&mut self, error: Option<Error>, reason: Option<CloseReason>) {
        self.conn.destroy(error, reason, &mut self.cx);
    }

    // ---- the kernel -------------------------------------------------------------------------------------------------

    /// It is connected.
    pub fn connected(&mut self) {
        self.peer.borrow_mut().is_connected = true;
        self.conn.latch(Readiness { writable: true, ..Readiness::default() });
        let event = self.conn.finish_connect(&mut self.cx);
        self.emit(event);
        self.conn.latch(Readiness { writable: true, ..Readiness::default() });
        self.run();
    }

    /// The kernel takes so many bytes more.
    pub fn has_room(&mut self, more: usize) {
        let room = self.peer.borrow().room.saturating_add(more);
        self.room(room);
        self.becomes_writable();
        self.run();
    }

    /// As [`Harness::has_room`], without the flush that follows.
    pub fn has_room_now(&mut self, more: usize) {
        let room = self.peer.borrow().room.saturating_add(more);
        self.room(room);
        self.becomes_writable();
        self.run_tasks();
    }

    /// As at a writable edge, without the tasks that follow.
    pub fn becomes_writable(&mut self) {
        self.conn.latch(Readiness { writable: true, ..Readiness::default() });
        if self.conn.wants_to_write() {
            self.conn.go_on_writing(&mut self.cx);
        }
    }

    pub fn broken_pipe(&mut self) {
        self.peer.borrow_mut().is_gone = true;
        self.becomes_writable();
        self.run();
    }

    pub fn receive(&mut self, length: usize) {
        self.read(length);
    }

    pub fn peer_ends(&mut self) {
        self.read(0);
    }

    fn read(&mut self, length: usize) {
        self.peer.borrow_mut().incoming = Some(length);
        self.conn.latch(Readiness { readable: true, ended: length == 0, ..Readiness::default() });
        let mut turn = Some(Serving::begin(self.conn.id.key()));
        while let Some(serving) = turn.take() {
            if !self.conn.wants_to_read() {
                break;
            }
            let outcome = self.conn.read_once(serving, &mut turn, &mut self.buffer, &mut self.cx);
            if let ReadOutcome::Deliver(_, length) = outcome {
                self.emitted.push(format!("data {length}"));
            }
            self.run();
        }
        self.peer.borrow_mut().incoming = None;
    }

    // ---- the net ----------------------------------------------------------------------------------------------------

    /// Runs all tasks, as the net does before its next piece of work, and then the flush.
    pub fn run(&mut self) {
        loop {
            self.run_tasks();
            if !self.flush() {
                return;
            }
        }
    }

    /// The flush of the connection, if it is to be flushed. Whether it was.
    pub fn flush(&mut self) -> bool {
        self.cx.agenda.flush.begin();
        let is_listed = self.cx.agenda.flush.next().is_some();
        if is_listed {
            self.conn.flush(&mut self.cx);
        }
        is_listed
    }

    fn run_tasks(&mut self) {
        while let Some(task) = self.cx.agenda.next_task() {
            self.run_task(task);
        }
    }

    /// The next chunk that was kept, by its length.
    pub fn next_kept(&mut self) -> Option<usize> {
        self.conn.next_kept(&mut self.cx).map(|(chunk, _)| chunk.len())
    }

    /// What has been pushed, and not run.
    pub(super) fn tasks(&mut self) -> Vec<Task> {
        let tasks: Vec<Task> = std::iter::from_fn(|| self.cx.agenda.next_task()).collect();
        tasks.iter().for_each(|task| self.cx.agenda.push(*task));
        tasks
    }

    fn run_task(&mut self, task: Task) {
        match task {
            Task::Conn(_, task) => {
                let event = self.conn.run(task, &mut self.cx);
                self.emit(event);
            }
            Task::Flow(id) => {
                if let Some(length) = self.next_kept() {
                    self.emitted.push(format!("data {length}"));
                    self.cx.agenda.push_first([Task::Flow(id)]);
                }
            }
            // There are no pipes, no servers and no other connections.
            _ => {}
        }
    }

    /// An event reaches the user, whose `close` handler may connect again.
    fn emit(&mut self, event: Option<Event>) {
        let Some(event) = event else { return };
        let is_callback = matches!(event, Event::Callback { .. });
        assert!(self.closed.is_none() || is_callback, "emitted after close: {event:?}");
        let text = match event {
            Event::Connect(_) => "connect".to_owned(),
            Event::End(_) => "end".to_owned(),
            Event::Drain(_) => {
                assert_eq!(self.connection().length(), 0, "drain with a buffer that is not empty");
                "drain".to_owned()
            }
            Event::Finish(_) => "finish".to_owned(),
            Event::Error { error, .. } => format!("error {}", error.code()),
            Event::Callback { callback, outcome, .. } => {
                let outcome = outcome.map_or_else(|error| error.code(), |()| "ok");
                format!("{callback} {outcome}")
            }
            Event::Close { closed, .. } => {
                if std::mem::take(&mut self.connects_again) {
                    self.connect().unwrap();
                } else {
                    self.closed = Some((closed.had_error, closed.reason));
                }
                format!("close({})", closed.had_error)
            }
            // They have tests of their own.
            Event::ConnectionAttempt { .. } | Event::ConnectionAttemptFailed { .. } => return,
            other => panic!("{other:?}"),
        };
        self.emitted.push(text);
    }

    /// The phase in which `close` is emitted.
    pub fn close(&mut self) {
        self.cx.agenda.closes.begin();
        while self.cx.agenda.closes.next().is_some() {
            while !self.conn.close(&mut self.cx) {
                self.run();
            }
        }
        self.run();
    }

    #[track_caller]
    pub fn expect(&mut self, emitted: &[&str]) {
        self.run();
        assert_eq!(self.emitted, emitted);
        self.emitted.clear();
    }
}

/// A kernel with one socket.
#[derive(Debug)]
struct Small {
    peer: Rc<RefCell<Peer>>,
}

impl Kernel for Small {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn clock_slack(&self) -> Duration {
        Duration::ZERO
    }

    fn wait(&mut self, _: Option<Duration>, _: &mut Vec<Ready>) -> io::Result<()> {
        Ok(())
    }

    fn connect(&mut self, _: Address, _: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)> {
        Ok(HANDLE)
    }

    fn connected(&mut self, _: Handle) -> io::Result<bool> {
        Ok(self.peer.borrow().is_connected)
    }

    fn register(&mut self, _: Handle, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, _: Handle, _: &mut [u8]) -> io::Result<usize> {
        self.peer.borrow_mut().incoming.take().ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn write(&mut self, _: Handle, bytes: &[u8]) -> io::Result<usize> {
        let mut peer = self.peer.borrow_mut();
        if peer.is_gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let taken = bytes.len().min(peer.room);
        peer.room -= taken;
        peer.taken += taken;
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn write_vectored(&mut self, socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.write(socket, &bytes)
    }

    fn shutdown(&mut self, _: Handle) -> io::Result<()> {
        self.peer.borrow_mut().shutdowns += 1;
        Ok(())
    }

    fn close(&mut self, _: Handle) {}

    fn reset(&mut self, _: Handle) {}

    fn set_option(&mut self, _: Handle, _: SocketOption) -> io::Result<()> {
        Ok(())
    }

    fn listen(&mut self, _: Address, _: &ListenOptions) -> io::Result<Handle> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn accept(&mut self, _: Handle) -> io::Result<(Handle, Address)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn shed(&mut self, _: Handle) -> io::Result<bool> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn local_address(&self, _: Handle) -> io::Result<Address> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn watch_signal(&mut self, _: i32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
