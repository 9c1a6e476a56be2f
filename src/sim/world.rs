//! The simulated network itself: machines, ends, packets in flight, and the seed.
//!
//! It knows no loop: for each machine it keeps the edges that wait for that machine's loop. `kernel.rs` calls it. The rest
//! of it, by noun:
//!
//! | file | |
//! | --- | --- |
//! | `stream.rs`, `listener.rs`, `datagrams.rs`, `files.rs` | the calls on a connection, a listener, a socket of datagrams, a file |
//! | `end.rs` | one end of a connection, and its state |
//! | `arrivals.rs` | what is in flight, and what it does when it arrives |
//! | `readiness.rs` | the edges |
//! | `outages.rs` | partitions, crashes, and the timeouts that notice them |
//! | `conditions.rs`, `fault.rs` | how the network behaves; which calls fail, and the trace |

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::io::Errno;
use slab::Slab;

use super::arrivals::Arrival;
use super::conditions::Conditions;
use super::datagrams::Answerer;
use super::end::{End, Kind, Stream};
use super::fault::{Record, os};
use super::files::Files;
use crate::address::Address;

/// The first port that the system chooses.
const FIRST_FREE_PORT: u16 = 32768;

/// The simulated network.
pub(super) struct World {
    pub now: Duration,
    pub seed: u64,
    pub conditions: Conditions,
    pub machines: Vec<Machine>,
    pub ends: Slab<End>,
    /// The sockets that listen, the oldest first.
    pub listeners: Vec<usize>,
    next_port: u16,
    /// What is in flight, by the time of its arrival, then by its number.
    pub in_flight: BTreeMap<(Duration, u64), Arrival>,
    /// What partitions hold back, by its number.
    pub held: BTreeMap<u64, Arrival>,
    pub next_number: u64,
    next_serial: u64,
    pub cut: Vec<IpAddr>,
    pub record: Record,
    pub files: Files,
    /// Who answers datagrams, by address.
    pub answerers: BTreeMap<SocketAddr, Answerer>,
}

/// What belongs to one loop.
#[derive(Default)]
pub(super) struct Machine {
    /// Its loop takes turns. What comes to one that does not waits for it, and nobody else waits with it.
    pub runs: bool,
    /// The ends with an edge that waits for the loop, in the order of the edges.
    pub edges: VecDeque<usize>,
    pub watched: Vec<i32>,
    pub signals: VecDeque<i32>,
    /// Its `wait` is to return. A waker has it too, which may be on another thread.
    pub woken: Arc<AtomicBool>,
    pub descriptors: usize,
}

impl World {
    pub fn new(seed: u64, conditions: Conditions) -> Self {
        World {
            now: Duration::ZERO,
            // This kind of generator must not start at zero.
            seed: (seed ^ 0x9e37_79b9_7f4a_7c15).max(1),
            conditions,
            machines: Vec::new(),
            ends: Slab::new(),
            listeners: Vec::new(),
            next_port: FIRST_FREE_PORT,
            in_flight: BTreeMap::new(),
            held: BTreeMap::new(),
            next_number: 0,
            next_serial: 0,
            cut: Vec::new(),
            record: Record::default(),
            files: Files::default(),
            answerers: BTreeMap::new(),
        }
    }

    /// xorshift64, which is good enough here.
    pub fn random(&mut self, bound: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % bound.max(1)
    }

    /// Whether something happens now that has this chance. A chance of zero draws no number, so that all numbers of a quiet
    /// network are the test's.
    pub fn happens(&mut self, of_a_thousand: u32) -> bool {
        of_a_thousand > 0 && self.random(1000) < u64::from(of_a_thousand)
    }

    pub fn open(&mut self, machine: usize, local: Address, kind: Kind) -> usize {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.ends.insert(End { serial, machine, token: None, has_edge: false, has_descriptor: false, local, kind })
    }

    /// Whether a machine may have one more descriptor.
    pub fn may_open(&self, machine: usize) -> io::Result<()> {
        match self.machines[machine].descriptors >= self.conditions.descriptors {
            true => Err(os(Errno::MFILE)),
            false => Ok(()),
        }
    }

    pub fn give_descriptor(&mut self, end: usize) {
        if let Some(end) = self.ends.get_mut(end)
            && !end.has_descriptor
        {
            end.has_descriptor = true;
            self.machines[end.machine].descriptors += 1;
        }
    }

    /// The ends of which something is true, so that each can be changed.
    pub fn ends_that(&self, are: impl Fn(usize, &End) -> bool) -> Vec<usize> {
        self.ends.iter().filter(|(end, found)| are(*end, found)).map(|(end, _)| end).collect()
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

    /// The name of an end in a trace.
    pub fn name(&self, end: usize) -> String {
        let Some(found) = self.ends.get(end) else { return format!("(closed {end})") };
        match &found.kind {
            Kind::Listener(_) => found.local.to_string(),
            Kind::Datagrams(datagrams) => format!("{} - {}", found.local, datagrams.peer),
            Kind::Stream(stream) => match stream.remote {
                Some(remote) => format!("{} - {remote}", found.local),
                None => found.local.to_string(),
            },
        }
    }

    pub fn name_if_traced(&self, end: usize) -> String {
        if self.record.keeps_lines() { self.name(end) } else { String::new() }
    }

    /// Whether the counts agree: each byte that was taken from a writer is read, received or in flight.
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
            let there = peer.bytes_read + (peer.inbox.len() + peer.incoming) as u64;
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

/// A time in a trace.
pub(super) fn at(time: Duration) -> String {
    format!("{:>12.3} ms", time.as_secs_f64() * 1000.0)
}

/// Each machine has an address of each family, for the connections that it makes.
pub(super) fn machine_address(machine: usize, to: IpAddr) -> IpAddr {
    let number = machine as u16 + 1;
    match to {
        IpAddr::V4(_) => Ipv4Addr::new(10, 1, (number >> 8) as u8, number as u8).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, number).into(),
    }
}
