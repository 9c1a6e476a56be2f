//! Datagrams on a simulated network: a test says who answers them, and how.
//!
//! A datagram that was sent is answered at once, by a closure of the test; the answers arrive when the closure says. So it can
//! lose one, delay it, double it, or have it come from somebody else. A partition loses what arrives meanwhile.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;

use super::Sim;
use super::arrivals::Packet;
use super::end::{End, Kind};
use super::fault::{os, would_block};
use super::world::{World, at, machine_address};

/// The most datagrams that wait to be received, as many as fit into the buffer of Linux.
const MOST_WAITING: usize = 256;

/// A socket of datagrams.
pub(super) struct Datagrams {
    pub peer: SocketAddr,
    waiting: VecDeque<Vec<u8>>,
    error: Option<Errno>,
}

impl Datagrams {
    pub fn has_any(&self) -> bool {
        !self.waiting.is_empty() || self.error.is_some()
    }
}

/// Answers the datagrams that are sent to an address: what comes, and from where.
pub(super) type Answerer = Box<dyn FnMut(&[u8], SocketAddr) -> Vec<Answer>>;

/// A datagram that answers another one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// How long it takes, beside what the network takes. Default: no time.
    pub after: Duration,
    /// Who sends it. Default: who was asked.
    pub from: Option<SocketAddr>,
}

impl Answer {
    /// An answer of these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Answer { bytes: bytes.into(), after: Duration::ZERO, from: None }
    }

    /// Sets [`after`](field@Self::after).
    #[must_use]
    pub fn after(mut self, after: Duration) -> Self {
        self.after = after;
        self
    }

    /// Sets [`from`](field@Self::from).
    #[must_use]
    pub fn from(mut self, from: SocketAddr) -> Self {
        self.from = Some(from);
        self
    }
}

impl Sim {
    /// Has the datagrams to this address answered, a name server's for example. `answer` is given each of them and its
    /// sender, and says which datagrams come back; it must not use the network itself. Where nobody answers, a sender gets
    /// `ECONNREFUSED`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidegate::kernel::Kernel;
    /// use tidegate::sim::{Answer, Sim};
    ///
    /// let sim = Sim::new(1);
    /// let echo = "10.0.0.1:7".parse().unwrap();
    /// sim.answer_datagrams(echo, |datagram, _| vec![Answer::new(datagram).after(Duration::from_millis(5))]);
    /// let mut kernel = sim.kernel();
    /// let socket = kernel.datagrams(echo, None)?;
    /// kernel.send(socket, b"hello")?;
    /// sim.work(Duration::from_millis(5));
    /// let mut buffer = [0; 512];
    /// assert_eq!(kernel.receive(socket, &mut buffer)?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn answer_datagrams(
        &self,
        address: SocketAddr,
        answer: impl FnMut(&[u8], SocketAddr) -> Vec<Answer> + 'static,
    ) {
        self.world.borrow_mut().answerers.insert(address, Box::new(answer));
    }
}

impl World {
    pub fn datagrams(&mut self, machine: usize, peer: SocketAddr, local: Option<SocketAddr>) -> io::Result<usize> {
        self.may_open(machine)?;
        let local = local.unwrap_or_else(|| SocketAddr::new(machine_address(machine, peer.ip()), 0));
        let port = if local.port() == 0 { self.free_port() } else { local.port() };
        let datagrams = Datagrams { peer, waiting: VecDeque::new(), error: None };
        let end = self.open(machine, SocketAddr::new(local.ip(), port).into(), Kind::Datagrams(datagrams));
        self.give_descriptor(end);
        Ok(end)
    }

    fn datagrams_mut(&mut self, end: usize) -> io::Result<&mut Datagrams> {
        match self.ends.get_mut(end) {
            Some(End { kind: Kind::Datagrams(datagrams), .. }) => Ok(datagrams),
            _ => Err(os(Errno::BADF)),
        }
    }

    pub fn send_datagram(&mut self, end: usize, bytes: &[u8]) -> io::Result<usize> {
        let datagrams = self.datagrams_mut(end)?;
        if let Some(errno) = datagrams.error.take() {
            return Err(os(errno));
        }
        let peer = datagrams.peer;
        let Some(local) = self.ends.get(end).and_then(|end| end.local.ip()) else { return Err(os(Errno::BADF)) };
        if self.is_cut(end) {
            return Ok(bytes.len());
        }
        let answers = match self.answerers.get_mut(&peer) {
            Some(answer) => answer(bytes, local),
            None => {
                self.arrives_after(end, Duration::ZERO, Packet::Unreachable);
                return Ok(bytes.len());
            }
        };
        for Answer { bytes, after, from } in answers {
            self.arrives_after(end, after, Packet::Datagram(from.unwrap_or(peer), bytes));
        }
        Ok(bytes.len())
    }

    /// Datagrams do not wait for each other.
    fn arrives_after(&mut self, end: usize, after: Duration, packet: Packet) {
        let longest = self.conditions.delay.as_micros() as u64;
        let delay = Duration::from_micros(if longest == 0 { 0 } else { self.random(longest + 1) });
        let time = self.now + after + delay;
        self.schedule(end, time, packet);
        self.advance(self.now);
    }

    /// What others than the peer have sent, and what is too much, is lost.
    pub fn datagram_arrived(&mut self, to: usize, packet: Packet) {
        let (is_cut, now) = (self.is_cut(to), self.now);
        self.record.mix([now.as_nanos() as u64, to as u64, packet.code()]);
        let name = self.name_if_traced(to);
        let Ok(datagrams) = self.datagrams_mut(to) else { return };
        let lost = match &packet {
            Packet::Datagram(from, _) => *from != datagrams.peer || datagrams.waiting.len() >= MOST_WAITING,
            _ => false,
        };
        if is_cut || lost {
            return self.record.line(|| format!("{} {name}: {} is lost", at(now), packet.name()));
        }
        let words = packet.name();
        match packet {
            Packet::Datagram(_, bytes) => datagrams.waiting.push_back(bytes),
            _ => datagrams.error = Some(Errno::CONNREFUSED),
        }
        self.record.line(|| format!("{} {name} <- {words}", at(now)));
        self.edge(to);
    }

    pub fn receive_datagram(&mut self, end: usize, buffer: &mut [u8]) -> io::Result<usize> {
        let datagrams = self.datagrams_mut(end)?;
        if let Some(errno) = datagrams.error.take() {
            return Err(os(errno));
        }
        let bytes = datagrams.waiting.pop_front().ok_or_else(would_block)?;
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }
}
