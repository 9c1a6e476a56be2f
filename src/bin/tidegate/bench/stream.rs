//! Bytes in one direction, as fast as can be: `sink` sends, `source` reads.
//!
//! What a source sends is not known, so its bytes are counted and not compared.

use tidegate::{Loop, Socket, SocketId};

use super::course::{Course, Load};
use crate::cli::BenchOptions;

/// Bytes written on one connection in a turn: one that takes everything must not hold up the others.
const BUDGET: usize = 1 << 20;

/// Bytes that nobody answers.
pub struct Sink {
    course: Course,
    message: Vec<u8>,
    sockets: Vec<SocketId>,
}

impl Sink {
    pub fn new(options: &BenchOptions, size: usize) -> Self {
        Sink { course: Course::new(options), message: vec![b'x'; size], sockets: Vec::new() }
    }

    /// The system has a whole message.
    fn taken(&mut self) {
        self.course.sent(self.message.len());
        self.course.moved(self.message.len());
    }
}

impl Load for Sink {
    fn course(&mut self) -> &mut Course {
        &mut self.course
    }

    fn into_course(self) -> Course {
        self.course
    }

    fn set_up(socket: &mut Socket<'_, Self>, _: usize) {
        let id = socket.id();
        socket.state.sockets.push(id);
        socket.on_data(|_, _| {}); // what it has to say is not asked for
        socket.on_drain(|socket| {
            socket.state.taken();
            flow(socket);
        });
    }

    fn begin(on: &mut Loop<'_, Self>) {
        for id in on.state.sockets.clone() {
            if let Some(mut socket) = on.socket(id) {
                flow(&mut socket);
            }
        }
    }
}

/// Writes until the server is slower, or for as long as one may; then `drain` goes on, or the next turn.
fn flow(socket: &mut Socket<'_, Sink>) {
    let id = socket.id();
    let mut written = 0;
    while written < BUDGET {
        let may = socket.state.course.is_loading() && socket.is_writable();
        if !may || !socket.net.write(id, &socket.state.message) {
            return;
        }
        socket.state.taken();
        written += socket.state.message.len();
    }
    socket.event_loop().next_turn(move |on| {
        if let Some(mut socket) = on.socket(id) {
            flow(&mut socket);
        }
    });
}

/// Bytes that nobody asked for.
pub struct Source {
    course: Course,
}

impl Source {
    pub fn new(options: &BenchOptions) -> Self {
        Source { course: Course::new(options) }
    }
}

impl Load for Source {
    fn course(&mut self) -> &mut Course {
        &mut self.course
    }

    fn into_course(self) -> Course {
        self.course
    }

    fn set_up(socket: &mut Socket<'_, Self>, _: usize) {
        socket.on_data(|socket, chunk| {
            socket.state.course.received(chunk.len());
            socket.state.course.moved(chunk.len());
        });
    }
}

/// Connections that say nothing: `idle`.
pub struct Idle {
    course: Course,
}

impl Idle {
    pub fn new(options: &BenchOptions) -> Self {
        Idle { course: Course::new(options) }
    }
}

impl Load for Idle {
    const CONNECTING_COUNTS: bool = true;

    fn course(&mut self) -> &mut Course {
        &mut self.course
    }

    fn into_course(self) -> Course {
        self.course
    }

    fn set_up(socket: &mut Socket<'_, Self>, _: usize) {
        socket.on_data(|_, _| {});
    }
}
