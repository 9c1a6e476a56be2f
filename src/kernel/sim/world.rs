//! The simulated network itself: its ends, what is on its way between them, and its clock.
//!
//! It knows no loop: it is told which call is made on which end, and keeps for each machine the edges that its loop has
//! not been told. What a call answers is what Linux's TCP answers, named where it is not obvious.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use slab::Slab;

use super::Weather;
use crate::kernel::{Readiness, Token};

/// The first port that the system gives away.
const FIRST_FREE_PORT: u16 = 32768;

/// All that there is.
pub(super) struct World {
    pub(super) now: Duration,
    pub(super) seed: u64,
    pub(super) weather: Weather,
    pub(super) machines: Vec<Machine>,
    pub(super) ends: Slab<End>,
    pub(super) listeners: HashMap<SocketAddr, usize>,
    pub(super) next_port: u16,
    /// What is on its way, by the time of its arrival.
    pub(super) on_the_way: BTreeMap<(Duration, u64), (u64, Arrival)>,
    pub(super) next_arrival: u64,
    pub(super) next_serial: u64,
    pub(super) cut: Vec<IpAddr>,
    pub(super) failures: HashMap<u64, i32>,
    pub(super) calls: u64,
}

/// What belongs to one loop.
#[derive(Default)]
pub(super) struct Machine {
    /// Handles with an edge that was not told yet, in the order of the edges.
    pub(super) edges: VecDeque<usize>,
    pub(super) watched: Vec<i32>,
    pub(super) signals: VecDeque<i32>,
}

/// One descriptor.
pub(super) struct End {
    /// No two have the same, ever: what is on its way to one that has closed must not reach the next in its slot.
    pub(super) serial: u64,
    pub(super) machine: usize,
    pub(super) token: Option<Token>,
    pub(super) has_edge: bool,
    pub(super) local: SocketAddr,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Listener { waiting: VecDeque<usize>, backlog: usize },
    Stream(Stream),
}

#[derive(Default)]
pub(super) struct Stream {
    pub(super) remote: Option<SocketAddr>,
    /// The other end's descriptor, while it is open.
    pub(super) peer: Option<usize>,
    pub(super) connected: Option<Result<(), i32>>,
    pub(super) inbox: VecDeque<u8>,
    /// Bytes on their way here.
    pub(super) coming: usize,
    /// The peer's end has come.
    pub(super) ended: bool,
    /// What the next call is told, once.
    pub(super) error: Option<i32>,
    pub(super) broken: bool,
    pub(super) shut: bool,
    /// A write was refused: the next room is an edge.
    pub(super) wants_room: bool,
    pub(super) last_arrival: Duration,
}

pub(super) enum Arrival {
    Bytes(usize, Vec<u8>),
    Fin(usize),
    Reset(usize),
    Connected(usize),
    Refused(usize, i32),
}

pub(super) mod errno {
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

pub(super) fn os(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

pub(super) fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}

impl World {
    pub(super) fn new(seed: u64, weather: Weather) -> Self {
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
    pub(super) fn random(&mut self, bound: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % bound.max(1)
    }

    pub(super) fn happens(&mut self, of_a_thousand: u32) -> bool {
        of_a_thousand > 0 && self.random(1000) < u64::from(of_a_thousand)
    }

    /// Counts a call, and fails it if a test has said so.
    pub(super) fn call(&mut self) -> io::Result<()> {
        let number = self.calls;
        self.calls += 1;
        match self.failures.remove(&number) {
            Some(errno) => Err(os(errno)),
            None => Ok(()),
        }
    }

    // ---- time ---------------------------------------------------------------------------------------------------------

    pub(super) fn next_arrival(&self) -> Option<Duration> {
        self.on_the_way.keys().next().map(|(time, _)| *time)
    }

    /// Moves the clock, and lets everything arrive that is due.
    pub(super) fn advance(&mut self, to: Duration) {
        self.now = self.now.max(to);
        while let Some(entry) = self.on_the_way.first_entry()
            && entry.key().0 <= self.now
        {
            let (serial, arrival) = entry.remove();
            self.arrive(serial, arrival);
        }
    }

    /// Sends something to an end. It keeps its place behind what was sent there before.
    pub(super) fn send(&mut self, to: usize, arrival: Arrival) {
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

    pub(super) fn is_cut(&self, end: usize) -> bool {
        let Some(found) = self.ends.get(end) else { return false };
        let remote = self.stream(end).and_then(|stream| stream.remote);
        self.cut.iter().any(|ip| (found.local.ip() == *ip) != remote.is_some_and(|remote| remote.ip() == *ip))
    }

    /// A partition has healed: what stood before it arrives now.
    pub(super) fn deliver_what_waited(&mut self) {
        let now = self.now;
        self.advance(now);
    }

    pub(super) fn arrive(&mut self, serial: u64, arrival: Arrival) {
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

    pub(super) fn has_edges(&self) -> bool {
        self.machines.iter().any(|machine| !machine.edges.is_empty() || !machine.signals.is_empty())
    }

    /// Something has changed at an end: its loop will be told, once, in order.
    pub(super) fn edge(&mut self, end: usize) {
        let Some(found) = self.ends.get_mut(end) else { return };
        if found.token.is_some() && !found.has_edge {
            found.has_edge = true;
            self.machines[found.machine].edges.push_back(end);
        }
    }

    pub(super) fn readiness(&self, end: usize) -> Readiness {
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
    pub(super) fn room(&self, stream: &Stream) -> usize {
        match stream.peer.and_then(|peer| self.stream(peer)) {
            Some(peer) => self.weather.buffer.saturating_sub(peer.inbox.len() + peer.coming),
            None => self.weather.buffer,
        }
    }

    pub(super) fn stream(&self, end: usize) -> Option<&Stream> {
        match self.ends.get(end) {
            Some(End { kind: Kind::Stream(stream), .. }) => Some(stream),
            _ => None,
        }
    }

    pub(super) fn stream_mut(&mut self, end: usize) -> Option<&mut Stream> {
        match self.ends.get_mut(end) {
            Some(End { kind: Kind::Stream(stream), .. }) => Some(stream),
            _ => None,
        }
    }

    // ---- calls ----------------------------------------------------------------------------------------------------------

    pub(super) fn open(&mut self, machine: usize, local: SocketAddr, kind: Kind) -> usize {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.ends.insert(End { serial, machine, token: None, has_edge: false, local, kind })
    }

    pub(super) fn has_descriptor(&self, machine: usize) -> io::Result<()> {
        let open = self.ends.iter().filter(|(_, end)| end.machine == machine).count();
        if self.weather.descriptors < usize::MAX && open >= self.weather.descriptors {
            return Err(os(errno::MFILE));
        }
        Ok(())
    }

    pub(super) fn free_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_FREE_PORT);
        port
    }

    pub(super) fn listener_for(&self, address: SocketAddr) -> Option<usize> {
        let every = |ip: IpAddr| self.listeners.get(&SocketAddr::new(ip, address.port()));
        self.listeners
            .get(&address)
            .or_else(|| every(Ipv6Addr::UNSPECIFIED.into()))
            .or_else(|| every(Ipv4Addr::UNSPECIFIED.into()))
            .copied()
    }

    pub(super) fn connect(&mut self, machine: usize, address: SocketAddr) -> usize {
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

    pub(super) fn read(&mut self, end: usize, buffer: &mut [u8]) -> io::Result<usize> {
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
    pub(super) fn tell_room(&mut self, end: usize, bound: usize) {
        let Some(stream) = self.stream(end) else { return };
        if stream.wants_room && self.room(stream) * 3 >= bound {
            if let Some(stream) = self.stream_mut(end) {
                stream.wants_room = false;
            }
            self.edge(end);
        }
    }

    pub(super) fn write(&mut self, end: usize, slices: &[IoSlice<'_>]) -> io::Result<usize> {
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
        let peer = stream.peer;
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

    pub(super) fn send_bytes(&mut self, to: usize, bytes: Vec<u8>) {
        let length = bytes.len();
        let before = self.on_the_way.len();
        self.send(to, Arrival::Bytes(to, bytes));
        if self.on_the_way.len() > before
            && let Some(stream) = self.stream_mut(to)
        {
            stream.coming += length;
        }
    }

    pub(super) fn shutdown(&mut self, end: usize) -> io::Result<()> {
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

    pub(super) fn close(&mut self, end: usize, reset: bool) {
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
    pub(super) fn break_connection(&mut self, end: usize) {
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
    pub(super) fn reset(&mut self) {
        if self.broken {
            return;
        }
        self.error = Some(if self.ended { errno::PIPE } else { errno::CONNRESET });
        self.broken = true;
        self.peer = None;
    }
}

/// Each machine has an address in each family, for the connections that it makes.
pub(super) fn machine_address(machine: usize, to: IpAddr) -> IpAddr {
    let number = machine as u16 + 1;
    match to {
        IpAddr::V4(_) => Ipv4Addr::new(10, 1, (number >> 8) as u8, number as u8).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, number).into(),
    }
}
