//! Servers: listening, accepting, closing.
//!
//! What an accept can fail with is a table, [`verdict`]: a client that is gone already is no reason to stop; a machine
//! that is out of descriptors turns clients away; anything else is a reason to wait. What keeps a server from accepting
//! is told once, until it can again, and it listens on.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use super::event::{Dropped, Event};
use super::limits::{Limits, limits};
use super::link::Link;
use super::options::ServerOptions;
use super::ticks::Deferred;
use super::turn::Step;
use super::{Alarm, Net};
use crate::address::Address;
use crate::block_list::BlockList;
use crate::connection::Connection;
use crate::endpoint::{Endpoint, ToEndpoint};
use crate::error::{Code, Error, Syscall};
use crate::id::ServerId;
use crate::kernel::{Handle, KeepAlive, ListenOptions};
use crate::timers::Due;

/// The first pause of a server that cannot accept; each further one is twice as long, up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The most connections accepted in one turn, as a power of two: a flood of them must not starve those that are there.
const LONGEST_BURST: u32 = 6;

/// So many clients that are lost on end are more than bad luck: a seccomp filter or a security module that forbids
/// accepting says EPERM each time, and takes nobody from the queue.
const LOST_ON_END: u32 = 64;

/// One server of the net.
#[derive(Debug)]
pub(super) struct Server {
    /// While it listens.
    handle: Option<Handle>,
    address: Option<Address>,
    options: ServerOptions,
    /// The output limits of all that it accepts.
    limits: Option<Limits>,
    /// Sockets accepted and not yet destroyed.
    connections: usize,
    referenced: bool,
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

impl Server {
    pub fn is_listening(&self) -> bool {
        self.handle.is_some()
    }

    /// Whether this entry of the timers is the end of its pause.
    pub fn pauses_until(&self, entry: Due) -> bool {
        self.pause.is_some_and(|pause| pause.until == Some(entry))
    }

    /// Whether it counts its connections right, stands on the ready list as often as it says, and will try again after a
    /// pause. `has_alarm`: an entry of the timers stands for its end.
    pub fn check(&self, connections: usize, listed: usize, has_alarm: bool) -> Result<(), String> {
        if self.connections != connections {
            return Err(format!("{connections} connections are there, {} are counted", self.connections));
        }
        if listed != usize::from(self.listed) {
            return Err(format!("it is on the ready list {listed} times"));
        }
        match self.pause.is_none() || self.listed || has_alarm {
            true => Ok(()),
            false => Err("it pauses, and nothing will wake it".to_owned()),
        }
    }

    pub fn keeps_alive(&self) -> bool {
        self.referenced && self.is_listening()
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
    /// A server that does not listen yet.
    ///
    /// # Errors
    /// An option out of its bounds.
    pub fn new_server(&mut self, options: ServerOptions) -> Result<ServerId, Error> {
        options.check()?;
        Ok(self.servers.insert_with(|_| Server {
            handle: None,
            address: None,
            limits: limits(options.output_limits),
            options,
            connections: 0,
            referenced: true,
            listed: false,
            turns: 0,
            burst_left: 1,
            pause: None,
            lost: 0,
            has_told: false,
        }))
    }

    /// Listens, from now on. `listening` follows on a tick.
    ///
    /// # Errors
    /// Text that is no address; a server that listens already; the system's, with the address.
    pub fn listen(&mut self, id: ServerId, on: impl ToEndpoint) -> Result<(), Error> {
        let on = on.to_endpoint()?.to_listen_on();
        let options = self.server_that_may_listen(id)?;
        let system = |error: io::Error, address: Address| Error::system(&error, Syscall::Listen).at(address);
        let mut listen = |address| {
            let handle = self.kernel.listen(address, &options)?;
            self.begin_listening(id, handle)
        };
        listen(on.first).or_else(|error| match on.second {
            // As in Node: a port that is taken is no reason to try another family, a missing family is. One family that
            // was asked for is not replaced by the other.
            Some(second) if error.kind() != ErrorKind::AddrInUse && !options.ipv6_only => {
                listen(second).map_err(|error| system(error, second))
            }
            _ => Err(system(error, on.first)),
        })
    }

    /// With what it would listen.
    pub(super) fn server_that_may_listen(&self, id: ServerId) -> Result<ListenOptions, Error> {
        let server = self.servers.get(id).ok_or_else(|| Error::new(Code::Gone))?;
        if server.is_listening() {
            return Err(Error::new(Code::AlreadyListening));
        }
        Ok(server.options.to_listen())
    }

    /// A server has its socket, which is closed again if it cannot be watched.
    pub(super) fn begin_listening(&mut self, id: ServerId, handle: Handle) -> io::Result<()> {
        let told = self.kernel.register(handle, id.into()).and_then(|()| self.kernel.local_address(handle));
        let address = told.inspect_err(|_| self.kernel.close(handle))?;
        if let Some(server) = self.servers.get_mut(id) {
            server.handle = Some(handle);
            server.address = Some(address);
        }
        self.deferred.push_back(Deferred::Listening(id));
        Ok(())
    }

    /// Stops listening; the connections stay. `ServerClose` follows when the last of them has gone; on a tick, if there
    /// is none. Every call while it neither listens nor has connections gives another, as in Node.
    pub fn close_server(&mut self, id: ServerId) {
        let Some(server) = self.servers.get_mut(id) else { return };
        server.address = None;
        server.has_told = false;
        if let Some(handle) = server.handle.take() {
            self.kernel.close(handle);
            self.recovered(id);
            self.descriptor_was_freed();
        }
        self.tell_close_if_drained(id);
    }

    /// Forgets a server that neither listens nor has connections. Its id becomes stale.
    pub fn remove_server(&mut self, id: ServerId) {
        if self.servers.get(id).is_some_and(|server| !server.is_listening() && server.connections == 0) {
            self.servers.remove(id);
        }
    }

    pub(crate) fn server_exists(&self, id: ServerId) -> bool {
        self.servers.contains(id)
    }

    /// The address that it listens on, with the real port; `None` for a Unix socket.
    #[doc(alias = "address")]
    pub fn server_address(&self, id: ServerId) -> Option<SocketAddr> {
        self.servers.get(id)?.address?.ip()
    }

    /// Where it listens, of either family: what a client can connect to.
    #[doc(alias = "address")]
    pub fn server_endpoint(&self, id: ServerId) -> Option<Endpoint> {
        self.servers.get(id)?.address.map(Endpoint::from)
    }

    /// Whether it listens.
    #[doc(alias = "listening")]
    pub fn is_listening(&self, id: ServerId) -> bool {
        self.servers.get(id).is_some_and(Server::is_listening)
    }

    /// How many of its sockets are not destroyed.
    #[doc(alias = "getConnections")]
    pub fn connections(&self, id: ServerId) -> usize {
        self.servers.get(id).map_or(0, |server| server.connections)
    }

    /// The most connections at a time. It can be changed while running; those that are there stay.
    #[doc(alias = "maxConnections")]
    pub fn set_max_connections(&mut self, id: ServerId, most: Option<usize>) {
        if let Some(server) = self.servers.get_mut(id) {
            server.options.max_connections = most;
        }
    }

    /// Who is turned away. It can be changed while running; those that are there stay.
    #[doc(alias = "blockList")]
    pub fn set_block_list(&mut self, id: ServerId, list: Option<BlockList>) {
        if let Some(server) = self.servers.get_mut(id) {
            server.options.block_list = list;
        }
    }

    /// Whether the server keeps the loop running while it listens.
    pub fn set_server_ref(&mut self, id: ServerId, on: bool) {
        if let Some(server) = self.servers.get_mut(id) {
            server.referenced = on;
        }
    }

    // ---- inside -----------------------------------------------------------------------------------------------------

    /// The keep-alive that a connection was accepted with: its server's.
    pub(super) fn inherited_keep_alive(&self, id: Option<ServerId>) -> Option<KeepAlive> {
        self.servers.get(id?)?.options.keep_alive
    }

    pub(super) fn make_accepting(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get_mut(id)
            && !server.listed
        {
            server.listed = true;
            server.turns = 0;
            server.burst_left = 1;
            self.ready.join(id.into());
        }
    }

    /// One connection of a server that has some.
    pub(super) fn accept_one(&mut self, id: ServerId) -> Step {
        let Some(server) = self.servers.get_mut(id) else { return Step::Worked };
        server.listed = false;
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
        server.listed = true;
        server.burst_left -= 1;
        if server.burst_left > 0 {
            self.ready.call_again();
        } else {
            server.turns += 1;
            server.burst_left = 1 << (server.turns / 2).min(LONGEST_BURST);
            self.ready.join(id.into());
        }
    }

    /// A new connection, in Node's order: the limit, the block list, then the socket, then the event.
    fn take(&mut self, id: ServerId, handle: Handle, remote: Address) -> Option<Event> {
        self.recovered(id);
        let server = self.servers.get_mut(id)?;
        server.has_told = false;
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
        let options = &server.options;
        let connection =
            Connection::accepted(options.high_water_mark as u32, options.allow_half_open, options.pause_on_connect);
        let link = Link {
            handle: Some(handle),
            server: Some(id),
            remote: remote.into(),
            no_delay: options.no_delay,
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
                server.lost += 1;
                if server.lost < LOST_ON_END {
                    self.accept_again(id);
                    return None;
                }
                server.lost = 0;
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
        let is_news = !std::mem::replace(&mut server.has_told, true);
        is_news.then(|| Event::ServerError { server: id, error: Error::system(error, Syscall::Accept) })
    }

    /// It does not accept for a while: no edge will tell when it works again.
    fn pause_accepting(&mut self, id: ServerId) {
        let Some(server) = self.servers.get_mut(id) else { return };
        let length = server.pause.map_or(SHORTEST_PAUSE, |pause| pause.next);
        log::debug!("accepting again in {length:?}");
        let until = self.timers.after(self.counted_from, length);
        self.timers.push(until, Alarm::Accept(id));
        let before = server.pause.replace(Pause { until: Some(until), next: (length * 2).min(LONGEST_PAUSE) });
        self.forget_pause(before);
    }

    /// Whatever kept it from accepting is over.
    fn recovered(&mut self, id: ServerId) {
        let Some(server) = self.servers.get_mut(id) else { return };
        server.lost = 0;
        let before = server.pause.take();
        self.forget_pause(before);
    }

    fn forget_pause(&mut self, pause: Option<Pause>) {
        if pause.is_some_and(|pause| pause.until.is_some()) {
            self.forget_alarm();
        }
    }

    /// A pause has ended, if this entry is the one that counts.
    pub(super) fn end_pause(&mut self, id: ServerId, entry: Due) {
        match self.servers.get_mut(id).and_then(|server| server.pause.as_mut()) {
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
            self.servers.iter().filter(|(_, server)| server.pause.is_some()).map(|(id, _)| id).collect();
        for id in waiting {
            self.make_accepting(id);
        }
    }

    /// One of its sockets was destroyed: that counts at once, though the socket's own `close` comes later.
    pub(super) fn connection_was_destroyed(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get_mut(id) {
            server.connections = server.connections.saturating_sub(1);
            self.tell_close_if_drained(id);
        }
    }

    fn tell_close_if_drained(&mut self, id: ServerId) {
        if self.servers.get(id).is_some_and(|server| !server.is_listening() && server.connections == 0) {
            self.deferred.push_back(Deferred::ServerClose(id));
        }
    }

    /// Stops listening everywhere; the connections stay.
    pub fn close_servers(&mut self) {
        let listening = self.servers.iter().filter(|(_, server)| server.is_listening());
        let servers: Vec<ServerId> = listening.map(|(id, _)| id).collect();
        for id in servers {
            self.close_server(id);
        }
    }

    /// Stops listening everywhere and destroys all sockets.
    pub fn close_all(&mut self) {
        self.close_servers();
        self.destroy_all();
    }
}

/// The table. accept(2) on Linux passes on errors of the new connection's network, which are no error of the server.
fn verdict(error: &io::Error) -> Verdict {
    match Error::system(error, Syscall::Accept).code().name() {
        _ if error.kind() == ErrorKind::WouldBlock => Verdict::Nobody,
        "EINTR" | "ECONNABORTED" | "EPROTO" | "EPERM" | "ENETDOWN" | "ENETUNREACH" | "EHOSTDOWN" | "EHOSTUNREACH"
        | "ENONET" | "ENOPROTOOPT" | "EOPNOTSUPP" | "ETIMEDOUT" => Verdict::Next,
        "EMFILE" | "ENFILE" => Verdict::Shed,
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
