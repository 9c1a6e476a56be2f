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

use std::any::Any;
use std::rc::Rc;
use std::time::Duration;

use tidegate::{CloseReason, Loop, Net, Socket, SocketId, TimerId};

use super::guard::{Route, admit};
use super::refusal::Refusal;
use super::request::{LONGEST_HEAD, Method, Parsed, Request, parse};
use super::response::{self, Frame, Kind, Manner};
use super::table::{Table, Wanted, cells};
use super::{Inspector, MOST, figures};

/// How long a head may take, from its first byte.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// How long a connection may stay without a request. Prometheus asks once in 15 s or in a minute.
const IDLE_TIME: Duration = Duration::from_secs(65);

/// A client that has not taken `LEAST_TAKEN` bytes of what waits for so long is put out.
const STUCK_TIME: Duration = Duration::from_secs(10);
const LEAST_TAKEN: u64 = 1024;

/// How long an answer may take to be taken whole: the rows of a table are kept for that long.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// After the last answer: how long the client may stay, and how much it may send.
const CLOSING_TIME: Duration = Duration::from_secs(2);
const MOST_DISCARDED: usize = 256 << 10;

/// How often events are sent, and the clocks of all conversations looked at.
const PULSE: Duration = Duration::from_secs(1);

const PAGE: &str = include_str!("page.html");

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
    begin_pulse(&mut socket.event_loop(), inspector);
    let its = Rc::clone(inspector);
    socket.on_data(move |socket, chunk| receive(socket, &its, chunk));
    let its = Rc::clone(inspector);
    socket.on_end(move |socket| hear_its_end(socket, &its));
    let its = Rc::clone(inspector);
    socket.on_drain(move |socket| go_on(socket, &its));
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
        Ok(()) => answer(socket, inspector, route, &request),
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

// ---- answers -----------------------------------------------------------------------------------------------------------

fn answer<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>, route: Route, request: &Request) {
    match route {
        Route::Page => {
            let page = page(socket.net);
            match page {
                Ok((page, policy)) => {
                    let kind = Kind { content_type: "text/html; charset=utf-8", policy: &policy };
                    send_whole(socket, inspector, kind, request, &page);
                }
                Err(error) => {
                    log::debug!("inspector: {error}");
                    socket.destroy();
                }
            }
        }
        Route::Metrics => {
            let text = figures::prometheus(&inspector.look(socket.net, socket.state));
            send_whole(socket, inspector, Kind::METRICS, request, &text);
        }
        Route::Statistics => {
            let text = format!("{}\n", inspector.look(socket.net, socket.state).json());
            send_whole(socket, inspector, Kind::JSON, request, &text);
        }
        Route::Connections => match Wanted::of(request) {
            Some(wanted) => send_table(socket, inspector, request, wanted),
            None => refuse(socket, inspector, Refusal::QUERY, request.method != Method::Head),
        },
        Route::Events => listen(socket, inspector, request),
    }
}

/// The page may run its own script and style, which are named by a number of this answer, and fetch from here.
fn page(net: &mut Net) -> Result<(String, String), tidegate::Error> {
    let nonce = super::new_key(net)?;
    let page = PAGE.replacen("<script>", &format!("<script nonce=\"{nonce}\">"), 1);
    let page = page.replacen("<style>", &format!("<style nonce=\"{nonce}\">"), 1);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Ok((page, policy))
}

fn send_whole<S: 'static>(
    socket: &mut Socket<'_, S>,
    inspector: &Rc<Inspector>,
    kind: Kind<'_>,
    request: &Request,
    body: &str,
) {
    let text = response::whole("200 OK", kind, request, body);
    inspector.enter(socket.net, socket.id(), Stage::Answering(Answer { rest: None, stays: request.stays }));
    if socket.write(text) {
        go_on(socket, inspector);
    }
}

fn send_table<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>, request: &Request, wanted: Wanted) {
    let manner = Manner::in_pieces(request);
    let kind = if request.wants_text { Kind::TEXT } else { Kind::JSON };
    let rest = manner.has_body.then(|| (Table::of(socket.net, wanted), manner.frame));
    // Where the end of the connection is the end of the body, none can follow.
    let stays = manner.stays && manner.frame != Frame::UntilClose;
    inspector.enter(socket.net, socket.id(), Stage::Answering(Answer { rest, stays }));
    if socket.write(response::head("200 OK", kind, manner)) {
        go_on(socket, inspector);
    }
}

/// Goes on with an answer: to be called when what was written before is below the mark. A piece in a turn.
fn go_on<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>) {
    enum Next {
        Piece(String),
        Over(bool),
    }

    let id = socket.id();
    let net = &*socket.net;
    let next = inspector.conversation(id, |it| {
        let Stage::Answering(answer) = &mut it.stage else { return None };
        Some(match &mut answer.rest {
            None => Next::Over(answer.stays),
            Some((table, frame)) => match table.next_piece(net) {
                Some(text) => Next::Piece(response::piece(*frame, &text)),
                None => {
                    let last = response::piece(*frame, "");
                    answer.rest = None;
                    Next::Piece(last)
                }
            },
        })
    });
    match next.flatten() {
        None => {}
        Some(Next::Piece(text)) => {
            let is_below_the_mark = socket.write(text);
            if is_below_the_mark {
                next_turn(socket, inspector, go_on);
            }
        }
        Some(Next::Over(stays)) => is_answered(socket, inspector, stays),
    }
}

fn is_answered<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>, stays: bool) {
    if !stays {
        return close(socket, inspector, "");
    }
    inspector.enter(socket.net, socket.id(), Stage::Idle);
    next_turn(socket, inspector, take_request);
}

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

// ---- events, and clocks ----------------------------------------------------------------------------------------------------

fn listen<S: 'static>(socket: &mut Socket<'_, S>, inspector: &Rc<Inspector>, request: &Request) {
    let manner = Manner::endless(request);
    socket.write(response::head("200 OK", Kind::EVENTS, manner));
    if !manner.has_body {
        return close(socket, inspector, "");
    }
    inspector.enter(socket.net, socket.id(), Stage::Listening);
    inspector.conversation(socket.id(), |it| it.input.clear());
    socket.resume(); // so that its end is heard
    let event = event(inspector, socket.net, socket.state);
    socket.write(format!("retry: 1000\n{event}"));
}

/// The figures and the cells, as server-sent events have it.
fn event(inspector: &Inspector, net: &mut Net, state: &dyn Any) -> String {
    let mut json = inspector.look(net, state).json();
    json["cells"] = cells(net).into();
    format!("data: {json}\n\n")
}

fn begin_pulse<S: 'static>(on: &mut Loop<'_, S>, inspector: &Rc<Inspector>) {
    if inspector.state.borrow().pulse.is_some() {
        return;
    }
    let its = Rc::clone(inspector);
    let pulse = on.every(PULSE, move |on| beat(on, &its));
    on.set_ref(pulse, false);
    inspector.state.borrow_mut().pulse = Some(pulse);
}

/// What becomes of a conversation at a beat.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Stays,
    /// It gets an event.
    Listens,
    /// It has not asked for anything for long.
    IsIdle,
    /// Its client does not read.
    IsStuck,
}

impl Conversation {
    /// `unsent` bytes wait for its client, which has taken so many others.
    fn beat(&mut self, now: Duration, unsent: usize, taken: u64) -> Verdict {
        if unsent == 0 || taken >= self.taken + LEAST_TAKEN {
            (self.taken, self.taken_at) = (taken, now);
        }
        match self.stage {
            _ if now.saturating_sub(self.taken_at) >= STUCK_TIME => Verdict::IsStuck,
            Stage::Answering(_) if now.saturating_sub(self.since) >= ANSWER_TIME => Verdict::IsStuck,
            Stage::Idle if now.saturating_sub(self.since) >= IDLE_TIME => Verdict::IsIdle,
            Stage::Listening if unsent == 0 => Verdict::Listens,
            _ => Verdict::Stays,
        }
    }
}

fn beat<S: 'static>(on: &mut Loop<'_, S>, inspector: &Rc<Inspector>) {
    let (now, net) = (on.net.now(), &*on.net);
    let mut state = inspector.state.borrow_mut();
    let verdicts = state.conversations.iter_mut().map(|(id, it)| {
        let info = net.connection(*id);
        let unsent = info.unsent();
        (*id, it.beat(now, unsent, info.bytes_written().saturating_sub(unsent as u64)))
    });
    let verdicts: Vec<_> = verdicts.collect();
    if let (true, Some(pulse)) = (verdicts.is_empty(), state.pulse) {
        state.pulse = None;
        on.cancel(pulse);
        return;
    }
    drop(state);
    if verdicts.iter().any(|(_, verdict)| *verdict == Verdict::Listens) {
        let event = event(inspector, on.net, on.state);
        let listeners = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Listens);
        on.net.broadcast(listeners.map(|(id, _)| *id), event);
    }
    for (id, verdict) in verdicts {
        match verdict {
            Verdict::Stays | Verdict::Listens => {}
            Verdict::IsStuck => on.net.reset_because(id, CloseReason::Timeout),
            Verdict::IsIdle => {
                if let Some(mut socket) = on.socket(id) {
                    close(&mut socket, inspector, "");
                }
            }
        }
    }
}

const _: () = assert!(LONGEST_HEAD < 64 << 10, "a head is in one read of the loop");

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn at(stage: Stage) -> Conversation {
        Conversation { input: Vec::new(), has_ended: false, stage, since: s(0), taken: 0, taken_at: s(0) }
    }

    #[test]
    fn a_client_that_takes_too_little_is_stuck() {
        let mut it = at(Stage::Answering(Answer { rest: None, stays: true }));
        for second in 1..50 {
            assert_eq!(it.beat(s(second), 5000, second * 200), Verdict::Stays, "{second}");
        }
        for second in 50..54 {
            assert_ne!(it.beat(s(second), 5000, 49 * 200 + 20), Verdict::IsStuck, "{second}");
        }
        assert_eq!(it.beat(s(59), 5000, 49 * 200 + 40), Verdict::IsStuck);
        let mut slow = at(Stage::Answering(Answer { rest: None, stays: true }));
        for second in 1..60 {
            assert_eq!(slow.beat(s(second), 5000, second * 2000), Verdict::Stays, "{second}");
        }
        assert_eq!(slow.beat(s(60), 5000, 60 * 2000), Verdict::IsStuck, "a minute is enough for any answer");
        let mut it = at(Stage::Waiting);
        assert_eq!(it.beat(s(1000), 0, 0), Verdict::Stays, "nothing waits for it");
    }

    #[test]
    fn one_that_listens_gets_an_event_if_it_has_taken_the_last_one() {
        let mut it = at(Stage::Listening);
        assert_eq!(it.beat(s(1), 0, 5000), Verdict::Listens);
        assert_eq!(it.beat(s(2), 10, 10_000), Verdict::Stays);
        assert_eq!(it.beat(s(12), 10, 10_000), Verdict::IsStuck);
    }

    #[test]
    fn one_that_asks_for_nothing_is_idle_after_a_minute() {
        let mut it = at(Stage::Idle);
        assert_eq!(it.beat(s(64), 0, 0), Verdict::Stays);
        assert_eq!(it.beat(s(65), 0, 0), Verdict::IsIdle);
        assert_eq!(at(Stage::Waiting).beat(s(65), 0, 0), Verdict::Stays);
    }
}
