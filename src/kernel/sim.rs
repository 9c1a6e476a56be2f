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

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use slab::Slab;

use super::{Handle, Inherit, Kernel, Readiness, Ready, SocketOption, Token};

/// What a connection holds on its way in one direction: what Linux's loopback does.
const LOOPBACK_BUFFER: usize = 3_900_000;

/// The first port that the system gives away.
const FIRST_FREE_PORT: u16 = 32768;

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

/// All that there is.
struct World {
    now: Duration,
    seed: u64,
    weather: Weather,
    machines: Vec<Machine>,
    ends: Slab<End>,
    listeners: HashMap<SocketAddr, usize>,
    next_port: u16,
    /// What is on its way, by the time of its arrival.
    on_the_way: BTreeMap<(Duration, u64), (u64, Arrival)>,
    next_arrival: u64,
    next_serial: u64,
    cut: Vec<IpAddr>,
    failures: HashMap<u64, i32>,
    calls: u64,
}

/// What belongs to one loop.
#[derive(Default)]
struct Machine {
    /// Handles with an edge that was not told yet, in the order of the edges.
    edges: VecDeque<usize>,
    watched: Vec<i32>,
    signals: VecDeque<i32>,
}

/// One descriptor.
struct End {
    /// No two have the same, ever: what is on its way to one that has closed must not reach the next in its slot.
    serial: u64,
    machine: usize,
    token: Option<Token>,
    has_edge: bool,
    local: SocketAddr,
    kind: Kind,
}

enum Kind {
    Listener { waiting: VecDeque<usize>, backlog: usize },
    Stream(Stream),
}

#[derive(Default)]
struct Stream {
    remote: Option<SocketAddr>,
    /// The other end's descriptor, while it is open.
    peer: Option<usize>,
    connected: Option<Result<(), i32>>,
    inbox: VecDeque<u8>,
    /// Bytes on their way here.
    coming: usize,
    /// The peer's end has come.
    ended: bool,
    /// What the next call is told, once.
    error: Option<i32>,
    broken: bool,
    shut: bool,
    /// A write was refused: the next room is an edge.
    wants_room: bool,
    last_arrival: Duration,
}

enum Arrival {
    Bytes(usize, Vec<u8>),
    Fin(usize),
    Reset(usize),
    Connected(usize),
    Refused(usize, i32),
}

mod errno {
    use rustix::io::Errno;

    pub const CONNRESET: i32 = Errno::CONNRESET.raw_os_error();
    pub const PIPE: i32 = Errno::PIPE.raw_os_error();
    pub const CONNREFUSED: i32 = Errno::CONNREFUSED.raw_os_error();
    pub const NOBUFS: i32 = Errno::NOBUFS.raw_os_error();
    pub const INTR: i32 = Errno::INTR.raw_os_error();
    pub const MFILE: i32 = Errno::MFILE.raw_os_error();
    pub const ADDRINUSE: i32 = Errno::ADDRINUSE.raw_os_error();
    pub const NOTCONN: i32 = Errno::NOTCONN.raw_os_error();
    pub const BADF: i32 = Errno::BADF.raw_os_error();
}

fn os(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

impl World {
    fn new(seed: u64, weather: Weather) -> Self {
        World {
            now: Duration::ZERO,
            // A generator of this kind must not begin at zero.
            seed: seed ^ 0x9e37_79b9_7f4a_7c15,
            weather,
            machines: Vec::new(),
            ends: Slab::new(),
            listeners: HashMap::new(),
            next_port: FIRST_FREE_PORT,
            on_the_way: BTreeMap::new(),
            next_arrival: 0,
            next_serial: 0,
            cut: Vec::new(),
            failures: HashMap::new(),
            calls: 0,
        }
    }

    /// xorshift64: enough for weather.
    fn random(&mut self, bound: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % bound.max(1)
    }

    fn happens(&mut self, of_a_thousand: u32) -> bool {
        of_a_thousand > 0 && self.random(1000) < u64::from(of_a_thousand)
    }

    /// Counts a call, and fails it if a test has said so.
    fn call(&mut self) -> io::Result<()> {
        let number = self.calls;
        self.calls += 1;
        match self.failures.remove(&number) {
            Some(errno) => Err(os(errno)),
            None => Ok(()),
        }
    }

    // ---- time ---------------------------------------------------------------------------------------------------------

    fn next_arrival(&self) -> Option<Duration> {
        self.on_the_way.keys().next().map(|(time, _)| *time)
    }

    /// Moves the clock, and lets everything arrive that is due.
    fn advance(&mut self, to: Duration) {
        self.now = self.now.max(to);
        while let Some(entry) = self.on_the_way.first_entry()
            && entry.key().0 <= self.now
        {
            let (serial, arrival) = entry.remove();
            self.arrive(serial, arrival);
        }
    }

    /// Sends something to an end. It keeps its place behind what was sent there before.
    fn send(&mut self, to: usize, arrival: Arrival) {
        let longest = self.weather.delay.as_micros() as u64;
        let delay = Duration::from_micros(if longest == 0 { 0 } else { self.random(longest + 1) });
        let Some(serial) = self.ends.get(to).map(|end| end.serial) else { return };
        let Some(stream) = self.stream(to) else { return };
        let time = (self.now + delay).max(stream.last_arrival);
        let delayed = time > self.now || stream.coming > 0;
        if let Some(stream) = self.stream_mut(to) {
            stream.last_arrival = time;
        }
        if delayed || self.is_cut(to) {
            self.on_the_way.insert((time, self.next_arrival), (serial, arrival));
            self.next_arrival += 1;
        } else {
            self.arrive(serial, arrival);
        }
    }

    fn is_cut(&self, end: usize) -> bool {
        let Some(found) = self.ends.get(end) else { return false };
        let remote = self.stream(end).and_then(|stream| stream.remote);
        self.cut.iter().any(|ip| (found.local.ip() == *ip) != remote.is_some_and(|remote| remote.ip() == *ip))
    }

    /// A partition has healed: what stood before it arrives now.
    fn deliver_what_waited(&mut self) {
        let now = self.now;
        self.advance(now);
    }

    fn arrive(&mut self, serial: u64, arrival: Arrival) {
        let to = match &arrival {
            Arrival::Bytes(to, _)
            | Arrival::Fin(to)
            | Arrival::Reset(to)
            | Arrival::Connected(to)
            | Arrival::Refused(to, _) => *to,
        };
        if self.ends.get(to).is_none_or(|end| end.serial != serial) {
            return;
        }
        if self.is_cut(to) {
            // It waits until the partition has healed, which is looked at every millisecond of the network's time.
            let time = self.now + Duration::from_millis(1);
            self.on_the_way.insert((time, self.next_arrival), (serial, arrival));
            self.next_arrival += 1;
            return;
        }
        let Some(stream) = self.stream_mut(to) else { return };
        match arrival {
            Arrival::Bytes(_, bytes) => {
                stream.coming = stream.coming.saturating_sub(bytes.len());
                if stream.broken {
                    return;
                }
                stream.inbox.extend(bytes);
            }
            Arrival::Fin(_) => stream.ended = true,
            Arrival::Reset(_) => stream.reset(),
            Arrival::Connected(_) => stream.connected = Some(Ok(())),
            Arrival::Refused(_, errno) => stream.connected = Some(Err(errno)),
        }
        self.edge(to);
    }

    // ---- readiness ----------------------------------------------------------------------------------------------------

    fn has_edges(&self) -> bool {
        self.machines.iter().any(|machine| !machine.edges.is_empty() || !machine.signals.is_empty())
    }

    /// Something has changed at an end: its loop will be told, once, in order.
    fn edge(&mut self, end: usize) {
        let Some(found) = self.ends.get_mut(end) else { return };
        if found.token.is_some() && !found.has_edge {
            found.has_edge = true;
            self.machines[found.machine].edges.push_back(end);
        }
    }

    fn readiness(&self, end: usize) -> Readiness {
        let Some(found) = self.ends.get(end) else { return Readiness::default() };
        match &found.kind {
            Kind::Listener { waiting, .. } => Readiness { readable: !waiting.is_empty(), ..Readiness::default() },
            Kind::Stream(stream) => {
                let over = stream.broken || (stream.ended && stream.shut);
                Readiness {
                    readable: !stream.inbox.is_empty() || stream.ended || stream.broken,
                    writable: stream.connected.is_some() && (self.room(stream) > 0 || stream.broken),
                    ended: stream.ended || stream.broken,
                    hung_up: over || matches!(stream.connected, Some(Err(_))),
                }
            }
        }
    }

    /// How much may be sent from here.
    fn room(&self, stream: &Stream) -> usize {
        match stream.peer.and_then(|peer| self.stream(peer)) {
            Some(peer) => self.weather.buffer.saturating_sub(peer.inbox.len() + peer.coming),
            None => self.weather.buffer,
        }
    }

    fn stream(&self, end: usize) -> Option<&Stream> {
        match self.ends.get(end) {
            Some(End { kind: Kind::Stream(stream), .. }) => Some(stream),
            _ => None,
        }
    }

    fn stream_mut(&mut self, end: usize) -> Option<&mut Stream> {
        match self.ends.get_mut(end) {
            Some(End { kind: Kind::Stream(stream), .. }) => Some(stream),
            _ => None,
        }
    }

    // ---- calls ----------------------------------------------------------------------------------------------------------

    fn open(&mut self, machine: usize, local: SocketAddr, kind: Kind) -> usize {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.ends.insert(End { serial, machine, token: None, has_edge: false, local, kind })
    }

    fn has_descriptor(&self, machine: usize) -> io::Result<()> {
        let open = self.ends.iter().filter(|(_, end)| end.machine == machine).count();
        if self.weather.descriptors < usize::MAX && open >= self.weather.descriptors {
            return Err(os(errno::MFILE));
        }
        Ok(())
    }

    fn free_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_FREE_PORT);
        port
    }

    fn listener_for(&self, address: SocketAddr) -> Option<usize> {
        let every = |ip: IpAddr| self.listeners.get(&SocketAddr::new(ip, address.port()));
        self.listeners
            .get(&address)
            .or_else(|| every(Ipv6Addr::UNSPECIFIED.into()))
            .or_else(|| every(Ipv4Addr::UNSPECIFIED.into()))
            .copied()
    }

    fn connect(&mut self, machine: usize, address: SocketAddr) -> usize {
        let ip = if address.ip().is_loopback() { address.ip() } else { machine_address(machine, address.ip()) };
        let local = SocketAddr::new(ip, self.free_port());
        let stream = Stream { remote: Some(address), ..Stream::default() };
        let client = self.open(machine, local, Kind::Stream(stream));
        let waits = self.listener_for(address).filter(|listener| match &self.ends[*listener].kind {
            Kind::Listener { waiting, backlog } => waiting.len() <= *backlog,
            Kind::Stream(_) => false,
        });
        let Some(listener) = waits else {
            self.send(client, Arrival::Refused(client, errno::CONNREFUSED));
            return client;
        };
        let there = Stream { remote: Some(local), peer: Some(client), connected: Some(Ok(())), ..Stream::default() };
        let server = self.open(self.ends[listener].machine, address, Kind::Stream(there));
        if let Some(stream) = self.stream_mut(client) {
            stream.peer = Some(server);
        }
        if let Kind::Listener { waiting, .. } = &mut self.ends[listener].kind {
            waiting.push_back(server);
        }
        self.edge(listener);
        self.send(client, Arrival::Connected(client));
        client
    }

    fn read(&mut self, end: usize, buffer: &mut [u8]) -> io::Result<usize> {
        self.call()?;
        if self.happens(self.weather.interrupted) {
            return Err(os(errno::INTR));
        }
        if self.happens(self.weather.resets) {
            self.break_connection(end);
        }
        let short = self.happens(self.weather.short);
        let most = if short { 1 + self.random(buffer.len() as u64) as usize } else { buffer.len() };
        let bound = self.weather.buffer;
        let Some(stream) = self.stream_mut(end) else { return Err(os(errno::BADF)) };
        if stream.inbox.is_empty() {
            // Behind a FIN there is nothing but the end, whatever came later (tcp_recvmsg in Linux).
            return match stream.error {
                _ if stream.ended => Ok(0),
                Some(errno) => {
                    stream.error = None;
                    Err(os(errno))
                }
                None if stream.broken => Ok(0),
                None => Err(would_block()),
            };
        }
        let count = most.min(buffer.len()).min(stream.inbox.len());
        let (front, back) = stream.inbox.as_slices();
        let first = count.min(front.len());
        buffer[..first].copy_from_slice(&front[..first]);
        buffer[first..count].copy_from_slice(&back[..count - first]);
        stream.inbox.drain(..count);
        let more = !stream.inbox.is_empty();
        let peer = stream.peer;
        if short && more {
            // A real kernel is never short with more behind; a simulated one tells so with an edge.
            self.edge(end);
        }
        if let Some(peer) = peer {
            self.tell_room(peer, bound);
        }
        Ok(count)
    }

    /// A writer that was refused is told when a third of the buffer is free, as in Linux.
    fn tell_room(&mut self, end: usize, bound: usize) {
        let Some(stream) = self.stream(end) else { return };
        if stream.wants_room && self.room(stream) * 3 >= bound {
            if let Some(stream) = self.stream_mut(end) {
                stream.wants_room = false;
            }
            self.edge(end);
        }
    }

    fn write(&mut self, end: usize, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.call()?;
        if self.happens(self.weather.interrupted) {
            return Err(os(errno::INTR));
        }
        if self.happens(self.weather.no_buffers) {
            return Err(os(errno::NOBUFS));
        }
        if self.happens(self.weather.resets) {
            self.break_connection(end);
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let short = self.happens(self.weather.short);
        let most = if short { 1 + self.random(offered as u64) as usize } else { offered };
        let Some(stream) = self.stream_mut(end) else { return Err(os(errno::BADF)) };
        if stream.broken || stream.shut {
            return Err(os(stream.error.take().unwrap_or(errno::PIPE)));
        }
        let (peer, stream) = (stream.peer, &*stream);
        let _ = stream;
        let room = self.stream(end).map_or(0, |stream| self.room(stream));
        let count = most.min(offered).min(room);
        if count < offered
            && let Some(stream) = self.stream_mut(end)
        {
            stream.wants_room = true;
        }
        if count == 0 && offered > 0 {
            return Err(would_block());
        }
        if count < offered && room > count {
            // Cut short by the weather, not by the buffer: the room that is there is an edge of its own.
            self.edge(end);
        }
        let Some(peer) = peer.filter(|peer| self.stream(*peer).is_some()) else {
            // The other side is gone: these bytes are lost, and the answer to them is a reset.
            self.send(end, Arrival::Reset(end));
            return Ok(count);
        };
        let mut bytes = Vec::with_capacity(count);
        for slice in slices {
            bytes.extend_from_slice(&slice[..slice.len().min(count - bytes.len())]);
        }
        self.send_bytes(peer, bytes);
        Ok(count)
    }

    fn send_bytes(&mut self, to: usize, bytes: Vec<u8>) {
        let length = bytes.len();
        let before = self.on_the_way.len();
        self.send(to, Arrival::Bytes(to, bytes));
        if self.on_the_way.len() > before
            && let Some(stream) = self.stream_mut(to)
        {
            stream.coming += length;
        }
    }

    fn shutdown(&mut self, end: usize) -> io::Result<()> {
        self.call()?;
        let Some(stream) = self.stream_mut(end) else { return Err(os(errno::BADF)) };
        if stream.broken {
            return Err(os(errno::NOTCONN));
        }
        stream.shut = true;
        if let Some(peer) = stream.peer {
            self.send(peer, Arrival::Fin(peer));
        }
        Ok(())
    }

    fn close(&mut self, end: usize, reset: bool) {
        let Some(closed) = self.ends.try_remove(end) else { return };
        self.machines[closed.machine].edges.retain(|other| *other != end);
        match closed.kind {
            Kind::Listener { waiting, .. } => {
                self.listeners.retain(|_, listener| *listener != end);
                for server in waiting {
                    self.close(server, true);
                }
            }
            Kind::Stream(stream) => {
                let Some(peer) = stream.peer else { return };
                if let Some(stream) = self.stream_mut(peer) {
                    stream.peer = None;
                }
                if reset || !stream.inbox.is_empty() || stream.coming > 0 {
                    self.send(peer, Arrival::Reset(peer));
                } else if !stream.shut {
                    self.send(peer, Arrival::Fin(peer));
                }
                let bound = self.weather.buffer;
                self.tell_room(peer, bound);
            }
        }
    }

    /// The network resets a connection, on both sides.
    fn break_connection(&mut self, end: usize) {
        let peer = self.stream(end).and_then(|stream| stream.peer);
        for end in [Some(end), peer].into_iter().flatten() {
            if let Some(stream) = self.stream_mut(end) {
                stream.reset();
            }
            self.edge(end);
        }
    }
}

impl Stream {
    /// A RST has come (tcp_reset in Linux): what was received can still be read, then the error is told once.
    fn reset(&mut self) {
        if self.broken {
            return;
        }
        self.error = Some(if self.ended { errno::PIPE } else { errno::CONNRESET });
        self.broken = true;
        self.peer = None;
    }
}

/// Each machine has an address in each family, for the connections that it makes.
fn machine_address(machine: usize, to: IpAddr) -> IpAddr {
    let number = machine as u16 + 1;
    match to {
        IpAddr::V4(_) => Ipv4Addr::new(10, 1, (number >> 8) as u8, number as u8).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, number).into(),
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
