//! Servers: listening, closing, and what can be asked of them. How they accept is in `accept.rs`.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use super::Net;
use super::accept::Accepting;
use super::limits::{Limits, limits};
use super::options::ServerOptions;
use super::ticks::Deferred;
use crate::address::Address;
use crate::address::block_list::BlockList;
use crate::address::endpoint::Endpoint;
use crate::base::error::{Code, Error, Syscall};
use crate::base::id::ServerId;
use crate::kernel::{Handle, KeepAlive, ListenOptions};

/// One server of the net.
#[derive(Debug)]
pub(super) struct Server {
    /// While it listens.
    pub handle: Option<Handle>,
    address: Option<Address>,
    pub options: ServerOptions,
    /// The output limits of all that it accepts.
    pub limits: Option<Limits>,
    /// Sockets accepted and not yet destroyed.
    pub connections: usize,
    referenced: bool,
    pub accepting: Accepting,
}

impl Server {
    pub fn is_listening(&self) -> bool {
        self.handle.is_some()
    }

    pub fn keeps_alive(&self) -> bool {
        self.referenced && self.is_listening()
    }

    /// It neither listens nor has connections.
    fn is_over(&self) -> bool {
        !self.is_listening() && self.connections == 0
    }

    /// Whether it counts its connections right, and accepts on: see [`Accepting::check`].
    pub fn check(&self, connections: usize, listed: usize, has_alarm: bool) -> Result<(), String> {
        if self.connections != connections {
            return Err(format!("{connections} connections are there, {} are counted", self.connections));
        }
        self.accepting.check(listed, has_alarm)
    }
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
            accepting: Accepting::new(),
        }))
    }

    /// Listens, from now on. `listening` follows on a tick.
    ///
    /// # Errors
    /// Text that is no address; a server that listens already; the system's, with the address.
    pub fn listen(&mut self, id: ServerId, on: impl TryInto<Endpoint, Error: Into<Error>>) -> Result<(), Error> {
        let on: Endpoint = on.try_into().map_err(Into::into)?;
        let on = on.to_listen_on();
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
        if let Some(handle) = server.handle.take() {
            self.kernel.close(handle);
            self.trouble_is_over(id);
            self.descriptor_was_freed();
        }
        self.tell_close_if_drained(id);
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

    /// Forgets a server that neither listens nor has connections. Its id becomes stale.
    pub fn remove_server(&mut self, id: ServerId) {
        if self.servers.get(id).is_some_and(Server::is_over) {
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

    /// The keep-alive that a connection was accepted with: its server's.
    pub(super) fn inherited_keep_alive(&self, id: Option<ServerId>) -> Option<KeepAlive> {
        self.servers.get(id?)?.options.tcp.keep_alive
    }

    /// One of its sockets was destroyed: that counts at once, though the socket's own `close` comes later.
    pub(super) fn connection_was_destroyed(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get_mut(id) {
            server.connections = server.connections.saturating_sub(1);
            self.tell_close_if_drained(id);
        }
    }

    fn tell_close_if_drained(&mut self, id: ServerId) {
        if self.servers.get(id).is_some_and(Server::is_over) {
            self.deferred.push_back(Deferred::ServerClose(id));
        }
    }
}
