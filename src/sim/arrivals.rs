//! What is on its way from one end to another, and what it does when it arrives.

use std::time::Duration;

use rustix::io::Errno;

use super::world::{World, at};

/// How often Linux tries again to connect, each time after twice the time (tcp_syn_retries).
const CONNECT_RETRIES: u32 = 6;

/// Something on its way to an end.
pub(super) struct Arrival {
    pub to: usize,
    pub serial: u64,
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

    /// Sends something to an end. It keeps its place behind what was sent there before.
    pub fn send(&mut self, to: usize, what: What) {
        self.send_no_sooner(to, what, Duration::ZERO);
    }

    /// As [`World::send`], to arrive at `earliest` at the earliest.
    pub fn send_no_sooner(&mut self, to: usize, what: What, earliest: Duration) {
        let longest = self.weather.delay.as_micros() as u64;
        let delay = Duration::from_micros(if longest == 0 { 0 } else { self.random(longest + 1) });
        let now = self.now;
        let cut = self.is_cut(to);
        let Some(stream) = self.stream_mut(to) else { return };
        let time = (now + delay).max(stream.last_arrival).max(earliest);
        let waits = time > now || stream.coming > 0 || cut;
        stream.last_arrival = time;
        if let What::Bytes(bytes) = &what {
            stream.coming += bytes.len();
        }
        let Some((number, arrival)) = self.numbered(to, what) else { return };
        if waits {
            self.on_the_way.insert((time, number), arrival);
        } else {
            self.arrive(number, arrival);
        }
    }

    /// Has something come at this time, whatever else is on its way.
    pub fn later(&mut self, to: usize, time: Duration, what: What) {
        if let Some((number, arrival)) = self.numbered(to, what) {
            self.on_the_way.insert((time, number), arrival);
        }
    }

    fn numbered(&mut self, to: usize, what: What) -> Option<(u64, Arrival)> {
        let serial = self.ends.get(to)?.serial;
        let number = self.next_number;
        self.next_number += 1;
        Some((number, Arrival { to, serial, what }))
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
        if matches!(arrival.what, What::Patience) && !self.has_lost_patience(to) {
            return;
        }
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
            What::Patience => stream.give_up(),
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
