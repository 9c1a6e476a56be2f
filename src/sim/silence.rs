//! Silence: partitions and power losses, and how long a system waits for somebody it does not hear any more.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::arrivals::{Arrival, What};
use super::world::{World, at};
use crate::address::Address;
use crate::kernel::KeepAlive;

/// How long Linux tries to connect (tcp_syn_retries of 6).
const CONNECT_PATIENCE: Duration = Duration::from_secs(127);

/// How long Linux sends again what nobody acknowledges (tcp_retries2 of 15).
const WRITE_PATIENCE: Duration = Duration::from_millis(924_600);

/// The first probe of an idle connection, where the program has not said (tcp_keepalive_time).
const SYSTEM_KEEP_ALIVE: Duration = Duration::from_secs(7200);

/// Ten probes, one a second, where the program has not said.
const PROBES: u32 = 10;
const PROBE_EVERY: Duration = Duration::from_secs(1);

impl World {
    pub fn is_cut(&self, end: usize) -> bool {
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
        let heard = self.ends_that(|end, _| !self.is_cut(end));
        self.cut.push(address);
        for end in heard {
            if self.is_cut(end) {
                self.probe(end);
            }
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
        for end in self.ends_that(|end, _| !self.is_cut(end)) {
            if let Some(stream) = self.stream_mut(end) {
                stream.unheard_since = None;
                stream.probing_since = None;
            }
        }
        self.advance(now);
    }

    /// A partition holds something up. Its sender will not wait for ever.
    pub fn hold(&mut self, number: u64, arrival: Arrival) {
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

    pub fn has_lost_patience(&self, end: usize) -> bool {
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
        let is_there = |local: SocketAddr| local.ip().to_canonical() == address.to_canonical();
        for end in self.ends_that(|_, end| end.local.ip().is_some_and(is_there)) {
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
