//! Who looks names up: the resolver of the loop, or the program itself.
//!
//! ```text
//!   Conn, Server ── look_up ──▶ the resolver: looking_up.rs
//!     ▲    │
//!     │    └─ if the program wants to: Event::LookupWanted ──▶ the program ── answer_lookup ──┐
//!     └── what waits for it goes on, by a task ◀──────────────────────────────────────────────┘
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Net;
use super::cx::Cx;
#[cfg(not(feature = "names"))]
use super::lookup::Ticket;
use super::lookup::{Awaited, Found, LookupAsker, LookupId, Wanted};
use crate::base::error::Error;
#[cfg(not(feature = "names"))]
use crate::base::error_kind::ErrorKind;
use crate::base::id::{ServerId, SocketId};

/// Look-ups of the program's own.
impl Net {
    /// Whether the program looks up the names that a socket connects to, `localhost` among them: Node's `lookup`. Then
    /// [`Event::LookupWanted`](super::Event::LookupWanted) comes in place of questions to name servers, from the next connect on, or from the present one if
    /// its turn has not come. An address in digits is not looked up.
    pub fn set_lookup(&mut self, id: SocketId, own: bool) {
        if let Some((conn, _)) = self.conn(id) {
            conn.set_lookup(own);
        }
    }

    /// As [`Net::set_lookup`], for the names that a server listens on.
    pub fn set_server_lookup(&mut self, id: ServerId, own: bool) {
        if let Some(server) = self.servers.get_mut(id) {
            server.looks_up_itself = own;
        }
    }

    /// Gives the addresses of a name that the program looks up itself, or an error, which is that of the connect or of the server
    /// as it is. It may be called in the handler that was asked, or at any time later. What follows comes as events, not within
    /// the call.
    ///
    /// An answer without an address, or with none of the families that were asked for, is an error of the kind
    /// [`ErrorKind::HostNotFound`](crate::ErrorKind::HostNotFound).
    ///
    /// False if nobody waits for it, and then nothing happens: it was answered before; the socket was destroyed, or its time to
    /// connect is over; the server was closed, or listens on something else; it is of another loop.
    ///
    /// What waits for an answer does not keep the loop running by itself, as in Node: only the program can give it.
    pub fn answer_lookup(&mut self, id: LookupId, answer: Result<Vec<IpAddr>, Error>) -> bool {
        match id.asker() {
            LookupAsker::Socket(socket) => {
                self.conn(socket).is_some_and(|(conn, cx)| conn.look_up_answered(id.number, answer, cx))
            }
            LookupAsker::Server(server) => {
                let server = self.servers.get_mut(server);
                server.is_some_and(|server| server.look_up_answered(id.number, answer, &mut self.cx))
            }
        }
    }
}

impl Cx {
    /// Has a name looked up, by the program if `own`.
    ///
    /// # Errors
    /// A build without a resolver; a hint that leaves no address.
    pub fn look_up(&mut self, wanted: Wanted, asker: LookupAsker, own: bool) -> Result<Awaited, Error> {
        if own {
            self.own_lookups += 1;
            return Ok(Awaited::Program(self.own_lookups));
        }
        let families = self.usable_families(&wanted)?;
        self.ask_resolver(Wanted { families, ..wanted }, asker).map(Awaited::Resolver)
    }

    /// Those of `localhost` are known.
    ///
    /// # Errors
    /// A hint that leaves none.
    pub fn addresses_of_localhost(&mut self, wanted: Wanted) -> Found {
        let families = self.usable_families(&wanted)?;
        Ok(wanted.hints.choose(families, vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]))
    }

    /// Nobody waits for it any more.
    pub fn cancel_look_up(&mut self, awaited: Awaited) {
        match awaited {
            Awaited::Resolver(ticket) => self.leave_resolver(ticket),
            Awaited::Program(_) => {}
        }
    }
}

#[cfg(not(feature = "names"))]
impl Cx {
    #[expect(clippy::unused_self, reason = "as with a resolver")]
    fn ask_resolver(&mut self, wanted: Wanted, _: LookupAsker) -> Result<Ticket, Error> {
        let why = ": this build looks no names up (feature `names`); give an address, or look it up yourself";
        Err(Error::of_lookup(ErrorKind::LookupFailed, wanted.host.as_str(), why))
    }

    #[expect(clippy::unused_self, reason = "as with a resolver")]
    fn leave_resolver(&mut self, ticket: Ticket) {
        match ticket {}
    }
}
