//! Servers: listening, accepting, closing, and what can be asked of them.

use std::io;
use std::net::SocketAddr;

use super::Net;
use super::agenda::Task;
use super::conn::Conn;
use super::event::{Dropped, Event};
use super::options::ServerOptions;
use super::server::{Accepted, Server};
use super::turn::Step;
use crate::address::Address;
use crate::address::block_list::BlockList;
use crate::address::endpoint::{Endpoint, ListenOn};
use crate::base::error::{Error, Syscall};
use crate::base::error_kind::ErrorKind;
use crate::base::id::{Key, ServerId};
use crate::connection::Connection;
use crate::kernel::{Handle, ListenOptions};

impl Net {
    /// A server that does not listen yet.
    ///
    /// # Errors
    /// An option out of its bounds.
    pub fn new_server(&mut self, options: ServerOptions) -> Result<ServerId, Error> {
        options.check()?;
        Ok(self.servers.insert_with(|id| Server::new(id, options)))
    }

    /// Listens, from now on. `listening` follows on a tick.
    ///
    /// On the name of a host it listens later: the name is looked up first, and then it is its first address, or the first one that
    /// is not link-local. What goes wrong by then is [`Event::ServerError`]. [`Net::close_server`] and another call of this give the look-up up.
    ///
    /// # Errors
    /// Text that is no address; a server that listens already; the system's, with the address.
    pub fn listen(&mut self, id: ServerId, on: impl TryInto<Endpoint, Error: Into<Error>>) -> Result<(), Error> {
        let on: Endpoint = on.try_into().map_err(Into::into)?;
        let options = self.server_that_may_listen(id)?;
        if let Some(server) = self.servers.get_mut(id) {
            server.end_naming(&mut self.cx);
        }
        let (first, second) = match on.to_listen_on() {
            ListenOn::Addresses { first, second } => (first, second),
            ListenOn::Name(host, port) => {
                self.begin_naming(id, host, port);
                return Ok(());
            }
        };
        let ipv6_only = options.ipv6_only;
        self.listen_at(id, first, &options).or_else(|error| match second {
            // As in Node: a port that is taken is no reason to try another family, a missing family is. One family that
            // was asked for is not replaced by the other.
            Some(second) if error.kind() != ErrorKind::AddressInUse && !ipv6_only => {
                self.listen_at(id, second, &options)
            }
            _ => Err(error),
        })
    }

    pub(super) fn listen_at(&mut self, id: ServerId, address: Address, options: &ListenOptions) -> Result<(), Error> {
        let listens = self.cx.kernel.listen(address, options).and_then(|handle| self.begin_listening(id, handle));
        listens.map_err(|error| Error::system(&error, Syscall::Listen).at(address))
    }

    /// With what it would listen.
    pub(super) fn server_that_may_listen(&self, id: ServerId) -> Result<ListenOptions, Error> {
        let server = self.servers.get(id).ok_or_else(|| Error::new(ErrorKind::Gone))?;
        if server.is_listening() {
            return Err(Error::new(ErrorKind::AlreadyListening));
        }
        Ok(server.options.to_listen())
    }

    /// A server has its socket, which is closed again if it cannot be watched.
    pub(super) fn begin_listening(&mut self, id: ServerId, handle: Handle) -> io::Result<()> {
        let kernel = &mut self.cx.kernel;
        let registered = kernel.register(handle, id.into()).and_then(|()| kernel.local_address(handle));
        let address = registered.inspect_err(|_| kernel.close(handle))?;
        if let Some(server) = self.servers.get_mut(id) {
            server.begin_listening(handle, address, &mut self.cx);
        }
        self.cx.agenda.push(Task::Listening(id));
        Ok(())
    }

    // ---- accepting -------------------------------------------------------------------------------------------------------

    /// One connection of a server that has some.
    pub(super) fn accept_one(&mut self, key: Key) -> Step {
        let Some(server) = self.servers.by_key_mut(key) else { return Step::Worked };
        let event = match server.accept(&mut self.cx) {
            Accepted::Connection(handle, remote) => self.take(key, handle, remote),
            Accepted::Nothing(trouble) => trouble,
        };
        event.map_or(Step::Worked, Step::Event)
    }

    /// A new connection, in Node's order: the limit, the block list, then the socket, then the event.
    fn take(&mut self, key: Key, handle: Handle, remote: Address) -> Option<Event> {
        let (server, cx) = (self.servers.by_key_mut(key)?, &mut self.cx);
        let options = &server.options;
        if options.max_connections.is_some_and(|most| cx.servers.connections(server.id) >= most) {
            let local = cx.kernel.local_address(handle).ok().and_then(Address::ip);
            cx.kernel.close(handle);
            cx.counters.dropped += 1;
            return Some(Event::Drop { server: server.id, dropped: Dropped { local, remote: remote.ip() } });
        }
        let is_blocked = |list: &BlockList| remote.ip().is_some_and(|remote| list.check(remote.ip()));
        if options.block_list.as_ref().is_some_and(is_blocked) {
            // Node says nothing either.
            log::debug!("{remote} is blocked");
            cx.kernel.close(handle);
            cx.counters.blocked += 1;
            return None;
        }
        let connection =
            Connection::accepted(options.high_water_mark, options.allow_half_open, options.pause_on_connect);
        let (no_delay, limits) = (options.tcp.no_delay, server.limits.clone());
        let now = cx.second();
        let conn = |id| Conn::new(id, connection, now).connected(handle, remote.into());
        let socket = self.conns.insert_with(|id| {
            conn(id)
                .accepted_by(server.id, no_delay, limits)
                .notices_hang_up(options.notice_gone_peers)
                .stands_apart(options.apart)
        });
        if let Err(error) = cx.kernel.register(handle, socket.into()) {
            // The system has no watch left for it. It is refused; the others and the server go on.
            cx.kernel.close(handle);
            self.conns.remove(socket);
            let error = Error::system(&error, Syscall::Register).at(remote);
            return Some(Event::ServerError { server: server.id, error });
        }
        cx.servers.connection_came(server.id);
        cx.sockets_apart += usize::from(options.apart);
        cx.counters.accepted += 1;
        self.conns.get_mut(socket)?.watch(cx);
        Some(Event::Connection { server: server.id, socket })
    }

    /// Servers that wait for a descriptor need not wait any longer, if one was freed since the last wait.
    pub(super) fn accept_again_if_possible(&mut self) {
        if std::mem::take(&mut self.cx.agenda.descriptor_freed) {
            for server in self.servers.values_mut() {
                server.accept_if_paused(&mut self.cx);
            }
        }
    }

    // ---- closing ---------------------------------------------------------------------------------------------------------

    /// Stops listening; the connections stay. `ServerClose` follows when the last of them has gone; on a tick, if there
    /// is none. Every call while it neither listens nor has connections gives another, as in Node.
    pub fn close_server(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get_mut(id) {
            server.close(&mut self.cx);
        }
    }

    /// Stops listening everywhere; the connections stay.
    pub fn close_servers(&mut self) {
        for server in self.servers.values_mut().filter(|server| server.is_to_listen()) {
            server.close(&mut self.cx);
        }
    }

    /// As [`Net::close_servers`], without those that stand apart.
    pub(crate) fn close_servers_that_count(&mut self) {
        for server in self.servers.values_mut().filter(|server| server.is_to_listen() && !server.options.apart) {
            server.close(&mut self.cx);
        }
    }

    /// Stops listening everywhere and destroys all sockets.
    pub fn close_all(&mut self) {
        self.close_servers();
        self.destroy_all();
    }

    /// Forgets a server that neither listens nor has connections. Its id becomes stale.
    pub fn remove_server(&mut self, id: ServerId) {
        if self.cx.servers.is_over(id) {
            if let Some(server) = self.servers.get_mut(id) {
                server.end_naming(&mut self.cx);
            }
            self.servers.remove(id);
        }
    }

    // ---- settings and questions ------------------------------------------------------------------------------------------

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
    pub fn server_connections(&self, id: ServerId) -> usize {
        if self.servers.contains(id) { self.cx.servers.connections(id) } else { 0 }
    }

    /// The most connections at a time. It can be changed while running; those that are there stay.
    #[doc(alias = "maxConnections")]
    pub fn set_max_connections(&mut self, id: ServerId, most: Option<usize>) {
        if let Some(server) = self.servers.get_mut(id) {
            server.options.max_connections = most;
        }
    }

    /// Whose connections are turned away. It can be changed while running; those that are there stay.
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
}
