//! Clients for whom the room has no place: each is told so before its connection is closed.
//!
//! Such a client is no guest and takes no guest's place. A socket that is closed before it was read resets the connection, and
//! the line could be lost. So a few of them may stay for a moment, in the descriptors that are kept free besides those of the
//! guests. In a flood the others are closed at once.

use std::net::SocketAddr;

use tidegate::{BlockList, CloseReason, Socket};

use super::super::Peer;
use super::super::stop::LINGER;
use super::super::throttle::Throttle;
use super::online::LineEnd;
use super::room::Room;

/// The line is the same for a blocked client, which need not know that it is blocked.
const LINE: &str = "* the room is full\n";

/// How many may stay at a time.
const MOST_LINGERING: usize = 16;

#[derive(Default)]
pub struct TurnedAway {
    lingering: usize,
    warnings: Throttle,
}

/// Who has a place.
#[derive(Clone, Debug)]
pub struct Admission {
    pub most_guests: usize,
    pub blocked: Option<BlockList>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Full,
    Blocked,
}

impl Admission {
    pub fn check(&self, remote: Option<SocketAddr>, guests: usize) -> Result<(), Refused> {
        if guests >= self.most_guests {
            return Err(Refused::Full);
        }
        let is_blocked = |list: &BlockList| remote.is_some_and(|remote| list.check(remote.ip()));
        if self.blocked.as_ref().is_some_and(is_blocked) { Err(Refused::Blocked) } else { Ok(()) }
    }
}

pub fn turn_away(socket: &mut Socket<'_, Room>, why: Refused) {
    let (peer, now) = (Peer::of(socket), socket.net.now());
    let room = &mut *socket.state;
    match why {
        Refused::Full => {
            room.turned_away.warnings.warn(now, &format_args!("too many connections: {peer} was disconnected"));
        }
        Refused::Blocked => log::debug!("{peer} is blocked"),
    }
    let line_end = if room.options.crlf { LineEnd::CrLf } else { LineEnd::Lf };
    socket.write(&*line_end.of(LINE));
    if socket.state.turned_away.lingering >= MOST_LINGERING {
        return socket.destroy();
    }
    socket.state.turned_away.lingering += 1;
    socket.on_close(|socket, _| socket.state.turned_away.lingering -= 1);
    socket.on_error(move |_, error| log::debug!("{peer}: {error}"));
    socket.end_and_discard(Some(LINGER));
    socket.after(LINGER, |socket| socket.destroy_because(CloseReason::Timeout));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_room_and_a_blocked_address_refuse() {
        let mut list = BlockList::new();
        list.add_address("192.0.2.1".parse().unwrap());
        let admission = Admission { most_guests: 2, blocked: Some(list) };
        let at = |address: &str| Some(address.parse().unwrap());
        assert_eq!(admission.check(at("192.0.2.2:1"), 1), Ok(()));
        assert_eq!(admission.check(at("192.0.2.2:1"), 2), Err(Refused::Full));
        assert_eq!(admission.check(at("192.0.2.1:1"), 1), Err(Refused::Blocked));
        assert_eq!(admission.check(at("[::ffff:192.0.2.1]:1"), 1), Err(Refused::Blocked));
        assert_eq!(admission.check(None, 1), Ok(()), "a client on a Unix socket has no address");
    }
}
