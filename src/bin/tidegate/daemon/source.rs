//! `tidegate source`: sends bytes without end, as fast as each client reads them. RFC 864, chargen, with a pattern that a
//! program can check: the byte at position `n` of a connection is `n mod 251`.
//!
//! 251 is a prime, so a buffer that is lost, repeated or moved is noticed. What the client sends is discarded, and its end
//! changes nothing: the source sends until the client closes.

use tidegate::{Loop, ServerId, ServerOptions, Socket};

use super::Outcome;
use super::admission::Admission;
use super::connection::admit;
use super::service::{Service, listens_everywhere, serve};
use crate::cli::{Change, DaemonOptions, Listen, Role, SourceOptions};

const PATTERN: usize = 251;

/// Bytes of one write: about 64 KiB.
const PIECE: usize = PATTERN * 261;

/// Writes on one connection in a turn. A client that reads as fast as this writes would hold up all others for ever.
const PIECES_PER_TURN: usize = 8;

struct Source {
    piece: Box<[u8]>,
    /// How many bytes each connection gets. None for no end.
    bytes: Option<u64>,
}

/// Runs until it is stopped.
pub fn run(options: &SourceOptions) -> Outcome {
    let piece = (0..PIECE).map(|place| (place % PATTERN) as u8).collect();
    serve(Source { piece, bytes: options.bytes }, &options.daemon)
}

impl Service for Source {
    type Door = ();
    const NAME: &'static str = "source";

    fn server_options(&self) -> ServerOptions {
        ServerOptions::new().allow_half_open(true).no_delay(true)
    }

    fn places(&self, daemon: &DaemonOptions) -> Vec<(Listen, ())> {
        listens_everywhere(daemon)
    }

    fn default_door(&self) -> Option<()> {
        Some(())
    }

    fn welcome(socket: &mut Socket<'_, Self>, (): (), doors: &Admission) {
        if admit(socket, doors).is_some() {
            socket.on_data(|_, _| {});
            socket.on_drain(flow);
            flow(socket);
        }
    }

    fn change(on: &mut Loop<'_, Self>, change: &Change, _: &[(ServerId, ())]) {
        if let Role::Source(options) = &change.role {
            on.state.bytes = options.bytes;
        }
    }
}

/// Writes until the client is slower, or for one turn. Then `drain` goes on, or the next turn.
fn flow(socket: &mut Socket<'_, Source>) {
    for _ in 0..PIECES_PER_TURN {
        if socket.event_loop().is_shutting_down() || !socket.is_writable() {
            return;
        }
        // All pieces but the last are whole patterns, so each piece begins where the pattern begins.
        // More may have been sent than --bytes says now.
        let left = socket.state.bytes.map_or(u64::MAX, |bytes| bytes.saturating_sub(socket.bytes_written()));
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        if length == 0 {
            return socket.end();
        }
        let id = socket.id();
        if !socket.net.write(id, &socket.state.piece[..length]) {
            return;
        }
    }
    let id = socket.id();
    socket.event_loop().next_turn(move |event_loop| {
        if let Some(mut socket) = event_loop.socket(id) {
            flow(&mut socket);
        }
    });
}
