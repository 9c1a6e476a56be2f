//! A simulated kernel: a network of its own, a clock of its own, and a seed.
//!
//! The whole loop runs on it unchanged, so that a test needs no real time (an idle hour costs nothing), no ports, and
//! can have failures on demand that a real kernel shows once a year. Everything random comes from the seed: the same
//! seed gives the same run, byte for byte. It is public, because users of the library need it for their own servers.
//!
//! ```
//! use std::time::Duration;
//! use tidegate::EventLoop;
//! use tidegate::sim::Sim;
//!
//! let sim = Sim::new(1);
//! let mut event_loop = EventLoop::on(sim.kernel(), Vec::new());
//! event_loop.listen("10.0.0.1:7", |socket| {
//!     socket.set_timeout(Some(Duration::from_secs(3600)));
//!     socket.on_timeout(|socket| socket.end_with("an hour of silence"));
//! })?;
//! event_loop.connect("10.0.0.1:7", |client| {
//!     client.on_text(|client, text| client.state.push(text.to_owned()));
//!     client.on_end(|client| client.event_loop().close_all());
//! })?;
//! event_loop.run()?; // takes no time at all
//! assert_eq!(event_loop.state, ["an hour of silence"]);
//! assert!(sim.now() >= Duration::from_secs(3600));
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! What it models is TCP as Linux shows it to a program: bounded buffers, FIN, RST and which error the next call gives,
//! readiness as edges in the order in which they arose. It does not model packets, windows or retransmission.
//!
//! ```text
//!   write ──▶ [ on the way: a delay, or a partition ] ──▶ inbox of the other end ──▶ read
//!             └────────────── both count against the buffer's bound ───────────┘
//! ```

mod world;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use super::{Handle, Inherit, Kernel, Readiness, Ready, SocketOption, Token};
use world::{End, Kind, Machine, World, errno, os, would_block};

/// What a connection holds on its way in one direction: what Linux's loopback does.
const LOOPBACK_BUFFER: usize = 3_900_000;

/// How a simulated network behaves. The defaults are those of a loopback: no delay, nothing random, and each turn of a
/// loop takes 10 us.
#[derive(Clone, Debug, PartialEq)]
pub struct Weather {
    /// What one turn of a loop takes, so that two who talk without end do not stop the clock.
    pub turn: Duration,
    /// Bytes that a connection holds in one direction.
    pub buffer: usize,
    /// The longest that bytes are on their way; each write's delay is random up to it, order is kept.
    pub delay: Duration,
    /// Of a thousand reads and writes, so many are short.
    pub short: u32,
    /// Of a thousand waits, so many tell a readiness that is none.
    pub spurious: u32,
    /// Of a thousand reads and writes, so many are interrupted.
    pub interrupted: u32,
    /// Of a thousand reads and writes, so many find the connection reset.
    pub resets: u32,
    /// Of a thousand writes, so many find no buffer space, which no edge ends.
    pub no_buffers: u32,
    /// The most descriptors.
    pub descriptors: usize,
}

impl Default for Weather {
    fn default() -> Self {
        Weather {
            turn: Duration::from_micros(10),
            buffer: LOOPBACK_BUFFER,
            delay: Duration::ZERO,
            short: 0,
            spurious: 0,
            interrupted: 0,
            resets: 0,
            no_buffers: 0,
            descriptors: 20_000,
        }
    }
}

/// A simulated network, on which any number of loops can live.
#[derive(Clone)]
pub struct Sim {
    world: Rc<RefCell<World>>,
}

impl Sim {
    /// A network where everything random comes from `seed`, and nothing is random yet.
    pub fn new(seed: u64) -> Self {
        Sim::with(seed, Weather::default())
    }

    /// A network with its weather.
    pub fn with(seed: u64, weather: Weather) -> Self {
        Sim { world: Rc::new(RefCell::new(World::new(seed, weather))) }
    }

    /// A kernel for one more loop. With one loop, its waiting moves the clock; with several, [`Sim::run`] does.
    pub fn kernel(&self) -> SimKernel {
        let mut world = self.world.borrow_mut();
        let machine = world.machines.len();
        world.machines.push(Machine::default());
        SimKernel { world: Rc::clone(&self.world), machine }
    }

    /// The time on the network's clock.
    pub fn now(&self) -> Duration {
        self.world.borrow().now
    }

    /// Changes the weather from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.world.borrow_mut().weather = weather;
    }

    /// Cuts the network between this address and all others, or heals it: what is sent meanwhile arrives afterwards.
    pub fn partition(&self, address: IpAddr, cut: bool) {
        let mut world = self.world.borrow_mut();
        if cut {
            world.cut.push(address);
        } else {
            world.cut.retain(|other| *other != address);
            world.deliver_what_waited();
        }
    }

    /// Has the call with this number, counted from 0 over all loops, fail with this error number.
    pub fn fail_call(&self, number: u64, errno: i32) {
        self.world.borrow_mut().failures.insert(number, errno);
    }

    /// How many calls there were that can fail.
    pub fn calls(&self) -> u64 {
        self.world.borrow().calls
    }

    /// How many descriptors are open on all machines together.
    pub fn descriptors(&self) -> usize {
        self.world.borrow().ends.len()
    }

    /// A signal for all loops that watch it.
    pub fn raise(&self, signal: i32) {
        for machine in &mut self.world.borrow_mut().machines {
            if machine.watched.contains(&signal) {
                machine.signals.push_back(signal);
            }
        }
    }

    /// Runs several loops on this network until none of them is alive, or until the clock has reached `until`.
    ///
    /// # Errors
    /// Those of [`EventLoop::turn`](crate::EventLoop::turn).
    pub fn run(&self, loops: &mut [&mut dyn Turning], until: Duration) -> Result<(), crate::Error> {
        loop {
            let mut next: Option<Duration> = None;
            for event_loop in loops.iter_mut() {
                event_loop.turn_now()?;
                let deadline = event_loop.next_deadline();
                next = [next, deadline].into_iter().flatten().min();
            }
            if self.world.borrow().has_edges() {
                continue;
            }
            let arrival = self.world.borrow().next_arrival();
            let Some(next) = [next, arrival].into_iter().flatten().min() else { return Ok(()) };
            if next > until {
                self.world.borrow_mut().advance(until);
                return Ok(());
            }
            self.world.borrow_mut().advance(next);
        }
    }

    /// A number below `bound` from the network's seed, for a test's own decisions.
    pub fn random(&self, bound: u64) -> u64 {
        self.world.borrow_mut().random(bound)
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("now", &self.now()).finish_non_exhaustive()
    }
}

/// A loop that [`Sim::run`] can run: any [`EventLoop`](crate::EventLoop).
pub trait Turning {
    /// Does what is to be done now, without waiting.
    ///
    /// # Errors
    /// The kernel's, of waiting.
    fn turn_now(&mut self) -> Result<(), crate::Error>;

    /// When it has something to do by itself.
    fn next_deadline(&self) -> Option<Duration>;
}

/// The kernel of one loop on a simulated network. Made by [`Sim::kernel`].
pub struct SimKernel {
    world: Rc<RefCell<World>>,
    machine: usize,
}

impl fmt::Debug for SimKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimKernel").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl Kernel for SimKernel {
    fn now(&self) -> Duration {
        self.world.borrow().now
    }

    fn clock_slack(&self) -> Duration {
        Duration::ZERO
    }

    fn wait(&mut self, deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        let alone = world.machines.len() == 1;
        let later = world.now + world.weather.turn;
        world.advance(later);
        while alone && !world.has_edges() && deadline.is_none_or(|deadline| deadline > world.now) {
            let next = [world.next_arrival(), deadline].into_iter().flatten().min();
            let Some(next) = next else {
                return Err(io::Error::other("the simulation is stuck: the loop waits, and nothing will ever happen"));
            };
            world.advance(next);
        }
        let (spurious, ends) = (world.weather.spurious, world.ends.capacity() as u64);
        if world.happens(spurious) {
            let end = world.random(ends) as usize;
            if world.ends.get(end).is_some_and(|found| found.machine == self.machine) {
                world.edge(end);
            }
        }
        let machine = &mut world.machines[self.machine];
        ready.extend(machine.signals.drain(..).map(Ready::Signal));
        let edges = std::mem::take(&mut machine.edges);
        for end in edges {
            let readiness = world.readiness(end);
            if let Some(found) = world.ends.get_mut(end) {
                found.has_edge = false;
                if let Some(token) = found.token {
                    ready.push(Ready::Io { token, readiness });
                }
            }
        }
        Ok(())
    }

    fn listen(&mut self, address: SocketAddr, backlog: u32, _inherit: &Inherit) -> io::Result<Handle> {
        let mut world = self.world.borrow_mut();
        world.call()?;
        world.has_descriptor(self.machine)?;
        let port = if address.port() == 0 { world.free_port() } else { address.port() };
        let address = SocketAddr::new(address.ip(), port);
        if world.listeners.contains_key(&address) {
            return Err(os(errno::ADDRINUSE));
        }
        let kind = Kind::Listener { waiting: VecDeque::new(), backlog: backlog as usize };
        let end = world.open(self.machine, address, kind);
        world.listeners.insert(address, end);
        Ok(Handle(end as u32))
    }

    fn accept(&mut self, listener: Handle) -> io::Result<(Handle, SocketAddr)> {
        let mut world = self.world.borrow_mut();
        world.call()?;
        let bound = world.weather.descriptors;
        let open = world.ends.iter().filter(|(_, end)| end.machine == self.machine && end.token.is_some()).count();
        let Some(End { kind: Kind::Listener { waiting, .. }, .. }) = world.ends.get_mut(listener.0 as usize) else {
            return Err(os(errno::BADF));
        };
        if waiting.is_empty() {
            return Err(would_block());
        }
        if open >= bound {
            return Err(os(errno::MFILE));
        }
        let Some(end) = waiting.pop_front() else { return Err(would_block()) };
        let remote = world.stream(end).and_then(|stream| stream.remote);
        Ok((Handle(end as u32), remote.unwrap_or(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))))
    }

    fn shed(&mut self, listener: Handle) -> io::Result<bool> {
        let mut world = self.world.borrow_mut();
        let Some(End { kind: Kind::Listener { waiting, .. }, .. }) = world.ends.get_mut(listener.0 as usize) else {
            return Err(os(errno::BADF));
        };
        let Some(end) = waiting.pop_front() else { return Ok(false) };
        world.close(end, false);
        Ok(true)
    }

    fn connect(&mut self, address: SocketAddr) -> io::Result<Handle> {
        let mut world = self.world.borrow_mut();
        world.call()?;
        world.has_descriptor(self.machine)?;
        Ok(Handle(world.connect(self.machine, address) as u32))
    }

    fn connected(&mut self, socket: Handle) -> io::Result<bool> {
        let mut world = self.world.borrow_mut();
        world.call()?;
        let Some(stream) = world.stream_mut(socket.0 as usize) else { return Err(os(errno::BADF)) };
        match (stream.connected, stream.error.take()) {
            (_, Some(errno)) => Err(os(errno)),
            (Some(Err(errno)), _) => Err(os(errno)),
            (Some(Ok(())), _) => Ok(true),
            (None, _) => Ok(false),
        }
    }

    fn register(&mut self, handle: Handle, token: Token) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        world.call()?;
        let end = handle.0 as usize;
        let Some(found) = world.ends.get_mut(end) else { return Err(os(errno::BADF)) };
        found.token = Some(token);
        if world.readiness(end) != Readiness::default() {
            world.edge(end);
        }
        Ok(())
    }

    fn read(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        self.world.borrow_mut().read(socket.0 as usize, buffer)
    }

    fn write(&mut self, socket: Handle, bytes: &[u8]) -> io::Result<usize> {
        self.world.borrow_mut().write(socket.0 as usize, &[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.world.borrow_mut().write(socket.0 as usize, slices)
    }

    fn shutdown(&mut self, socket: Handle) -> io::Result<()> {
        self.world.borrow_mut().shutdown(socket.0 as usize)
    }

    fn close(&mut self, handle: Handle) {
        self.world.borrow_mut().close(handle.0 as usize, false);
    }

    fn reset(&mut self, socket: Handle) {
        self.world.borrow_mut().close(socket.0 as usize, true);
    }

    fn set_option(&mut self, socket: Handle, _option: SocketOption) -> io::Result<()> {
        let mut world = self.world.borrow_mut();
        world.call()?;
        world.ends.get(socket.0 as usize).map(|_| ()).ok_or_else(|| os(errno::BADF))
    }

    fn local_address(&self, handle: Handle) -> io::Result<SocketAddr> {
        self.world.borrow().ends.get(handle.0 as usize).map(|end| end.local).ok_or_else(|| os(errno::BADF))
    }

    fn watch_signal(&mut self, signal: i32) -> io::Result<()> {
        self.world.borrow_mut().machines[self.machine].watched.push(signal);
        Ok(())
    }

    fn poll_fd(&self) -> Option<i32> {
        None
    }
}
