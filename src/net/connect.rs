//! Connecting: from the user's `connect` to the connection, or to the error that says why there is none.
//!
//! ```text
//!   connect ──next tick──▶ connect(2) ──an edge──▶ connected? ──yes──▶ `connect` is told
//!                              ▲                       │ no, and `localhost` has a second address
//!                              └───────────────────────┘
//! ```

use super::Net;
use super::event::Event;
use super::ticks::Then;
use crate::address::Address;
use crate::address::endpoint::Endpoint;
use crate::base::error::{Code, Error, Syscall};
use crate::base::id::SocketId;
use crate::kernel::Readiness;

impl Net {
    /// Connects a socket that is fresh or closed. What goes wrong on the way is an event.
    ///
    /// # Errors
    /// Text that is no address; one of another family than the local address; a socket that is connecting, connected,
    /// closing, or gone: after `on_close` has returned there is no connecting again.
    #[doc(alias = "createConnection")]
    pub fn connect(&mut self, id: SocketId, to: impl TryInto<Endpoint, Error: Into<Error>>) -> Result<(), Error> {
        let to: Endpoint = to.try_into().map_err(Into::into)?;
        let to = to.to_connect_to();
        let inherited = self.inherited_keep_alive(self.server_of(id));
        let (link, mut later) = self.link(id).ok_or_else(|| Error::new(Code::Gone))?;
        if link.leaving {
            return Err(Error::new(Code::Gone));
        }
        let to = match link.rare().setup.local_address {
            Some(local) => to.reached_from(local)?,
            None => to,
        };
        if link.file.is_some() {
            return Err(Error::invalid("a file cannot be connected: make a socket"));
        }
        link.connection.connect(&mut later)?;
        link.begin_connect(to);
        // The server that has accepted it once is its no more.
        link.rare_mut().keep_alive.get_or_insert(inherited);
        self.touch_at(id, self.time_of_call());
        Ok(())
    }

    /// connect(2), one tick after `connect`.
    pub(super) fn start_connect(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        if !link.is_connecting() {
            return;
        }
        // A first address that has failed leaves latches that are not the second one's.
        link.latches = Readiness::default();
        let Some(address) = link.rare().connecting_to.as_ref().map(|to| to.first) else { return };
        let options = link.rare().setup.to_connect(address);
        if let Some(to) = address.ip()
            && link.blocks(to.ip())
        {
            return self.connect_failed(id, Error::blocked(to.ip()));
        }
        let begun = self.kernel.connect(address, &options).and_then(|handle| {
            let registered = self.kernel.register(handle, id.into());
            registered.map(|()| handle).map_err(|error| {
                self.kernel.close(handle);
                (Syscall::Connect, error)
            })
        });
        match begun {
            Ok(handle) => {
                if let Some(link) = self.sockets.get_mut(id) {
                    link.handle = Some(handle);
                }
                self.watch(id);
            }
            Err((Syscall::Bind, error)) => {
                let local = options.local.map_or(address, Address::Ip);
                self.connect_failed(id, Error::system(&error, Syscall::Bind).at(local));
            }
            Err((syscall, error)) => self.connect_failed(id, Error::system(&error, syscall)),
        }
    }

    /// The connect has come to its end, or was only said to have.
    pub(super) fn finish_connect(&mut self, id: SocketId) -> Option<Event> {
        let link = self.sockets.get_mut(id)?;
        let handle = link.handle?;
        link.latches.writable = false;
        match self.kernel.connected(handle) {
            Ok(false) => None,
            Ok(true) => {
                link.connection.connected();
                if let Some(to) = link.rare_mut().connecting_to.take() {
                    link.remote = to.first.into();
                }
                link.set_options_at_connection(&mut *self.kernel, handle);
                link.listed = true;
                self.just_connected.push(id);
                self.touch(id);
                self.then = Some((id, Then::AfterConnect));
                Some(Event::Connect(id))
            }
            Err(error) => {
                self.connect_failed(id, Error::system(&error, Syscall::Connect));
                None
            }
        }
    }

    /// Tries the next address, or gives up.
    fn connect_failed(&mut self, id: SocketId, error: Error) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        let Some(mut to) = link.rare_mut().connecting_to.take() else { return };
        let mut error = error.or_at(to.first);
        let local = link.rare().setup.to_connect(to.first).local;
        if let Some(local) = local
            && error.syscall() == Some(Syscall::Connect)
        {
            error = error.with_local(local);
        }
        if let Some(second) = to.second.take() {
            if let Some(handle) = link.handle.take() {
                self.kernel.close(handle);
            }
            to.failed = Some(error);
            to.first = second;
            link.rare_mut().connecting_to = Some(to);
            self.start_connect(id);
        } else {
            self.broke(id, to.failed.take().unwrap_or(error));
        }
    }
}
