//! Outages: partitions and crashes of machines, and the timeouts by which a system notices a silent peer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::arrivals::{Arrival, Packet};
use super::end::Kind;
use super::world::{World, at};
use crate::address::Address;
use crate::kernel::KeepAlive;

/// How long Linux tries to connect (tcp_syn_retries of 6).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);

/// How long Linux sends again what is not acknowledged (tcp_retries2 of 15).
const RETRANSMISSION_TIMEOUT: Duration = Duration::from_millis(924_600);

/// When an idle connection sends its first probe, if the program has not said it (tcp_keepalive_time).
const SYSTEM_KEEP_ALIVE: Duration = Duration::from_secs(7200);

/// Ten probes, one each second, if the program has not said it.
const PROBES: u32 = 10;
const PROBE_EVERY: Duration = Duration::from_secs(1);

impl World {
    pub fn is_cut(&self, end: usize) -> bool {
        if self.cut.is_empty() {
            return false;
        }
        let Some(found) = self.ends.get(end) else { return false };
        let Some(local) = found.local.ip() else { return false };
        let remote = match &found.kind {
            Kind::Datagrams(datagrams) => Some(datagrams.peer),
            _ => self.stream(end).and_then(|stream| stream.remote).and_then(Address::ip),
        };
        let is = |address: SocketAddr, ip: &IpAddr| address.ip().to_canonical() == ip.to_canonical();
        self.cut.iter().any(|ip| is(local, ip) != remote.is_some_and(|remote| is(remote, ip)))
    }

    /// From now on nothing arrives between this address and all others.
    pub fn cut_off(&mut self, address: IpAddr) {
        self.record.line(|| format!("{} {address} is cut off", at(self.now)));
        let heard = self.ends_that(|end, _| !self.is_cut(end));
        self.cut.push(address);
        for end in heard {
            if self.is_cut(end) {
                self.probe(end);
            }
        }
    }

    /// Ends a partition: what it held back arrives now, in order.
    pub fn heal(&mut self, address: IpAddr) {
        self.record.line(|| format!("{} {address} is back", at(self.now)));
        self.cut.retain(|other| *other != address);
        let now = self.now;
        for (number, arrival) in std::mem::take(&mut self.held) {
            self.in_flight.insert((now, number), arrival);
        }
        for end in self.ends_that(|end, _| !self.is_cut(end)) {
            if let Some(stream) = self.stream_mut(end) {
                stream.unacknowledged_since = None;
                stream.probing_since = None;
            }
        }
        self.advance(now);
    }

    /// A partition holds something back. Its sender does not wait for ever.
    pub fn hold(&mut self, number: u64, arrival: Arrival) {
        let to = arrival.to;
        let connecting = matches!(arrival.packet, Packet::Syn { .. } | Packet::Connected);
        self.held.insert(number, arrival);
        let sender = if connecting { to } else { self.stream(to).and_then(|stream| stream.peer).unwrap_or(to) };
        let now = self.now;
        if let Some(stream) = self.stream_mut(sender)
            && stream.unacknowledged_since.is_none()
        {
            stream.unacknowledged_since = Some(now);
            let timeout = if connecting { CONNECT_TIMEOUT } else { RETRANSMISSION_TIMEOUT };
            self.schedule(sender, now + timeout, Packet::Timeout);
        }
    }

    /// If keep-alive is on, it will notice that the peer does not answer any more.
    pub fn probe(&mut self, end: usize) {
        let (now, is_cut) = (self.now, self.is_cut(end));
        let Some(stream) = self.stream_mut(end) else { return };
        let Some(keep_alive) = stream.keep_alive else { return };
        if is_cut {
            stream.probing_since = Some(now);
            self.schedule(end, now + keep_alive_timeout(keep_alive), Packet::Timeout);
        } else if stream.peer_crashed {
            // The peer's machine has started again, knows no such connection, and answers the first probe with a reset.
            self.schedule(end, now + keep_alive_delay(keep_alive), Packet::Reset);
        }
    }

    pub fn has_timed_out(&self, end: usize) -> bool {
        let Some(stream) = self.stream(end).filter(|stream| !stream.broken) else { return false };
        let (since, timeout) = match (stream.unacknowledged_since, stream.keep_alive) {
            (Some(since), _) if stream.connected.is_none() => (Some(since), CONNECT_TIMEOUT),
            // While something waits for an acknowledgement, it is sent again, and there are no probes (tcp_keepalive_timer).
            (Some(since), _) => (Some(since), RETRANSMISSION_TIMEOUT),
            (None, Some(keep_alive)) => (stream.probing_since, keep_alive_timeout(keep_alive)),
            (None, None) => return false,
        };
        since.is_some_and(|since| self.now >= since + timeout)
    }

    /// A machine crashes: its connections are gone, and no peer learns of it.
    pub fn crash(&mut self, address: IpAddr) {
        self.record.line(|| format!("{} {address} has crashed", at(self.now)));
        let is_there = |local: SocketAddr| local.ip().to_canonical() == address.to_canonical();
        for end in self.ends_that(|_, end| end.local.ip().is_some_and(is_there)) {
            let Some(stream) = self.stream_mut(end) else { continue };
            stream.crashed = true;
            let Some(peer) = stream.peer.take() else { continue };
            if let Some(stream) = self.stream_mut(peer) {
                stream.peer = None;
                stream.peer_crashed = true;
                self.probe(peer);
            }
        }
    }
}

/// How long keep-alive waits for a silent peer. Its delay is in whole seconds; 0 leaves the system's own.
fn keep_alive_timeout(keep_alive: KeepAlive) -> Duration {
    keep_alive_delay(keep_alive) + keep_alive.interval.unwrap_or(PROBE_EVERY) * keep_alive.count.unwrap_or(PROBES)
}

/// When the first probe goes out.
fn keep_alive_delay(keep_alive: KeepAlive) -> Duration {
    match keep_alive.initial_delay.as_secs() {
        0 => SYSTEM_KEEP_ALIVE,
        seconds => Duration::from_secs(seconds),
    }
}
