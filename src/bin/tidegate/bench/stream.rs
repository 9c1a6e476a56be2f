//! Bytes in one direction, as fast as possible: `sink` sends, `source` receives. And `idle`, which does neither.
//!
//! What a source sends is not known, so its bytes are counted and not compared.

use tidegate::SocketId;

use super::run::{BenchLoop, BenchSocket, Load};

/// Bytes written on one connection in a turn. Otherwise a server that takes everything would hold up the other
/// connections.
const MAX_BYTES_PER_TURN: usize = 1 << 20;

pub struct Sink {
    message: Vec<u8>,
    sockets: Vec<SocketId>,
    /// Messages of which the system has not taken all.
    queued: u64,
}

impl Sink {
    pub fn new(size: usize) -> Self {
        Sink { message: vec![b'x'; size], sockets: Vec::new(), queued: 0 }
    }
}

impl Load for Sink {
    fn set_up(socket: &mut BenchSocket<'_, Self>, _: usize) {
        let id = socket.id();
        socket.state.load.sockets.push(id);
        socket.on_data(|_, _| {}); // what the server sends is discarded
        socket.on_drain(|socket| {
            socket.state.load.queued = socket.state.load.queued.saturating_sub(1);
            count_message(socket);
            flow(socket);
        });
    }

    fn begin(on: &mut BenchLoop<'_, Self>) {
        for id in on.state.load.sockets.clone() {
            if let Some(mut socket) = on.socket(id) {
                flow(&mut socket);
            }
        }
    }

    fn unfinished(&self) -> u64 {
        self.queued
    }
}

/// The system has taken a whole message.
fn count_message(socket: &mut BenchSocket<'_, Sink>) {
    let size = socket.state.load.message.len();
    socket.state.run.sent(size);
    socket.state.run.count_bytes(size);
}

/// Writes until the server is slower, or for one turn. Then `drain` goes on, or the next turn.
fn flow(socket: &mut BenchSocket<'_, Sink>) {
    let id = socket.id();
    let mut written = 0;
    while written < MAX_BYTES_PER_TURN {
        let may_write = socket.state.run.is_loading() && socket.is_writable();
        if !may_write || socket.state.run.take(1) == 0 {
            return;
        }
        if !socket.net.write(id, &socket.state.load.message) {
            socket.state.load.queued += 1;
            return;
        }
        count_message(socket);
        written += socket.state.load.message.len();
    }
    socket.event_loop().next_turn(move |on| {
        if let Some(mut socket) = on.socket(id) {
            flow(&mut socket);
        }
    });
}

pub struct Source;

impl Load for Source {
    fn set_up(socket: &mut BenchSocket<'_, Self>, _: usize) {
        socket.on_data(|socket, chunk| {
            socket.state.run.received(chunk.len());
            socket.state.run.count_bytes(chunk.len());
        });
    }
}

pub struct Idle;

impl Load for Idle {
    const MEASURES_CONNECTS: bool = true;

    fn set_up(socket: &mut BenchSocket<'_, Self>, _: usize) {
        socket.on_data(|_, _| {});
    }
}
