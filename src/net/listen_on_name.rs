//! A server that is to listen on the name of a host: the look-up, and then its first address.
//!
//! ```text
//!   listen ──next task──▶ Fresh ──▶ LookingUp ──▶ Found ──▶ it listens, or `error`
//! ```
//!
//! `close` and another `listen` end it, and no event of it comes any more.

use std::net::{IpAddr, SocketAddr};

use super::Net;
use super::agenda::Task;
use super::cx::Cx;
use super::event::Event;
#[cfg(feature = "names")]
use super::looking_up::error_of;
use super::lookup::{Awaited, Found, LookupAsker, Wanted, suitable};
use super::naming::{Naming, Stage};
use super::server::Server;
use crate::address::families::Families;
use crate::address::hints::Hints;
use crate::address::host_name::HostName;
use crate::base::error::Error;
use crate::base::id::ServerId;
#[cfg(feature = "names")]
use crate::names::{Outcome, Ticket};

impl Server {
    /// It listens on no name any more.
    pub fn end_naming(&mut self, cx: &mut Cx) {
        if let Some(Stage::LookingUp(awaited)) = self.naming.take().map(|naming| naming.stage) {
            cx.cancel_look_up(awaited);
        }
    }

    /// Whether the loop will have an answer.
    pub fn awaits_resolver(&self) -> bool {
        let naming = self.naming.as_deref();
        naming.is_some_and(|naming| !matches!(naming.stage, Stage::LookingUp(awaited) if awaited.is_program()))
    }

    /// False if nobody waits for that answer.
    fn answered(&mut self, by: Awaited, found: impl FnOnce(&HostName) -> Found) -> bool {
        let Some(Naming { host, stage, .. }) = self.naming.as_deref_mut() else { return false };
        let is_awaited = matches!(stage, Stage::LookingUp(awaited) if *awaited == by);
        if is_awaited {
            *stage = Stage::Found(suitable(found(host), host, Families::Both));
        }
        is_awaited
    }

    /// The program has answered.
    pub fn look_up_answered(&mut self, number: u64, answer: Found, cx: &mut Cx) -> bool {
        let is_awaited = self.answered(Awaited::Program(number), |_| answer);
        if is_awaited {
            cx.agenda.push(Task::ListenOnName(self.id));
        }
        is_awaited
    }

    /// The resolver has come to its outcome.
    #[cfg(feature = "names")]
    pub fn looked_up(&mut self, ticket: Ticket, outcome: Outcome) {
        self.answered(Awaited::Resolver(ticket), |host| outcome.map_err(|failure| error_of(failure, host)));
    }
}

impl Net {
    pub(super) fn begin_naming(&mut self, id: ServerId, host: HostName, port: u16) {
        if let Some(server) = self.servers.get_mut(id) {
            server.naming = Some(Box::new(Naming { host, port, stage: Stage::Fresh }));
            self.cx.agenda.push(Task::ListenOnName(id));
        }
    }

    /// Looks the name up, or listens on what was found.
    pub(super) fn listen_on_name(&mut self, id: ServerId) -> Option<Event> {
        let server = self.servers.get_mut(id)?;
        let own = server.looks_up_itself;
        let naming = server.naming.as_deref_mut()?;
        match naming.stage {
            Stage::LookingUp(_) => None,
            Stage::Fresh => {
                let asker = LookupAsker::Server(id);
                let wanted = Wanted { host: naming.host, families: Families::Both, hints: Hints::NONE };
                match self.cx.look_up(wanted, asker, own) {
                    Ok(awaited) => {
                        naming.stage = Stage::LookingUp(awaited);
                        let request = awaited.request(asker, wanted)?;
                        Some(Event::LookupWanted(Box::new(request)))
                    }
                    Err(error) => {
                        naming.stage = Stage::Found(Err(error));
                        self.listen_on_name(id)
                    }
                }
            }
            Stage::Found(_) => {
                let naming = server.naming.take()?;
                let Stage::Found(found) = naming.stage else { return None };
                let options = server.options.to_listen();
                let listens = found.and_then(|addresses| {
                    let address = SocketAddr::new(first(&addresses), naming.port);
                    let listens = self.listen_at(id, address.into(), &options);
                    listens.map_err(|error| Error::of_attempts(naming.host.as_str(), vec![error]))
                });
                listens.err().map(|error| Event::ServerError { server: id, error })
            }
        }
    }
}

/// As in Node: the first one that is not link-local, since that would need to have its interface named; or the first.
fn first(addresses: &[IpAddr]) -> IpAddr {
    let is_link_local = |ip: &&IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let first = addresses.iter().find(|ip| !is_link_local(ip)).or(addresses.first());
    // There is one: see `suitable`.
    first.copied().unwrap_or(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST))
}
