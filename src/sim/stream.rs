//! The calls on a simulated connection.
//!
//! Each gives the answer of Linux's TCP. Where that is not obvious, the function of Linux is named.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use rustix::io::Errno;

use super::arrivals::Packet;
use super::end::{Kind, Stream};
use super::fault::{Extent, os, parts, would_block};
use super::listener::in_family;
use super::world::{World, at, machine_address};
use crate::address::{Address, UnixAddress};
use crate::kernel::{Readiness, SocketOption, Token};

/// The largest segment on loopback (its MTU of 65,536, less the headers).
const SEGMENT: usize = 65_483;

/// A first write above half of the first window, and below one segment, is acknowledged late: the receiver has no larger
/// window to announce.
const HALF_WINDOW: usize = 32_768;

/// A first write of this size widens the receiver's window.
const WIDENING: RangeInclusive<usize> = 4000..=16_384;

/// How long Linux delays an acknowledgement (TCP_DELACK_MIN).
const LATE_ACKNOWLEDGEMENT: Duration = Duration::from_millis(40);

impl World {
    pub fn connect(&mut self, machine: usize, to: Address, from: Option<SocketAddr>) -> io::Result<usize> {
        self.may_open(machine)?;
        match to {
            Address::Ip(address) => {
                let local = self.local_for(machine, address, from).into();
                let stream = Stream { remote: Some(to), ..Stream::default() };
                let client = self.open(machine, local, Kind::Stream(stream));
                self.give_descriptor(client);
                self.send(client, Packet::Syn { attempt: 0 });
                Ok(client)
            }
            Address::Unix(address) => self.connect_unix(machine, address),
        }
    }

    /// It is connected at once, or not at all (unix_stream_connect in Linux).
    fn connect_unix(&mut self, machine: usize, to: UnixAddress) -> io::Result<usize> {
        let Some(listener) = self.listener_for(to.into()) else {
            // ENOENT if there is no file (unix(7)); a stale file and an abstract name refuse.
            let is_no_file = to.as_path().is_some_and(|path| !self.files.exists(path));
            return Err(os(if is_no_file { Errno::NOENT } else { Errno::CONNREFUSED }));
        };
        if self.is_full(listener) {
            return Err(os(Errno::AGAIN));
        }
        // Nagle's rule is TCP's alone.
        let stream = Stream { remote: Some(to.into()), connected: Some(Ok(())), no_delay: true, ..Stream::default() };
        let client = self.open(machine, UnixAddress::UNNAMED.into(), Kind::Stream(stream));
        self.give_descriptor(client);
        self.queue_at(listener, client);
        Ok(client)
    }

    /// The address that the caller asks for; the system chooses the rest. It may be in use already: that is not checked.
    fn local_for(&mut self, machine: usize, to: SocketAddr, from: Option<SocketAddr>) -> SocketAddr {
        let ip = match (from.map(|from| from.ip()).filter(|ip| !ip.is_unspecified()), to.ip().to_canonical()) {
            (Some(ip), _) => ip,
            (None, to) if to.is_loopback() => to,
            (None, to) => machine_address(machine, to),
        };
        let port = from.map(|from| from.port()).filter(|port| *port != 0);
        in_family(SocketAddr::new(ip, port.unwrap_or_else(|| self.free_port())), to.ip())
    }

    pub fn connected(&mut self, end: usize) -> io::Result<bool> {
        let Some(stream) = self.stream_mut(end) else { return Err(os(Errno::BADF)) };
        match (stream.connected, stream.error.take()) {
            (_, Some(errno)) | (Some(Err(errno)), _) => Err(os(errno)),
            (Some(Ok(())), _) => Ok(true),
            (None, _) => Ok(false),
        }
    }

    /// Gives the number of the error, or 0.
    pub fn take_error(&mut self, end: usize) -> io::Result<usize> {
        let Some(stream) = self.stream_mut(end) else { return Err(os(Errno::BADF)) };
        Ok(stream.error.take().map_or(0, |errno| errno.raw_os_error() as usize))
    }

    pub fn register(&mut self, end: usize, token: Token) -> io::Result<()> {
        let Some(found) = self.ends.get_mut(end) else { return Err(os(Errno::BADF)) };
        found.token = Some(token);
        if self.readiness(end) != Readiness::default() {
            self.edge(end);
        }
        Ok(())
    }

    pub fn set_option(&mut self, end: usize, option: SocketOption) -> io::Result<()> {
        let Some(stream) = self.stream_mut(end) else { return Err(os(Errno::BADF)) };
        match option {
            SocketOption::NoDelay(on) => stream.no_delay = on,
            SocketOption::KeepAlive(keep_alive) => {
                stream.keep_alive = keep_alive;
                self.probe(end);
            }
            // They change nothing here.
            SocketOption::TypeOfService(_) | SocketOption::UserTimeout(_) => {}
        }
        Ok(())
    }

    pub fn read(&mut self, end: usize, buffer: &mut [u8], extent: Extent) -> io::Result<usize> {
        if self.happens(self.conditions.resets) {
            self.break_connection(end);
        }
        let Some(stream) = self.stream_mut(end) else { return Err(os(Errno::BADF)) };
        if stream.crashed {
            return Err(would_block());
        }
        if stream.inbox.is_empty() {
            // After a FIN there is only the end, whatever arrives later (tcp_recvmsg in Linux).
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
        let possible = buffer.len().min(stream.inbox.len());
        let count = self.share(extent, possible);
        let Some(stream) = self.stream_mut(end) else { return Err(os(Errno::BADF)) };
        let (front, back) = stream.inbox.as_slices();
        let first = count.min(front.len());
        buffer[..first].copy_from_slice(&front[..first]);
        buffer[first..count].copy_from_slice(&back[..count - first]);
        stream.inbox.drain(..count);
        stream.bytes_read += count as u64;
        let peer = stream.peer;
        if count < possible {
            // A real kernel is never short while there is more. A simulated one is, and gives an edge for the rest.
            self.edge(end);
        }
        if let Some(peer) = peer {
            self.wake_writer(peer);
        }
        Ok(count)
    }

    /// A writer that found no room gets an edge when a third of the buffer is free, as in Linux.
    fn wake_writer(&mut self, end: usize) {
        let bound = self.conditions.buffer;
        let Some(stream) = self.stream(end) else { return };
        if stream.wants_room && self.room(stream) * 3 >= bound {
            if let Some(stream) = self.stream_mut(end) {
                stream.wants_room = false;
            }
            self.edge(end);
        }
    }

    /// The buffers may have become larger: writers that wait for room may have it now.
    pub fn wake_writers(&mut self) {
        self.ends_that(|_, _| true).into_iter().for_each(|end| self.wake_writer(end));
    }

    pub fn write(&mut self, end: usize, slices: &[IoSlice<'_>], extent: Extent) -> io::Result<usize> {
        if self.happens(self.conditions.resets) {
            self.break_connection(end);
        }
        let Some(stream) = self.stream_mut(end) else { return Err(os(Errno::BADF)) };
        if stream.broken || stream.shut {
            return Err(os(stream.error.take().unwrap_or(Errno::PIPE)));
        }
        let crashed = stream.crashed;
        let peer = stream.peer;
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let room = self.stream(end).map_or(0, |stream| self.room(stream));
        let possible = offered.min(room);
        let count = self.share(extent, possible);
        if count < offered
            && let Some(stream) = self.stream_mut(end)
        {
            stream.wants_room = true;
        }
        if count == 0 && offered > 0 {
            return Err(would_block());
        }
        if count < possible {
            // It is short because of the conditions, not of the buffer: there is room, and an edge says so.
            self.edge(end);
        }
        if let Some(stream) = self.stream_mut(end) {
            stream.bytes_taken += count as u64;
        }
        match peer.filter(|peer| self.stream(*peer).is_some()) {
            Some(peer) => self.carry(end, peer, slices, count),
            None if crashed => {}
            // The peer is gone: these bytes are lost, and the answer is a reset.
            None => {
                self.send(end, Packet::Reset);
            }
        }
        Ok(count)
    }

    /// Moves `count` bytes of the slices to the other end, at once or in flight.
    fn carry(&mut self, from: usize, to: usize, slices: &[IoSlice<'_>], count: usize) {
        let parts = parts(slices, count);
        let first = self.stream(from).is_some_and(|stream| stream.bytes_taken == count as u64);
        if first && let Some(stream) = self.stream_mut(to) {
            stream.widened = WIDENING.contains(&count);
        }
        let waits_until = self.nagle(from, count);
        if waits_until.is_none() && self.arrives_at_once(to) {
            if let Some(stream) = self.stream_mut(to) {
                parts.for_each(|part| stream.inbox.extend(part));
            }
            return self.edge(to);
        }
        let mut bytes = Vec::with_capacity(count);
        parts.for_each(|part| bytes.extend_from_slice(part));
        self.send_not_before(to, Packet::Bytes(bytes), waits_until.unwrap_or_default());
        if waits_until.is_none() && count >= SEGMENT && self.conditions.delay.is_zero() {
            self.deliver_now(to);
        }
    }

    /// Until when a write waits: a small one waits while an earlier small one is not acknowledged (RFC 896, with Minshall's
    /// change). Nearly all are acknowledged at once.
    fn nagle(&mut self, from: usize, count: usize) -> Option<Duration> {
        let now = self.now;
        let stream = self.stream_mut(from)?;
        if stream.no_delay || count >= SEGMENT {
            return None;
        }
        let first = stream.bytes_taken == count as u64;
        if first && count >= HALF_WINDOW {
            stream.acknowledged = now + LATE_ACKNOWLEDGEMENT;
            return None;
        }
        (stream.acknowledged > now).then_some(stream.acknowledged)
    }

    pub fn shutdown(&mut self, end: usize) -> io::Result<()> {
        let Some(stream) = self.stream_mut(end) else { return Err(os(Errno::BADF)) };
        if stream.broken {
            return Err(os(Errno::NOTCONN));
        }
        stream.shut = true;
        if let Some(peer) = stream.peer {
            self.send_end(peer);
        }
        Ok(())
    }

    /// Sends a FIN. It takes a small write that waits for an acknowledgement with it (tcp_send_fin in Linux).
    fn send_end(&mut self, to: usize) {
        self.send(to, Packet::Fin);
        if self.conditions.delay.is_zero() {
            self.deliver_now(to);
        }
    }

    pub fn close(&mut self, end: usize, reset: bool) {
        let name = self.name_if_traced(end);
        self.record.line(|| format!("{} {name} {}", at(self.now), if reset { "Reset" } else { "Close" }));
        self.record.mix([self.now.as_nanos() as u64, 99, end as u64, u64::from(reset)]);
        let Some(closed) = self.ends.try_remove(end) else { return };
        let machine = &mut self.machines[closed.machine];
        machine.descriptors -= usize::from(closed.has_descriptor);
        if closed.has_edge {
            machine.edges.retain(|other| *other != end);
        }
        match closed.kind {
            Kind::Listener(listener) => self.stop_listening(end, closed.local, listener),
            Kind::Datagrams(_) => {}
            Kind::Stream(stream) => {
                let Some(peer) = stream.peer else { return };
                if let Some(stream) = self.stream_mut(peer) {
                    stream.peer = None;
                }
                if reset || stream.broken || !stream.inbox.is_empty() || stream.incoming > 0 {
                    self.send(peer, Packet::Reset);
                } else if !stream.shut {
                    self.send_end(peer);
                }
                self.wake_writer(peer);
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
