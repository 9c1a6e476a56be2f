//! Accepting: one connection after the other, and what is done where that fails.
//!
//! What an accept can fail with is a table, [`verdict`]: a client that is gone already is no reason to stop; a machine
//! that is out of descriptors turns clients away; anything else is a reason to wait. What keeps a server from accepting
//! is told once, until it can again, and it listens on.

use std::io;
use std::time::Duration;

use super::event::{Dropped, Event};
use super::link::Link;
use super::turn::Step;
use super::{Alarm, Net};
use crate::address::Address;
use crate::address::block_list::BlockList;
use crate::base::error::{Error, ErrorKind, Syscall};
use crate::base::id::ServerId;
use crate::base::timers::Due;
use crate::connection::Connection;
use crate::kernel::Handle;

/// The first pause of a server that cannot accept; each further one is twice as long, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The burst of one turn is doubled so often at most, to 64 connections: a flood of them must not starve those that are
/// there.
const MOST_DOUBLED: u32 = 6;

/// So many clients that are lost on end are more than bad luck: a seccomp filter or a security module that forbids
/// accepting says EPERM each time, and takes nobody from the queue.
const LOST_ON_END: u32 = 64;

/// Where a server is with those who want to be accepted.
#[derive(Debug)]
pub(super) struct Accepting {
    /// On the ready list.
    listed: bool,
    /// In how many turns on end there were connections to accept.
    turns: u32,
    /// How many may be accepted in this turn. At least 1 while listed.
    burst_left: u32,
    /// Since an accept has shown that it is no use to try again at once.
    pause: Option<Pause>,
    /// How many accepts on end have failed for what is their client's own affair.
    lost: u32,
    /// It cannot take connections, and has told so.
    has_told: bool,
}

/// A server that could not accept.
#[derive(Clone, Copy, Debug)]
struct Pause {
    /// None while it tries again.
    until: Option<Due>,
    /// How long the next one will be, if this one was not enough.
    next: Duration,
}

impl Accepting {
    pub fn new() -> Self {
        Accepting { listed: false, turns: 0, burst_left: 1, pause: None, lost: 0, has_told: false }
    }

    /// Whether this entry of the timers is the end of its pause.
    pub fn pauses_until(&self, entry: Due) -> bool {
        self.pause.is_some_and(|pause| pause.until == Some(entry))
    }

    /// Whether it stands on the ready list as often as it says, and will try again after a pause. `has_alarm`: an entry
    /// of the timers stands for its end.
    pub fn check(&self, listed: usize, has_alarm: bool) -> Result<(), String> {
        if listed != usize::from(self.listed) {
            return Err(format!("it is on the ready list {listed} times"));
        }
        match self.pause.is_none() || self.listed || has_alarm {
            true => Ok(()),
            false => Err("it pauses, and nothing will wake it".to_owned()),
        }
    }
}

/// What to do about an accept that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nobody waits.
    Nobody,
    /// It was that connection's own affair: take the next.
    Next,
    /// There is no descriptor: turn away who waits, so that they know.
    Shed,
    /// There is no memory, or worse: try again in a while.
    Pause,
}

impl Net {
    pub(super) fn make_accepting(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get_mut(id)
            && !server.accepting.listed
        {
            server.accepting.listed = true;
            server.accepting.turns = 0;
            server.accepting.burst_left = 1;
            self.ready.join(id.into());
        }
    }

    /// One connection of a server that has some.
    pub(super) fn accept_one(&mut self, id: ServerId) -> Step {
        let Some(server) = self.servers.get_mut(id) else { return Step::Worked };
        server.accepting.listed = false;
        let Some(handle) = server.handle else { return Step::Worked };
        let event = match self.kernel.accept(handle) {
            Ok((socket, remote)) => {
                self.accept_again(id);
                self.take(id, socket, remote)
            }
            Err(error) => self.accept_failed(id, handle, &error),
        };
        event.map_or(Step::Worked, Step::Event)
    }

    /// There may be more, and no edge will tell. libuv accepts one in a turn; so does this, but where connections wait
    /// for turns on end, it accepts twice as many in every second turn.
    fn accept_again(&mut self, id: ServerId) {
        let Some(server) = self.servers.get_mut(id) else { return };
        server.accepting.listed = true;
        server.accepting.burst_left -= 1;
        if server.accepting.burst_left > 0 {
            self.ready.call_again();
        } else {
            server.accepting.turns += 1;
            server.accepting.burst_left = 1 << (server.accepting.turns / 2).min(MOST_DOUBLED);
            self.ready.join(id.into());
        }
    }

    /// A new connection, in Node's order: the limit, the block list, then the socket, then the event.
    fn take(&mut self, id: ServerId, handle: Handle, remote: Address) -> Option<Event> {
        self.trouble_is_over(id);
        let server = self.servers.get(id)?;
        if server.options.max_connections.is_some_and(|most| server.connections >= most) {
            let local = self.kernel.local_address(handle).ok().and_then(Address::ip);
            self.kernel.close(handle);
            self.counters.dropped += 1;
            return Some(Event::Drop { server: id, dropped: Dropped { local, remote: remote.ip() } });
        }
        let is_blocked = |list: &BlockList| remote.ip().is_some_and(|remote| list.check(remote.ip()));
        if server.options.block_list.as_ref().is_some_and(is_blocked) {
            // Node says nothing either.
            log::debug!("{remote} is blocked");
            self.kernel.close(handle);
            self.counters.blocked += 1;
            return None;
        }
        self.admit(id, handle, remote)
    }

    fn admit(&mut self, id: ServerId, handle: Handle, remote: Address) -> Option<Event> {
        let server = self.servers.get_mut(id)?;
        let options = &server.options;
        let connection =
            Connection::accepted(options.high_water_mark, options.allow_half_open, options.pause_on_connect);
        let link = Link {
            handle: Some(handle),
            server: Some(id),
            remote: remote.into(),
            no_delay: options.tcp.no_delay,
            limits: server.limits.clone(),
            ..Link::new(connection)
        };
        let socket = self.sockets.insert_with(|_| link);
        if let Err(error) = self.kernel.register(handle, socket.into()) {
            // The system has no watch left for it. It is refused; the others and the server go on.
            self.kernel.close(handle);
            self.sockets.remove(socket);
            let error = Error::system(&error, Syscall::Register).at(remote);
            return Some(Event::ServerError { server: id, error });
        }
        server.connections += 1;
        self.counters.accepted += 1;
        self.watch(socket);
        Some(Event::Connection { server: id, socket })
    }

    fn accept_failed(&mut self, id: ServerId, handle: Handle, error: &io::Error) -> Option<Event> {
        match verdict(error) {
            Verdict::Nobody => {
                self.recovered(id);
                return None;
            }
            Verdict::Next => {
                let server = self.servers.get_mut(id)?;
                server.accepting.lost += 1;
                if server.accepting.lost < LOST_ON_END {
                    self.accept_again(id);
                    return None;
                }
                server.accepting.lost = 0;
                self.pause_accepting(id);
            }
            Verdict::Shed => match self.kernel.shed(handle) {
                Ok(true) => {
                    self.counters.shed += 1;
                    self.accept_again(id);
                }
                Ok(false) => {
                    self.recovered(id);
                    return None;
                }
                Err(_) => self.pause_accepting(id),
            },
            Verdict::Pause => self.pause_accepting(id),
        }
        self.tell_trouble(id, error)
    }

    /// Says that connections cannot be taken: once, and not again before one could be.
    fn tell_trouble(&mut self, id: ServerId, error: &io::Error) -> Option<Event> {
        let server = self.servers.get_mut(id)?;
        let is_news = !std::mem::replace(&mut server.accepting.has_told, true);
        is_news.then(|| Event::ServerError { server: id, error: Error::system(error, Syscall::Accept) })
    }

    /// It does not accept for a while: no edge will tell when it works again.
    fn pause_accepting(&mut self, id: ServerId) {
        let Some(server) = self.servers.get_mut(id) else { return };
        let length = server.accepting.pause.map_or(SHORTEST_PAUSE, |pause| pause.next);
        log::debug!("accepting again in {length:?}");
        let until = self.timers.after(self.counted_from, length);
        self.timers.push(until, Alarm::Accept(id));
        let before =
            server.accepting.pause.replace(Pause { until: Some(until), next: (length * 2).min(LONGEST_PAUSE) });
        self.forget_pause(before);
    }

    /// It can take connections, or listens no more: trouble that comes now is told again.
    pub(super) fn trouble_is_over(&mut self, id: ServerId) {
        self.recovered(id);
        if let Some(server) = self.servers.get_mut(id) {
            server.accepting.has_told = false;
        }
    }

    /// Whatever kept it from accepting is over.
    fn recovered(&mut self, id: ServerId) {
        let Some(server) = self.servers.get_mut(id) else { return };
        server.accepting.lost = 0;
        let before = server.accepting.pause.take();
        self.forget_pause(before);
    }

    fn forget_pause(&mut self, pause: Option<Pause>) {
        if pause.is_some_and(|pause| pause.until.is_some()) {
            self.forget_alarm();
        }
    }

    /// A pause has ended, if this entry is the one that counts.
    pub(super) fn end_pause(&mut self, id: ServerId, entry: Due) {
        match self.servers.get_mut(id).and_then(|server| server.accepting.pause.as_mut()) {
            Some(pause) if pause.until == Some(entry) => {
                pause.until = None;
                self.make_accepting(id);
            }
            _ => self.timers.dropped_stale(),
        }
    }

    /// Servers that wait for a descriptor need not wait any longer.
    pub(super) fn descriptor_was_freed(&mut self) {
        // Hardly ever is there a server that waits, and there are few servers.
        let waiting: Vec<ServerId> =
            self.servers.iter().filter(|(_, server)| server.accepting.pause.is_some()).map(|(id, _)| id).collect();
        for id in waiting {
            self.make_accepting(id);
        }
    }
}

/// The table. accept(2) on Linux passes on errors of the new connection's network, which are no error of the server.
fn verdict(error: &io::Error) -> Verdict {
    match ErrorKind::of(error) {
        ErrorKind::WouldBlock => Verdict::Nobody,
        ErrorKind::Interrupted
        | ErrorKind::ConnectionAborted
        | ErrorKind::Protocol
        | ErrorKind::PermissionDenied
        | ErrorKind::NetworkDown
        | ErrorKind::NetworkUnreachable
        | ErrorKind::HostUnreachable
        | ErrorKind::Unsupported
        | ErrorKind::TimedOut => Verdict::Next,
        ErrorKind::TooManyOpenFiles => Verdict::Shed,
        _ => Verdict::Pause,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn each_error_of_accept_has_its_verdict() {
        for (errno, expected) in [
            (Errno::AGAIN, Verdict::Nobody),
            (Errno::INTR, Verdict::Next),
            (Errno::CONNABORTED, Verdict::Next),
            (Errno::PROTO, Verdict::Next),
            (Errno::PERM, Verdict::Next),
            (Errno::NETDOWN, Verdict::Next),
            (Errno::MFILE, Verdict::Shed),
            (Errno::NFILE, Verdict::Shed),
            (Errno::NOBUFS, Verdict::Pause),
            (Errno::NOMEM, Verdict::Pause),
            (Errno::INVAL, Verdict::Pause),
        ] {
            assert_eq!(verdict(&errno.into()), expected, "{errno:?}");
        }
    }
}
