//! Clients for whom the room has no place: each is told so before its connection is closed.
//!
//! Such a client is no guest and takes no guest's place. A socket that is closed before it was read resets the connection, and
//! the line could be lost. So a few of them may stay for a moment, in the descriptors that are kept free besides those of the
//! guests. In a flood the others are closed at once.

use tidegate::{CloseReason, Socket};

use super::super::Peer;
use super::super::admission::Refused;
use super::super::stop::LINGER;
use super::online::LineEnd;
use super::room::Room;

/// How many may stay at a time.
const MOST_LINGERING: usize = 16;

#[derive(Default)]
pub struct TurnedAway {
    lingering: usize,
}

pub fn turn_away(socket: &mut Socket<'_, Room>, why: Refused) {
    let peer = Peer::of(socket);
    let line_end = if socket.state.options.crlf { LineEnd::CrLf } else { LineEnd::Lf };
    socket.write(&*line_end.of(line(why)));
    if socket.state.turned_away.lingering >= MOST_LINGERING {
        return socket.destroy();
    }
    socket.state.turned_away.lingering += 1;
    socket.on_close(|socket, _| socket.state.turned_away.lingering -= 1);
    socket.on_error(move |_, error| log::debug!("{peer}: {error}"));
    socket.end_and_discard(Some(LINGER));
    socket.after(LINGER, |socket| socket.destroy_because(CloseReason::Timeout));
}

/// A blocked client need not know that it is blocked.
fn line(why: Refused) -> &'static str {
    match why {
        Refused::Full(_) | Refused::Blocked | Refused::NotAllowed => "* the room is full\n",
        Refused::FullForAddress(_) => "* too many guests from your address (--max-per-address)\n",
    }
}
