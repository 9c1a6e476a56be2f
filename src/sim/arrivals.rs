//! What is in flight between two ends: when it arrives, and what it does there.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;

use super::world::{World, at};

/// How often Linux tries again to connect, each time after twice the time (tcp_syn_retries).
const CONNECT_RETRIES: u32 = 6;

/// Something in flight to an end.
pub(super) struct Arrival {
    pub to: usize,
    pub serial: u64,
    pub packet: Packet,
}

#[derive(Debug)]
pub(super) enum Packet {
    /// The connect of the end `to`: it arrives at the address that this end connects to.
    Syn {
        attempt: u32,
    },
    Connected,
    Refused(Errno),
    Bytes(Vec<u8>),
    /// A datagram of this sender.
    Datagram(SocketAddr, Vec<u8>),
    /// Nobody receives datagrams there (ICMP).
    Unreachable,
    Fin,
    Reset,
    /// No packet: a timer of the end's own system, to see whether the peer has been silent for too long. A partition does
    /// not hold it back.
    Timeout,
}

impl World {
    pub fn next_arrival(&self) -> Option<Duration> {
        self.in_flight.keys().next().map(|(time, _)| *time)
    }

    /// Moves the clock, and lets everything arrive that is due.
    pub fn advance(&mut self, to: Duration) {
        self.now = self.now.max(to);
        while let Some(entry) = self.in_flight.first_entry()
            && entry.key().0 <= self.now
        {
            let ((_, number), arrival) = entry.remove_entry();
            self.arrive(number, arrival);
        }
    }

    /// Sends something to an end. It arrives after what was sent there before.
    pub fn send(&mut self, to: usize, packet: Packet) {
        self.send_not_before(to, packet, Duration::ZERO);
    }

    /// As [`World::send`], but it does not arrive before `earliest`.
    pub fn send_not_before(&mut self, to: usize, packet: Packet, earliest: Duration) {
        let longest = self.conditions.delay.as_micros() as u64;
        let delay = Duration::from_micros(if longest == 0 { 0 } else { self.random(longest + 1) });
        let now = self.now;
        let cut = self.is_cut(to);
        let Some(stream) = self.stream_mut(to) else { return };
        let time = (now + delay).max(stream.last_arrival).max(earliest);
        let waits = time > now || stream.incoming > 0 || cut;
        stream.last_arrival = time;
        if let Packet::Bytes(bytes) = &packet {
            stream.incoming += bytes.len();
        }
        let Some((number, arrival)) = self.numbered(to, packet) else { return };
        if waits {
            self.in_flight.insert((time, number), arrival);
        } else {
            self.arrive(number, arrival);
        }
    }

    /// Makes something arrive at this time, whatever else is in flight.
    pub fn schedule(&mut self, to: usize, time: Duration, packet: Packet) {
        if let Some((number, arrival)) = self.numbered(to, packet) {
            self.in_flight.insert((time, number), arrival);
        }
    }

    fn numbered(&mut self, to: usize, packet: Packet) -> Option<(u64, Arrival)> {
        let serial = self.ends.get(to)?.serial;
        let number = self.next_number;
        self.next_number += 1;
        Some((number, Arrival { to, serial, packet }))
    }

    /// Whether bytes that are sent to an end now arrive at once.
    pub fn arrives_at_once(&self, to: usize) -> bool {
        self.conditions.delay.is_zero()
            && !self.is_cut(to)
            && self.stream(to).is_some_and(|stream| stream.incoming == 0 && stream.last_arrival <= self.now)
    }

    /// Delivers now what waits for an acknowledgement (Nagle's rule): a large write takes an earlier small one with it.
    pub fn deliver_now(&mut self, to: usize) {
        let Some(serial) = self.ends.get(to).map(|end| end.serial) else { return };
        let now = self.now;
        let waiting: Vec<_> = (self.in_flight.range((now, 0)..))
            .filter(|(_, arrival)| arrival.to == to && arrival.serial == serial)
            .filter(|(_, arrival)| matches!(arrival.packet, Packet::Bytes(_) | Packet::Fin | Packet::Reset))
            .map(|(key, _)| *key)
            .collect();
        for (time, number) in waiting {
            if let Some(arrival) = self.in_flight.remove(&(time, number)) {
                self.in_flight.insert((now, number), arrival);
            }
        }
        if let Some(stream) = self.stream_mut(to) {
            stream.last_arrival = now;
        }
        self.advance(now);
    }

    fn arrive(&mut self, number: u64, arrival: Arrival) {
        let (to, now) = (arrival.to, self.now);
        if self.ends.get(to).is_none_or(|end| end.serial != arrival.serial) {
            return;
        }
        if matches!(arrival.packet, Packet::Datagram(..) | Packet::Unreachable) {
            return self.datagram_arrived(to, arrival.packet);
        }
        if !matches!(arrival.packet, Packet::Timeout) && self.is_cut(to) {
            return self.hold(number, arrival);
        }
        self.record.mix([now.as_nanos() as u64, to as u64, arrival.packet.code()]);
        let name = self.name_if_traced(to);
        self.record.line(|| format!("{} {name} <- {}", at(now), arrival.packet.name()));
        if matches!(arrival.packet, Packet::Timeout) && !self.has_timed_out(to) {
            return;
        }
        let Some(stream) = self.stream_mut(to) else { return };
        match arrival.packet {
            Packet::Syn { attempt } => return self.syn_arrived(to, attempt),
            Packet::Connected => stream.connected = Some(Ok(())),
            Packet::Refused(errno) => stream.connected = Some(Err(errno)),
            Packet::Bytes(bytes) => {
                stream.incoming = stream.incoming.saturating_sub(bytes.len());
                if stream.broken {
                    return;
                }
                stream.inbox.extend(bytes);
            }
            // Nothing counts after a reset.
            Packet::Datagram(..) | Packet::Unreachable => return,
            Packet::Fin => stream.ended |= !stream.broken,
            Packet::Reset => stream.reset(),
            Packet::Timeout => stream.time_out(),
        }
        self.edge(to);
    }

    /// A SYN has arrived at its address: the connection waits there to be accepted.
    fn syn_arrived(&mut self, client: usize, attempt: u32) {
        let Some(remote) = self.stream(client).and_then(|stream| stream.remote) else { return };
        let Some(listener) = self.listener_for(remote) else {
            self.send(client, Packet::Refused(Errno::CONNREFUSED));
            return;
        };
        if self.is_full(listener) {
            // As Linux does: it does not answer, and the client tries again after 1, 2, 4 s and so on, six times.
            if attempt > CONNECT_RETRIES {
                self.send(client, Packet::Refused(Errno::TIMEDOUT));
                return;
            }
            let again = self.now + Duration::from_secs(1 << attempt);
            return self.schedule(client, again, Packet::Syn { attempt: attempt + 1 });
        }
        self.queue_at(listener, client);
        self.send(client, Packet::Connected);
    }
}

impl Packet {
    pub fn name(&self) -> String {
        match self {
            Packet::Syn { attempt: 0 } => "SYN".to_owned(),
            Packet::Syn { attempt } => format!("SYN (again, {attempt})"),
            Packet::Connected => "SYN ACK".to_owned(),
            Packet::Refused(errno) => format!("refusal ({errno})"),
            Packet::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Packet::Datagram(from, bytes) => format!("a datagram of {} bytes from {from}", bytes.len()),
            Packet::Unreachable => "nobody receives datagrams there".to_owned(),
            Packet::Fin => "FIN".to_owned(),
            Packet::Reset => "RST".to_owned(),
            Packet::Timeout => "(timer: is the peer silent for too long?)".to_owned(),
        }
    }

    pub fn code(&self) -> u64 {
        match self {
            Packet::Syn { .. } => 1,
            Packet::Connected => 2,
            Packet::Refused(_) => 3,
            Packet::Bytes(bytes) => 8 + bytes.len() as u64,
            Packet::Datagram(_, bytes) => (1 << 32) + bytes.len() as u64,
            Packet::Unreachable => 7,
            Packet::Fin => 4,
            Packet::Reset => 5,
            Packet::Timeout => 6,
        }
    }
}
