//! `tidegate source`: bytes without end, as fast as each peer reads them. RFC 864, chargen, with a pattern that a program
//! can check: the byte at place `n` of a connection is `n mod 251`.
//!
//! A prime, so that what is lost, doubled or out of place by any number of whole buffers shows. What the peer sends is
//! thrown away, and so is its end: it goes on until the peer closes.

use std::process::ExitCode;

use tidegate::{EventLoop, ServerOptions, Socket};

use super::arrival::admit;
use super::stopping::{self, Ending, Role, Stopping};
use super::{CannotStart, listen};
use crate::cli::SourceOptions;

/// How often the pattern is repeated in one write: about 64 KiB.
const REPEATED: usize = 261;
const PATTERN: usize = 251;
const PIECE: usize = PATTERN * REPEATED;

/// Writes in one go. A peer that reads as fast as this writes would hold up all others for ever.
const PIECES_IN_A_TURN: usize = 8;

struct Source {
    piece: Box<[u8]>,
    /// How many bytes each connection gets. None: without end.
    bytes: Option<u64>,
    stopping: Stopping,
}

/// Runs until it is stopped.
pub fn run(options: &SourceOptions, max_connections: usize) -> Result<ExitCode, CannotStart> {
    let common = &options.common;
    let stopping = Stopping::new(common.drain_timeout);
    let piece = (0..PIECE).map(|place| (place % PATTERN) as u8).collect();
    let mut source = EventLoop::with_state(Source { piece, bytes: options.bytes, stopping })?;
    let server = ServerOptions::new().allow_half_open(true).no_delay(true);
    let idle_timeout = common.idle_timeout;
    stopping::at_signals(&mut source)?;
    listen(&mut source, common, max_connections, &server, move |socket| {
        if admit(socket, max_connections, idle_timeout).is_some() {
            socket.on_data(|_, _| {});
            socket.on_drain(flow);
            flow(socket);
        }
    })?;
    Ok(stopping::run(&mut source)?)
}

/// Writes until the peer is slower, or for as long as one may; then `drain` goes on, or the next turn.
fn flow(socket: &mut Socket<'_, Source>) {
    for _ in 0..PIECES_IN_A_TURN {
        if socket.state.stopping.has_begun() || !socket.is_writable() {
            return;
        }
        // Whole patterns go out, but for the last piece: so each begins where the pattern does.
        let left = socket.state.bytes.map_or(u64::MAX, |bytes| bytes - socket.bytes_written());
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

impl Role for Source {
    const ENDING: Ending = Ending::EachByItself;

    fn stopping(&mut self) -> &mut Stopping {
        &mut self.stopping
    }
}
