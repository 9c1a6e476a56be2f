//! Connections that come and go: connect, one message that comes back, close by both sides, and again.
//!
//! A slot is a socket that connects again when it has closed. This side ends first, so it keeps the port for a while
//! (TIME_WAIT): where the ports run out, the system says so.

use std::time::Duration;

use tidegate::{CloseReason, Closed, Loop, Socket};

use super::course::{self, Course, Load};
use super::pattern::Pattern;
use crate::cli::BenchOptions;

/// How long a slot rests whose connection has failed: another one at once would most likely fail too.
const REST: Duration = Duration::from_millis(100);

/// Connections in their slots.
pub struct Churn {
    course: Course,
    pattern: Pattern,
    size: usize,
    slots: Vec<Slot>,
}

/// The connection that a slot has now.
#[derive(Clone, Default)]
struct Slot {
    asked: Duration,
    received: usize,
}

impl Churn {
    pub fn new(options: &BenchOptions, size: usize) -> Self {
        let slots = vec![Slot::default(); options.connections];
        Churn { course: Course::new(options), pattern: Pattern::new(), size, slots }
    }
}

impl Load for Churn {
    fn course(&mut self) -> &mut Course {
        &mut self.course
    }

    fn into_course(self) -> Course {
        self.course
    }

    /// There is nothing to open before: to connect is a part of it.
    fn start(on: &mut Loop<'_, Self>) {
        course::begin(on);
    }

    fn set_up(_: &mut Socket<'_, Self>, _: usize) {}

    fn begin(on: &mut Loop<'_, Self>) {
        for number in 0..on.state.slots.len() {
            fill(on, number);
        }
    }
}

/// Gives a slot its socket, for many connections.
fn fill(on: &mut Loop<'_, Churn>, number: usize) {
    let now = on.state.course.now();
    on.state.slots[number] = Slot { asked: now, ..Slot::default() };
    let to = on.state.course.to;
    let made = on.connect_with(to, course::options(), move |socket| {
        socket.on_connect(move |socket| speak(socket, number));
        socket.on_data(move |socket, chunk| hear(socket, number, chunk));
        socket.on_error(|socket, error| socket.state.course.error = Some(error.clone()));
        socket.on_close(move |socket, closed| again(socket, number, closed));
    });
    if let Err(error) = made {
        on.state.course.error = Some(error);
        on.state.course.has_failed();
        course::enter(on, course::Stage::Over);
    }
}

fn speak(socket: &mut Socket<'_, Churn>, number: usize) {
    let id = socket.id();
    let it = &mut *socket.state;
    it.course.connecting.opened += 1;
    it.course.sent(it.size);
    for piece in it.pattern.pieces(number, 0, it.size) {
        socket.net.write(id, piece);
    }
}

fn hear(socket: &mut Socket<'_, Churn>, number: usize, chunk: &[u8]) {
    let it = &mut *socket.state;
    let slot = &mut it.slots[number];
    let before = slot.received;
    slot.received += chunk.len();
    it.course.received(chunk.len());
    if let Err(wrong) = it.pattern.check(number, before as u64, it.size as u64, chunk) {
        return course::wrong(socket, wrong);
    }
    if slot.received == it.size {
        socket.end();
    }
}

/// One has closed: the next.
fn again(socket: &mut Socket<'_, Churn>, number: usize, closed: Closed) {
    let it = &mut *socket.state;
    let slot = std::mem::take(&mut it.slots[number]);
    let now = it.course.now();
    let is_whole = slot.received == it.size && !closed.had_error;
    if it.course.stage == course::Stage::Over {
        return;
    }
    if is_whole {
        it.course.answered(slot.asked, now);
    } else if closed.reason == CloseReason::ConnectFailed {
        it.course.has_failed();
        if it.course.connecting.opened == 0 {
            return course::enter(&mut socket.event_loop(), course::Stage::Over);
        }
    } else {
        it.course.has_lost(closed.reason);
    }
    if !it.course.is_loading() {
        return;
    }
    let to = it.course.to;
    it.slots[number].asked = now;
    // The id and the handlers are kept.
    if !is_whole || socket.connect(to).is_err() {
        socket.event_loop().after(REST, move |on| {
            if on.state.course.is_loading() {
                fill(on, number);
            }
        });
    }
}
