//! A view on one server, and its handlers.
//!
//! A view is borrowed for a moment. It decides nothing: all commands are the net's.

use std::fmt;
use std::net::SocketAddr;

use crate::address::block_list::BlockList;
use crate::address::endpoint::Endpoint;
use crate::base::error::Error;
use crate::base::id::ServerId;
use crate::event_loop::Loop;
use crate::event_loop::handlers::{Handlers, run};
use crate::event_loop::socket::Socket;
use crate::net::{Dropped, LookupRequest, Net};

/// A server, as a handler sees it. Node's `net.Server`.
///
/// The view is lent for a moment. To find the server again, keep its [`ServerId`].
pub struct Server<'a, S> {
    /// The application's own state.
    pub state: &'a mut S,
    /// The engine. Its commands and questions are by id.
    pub net: &'a mut Net,
    pub(crate) handlers: &'a mut Handlers<S>,
    pub(crate) id: ServerId,
}

impl<S> Server<'_, S> {
    /// Its id, which can be copied and kept.
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// The loop that it lives on.
    pub fn event_loop(&mut self) -> Loop<'_, S> {
        Loop { state: self.state, net: self.net, handlers: self.handlers }
    }

    /// Listens, also again after `close`. `listening` follows on a tick; on the name of a host, after its look-up. See [`Net::listen`].
    ///
    /// # Errors
    /// Text that is no address; a server that listens already; what the system says, with the address.
    pub fn listen(&mut self, on: impl TryInto<Endpoint, Error: Into<Error>>) -> Result<(), Error> {
        self.net.listen(self.id, on)
    }

    /// As [`Server::listen`], on a socket that listens already. See [`Net::listen_fd`].
    ///
    /// # Errors
    /// Those of [`Net::listen_fd`].
    #[cfg(unix)]
    pub fn listen_fd(&mut self, listener: impl Into<std::os::fd::OwnedFd>) -> Result<(), Error> {
        self.net.listen_fd(self.id, listener)
    }

    /// Stops listening. The connections stay; `close` follows when the last of them has gone.
    pub fn close(&mut self) {
        self.net.close_server(self.id);
    }

    /// The address that it listens on, with the real port. `None` if it does not listen, and for a Unix socket.
    pub fn address(&self) -> Option<SocketAddr> {
        self.net.server_address(self.id)
    }

    /// Where it listens, on a Unix socket too. A client can connect to it. `None` if it does not listen.
    #[doc(alias = "address")]
    pub fn endpoint(&self) -> Option<Endpoint> {
        self.net.server_endpoint(self.id)
    }

    /// Whether it listens.
    #[doc(alias = "listening")]
    pub fn is_listening(&self) -> bool {
        self.net.is_listening(self.id)
    }

    /// How many of its connections are not destroyed.
    pub fn connections(&self) -> usize {
        self.net.server_connections(self.id)
    }

    /// Counts the connections now and gives the number to `handler` on a tick, as Node does. [`Server::connections`] answers at once.
    #[doc(alias = "getConnections")]
    pub fn get_connections(&mut self, handler: impl FnOnce(&mut Loop<'_, S>, usize) + 'static) {
        let connections = self.connections();
        self.event_loop().next_tick(move |event_loop| handler(event_loop, connections));
    }

    /// Sets how many connections it takes at a time. `None` is no limit. Connections that are there stay.
    #[doc(alias = "maxConnections")]
    pub fn set_max_connections(&mut self, most: Option<usize>) {
        self.net.set_max_connections(self.id, most);
    }

    /// Sets the list of addresses from which it takes no connection. Connections that are there stay.
    #[doc(alias = "blockList")]
    pub fn set_block_list(&mut self, list: Option<BlockList>) {
        self.net.set_block_list(self.id, list);
    }

    /// Whether it keeps the loop running while it listens.
    #[doc(alias = "ref")]
    #[doc(alias = "unref")]
    pub fn set_ref(&mut self, on: bool) {
        self.net.set_server_ref(self.id, on);
    }

    /// Looks the names up that the server listens on, in place of the loop, as [`Socket::set_lookup`] does for a socket.
    #[doc(alias = "lookup")]
    pub fn set_lookup(&mut self, handler: impl FnMut(&mut Server<'_, S>, &LookupRequest) + 'static) {
        if let Some(handlers) = self.handlers.servers.get_mut(&self.id) {
            handlers.lookup = Some(Box::new(handler));
        }
        self.net.set_server_lookup(self.id, true);
    }

    /// Runs for each connection that it accepts. It replaces the handler that the server was made with.
    pub fn on_connection(&mut self, handler: impl FnMut(&mut Socket<'_, S>) + 'static) {
        if let Some(handlers) = self.handlers.servers.get_mut(&self.id) {
            handlers.connection = Some(Box::new(handler));
        }
    }

    /// The server listens.
    pub fn on_listening(&mut self, handler: impl FnMut(&mut Server<'_, S>) + 'static) {
        if let Some(handlers) = self.handlers.servers.get_mut(&self.id) {
            handlers.listening = Some(Box::new(handler));
        }
    }

    /// The server has as many connections as it may, and has closed a new one.
    pub fn on_drop(&mut self, handler: impl FnMut(&mut Server<'_, S>, Dropped) + 'static) {
        if let Some(handlers) = self.handlers.servers.get_mut(&self.id) {
            handlers.drop = Some(Box::new(handler));
        }
    }

    /// Accepting failed, and not because of the client: the server goes on listening. Or it was to listen on a name, and that could
    /// not be looked up, or its address could not be bound: then it does not listen.
    pub fn on_error(&mut self, handler: impl FnMut(&mut Server<'_, S>, &Error) + 'static) {
        if let Some(handlers) = self.handlers.servers.get_mut(&self.id) {
            handlers.error = Some(Box::new(handler));
        }
    }

    /// The server does not listen any more, and has no connections. It comes before the `close` of its last socket, as in
    /// Node.
    pub fn on_close(&mut self, handler: impl FnMut(&mut Server<'_, S>) + 'static) {
        if let Some(handlers) = self.handlers.servers.get_mut(&self.id) {
            handlers.close = Some(Box::new(handler));
        }
    }

    /// Removes the server and its handlers, if it does not listen and has no connections.
    pub fn remove(self) {
        self.net.remove_server(self.id);
        if !self.net.server_exists(self.id) {
            self.handlers.servers.remove(&self.id);
        }
    }

    // ---- dispatch ---------------------------------------------------------------------------------------------------

    pub(crate) fn emit_listening(&mut self) {
        self.emit(|handlers| &mut handlers.listening, |handler, server| handler(server));
    }

    pub(crate) fn emit_drop(&mut self, dropped: Dropped) {
        self.emit(|handlers| &mut handlers.drop, |handler, server| handler(server, dropped));
    }

    pub(crate) fn emit_error(&mut self, error: &Error) {
        if !self.emit(|handlers| &mut handlers.error, |handler, server| handler(server, error)) {
            self.net.count_unhandled(error);
        }
    }

    pub(crate) fn emit_lookup_wanted(&mut self, request: &LookupRequest) {
        self.emit(|handlers| &mut handlers.lookup, |handler, server| handler(server, request));
    }

    pub(crate) fn emit_close(&mut self) {
        self.emit(|handlers| &mut handlers.close, |handler, server| handler(server));
    }

    fn emit<H>(
        &mut self,
        place: impl Fn(&mut ServerHandlers<S>) -> &mut Option<H>,
        emit: impl FnOnce(&mut H, &mut Self),
    ) -> bool {
        run(self, |server| server.handlers.servers.get_mut(&server.id).map(&place), emit)
    }
}

impl<S> fmt::Debug for Server<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("id", &self.id).field("endpoint", &self.endpoint()).finish_non_exhaustive()
    }
}

type ConnectionHandler<S> = Box<dyn FnMut(&mut Socket<'_, S>)>;
type Handler<S> = Box<dyn FnMut(&mut Server<'_, S>)>;
type DropHandler<S> = Box<dyn FnMut(&mut Server<'_, S>, Dropped)>;
type LookupHandler<S> = Box<dyn FnMut(&mut Server<'_, S>, &LookupRequest)>;
type ErrorHandler<S> = Box<dyn FnMut(&mut Server<'_, S>, &Error)>;

/// The handlers of one server.
pub(crate) struct ServerHandlers<S> {
    pub connection: Option<ConnectionHandler<S>>,
    listening: Option<Handler<S>>,
    drop: Option<DropHandler<S>>,
    error: Option<ErrorHandler<S>>,
    lookup: Option<LookupHandler<S>>,
    close: Option<Handler<S>>,
}

impl<S> ServerHandlers<S> {
    pub fn new(connection: impl FnMut(&mut Socket<'_, S>) + 'static) -> Self {
        ServerHandlers {
            connection: Some(Box::new(connection)),
            listening: None,
            drop: None,
            error: None,
            lookup: None,
            close: None,
        }
    }
}
