//! Messages that have answers: `echo` and `request`.
//!
//! Answers come in the order of the messages, so a queue holds the time at which each message was sent. Without a rate an
//! answer lets the next message out. With a rate the messages are due by a schedule, and a message that finds all of the
//! `--depth` slots in use waits for one.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate::SocketId;

use super::excerpt::{difference, excerpt};
use super::matcher::{Matcher, Wrong};
use super::pattern::Pattern;
use super::run::{self, Bench, BenchLoop, BenchSocket, Load};
use super::run_state::Mismatch;
use crate::cli::{Expected, Pressure, Workload};

pub struct Exchange {
    messages: Messages,
    depth: usize,
    /// With a rate: the number of a connection for each message that may be sent on it.
    free_slots: VecDeque<usize>,
    connections: Vec<Connection>,
}

/// What is sent, and what has to come back.
enum Messages {
    /// Bytes of the pattern.
    Echo { pattern: Pattern, size: usize },
    /// The same request each time. `requests` repeats it as often as it may be in flight, so that one write can send
    /// several. Each connection has a matcher for its answers.
    Request { requests: Vec<u8>, size: usize, answers: Vec<Matcher> },
}

#[derive(Clone, Default)]
struct Connection {
    /// None before it is set up, and after its close.
    id: Option<SocketId>,
    /// When the messages in flight were sent, or were due.
    in_flight: VecDeque<Duration>,
    sent: u64,
    received: u64,
}

pub fn echo(workload: &Workload, size: usize, pressure: Pressure) -> Exchange {
    Exchange::new(workload, Messages::Echo { pattern: Pattern::new(), size }, pressure)
}

pub fn request(workload: &Workload, request: &[u8], answer: &Expected, pressure: Pressure) -> Exchange {
    let requests = request.repeat(pressure.depth);
    let answers = vec![Matcher::new(answer); workload.all_connections()];
    Exchange::new(workload, Messages::Request { requests, size: request.len(), answers }, pressure)
}

impl Messages {
    fn size(&self) -> usize {
        match self {
            Messages::Echo { size, .. } | Messages::Request { size, .. } => *size,
        }
    }
}

impl Exchange {
    fn new(workload: &Workload, messages: Messages, pressure: Pressure) -> Self {
        let connections = vec![Connection::default(); workload.all_connections()];
        Exchange { messages, depth: pressure.depth, free_slots: VecDeque::new(), connections }
    }

    /// Checks a chunk, and returns how many answers end in it.
    #[inline]
    fn receive(&mut self, number: usize, chunk: &[u8]) -> Result<usize, Mismatch> {
        let connection = &mut self.connections[number];
        let before = connection.received;
        connection.received += chunk.len() as u64;
        let mismatch = |at: usize, what: String| Err(Mismatch { connection: number, at: before + at as u64, what });
        let answers = match &mut self.messages {
            Messages::Echo { pattern, size } => {
                pattern.check(number, before, connection.sent, chunk)?;
                (connection.received / *size as u64 - before / *size as u64) as usize
            }
            Messages::Request { answers, .. } => match answers[number].read(chunk) {
                Ok(answers) => answers,
                Err(Wrong { at, expected }) => return mismatch(at, difference(&expected, &chunk[at..])),
            },
        };
        if answers > connection.in_flight.len() {
            return mismatch(0, format!("an answer to nothing came: {}", excerpt(chunk)));
        }
        Ok(answers)
    }
}

/// Sends so many messages on one connection, in as few writes as possible.
#[inline]
fn send(on: &mut BenchLoop<'_, Exchange>, number: usize, many: usize, since: Duration) {
    let Bench { run, load } = &mut *on.state;
    let connection = &mut load.connections[number];
    let Some(id) = connection.id.filter(|_| many > 0) else { return };
    let bytes = many * load.messages.size();
    connection.in_flight.extend(std::iter::repeat_n(since, many));
    run.sent(bytes);
    match &load.messages {
        Messages::Echo { pattern, .. } => {
            for piece in pattern.pieces(number, connection.sent, bytes) {
                on.net.write(id, piece);
            }
        }
        Messages::Request { requests, .. } => {
            on.net.write(id, &requests[..bytes]);
        }
    }
    connection.sent += bytes as u64;
}

impl Load for Exchange {
    fn set_up(socket: &mut BenchSocket<'_, Self>, number: usize) {
        socket.state.load.connections[number].id = Some(socket.id());
        socket.on_data(move |socket, chunk| receive(socket, number, chunk));
    }

    fn begin(on: &mut BenchLoop<'_, Self>) {
        let Bench { run, load } = &mut *on.state;
        let (depth, connections) = (load.depth, load.connections.len());
        if run.schedule.is_some() {
            // The first slot of every connection comes before any second slot.
            load.free_slots = (0..depth).flat_map(|_| 0..connections).collect();
            return;
        }
        // A small number of messages is spread over all connections.
        let share = run.to_send.map_or(u64::MAX, |number| number.div_ceil(connections as u64));
        let each = depth.min(usize::try_from(share).unwrap_or(depth));
        for number in 0..connections {
            let (now, many) = (on.state.run.now(), on.state.run.take(each));
            send(on, number, many, now);
        }
    }

    /// With a rate: sends what is due, as far as there are free slots.
    fn work(on: &mut BenchLoop<'_, Self>) -> Option<Duration> {
        if !on.state.run.is_loading() {
            return None;
        }
        let now = on.state.run.now();
        loop {
            let Bench { run, load } = &mut *on.state;
            let number = *load.free_slots.front()?;
            if load.connections[number].id.is_none() {
                load.free_slots.pop_front();
                continue;
            }
            let schedule = run.schedule.as_mut()?;
            if run.to_send == Some(0) {
                return None;
            }
            let Some(due) = schedule.take(now) else { return Some(schedule.next()) };
            run.take(1);
            load.free_slots.pop_front();
            send(on, number, 1, due);
        }
    }

    fn lost(on: &mut BenchLoop<'_, Self>, number: usize) {
        let connection = &mut on.state.load.connections[number];
        connection.id = None;
        connection.in_flight.clear();
    }

    fn in_flight(&self) -> usize {
        self.connections.iter().map(|connection| connection.in_flight.len()).sum()
    }

    fn waiting(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.connections.iter().flat_map(|connection| &connection.in_flight).map(|since| (*since, 1))
    }
}

#[inline]
fn receive(socket: &mut BenchSocket<'_, Exchange>, number: usize, chunk: &[u8]) {
    let Bench { run, load } = &mut *socket.state;
    run.received(chunk.len());
    let answers = match load.receive(number, chunk) {
        Ok(0) => return,
        Ok(answers) => answers,
        Err(mismatch) => return run::mismatch(socket, mismatch),
    };
    let now = run.now();
    for since in load.connections[number].in_flight.drain(..answers) {
        run.count_answer(since, now);
    }
    if run.schedule.is_some() {
        load.free_slots.extend(std::iter::repeat_n(number, answers));
    } else if run.is_loading() {
        let many = run.take(answers);
        send(&mut socket.event_loop(), number, many, now);
    }
}
