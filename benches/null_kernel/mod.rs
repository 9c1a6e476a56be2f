//! A kernel without sockets. A benchmark on it measures the loop itself, with as many connections as fit in memory.
//!
//! A [`Plan`] says what it does: how many clients wait to be accepted, which handles are ready, how many bytes each read
//! gives, and whether a write is taken whole or not at all. Its calls cost next to nothing.

#![allow(dead_code, reason = "each benchmark uses a part")]

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tidegate::kernel::{ConnectOptions, Handle, Kernel, ListenOptions, Readiness, Ready, SocketOption, Token};
use tidegate::{Address, EventLoop, Net, Socket, SocketId, Syscall};

/// What the kernel does next.
#[derive(Debug, Default)]
pub struct Plan {
    /// Clients that wait to be accepted.
    pub waiting: usize,
    /// The connections that are ready at the next `wait`, by the order in which they were accepted.
    pub ready: Vec<usize>,
    /// The bytes of one read.
    pub length: usize,
    /// Whether writes find no room.
    pub full: bool,
    tokens: Vec<Token>,
}

#[derive(Debug)]
pub struct NullKernel {
    plan: Rc<RefCell<Plan>>,
    started: Instant,
    /// The bytes of one read in this turn: each connection has one message.
    length: usize,
}

const LISTENER: Handle = Handle(0);

impl Kernel for NullKernel {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn clock_slack(&self) -> Duration {
        Duration::from_micros(500)
    }

    fn wait(&mut self, _deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let mut plan = self.plan.borrow_mut();
        self.length = plan.length;
        let both = Readiness { readable: true, writable: true, ..Readiness::default() };
        let accepting = plan.waiting > 0;
        let Plan { ready: woken, tokens, .. } = &mut *plan;
        if accepting {
            ready.push(Ready::Io { token: tokens[0], readiness: both });
        }
        ready.extend(woken.drain(..).map(|at| Ready::Io { token: tokens[at + 1], readiness: both }));
        Ok(())
    }

    fn listen(&mut self, _address: Address, _options: &ListenOptions) -> io::Result<Handle> {
        Ok(LISTENER)
    }

    fn accept(&mut self, _listener: Handle) -> io::Result<(Handle, Address)> {
        let mut plan = self.plan.borrow_mut();
        plan.waiting = plan.waiting.checked_sub(1).ok_or(ErrorKind::WouldBlock)?;
        Ok((Handle(plan.tokens.len() as u32), Address::Ip(([10, 0, 0, 1], 1).into())))
    }

    fn shed(&mut self, _listener: Handle) -> io::Result<bool> {
        Ok(false)
    }

    fn connect(&mut self, _address: Address, _options: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)> {
        Err((Syscall::Connect, ErrorKind::Unsupported.into()))
    }

    fn connected(&mut self, _socket: Handle) -> io::Result<bool> {
        Ok(true)
    }

    fn register(&mut self, handle: Handle, token: Token) -> io::Result<()> {
        let mut plan = self.plan.borrow_mut();
        assert_eq!(handle.0 as usize, plan.tokens.len(), "handles are given in order, and each once");
        plan.tokens.push(token);
        Ok(())
    }

    #[inline]
    fn read(&mut self, _socket: Handle, _buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.length)
    }

    #[inline]
    fn write(&mut self, _socket: Handle, bytes: &[u8]) -> io::Result<usize> {
        if self.plan.borrow().full { Err(ErrorKind::WouldBlock.into()) } else { Ok(bytes.len()) }
    }

    fn write_vectored(&mut self, _socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.plan.borrow().full {
            Err(ErrorKind::WouldBlock.into())
        } else {
            Ok(slices.iter().map(|slice| slice.len()).sum())
        }
    }

    fn shutdown(&mut self, _socket: Handle) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, _handle: Handle) {}

    fn reset(&mut self, _socket: Handle) {}

    fn set_option(&mut self, _socket: Handle, _option: SocketOption) -> io::Result<()> {
        Ok(())
    }

    fn local_address(&self, _handle: Handle) -> io::Result<Address> {
        Ok(Address::Ip(([10, 0, 0, 2], 7).into()))
    }

    fn watch_signal(&mut self, _signal: i32) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}

/// A loop with connections that a server has accepted.
pub struct Crowd<S: 'static> {
    pub event_loop: EventLoop<S>,
    pub plan: Rc<RefCell<Plan>>,
    pub ids: Vec<SocketId>,
    number: u64,
}

impl<S> Crowd<S> {
    pub fn of(connections: usize, state: S, connection: impl FnMut(&mut Socket<'_, S>) + 'static) -> Self {
        let plan = Rc::new(RefCell::new(Plan { waiting: connections, length: 64, ..Plan::default() }));
        let kernel = NullKernel { plan: plan.clone(), started: Instant::now(), length: 64 };
        let mut event_loop = EventLoop::on(kernel, state);
        event_loop.listen("10.0.0.2:7", connection).expect("this kernel listens anywhere");
        while event_loop.net.sockets() < connections {
            event_loop.turn(Some(Duration::ZERO)).expect("this kernel never fails");
        }
        let mut ids: Vec<SocketId> = event_loop.net.socket_ids().collect();
        ids.sort();
        let mut crowd = Crowd { event_loop, plan, ids, number: 1 };
        crowd.turn();
        crowd
    }

    pub fn net(&mut self) -> &mut Net {
        &mut self.event_loop.net
    }

    /// Gives `count` connections, at random, something to read.
    pub fn wake(&mut self, count: usize) {
        let all = self.ids.len() as u64;
        let mut plan = self.plan.borrow_mut();
        for _ in 0..count.min(self.ids.len()) {
            self.number = self.number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            plan.ready.push(((self.number >> 33) % all) as usize);
        }
    }

    /// Whether writes find no room from now on.
    pub fn set_full(&mut self, full: bool) {
        self.plan.borrow_mut().full = full;
    }

    pub fn turn(&mut self) {
        self.event_loop.turn(Some(Duration::ZERO)).expect("this kernel never fails");
    }
}
