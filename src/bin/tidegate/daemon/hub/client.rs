//! Who connects: a producer, a consumer, or a member, who is both.

use tidegate::{Endpoint, Error, ErrorKind, Socket};

use super::input::take_producer;
use super::output::{take_consumer, take_member};
use super::state::Hub;
use crate::daemon::Peer;
use crate::daemon::admission::{Admission, Place};
use crate::daemon::listener::Door;

/// What a listener of the hub is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Producers,
    Consumers,
    Members,
}

/// Somebody who has a place.
pub struct Client {
    pub peer: Peer,
    pub place: Option<Place>,
}

impl Door for Role {
    fn advice(self, endpoint: &Endpoint, error: &Error) -> String {
        match (self, error.kind()) {
            (Role::Consumers, ErrorKind::AddressNotAvailable) => {
                format!(": to connect to it, write --out dial:{endpoint}")
            }
            (Role::Producers, ErrorKind::AddressNotAvailable) => format!(": to connect to it, write --in {endpoint}"),
            _ => String::new(),
        }
    }
}

/// Somebody has connected.
pub fn welcome(socket: &mut Socket<'_, Hub>, role: Role, doors: &Admission) {
    let place = match doors.enter(socket.remote_address(), socket.state.clients) {
        Ok(place) => place,
        Err(why) => {
            doors.log_refusal(socket, why);
            return socket.destroy();
        }
    };
    socket.state.clients += 1;
    let peer = Peer::of(socket);
    log::debug!("{peer} connected");
    socket.set_timeout(doors.idle_timeout());
    socket.on_timeout(|socket| socket.destroy_because(tidegate::CloseReason::Timeout));
    let client = Client { peer, place };
    match role {
        Role::Producers => take_producer(socket, client),
        Role::Consumers => take_consumer(socket, client),
        Role::Members => take_member(socket, client),
    }
}
