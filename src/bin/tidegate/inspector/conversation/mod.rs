//! One connection of the inspector: a request, its answer, and the next one.
//!
//! ```text
//!   Idle ──a byte──▶ Asking ──the head is whole──▶ Waiting ──there is time for it──▶ Answering ──all of it is written──▶ Idle
//!    │ 65 s            │ 5 s, or no request            └──/events──▶ Listening            │
//!    └─────────────────┴──────────────▶ closed ◀─────── `Connection: close` ─────────────┘
//! ```
//!
//! It is paused while it waits and is answered, so a client that sends requests without reading is not read. A client that
//! takes nothing of its answer for 10 s is put out.
//!
//! This file has the stages and the requests, `answering.rs` the answers, and `pulse.rs` what happens once in a second.

mod answering;
mod pulse;

use std::rc::Rc;
use std::time::Duration;

use tidegate::{Net, Socket, SocketId, TimerId};

use super::guard::{Route, admit};
use super::refusal::Refusal;
use super::request::{LONGEST_HEAD, Method, Parsed, Request, parse};
use super::response::{self, Frame};
use super::table::{Table, Wanted};
use super::{Inspector, MOST};

/// How long a head may take, from its first byte.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// After the last answer: how long the client may stay, and how much it may send.
const CLOSING_TIME: Duration = Duration::from_secs(2);
const MOST_DISCARDED: usize = 256 << 10;

pub(super) struct Conversation {
    /// What came and was not used yet: at most a head and a read of the loop.
    input: Vec<u8>,
    /// The client has ended its side: it is answered what it has asked before, and nothing else will come.
    has_ended: bool,
    stage: Stage,
    /// When the stage was entered.
    since: Duration,
    /// How much the client had taken when it was seen to take something.
    taken: u64,
    taken_at: Duration,
}

enum Stage {
    Idle,
    /// A part of a head is there. The timer refuses it.
    Asking(TimerId),
    /// For its share of the loop's time.
    Waiting,
    Answering(Answer),
    Listening,
}

/// What is still to be written, and whether another request may follow.
struct Answer {
    rest: Option<(Table, Frame)>,
    stays: bool,
}

impl Inspector {
    fn conversation<T>(&self, id: SocketId, then: impl FnOnce(&mut Conversation) -> T) -> Option<T> {
        self.state.borrow_mut().conversations.get_mut(&id).map(then)
    }

    /// The one place where the stage changes.
    fn enter(&self, net: &Net, id: SocketId, stage: Stage) {
        let now = net.now();
        self.conversation(id, |it| {
            it.stage = stage;
            it.since = now;
        });
    }
}

/// A client has come.
pub(super) fn begin<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>) {
    socket.set_label("inspector");
    if !there_is_room(socket.net, inspector) {
        return say_last(socket, &response::refusal(Refusal::FULL, true));
    }
    let (id, now) = (socket.id(), socket.net.now());
    let it =
        Conversation { input: Vec::new(), has_ended: false, stage: Stage::Idle, since: now, taken: 0, taken_at: now };
    inspector.state.borrow_mut().conversations.insert(id, it);
    pulse::begin(&mut socket.event_loop(), inspector);
    let its = Rc::clone(inspector);
    socket.on_data(move |socket, chunk| receive(socket, &its, chunk));
    let its = Rc::clone(inspector);
    socket.on_end(move |socket| hear_its_end(socket, &its));
    let its = Rc::clone(inspector);
    socket.on_drain(move |socket| answering::go_on(socket, &its));
    socket.on_error(|socket, error| log::debug!("inspector {}: {error}", socket.id()));
    let its = Rc::clone(inspector);
    socket.on_close(move |socket, _| {
        let id = socket.id();
        its.state.borrow_mut().conversations.remove(&id);
    });
}

/// If there is none, the one that has been idle longest makes room, or else the one that has been asking longest: nobody can keep
/// the others out by doing nothing, or next to nothing.
fn there_is_room(net: &mut Net, inspector: &Inspector) -> bool {
    let mut state = inspector.state.borrow_mut();
    if state.conversations.len() < MOST {
        return true;
    }
    let rank = |it: &Conversation| match it.stage {
        Stage::Idle => Some((0, it.since)),
        Stage::Asking(_) => Some((1, it.since)),
        _ => None,
    };
    let ranked = state.conversations.iter().filter_map(|(id, it)| Some((rank(it)?, *id)));
    let Some((_, id)) = ranked.min() else { return false };
    state.conversations.remove(&id);
    net.destroy(id);
    true
}

// ---- requests ----------------------------------------------------------------------------------------------------------

fn receive<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>, chunk: &[u8]) {
    let is_too_much = inspector.conversation(socket.id(), |it| {
        it.input.extend_from_slice(chunk);
        matches!(it.stage, Stage::Listening) && it.input.len() > LONGEST_HEAD
    });
    match is_too_much {
        // One that listens has nothing to say.
        Some(true) => close(socket, inspector, ""),
        _ => take_request(socket, inspector),
    }
}

/// What it has asked before is answered.
fn hear_its_end<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>) {
    let listens = inspector.conversation(socket.id(), |it| {
        it.has_ended = true;
        matches!(it.stage, Stage::Listening)
    });
    match listens {
        Some(true) => close(socket, inspector, ""),
        _ => take_request(socket, inspector),
    }
}

/// Takes the next request out of what came, if it is its turn and all of its head is there.
fn take_request<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>) {
    let id = socket.id();
    let parsed = inspector.conversation(id, |it| match it.stage {
        Stage::Idle | Stage::Asking(_) => Some(parse(&it.input)),
        _ => None,
    });
    match parsed.flatten() {
        None => {}
        Some(Parsed::Nothing | Parsed::Part) if inspector.conversation(id, |it| it.has_ended) == Some(true) => {
            close(socket, inspector, "");
        }
        Some(Parsed::Nothing) => {
            inspector.conversation(id, |it| it.input.clear());
            socket.resume();
        }
        Some(Parsed::Part) => {
            socket.resume();
            if inspector.conversation(id, |it| matches!(it.stage, Stage::Idle)) == Some(true) {
                let its = Rc::clone(inspector);
                let timer = socket.after(HEAD_TIME, move |socket| refuse(socket, &its, Refusal::TOO_LATE, true));
                inspector.enter(socket.net, id, Stage::Asking(timer));
            }
        }
        Some(Parsed::Wrong(refusal)) => {
            let asks_for_the_head = inspector.conversation(id, |it| it.input.starts_with(b"HEAD "));
            refuse(socket, inspector, refusal, asks_for_the_head != Some(true));
        }
        Some(Parsed::Whole(request, length)) => {
            inspector.conversation(id, |it| it.input.drain(..length).count());
            wait_for_time(socket, inspector, request);
        }
    }
}

/// One request is answered in a turn, and all of them together get a share of the loop's time.
fn wait_for_time<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>, request: Box<Request>) {
    leave_asking(socket, inspector);
    inspector.enter(socket.net, socket.id(), Stage::Waiting);
    socket.pause_for("it is answered");
    match admit(&request, inspector.key) {
        Ok(route) => answer_in_time(socket, inspector, route, request),
        Err(refusal) => refuse(socket, inspector, refusal, request.method != Method::Head),
    }
}

fn answer_in_time<S: 'static>(
    socket: &mut Socket<'_, S>,
    inspector: &Rc<Inspector>,
    route: Route,
    request: Box<Request>,
) {
    let (now, work) = (socket.net.now(), work(socket.net, route, &request));
    let taken = inspector.state.borrow_mut().allowance.take(now, work);
    match taken {
        Ok(()) => answering::answer(socket, inspector, route, &request),
        Err(wait) => {
            let its = Rc::clone(inspector);
            socket.after(wait, move |socket| answer_in_time(socket, &its, route, request));
        }
    }
}

/// What an answer costs, about: measured in a release build, on 20,000 connections.
fn work(net: &Net, route: Route, request: &Request) -> Duration {
    let sockets = net.sockets() as u64;
    Duration::from_nanos(match route {
        Route::Page => 20_000,
        Route::Metrics | Route::Statistics | Route::Events => 100_000 + 50 * sockets,
        Route::Connections => {
            let limit = Wanted::of(request).map_or(0, |wanted| wanted.limit as u64);
            50_000 + 200 * sockets + 2_000 * sockets.min(limit)
        }
    })
}

fn leave_asking<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Inspector) {
    let timer = inspector.conversation(socket.id(), |it| match it.stage {
        Stage::Asking(timer) => Some(timer),
        _ => None,
    });
    if let Some(timer) = timer.flatten() {
        socket.cancel(timer);
    }
}

// ---- the next turn, and the end --------------------------------------------------------------------------------------------

fn next_turn<S: 'static>(
    socket: &mut Socket<'_, S>,
    inspector: &Rc<Inspector>,
    then: fn(&mut Socket<'_, S>, &Rc<Inspector>),
) {
    let (id, its) = (socket.id(), Rc::clone(inspector));
    socket.event_loop().next_turn(move |on| {
        if let Some(mut socket) = on.socket(id) {
            then(&mut socket, &its);
        }
    });
}

fn refuse<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>, refusal: Refusal, has_body: bool) {
    leave_asking(socket, inspector);
    close(socket, inspector, &response::refusal(refusal, has_body));
}

/// The conversation is over: it has no place any more.
fn close<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Inspector, last: &str) {
    leave_asking(socket, inspector);
    let id = socket.id();
    let was_there = inspector.state.borrow_mut().conversations.remove(&id).is_some();
    if was_there {
        say_last(socket, last);
    }
}

/// Says the last thing, and closes. A little of what the client still sends is discarded: the system would reset the connection
/// otherwise, and what was said might be lost.
fn say_last<S: 'static>(socket: &mut Socket<'_, S>, last: &str) {
    let mut left = MOST_DISCARDED;
    socket.on_data(move |socket, chunk| match left.checked_sub(chunk.len()) {
        Some(less) => left = less,
        None => socket.reset(),
    });
    socket.resume();
    socket.end_with(last);
    socket.after(CLOSING_TIME, |socket| socket.destroy());
}

const _: () = assert!(LONGEST_HEAD < 64 << 10, "a head is in one read of the loop");
