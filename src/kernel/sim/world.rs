//! The simulated network itself: its ends, what is on its way between them, and its clock.
//!
//! It knows no loop: it keeps for each machine the edges that its loop has not been told. What a call does is in
//! `wire.rs`, and who listens where in `listening.rs`; what is here happens by itself, when its time has come.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use slab::Slab;

use super::Weather;
use super::fault::Record;
use super::files::Files;
use super::listening::Listener;
use crate::address::Address;
use crate::kernel::{KeepAlive, Readiness, Ready, Token};

/// The first port that the system gives away.
const FIRST_FREE_PORT: u16 = 32768;

/// How often Linux tries again to connect, each time after twice the time (tcp_syn_retries); and how long that takes.
const CONNECT_RETRIES: u32 = 6;
const CONNECT_PATIENCE: Duration = Duration::from_secs(127);

/// How long Linux sends again what nobody acknowledges (tcp_retries2 of 15).
const WRITE_PATIENCE: Duration = Duration::from_millis(924_600);

/// The first probe of an idle connection, where the program has not said (tcp_keepalive_time).
const SYSTEM_KEEP_ALIVE: Duration = Duration::from_secs(7200);

/// Ten probes, one a second, where the program has not said.
const PROBES: u32 = 10;
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// All that there is.
pub(super) struct World {
    pub now: Duration,
    pub seed: u64,
    pub weather: Weather,
    pub machines: Vec<Machine>,
    pub ends: Slab<End>,
    /// Those that listen, the first to do so first.
    pub listeners: Vec<usize>,
    next_port: u16,
    /// What is on its way, by the time of its arrival, then by its number.
    on_the_way: BTreeMap<(Duration, u64), Arrival>,
    /// What stands before a partition, by its number.
    held: BTreeMap<u64, Arrival>,
    next_number: u64,
    next_serial: u64,
    cut: Vec<IpAddr>,
    pub record: Record,
    pub files: Files,
}

/// What belongs to one loop.
#[derive(Default)]
pub(super) struct Machine {
    /// Handles with an edge that was not told yet, in the order of the edges.
    pub edges: VecDeque<usize>,
    pub watched: Vec<i32>,
    pub signals: VecDeque<i32>,
    pub descriptors: usize,
}

/// One descriptor, or a connection that waits to be accepted.
pub(super) struct End {
    /// No two have the same, ever: what is on its way to one that has closed must not reach the next in its slot.
    pub serial: u64,
    pub machine: usize,
    pub token: Option<Token>,
    pub has_edge: bool,
    pub has_descriptor: bool,
    pub local: Address,
    pub kind: Kind,
}

pub(super) enum Kind {
    Listener(Listener),
    Stream(Stream),
}

#[derive(Default)]
pub(super) struct Stream {
    pub remote: Option<Address>,
    /// The other end, while it is open.
    pub peer: Option<usize>,
    pub connected: Option<Result<(), Errno>>,
    pub inbox: VecDeque<u8>,
    /// Bytes on their way here.
    pub coming: usize,
    /// Bytes that were ever read here, and taken from writes here.
    pub bytes_read: u64,
    pub bytes_taken: u64,
    /// The first that came has widened the window.
    pub widened: bool,
    /// The peer's end has come.
    pub ended: bool,
    /// What the next call is told, once.
    pub error: Option<Errno>,
    pub broken: bool,
    pub shut: bool,
    /// A write was refused: the next room is an edge.
    pub wants_room: bool,
    pub no_delay: bool,
    pub keep_alive: Option<KeepAlive>,
    /// When what was written last is acknowledged: until then a small write waits (Nagle's rule).
    pub acknowledged: Duration,
    /// Since when nobody acknowledges what was sent from here: a partition holds it up.
    pub unheard_since: Option<Duration>,
    /// Since when nobody answers the probes of keep-alive.
    pub probing_since: Option<Duration>,
    /// What arrives here keeps its order.
    pub last_arrival: Duration,
    /// The other side's machine has lost power.
    pub has_lost_its_peer: bool,
    /// Its machine has lost power: nobody will ever hear of it again.
    pub dead: bool,
}

/// Something on its way to an end.
pub(super) struct Arrival {
    pub to: usize,
    serial: u64,
    pub what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// The connect of this end, seen by whom it connects to.
    Syn {
        attempt: u32,
    },
    Connected,
    Refused(Errno),
    Bytes(Vec<u8>),
    Fin,
    Reset,
    /// Its system may have lost patience with a peer that it has not heard of. It comes from nowhere, and no partition
    /// holds it up.
    Patience,
}

impl World {
    pub fn new(seed: u64, weather: Weather) -> Self {
        World {
            now: Duration::ZERO,
            // A generator of this kind must not begin at zero.
            seed: (seed ^ 0x9e37_79b9_7f4a_7c15).max(1),
            weather,
            machines: Vec::new(),
            ends: Slab::new(),
            listeners: Vec::new(),
            next_port: FIRST_FREE_PORT,
            on_the_way: BTreeMap::new(),
            held: BTreeMap::new(),
            next_number: 0,
            next_serial: 0,
            cut: Vec::new(),
            record: Record::default(),
            files: Files::default(),
        }
    }

    /// xorshift64: enough for weather.
    pub fn random(&mut self, bound: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % bound.max(1)
    }

    /// Draws. What never happens draws nothing, so that a calm network gives a test all the numbers.
    pub fn happens(&mut self, of_a_thousand: u32) -> bool {
        of_a_thousand > 0 && self.random(1000) < u64::from(of_a_thousand)
    }

    // ---- ends -----------------------------------------------------------------------------------------------------------

    pub fn open(&mut self, machine: usize, local: Address, kind: Kind) -> usize {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.ends.insert(End { serial, machine, token: None, has_edge: false, has_descriptor: false, local, kind })
    }

    pub fn stream(&self, end: usize) -> Option<&Stream> {
        match self.ends.get(end) {
            Some(End { kind: Kind::Stream(stream), .. }) => Some(stream),
            _ => None,
        }
    }

    pub fn stream_mut(&mut self, end: usize) -> Option<&mut Stream> {
        match self.ends.get_mut(end) {
            Some(End { kind: Kind::Stream(stream), .. }) => Some(stream),
            _ => None,
        }
    }

    pub fn free_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_FREE_PORT);
        port
    }

    /// An end as a person reads it in a trace.
    pub fn name(&self, end: usize) -> String {
        let Some(found) = self.ends.get(end) else { return format!("(closed {end})") };
        match &found.kind {
            Kind::Listener(_) => found.local.to_string(),
            Kind::Stream(stream) => match stream.remote {
                Some(remote) => format!("{} - {remote}", found.local),
                None => found.local.to_string(),
            },
        }
    }

    pub fn name_if_traced(&self, end: usize) -> String {
        if self.record.keeps_lines() { self.name(end) } else { String::new() }
    }

    // ---- time -----------------------------------------------------------------------------------------------------------

    pub fn next_arrival(&self) -> Option<Duration> {
        self.on_the_way.keys().next().map(|(time, _)| *time)
    }

    /// Moves the clock, and lets everything arrive that is due.
    pub fn advance(&mut self, to: Duration) {
        self.now = self.now.max(to);
        while let Some(entry) = self.on_the_way.first_entry()
            && entry.key().0 <= self.now
        {
            let ((_, number), arrival) = entry.remove_entry();
            self.arrive(number, arrival);
        }
    }

    /// Sends something to an end. It keeps its place behind what was sent there before. True if it is there already.
    pub fn send(&mut self, to: usize, what: What) -> bool {
        self.send_no_sooner(to, what, Duration::ZERO)
    }

    /// As [`World::send`], to arrive at `earliest` at the earliest.
    pub fn send_no_sooner(&mut self, to: usize, what: What, earliest: Duration) -> bool {
        let longest = self.weather.delay.as_micros() as u64;
        let delay = Duration::from_micros(if longest == 0 { 0 } else { self.random(longest + 1) });
        let now = self.now;
        let Some(serial) = self.ends.get(to).map(|end| end.serial) else { return true };
        let cut = self.is_cut(to);
        let Some(stream) = self.stream_mut(to) else { return true };
        let time = (now + delay).max(stream.last_arrival).max(earliest);
        let waits = time > now || stream.coming > 0 || cut;
        stream.last_arrival = time;
        if let What::Bytes(bytes) = &what {
            stream.coming += bytes.len();
        }
        let number = self.next_number;
        self.next_number += 1;
        let arrival = Arrival { to, serial, what };
        if waits {
            self.on_the_way.insert((time, number), arrival);
        } else {
            self.arrive(number, arrival);
        }
        !waits
    }

    /// Whether bytes that are sent to an end now would be there at once.
    pub fn is_near(&self, to: usize) -> bool {
        self.weather.delay.is_zero()
            && !self.is_cut(to)
            && self.stream(to).is_some_and(|stream| stream.coming == 0 && stream.last_arrival <= self.now)
    }

    /// A large write takes with it the small one that waited for an acknowledgement.
    pub fn hurry(&mut self, to: usize) {
        let Some(serial) = self.ends.get(to).map(|end| end.serial) else { return };
        let now = self.now;
        let waiting: Vec<_> = (self.on_the_way.range((now, 0)..))
            .filter(|(_, arrival)| arrival.to == to && arrival.serial == serial)
            .filter(|(_, arrival)| matches!(arrival.what, What::Bytes(_) | What::Fin | What::Reset))
            .map(|(key, _)| *key)
            .collect();
        for (time, number) in waiting {
            if let Some(arrival) = self.on_the_way.remove(&(time, number)) {
                self.on_the_way.insert((now, number), arrival);
            }
        }
        if let Some(stream) = self.stream_mut(to) {
            stream.last_arrival = now;
        }
        self.advance(now);
    }

    fn later(&mut self, to: usize, time: Duration, what: What) {
        let Some(serial) = self.ends.get(to).map(|end| end.serial) else { return };
        self.on_the_way.insert((time, self.next_number), Arrival { to, serial, what });
        self.next_number += 1;
    }

    fn arrive(&mut self, number: u64, arrival: Arrival) {
        let (to, now) = (arrival.to, self.now);
        if self.ends.get(to).is_none_or(|end| end.serial != arrival.serial) {
            return;
        }
        if !matches!(arrival.what, What::Patience) && self.is_cut(to) {
            return self.hold(number, arrival);
        }
        self.record.mix([now.as_nanos() as u64, to as u64, arrival.what.code()]);
        let name = self.name_if_traced(to);
        self.record.line(|| format!("{} {name} <- {}", at(now), arrival.what.name()));
        let Some(stream) = self.stream_mut(to) else { return };
        match arrival.what {
            What::Syn { attempt } => return self.meet(to, attempt),
            What::Connected => stream.connected = Some(Ok(())),
            What::Refused(errno) => stream.connected = Some(Err(errno)),
            What::Bytes(bytes) => {
                stream.coming = stream.coming.saturating_sub(bytes.len());
                if stream.broken {
                    return;
                }
                stream.inbox.extend(bytes);
            }
            // Behind a reset comes nothing that is heard.
            What::Fin => stream.ended |= !stream.broken,
            What::Reset => stream.reset(),
            What::Patience => {
                if !self.has_lost_patience(to) {
                    return;
                }
                let Some(stream) = self.stream_mut(to) else { return };
                if stream.connected.is_none() {
                    stream.connected = Some(Err(Errno::TIMEDOUT));
                } else {
                    stream.broken = true;
                    stream.error = Some(Errno::TIMEDOUT);
                }
            }
        }
        self.edge(to);
    }

    /// A connect has come to the address that it is for: there it waits to be accepted.
    fn meet(&mut self, client: usize, attempt: u32) {
        let Some(remote) = self.stream(client).and_then(|stream| stream.remote) else { return };
        let Some(listener) = self.listener_for(remote) else {
            self.send(client, What::Refused(Errno::CONNREFUSED));
            return;
        };
        if self.is_full(listener) {
            // As Linux does: it says nothing, and the other side tries again after 1, 2, 4 s and so on, six times.
            if attempt > CONNECT_RETRIES {
                self.send(client, What::Refused(Errno::TIMEDOUT));
                return;
            }
            let again = self.now + Duration::from_secs(1 << attempt);
            return self.later(client, again, What::Syn { attempt: attempt + 1 });
        }
        self.wait_at(listener, client);
        self.send(client, What::Connected);
    }

    // ---- partitions -------------------------------------------------------------------------------------------------------

    fn is_cut(&self, end: usize) -> bool {
        if self.cut.is_empty() {
            return false;
        }
        let Some(found) = self.ends.get(end) else { return false };
        let Some(local) = found.local.ip() else { return false };
        let remote = self.stream(end).and_then(|stream| stream.remote).and_then(Address::ip);
        let is = |address: SocketAddr, ip: &IpAddr| address.ip().to_canonical() == ip.to_canonical();
        self.cut.iter().any(|ip| is(local, ip) != remote.is_some_and(|remote| is(remote, ip)))
    }

    /// Between this address and all others nothing arrives any more.
    pub fn cut_off(&mut self, address: IpAddr) {
        self.record.line(|| format!("{} {address} is cut off", at(self.now)));
        self.cut.push(address);
        let probing: Vec<usize> = (self.ends.iter().map(|(end, _)| end))
            .filter(|end| self.stream(*end).is_some_and(|stream| stream.keep_alive.is_some()) && self.is_cut(*end))
            .collect();
        for end in probing {
            self.probe(end);
        }
    }

    /// It is one of them again: what stood before the partition arrives now, in order.
    pub fn heal(&mut self, address: IpAddr) {
        self.record.line(|| format!("{} {address} is back", at(self.now)));
        self.cut.retain(|other| *other != address);
        let now = self.now;
        for (number, arrival) in std::mem::take(&mut self.held) {
            self.on_the_way.insert((now, number), arrival);
        }
        for (_, end) in &mut self.ends {
            if let Kind::Stream(stream) = &mut end.kind {
                stream.unheard_since = None;
                stream.probing_since = None;
            }
        }
        self.advance(now);
    }

    /// A partition holds something up. Its sender will not wait for ever.
    fn hold(&mut self, number: u64, arrival: Arrival) {
        let to = arrival.to;
        let connecting = matches!(arrival.what, What::Syn { .. } | What::Connected);
        self.held.insert(number, arrival);
        let sender = if connecting { to } else { self.stream(to).and_then(|stream| stream.peer).unwrap_or(to) };
        let now = self.now;
        if let Some(stream) = self.stream_mut(sender)
            && stream.unheard_since.is_none()
        {
            stream.unheard_since = Some(now);
            let patience = if connecting { CONNECT_PATIENCE } else { WRITE_PATIENCE };
            self.later(sender, now + patience, What::Patience);
        }
    }

    /// Keep-alive, where it is on, notices that the other side is not to be heard any more.
    pub fn probe(&mut self, end: usize) {
        let (now, is_cut) = (self.now, self.is_cut(end));
        let Some(stream) = self.stream_mut(end) else { return };
        let Some(keep_alive) = stream.keep_alive else { return };
        if is_cut {
            stream.probing_since = Some(now);
            self.later(end, now + patience_of(keep_alive), What::Patience);
        } else if stream.has_lost_its_peer {
            // The first probe is answered: by a machine that knows of no such connection.
            self.later(end, now + delay_of(keep_alive), What::Reset);
        }
    }

    fn has_lost_patience(&self, end: usize) -> bool {
        let Some(stream) = self.stream(end).filter(|stream| !stream.broken) else { return false };
        let (since, patience) = match (stream.unheard_since, stream.keep_alive) {
            (Some(since), _) if stream.connected.is_none() => (Some(since), CONNECT_PATIENCE),
            // What waits for an acknowledgement is a probe of its own: there are no others (tcp_keepalive_timer).
            (Some(since), _) => (Some(since), WRITE_PATIENCE),
            (None, Some(keep_alive)) => (stream.probing_since, patience_of(keep_alive)),
            (None, None) => return false,
        };
        since.is_some_and(|since| self.now >= since + patience)
    }

    /// A machine loses power: its connections are gone, and nobody is told.
    pub fn lose_power(&mut self, address: IpAddr) {
        self.record.line(|| format!("{} {address} has lost power", at(self.now)));
        let gone: Vec<usize> = self
            .ends
            .iter()
            .filter(|(_, end)| end.local.ip().is_some_and(|local| local.ip().to_canonical() == address.to_canonical()))
            .map(|(end, _)| end)
            .collect();
        for end in gone {
            let Some(stream) = self.stream_mut(end) else { continue };
            stream.dead = true;
            let Some(peer) = stream.peer.take() else { continue };
            if let Some(stream) = self.stream_mut(peer) {
                stream.peer = None;
                stream.has_lost_its_peer = true;
                self.probe(peer);
            }
        }
    }

    // ---- readiness --------------------------------------------------------------------------------------------------------

    pub fn has_edges(&self) -> bool {
        self.machines.iter().any(|machine| !machine.edges.is_empty() || !machine.signals.is_empty())
    }

    /// Something has changed at an end: its loop will be told, once, in order.
    pub fn edge(&mut self, end: usize) {
        let Some(found) = self.ends.get_mut(end) else { return };
        let dead = matches!(&found.kind, Kind::Stream(Stream { dead: true, .. }));
        if found.token.is_some() && !found.has_edge && !dead {
            found.has_edge = true;
            self.machines[found.machine].edges.push_back(end);
        }
    }

    /// Tells a machine what is ready, each edge once.
    pub fn tell(&mut self, machine: usize, ready: &mut Vec<Ready>) {
        let spurious = self.weather.spurious;
        if self.happens(spurious) {
            let end = self.random(self.ends.capacity() as u64) as usize;
            if self.ends.get(end).is_some_and(|found| found.machine == machine) {
                self.edge(end);
            }
        }
        ready.extend(self.machines[machine].signals.drain(..).map(Ready::Signal));
        let late = self.weather.late;
        for end in std::mem::take(&mut self.machines[machine].edges) {
            if self.happens(late) {
                self.machines[machine].edges.push_back(end);
                continue;
            }
            let readiness = self.readiness(end);
            let name = self.name_if_traced(end);
            self.record.line(|| format!("{} {name} {}", at(self.now), readiness.words()));
            if let Some(stream) = self.stream_mut(end) {
                // As poll does in Linux: who is told that there is no room is told when there is.
                stream.wants_room |= !readiness.writable;
            }
            if let Some(found) = self.ends.get_mut(end) {
                found.has_edge = false;
                if let Some(token) = found.token {
                    ready.push(Ready::Io { token, readiness });
                }
            }
        }
    }

    pub fn readiness(&self, end: usize) -> Readiness {
        let Some(found) = self.ends.get(end) else { return Readiness::default() };
        match &found.kind {
            Kind::Listener(listener) => Readiness { readable: !listener.waiting.is_empty(), ..Readiness::default() },
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
    pub fn room(&self, stream: &Stream) -> usize {
        match stream.peer.and_then(|peer| self.stream(peer)) {
            Some(peer) => self.weather.buffer_of(peer).saturating_sub(peer.inbox.len() + peer.coming),
            None => self.weather.buffer,
        }
    }

    // ---- its own promises -------------------------------------------------------------------------------------------------

    /// What is wrong with the books: bytes that were taken from a writer and are neither read, nor there, nor coming.
    pub fn check(&self) -> Result<(), String> {
        for (end, found) in &self.ends {
            let listed = self.machines[found.machine].edges.iter().filter(|other| **other == end).count();
            if listed != usize::from(found.has_edge) {
                return Err(format!("{}: {listed} edges", self.name(end)));
            }
            let Kind::Stream(stream) = &found.kind else { continue };
            let Some(peer) = stream.peer.and_then(|peer| self.stream(peer)).filter(|peer| !peer.broken) else {
                continue;
            };
            let there = peer.bytes_read + (peer.inbox.len() + peer.coming) as u64;
            if stream.bytes_taken != there {
                return Err(format!("{}: {} bytes taken, {there} there", self.name(end), stream.bytes_taken));
            }
        }
        let descriptors: usize = self.machines.iter().map(|machine| machine.descriptors).sum();
        let open = self.ends.iter().filter(|(_, end)| end.has_descriptor).count() + self.files.descriptors();
        if descriptors != open {
            return Err(format!("{descriptors} descriptors counted, {open} there"));
        }
        Ok(())
    }
}

impl Readiness {
    /// As a person reads it in a trace.
    fn words(self) -> String {
        let words = [
            (self.readable, " readable"),
            (self.writable, " writable"),
            (self.ended, " ended"),
            (self.hung_up, " hung up"),
        ];
        let words: String = words.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        format!("is{}", if words.is_empty() { " not ready" } else { &words })
    }
}

impl Stream {
    /// A RST has come (tcp_reset in Linux): what was received can still be read, then the error is told once.
    pub fn reset(&mut self) {
        if self.broken {
            return;
        }
        self.error = Some(if self.ended { Errno::PIPE } else { Errno::CONNRESET });
        self.broken = true;
        self.peer = None;
    }
}

impl What {
    fn name(&self) -> String {
        match self {
            What::Syn { attempt: 0 } => "SYN".to_owned(),
            What::Syn { attempt } => format!("SYN (again, {attempt})"),
            What::Connected => "SYN ACK".to_owned(),
            What::Refused(errno) => format!("refusal ({errno})"),
            What::Bytes(bytes) => format!("{} bytes", bytes.len()),
            What::Fin => "FIN".to_owned(),
            What::Reset => "RST".to_owned(),
            What::Patience => "(nothing for too long, perhaps)".to_owned(),
        }
    }

    fn code(&self) -> u64 {
        match self {
            What::Syn { .. } => 1,
            What::Connected => 2,
            What::Refused(_) => 3,
            What::Bytes(bytes) => 8 + bytes.len() as u64,
            What::Fin => 4,
            What::Reset => 5,
            What::Patience => 6,
        }
    }
}

/// How long keep-alive waits for a peer that says nothing. Its delay is in whole seconds; of 0 the system's own is left.
fn patience_of(keep_alive: KeepAlive) -> Duration {
    delay_of(keep_alive) + keep_alive.interval.unwrap_or(PROBE_EVERY) * keep_alive.count.unwrap_or(PROBES)
}

/// When the first probe goes out.
fn delay_of(keep_alive: KeepAlive) -> Duration {
    match keep_alive.initial_delay.as_secs() {
        0 => SYSTEM_KEEP_ALIVE,
        seconds => Duration::from_secs(seconds),
    }
}

/// A time in a trace.
pub(super) fn at(time: Duration) -> String {
    format!("{:>12.3} ms", time.as_secs_f64() * 1000.0)
}

/// Each machine has an address in each family, for the connections that it makes.
pub(super) fn machine_address(machine: usize, to: IpAddr) -> IpAddr {
    let number = machine as u16 + 1;
    match to {
        IpAddr::V4(_) => Ipv4Addr::new(10, 1, (number >> 8) as u8, number as u8).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, number).into(),
    }
}
