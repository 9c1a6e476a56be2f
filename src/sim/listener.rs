//! Sockets that listen on a simulated network: which addresses they may share, and which of them gets a client.
//!
//! A loop is a machine. An address is one place on the whole network. An address and the wildcard exclude each other on one
//! machine only. The rules were measured on Linux, and `tests/sim/simulator.rs` compares the two. `arrivals.rs` has what
//! happens to a client before it gets here.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;

use super::end::{End, Kind, Stream};
use super::fault::{os, would_block};
use super::world::World;
use crate::address::{Address, UnixAddress};
use crate::kernel::ListenOptions;

/// A socket that listens.
pub(super) struct Listener {
    pub options: ListenOptions,
    /// The connections that wait to be accepted, the oldest first.
    pub waiting: VecDeque<usize>,
}

/// How well a socket that listens fits an address. Linux gives a client to the socket that fits best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    /// It listens at this address, and not at the wildcard.
    exact: bool,
    /// It is of the address's family. Otherwise it is of IPv6, and the address of IPv4.
    own_family: bool,
}

impl Fit {
    fn of(own: Address, options: &ListenOptions, to: Address) -> Option<Fit> {
        let (Address::Ip(own), Address::Ip(to)) = (own, to) else {
            return (own == to).then_some(Fit { exact: true, own_family: true });
        };
        // An IPv4 address that is mapped into IPv6 counts as IPv4.
        let (at, to_ip) = (own.ip().to_canonical(), to.ip().to_canonical());
        let exact = at == to_ip;
        let is_wildcard_for =
            at.is_unspecified() && (at.is_ipv4() == to_ip.is_ipv4() || (at.is_ipv6() && !options.ipv6_only));
        let fits = own.port() == to.port() && (exact || is_wildcard_for);
        fits.then_some(Fit { exact, own_family: own.is_ipv4() == to_ip.is_ipv4() })
    }
}

/// An address in the form that a socket of a family shows: an IPv6 socket shows IPv4 mapped into IPv6.
pub(super) fn in_family(address: SocketAddr, of: IpAddr) -> SocketAddr {
    let ip = match (address.ip().to_canonical(), of) {
        (IpAddr::V4(ip), IpAddr::V6(_)) => ip.to_ipv6_mapped().into(),
        (ip, _) => ip,
    };
    SocketAddr::new(ip, address.port())
}

impl World {
    pub fn listen(&mut self, machine: usize, address: Address, options: &ListenOptions) -> io::Result<usize> {
        self.may_open(machine)?;
        let address = match address {
            Address::Ip(address) if address.is_ipv6() && address.ip().to_canonical().is_ipv4() && options.ipv6_only => {
                return Err(os(Errno::INVAL));
            }
            Address::Ip(address) if address.port() == 0 => SocketAddr::new(address.ip(), self.free_port()).into(),
            address => address,
        };
        let is_taken = self.listeners.iter().any(|other| self.excludes(*other, machine, address, options));
        if is_taken || !self.make_file(address) {
            return Err(os(Errno::ADDRINUSE));
        }
        let end = self.open(machine, address, Kind::Listener(Listener { options: *options, waiting: VecDeque::new() }));
        self.give_descriptor(end);
        self.listeners.push(end);
        Ok(end)
    }

    /// Whether a socket that listens has the place that another one wants.
    fn excludes(&self, other: usize, machine: usize, address: Address, options: &ListenOptions) -> bool {
        let Some(End { kind: Kind::Listener(listener), local, machine: others, .. }) = self.ends.get(other) else {
            return false;
        };
        let fits = [Fit::of(*local, &listener.options, address), Fit::of(address, options, *local)];
        let collide = fits.into_iter().flatten().any(|fit| fit.exact || *others == machine);
        let share = address.ip().is_some() && options.reuse_port && listener.options.reuse_port;
        collide && !share
    }

    /// Makes the file of a path; other addresses have none. False if there is something else at the path.
    fn make_file(&mut self, address: Address) -> bool {
        let unix = address.unix();
        unix.as_ref().and_then(UnixAddress::as_path).is_none_or(|path| self.files.add_socket(path))
    }

    /// The socket that gets a client of this address. If several fit equally well, it is a random one: Linux chooses by the
    /// client's address and port, which is as good as random.
    pub fn listener_for(&mut self, address: Address) -> Option<usize> {
        let fit = |end: usize| match self.ends.get(end) {
            Some(End { kind: Kind::Listener(listener), local, .. }) => Fit::of(*local, &listener.options, address),
            _ => None,
        };
        let fits: Vec<(Fit, usize)> = self.listeners.iter().filter_map(|end| Some((fit(*end)?, *end))).collect();
        let best = fits.iter().map(|(fit, _)| *fit).max()?;
        let found: Vec<usize> = fits.into_iter().filter(|(fit, _)| *fit == best).map(|(_, end)| end).collect();
        match found.as_slice() {
            [one] => Some(*one),
            several => several.get(self.random(several.len() as u64) as usize).copied(),
        }
    }

    /// Whether its backlog is full.
    pub fn is_full(&self, listener: usize) -> bool {
        match self.ends.get(listener) {
            Some(End { kind: Kind::Listener(listener), .. }) => {
                listener.waiting.len() > listener.options.backlog as usize
            }
            _ => true,
        }
    }

    /// Makes the other end of a client. It waits to be accepted.
    pub fn queue_at(&mut self, listener: usize, client: usize) {
        let Some(local) = self.ends.get(client).map(|end| end.local) else { return };
        let Some(remote) = self.stream(client).and_then(|stream| stream.remote) else { return };
        let Some(End { kind: Kind::Listener(found), machine, local: at, .. }) = self.ends.get(listener) else { return };
        let seen = |address: Address| match (address, at) {
            (Address::Ip(address), Address::Ip(at)) => in_family(address, at.ip()).into(),
            _ => address,
        };
        let tcp = found.options.tcp;
        let there = Stream {
            remote: Some(seen(local)),
            peer: Some(client),
            connected: Some(Ok(())),
            no_delay: tcp.no_delay || remote.unix().is_some(),
            keep_alive: tcp.keep_alive,
            ..Stream::default()
        };
        let server = self.open(*machine, seen(remote), Kind::Stream(there));
        if let Some(stream) = self.stream_mut(client) {
            stream.peer = Some(server);
        }
        if let Some(listener) = self.listener_mut(listener) {
            listener.waiting.push_back(server);
        }
        self.edge(listener);
    }

    pub fn accept(&mut self, listener: usize) -> io::Result<usize> {
        let Some(End { kind: Kind::Listener(found), machine, .. }) = self.ends.get(listener) else {
            return Err(os(Errno::BADF));
        };
        let Some(end) = found.waiting.front().copied() else { return Err(would_block()) };
        self.may_open(*machine)?;
        if let Some(listener) = self.listener_mut(listener) {
            listener.waiting.pop_front();
        }
        self.give_descriptor(end);
        Ok(end)
    }

    /// Resets a connection that waits. It never has a descriptor of the loop's.
    pub fn shed(&mut self, listener: usize) -> io::Result<bool> {
        let Some(listener) = self.listener_mut(listener) else { return Err(os(Errno::BADF)) };
        let Some(end) = listener.waiting.pop_front() else { return Ok(false) };
        self.close(end, true);
        Ok(true)
    }

    /// The socket is closed: its file is removed, and the connections that wait are reset.
    pub fn stop_listening(&mut self, end: usize, at: Address, listener: Listener) {
        self.listeners.retain(|other| *other != end);
        if let Some(path) = at.unix().as_ref().and_then(UnixAddress::as_path) {
            self.files.remove_socket(path);
        }
        for server in listener.waiting {
            self.close(server, true);
        }
    }

    fn listener_mut(&mut self, end: usize) -> Option<&mut Listener> {
        match self.ends.get_mut(end) {
            Some(End { kind: Kind::Listener(listener), .. }) => Some(listener),
            _ => None,
        }
    }
}
