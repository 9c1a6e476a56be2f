//! Bytes in one direction, as fast as can be: `sink` sends, `source` reads.
//!
//! What a source sends is not known, so its bytes are counted and not compared.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate::{Loop, Socket, SocketId};

use super::course::{Course, Load};
use crate::cli::BenchOptions;

/// Bytes written on one connection before the others have their turn.
const BUDGET: usize = 1 << 20;

/// Bytes that nobody answers.
pub struct Sink {
    course: Course,
    message: Vec<u8>,
    connections: usize,
    sockets: Vec<SocketId>,
    /// Those of which the kernel has taken all, so far.
    ready: VecDeque<SocketId>,
}

impl Sink {
    pub fn new(options: &BenchOptions, size: usize) -> Self {
        let (sockets, ready) = (Vec::new(), VecDeque::new());
        let connections = options.connections;
        Sink { course: Course::new(options), message: vec![b'x'; size], connections, sockets, ready }
    }

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

    fn connections(&self) -> usize {
        self.connections
    }

    fn set_up(socket: &mut Socket<'_, Self>, _: usize) {
        let id = socket.id();
        socket.state.sockets.push(id);
        socket.on_data(|_, _| {}); // what it has to say is not asked for
        socket.on_drain(move |socket| {
            socket.state.taken();
            socket.state.ready.push_back(id);
        });
    }

    fn begin(on: &mut Loop<'_, Self>) {
        on.state.ready.extend(&on.state.sockets);
    }

    /// A socket that takes everything would not let the loop turn: each has so much of a turn.
    fn work(on: &mut Loop<'_, Self>) -> Option<Duration> {
        for _ in 0..on.state.ready.len() {
            let Some(id) = on.state.ready.pop_front() else { break };
            let mut written = 0;
            while written < BUDGET && on.net.is_writable(id) {
                written += on.state.message.len();
                if !on.net.write(id, &on.state.message) {
                    break; // until it drains
                }
                on.state.taken();
            }
            if on.net.is_writable(id) && !on.net.needs_drain(id) {
                on.state.ready.push_back(id);
            }
        }
        (!on.state.ready.is_empty()).then_some(Duration::ZERO)
    }
}

/// Bytes that nobody asked for.
pub struct Source {
    course: Course,
    connections: usize,
}

impl Source {
    pub fn new(options: &BenchOptions) -> Self {
        Source { course: Course::new(options), connections: options.connections }
    }
}

impl Load for Source {
    fn course(&mut self) -> &mut Course {
        &mut self.course
    }

    fn into_course(self) -> Course {
        self.course
    }

    fn connections(&self) -> usize {
        self.connections
    }

    fn set_up(socket: &mut Socket<'_, Self>, _: usize) {
        socket.on_data(|socket, chunk| {
            socket.state.course.received(chunk.len());
            socket.state.course.moved(chunk.len());
        });
    }

    fn begin(_: &mut Loop<'_, Self>) {}
}

/// Connections that say nothing: `idle`.
pub struct Idle {
    course: Course,
    connections: usize,
}

impl Idle {
    pub fn new(options: &BenchOptions) -> Self {
        Idle { course: Course::new(options), connections: options.connections }
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

    fn connections(&self) -> usize {
        self.connections
    }

    fn set_up(socket: &mut Socket<'_, Self>, _: usize) {
        socket.on_data(|_, _| {});
    }

    fn begin(_: &mut Loop<'_, Self>) {}
}
