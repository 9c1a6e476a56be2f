//! Messages that have answers: `echo` and `request`.
//!
//! Answers come in the order of the messages, so the times at which messages were sent wait in a queue. With a rate the
//! messages are due by a schedule, and one that finds no place among those under way waits for it; without, an answer
//! makes place for the next message.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate::{Loop, Net, Socket, SocketId};

use super::course::{self, Course, Load, Wrong};
use super::pattern::Pattern;
use super::template::{Expected, Matcher};
use crate::cli::{BenchOptions, Pressure};

/// Messages and answers on all connections.
pub struct Exchange {
    course: Course,
    messages: Messages,
    depth: usize,
    /// With a rate: connections that have a place for a message, once for each place.
    places: VecDeque<usize>,
    talks: Vec<Talk>,
}

/// What is said.
enum Messages {
    /// A part of the pattern.
    Echo { pattern: Pattern, size: usize },
    /// The same each time. It is kept as often as may be under way, to be written as one. What each connection has heard
    /// of its next answer stands in `answers`.
    Request { requests: Vec<u8>, size: usize, answers: Vec<Matcher> },
}

/// One connection.
#[derive(Clone, Default)]
struct Talk {
    /// None before it connects, and when it is gone.
    id: Option<SocketId>,
    /// When those under way were sent, or were due.
    since: VecDeque<Duration>,
    sent: u64,
    received: u64,
}

impl Messages {
    fn size(&self) -> usize {
        match self {
            Messages::Echo { size, .. } | Messages::Request { size, .. } => *size,
        }
    }
}

impl Exchange {
    pub fn echo(options: &BenchOptions, size: usize, pressure: Pressure) -> Self {
        Exchange::new(options, Messages::Echo { pattern: Pattern::new(), size }, pressure.depth)
    }

    pub fn request(options: &BenchOptions, request: &[u8], answer: &Expected, pressure: Pressure) -> Self {
        let requests = request.repeat(pressure.depth);
        let answers = vec![Matcher::new(answer.clone()); options.connections];
        Exchange::new(options, Messages::Request { requests, size: request.len(), answers }, pressure.depth)
    }

    fn new(options: &BenchOptions, messages: Messages, depth: usize) -> Self {
        let talks = vec![Talk::default(); options.connections];
        Exchange { course: Course::new(options), messages, depth, places: VecDeque::new(), talks }
    }

    /// Sends so many messages on one connection, in as few writes as can be.
    #[inline]
    fn send(&mut self, net: &mut Net, number: usize, many: usize, since: Duration) {
        let talk = &mut self.talks[number];
        let Some(id) = talk.id else { return };
        let bytes = many * self.messages.size();
        talk.since.extend(std::iter::repeat_n(since, many));
        self.course.sent(bytes);
        match &self.messages {
            Messages::Echo { pattern, .. } => {
                for piece in pattern.pieces(number, talk.sent, bytes) {
                    net.write(id, piece);
                }
            }
            Messages::Request { requests, .. } => {
                net.write(id, &requests[..bytes]);
            }
        }
        talk.sent += bytes as u64;
    }

    /// Takes what came; how many answers end in it.
    #[inline]
    fn hear(&mut self, number: usize, chunk: &[u8]) -> Result<usize, Wrong> {
        let talk = &mut self.talks[number];
        let before = talk.received;
        talk.received += chunk.len() as u64;
        self.course.received(chunk.len());
        let wrong = |at: usize, what: String| Err(Wrong { connection: number, at: before + at as u64, what });
        let answers = match &mut self.messages {
            Messages::Echo { pattern, size } => {
                pattern.check(number, before, talk.sent, chunk)?;
                (talk.received / *size as u64 - before / *size as u64) as usize
            }
            Messages::Request { answers, .. } => match answers[number].take(chunk) {
                Ok(answers) => answers,
                Err(at) => return wrong(at, format!("0x{:02x} is not what was expected", chunk[at])),
            },
        };
        if answers > talk.since.len() {
            return wrong(0, "an answer to nothing".to_owned());
        }
        Ok(answers)
    }
}

impl Load for Exchange {
    fn course(&mut self) -> &mut Course {
        &mut self.course
    }

    fn into_course(self) -> Course {
        self.course
    }

    fn set_up(socket: &mut Socket<'_, Self>, number: usize) {
        socket.state.talks[number].id = Some(socket.id());
        socket.on_data(move |socket, chunk| answered(socket, number, chunk));
    }

    fn begin(on: &mut Loop<'_, Self>) {
        let it = &mut *on.state;
        if it.course.pace.is_some() {
            // All first places before any second one.
            it.places = (0..it.depth).flat_map(|_| 0..it.talks.len()).collect();
            return;
        }
        for number in 0..it.talks.len() {
            let now = it.course.now();
            it.send(on.net, number, it.depth, now);
        }
    }

    /// With a rate: sends what is due, as far as there are places.
    fn work(on: &mut Loop<'_, Self>) -> Option<Duration> {
        let it = &mut *on.state;
        if it.course.pace.is_none() || !it.course.is_loading() {
            return None;
        }
        let now = it.course.now();
        while let Some(number) = it.places.front().copied() {
            if it.talks[number].id.is_none() {
                it.places.pop_front();
                continue;
            }
            let pace = it.course.pace.as_mut()?;
            let Some(due) = pace.take(now) else { return Some(pace.next()) };
            it.places.pop_front();
            it.send(on.net, number, 1, due);
        }
        None
    }

    fn lost(on: &mut Loop<'_, Self>, number: usize) {
        let talk = &mut on.state.talks[number];
        talk.id = None;
        talk.since.clear();
    }

    fn under_way(&self) -> usize {
        self.talks.iter().map(|talk| talk.since.len()).sum()
    }
}

/// Bytes came on a connection.
#[inline]
fn answered(socket: &mut Socket<'_, Exchange>, number: usize, chunk: &[u8]) {
    let it = &mut *socket.state;
    let answers = match it.hear(number, chunk) {
        Ok(answers) => answers,
        Err(wrong) => return course::wrong(socket, wrong),
    };
    if answers == 0 {
        return;
    }
    let now = it.course.now();
    for since in it.talks[number].since.drain(..answers) {
        it.course.answered(since, now);
    }
    if it.course.pace.is_some() {
        it.places.extend(std::iter::repeat_n(number, answers));
    } else if it.course.is_loading() {
        it.send(socket.net, number, answers, now);
    }
}
