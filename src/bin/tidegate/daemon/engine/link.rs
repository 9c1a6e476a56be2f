//! The two connections to an engine: one publishes, and one reads, since a command that waits for entries occupies its
//! connection.
//!
//! ```text
//!               start                both have answered their greeting              read_from
//!     Idle ──────────────▶ Opening ────────────────────────────────────▶ Open: Nowhere ──────▶ Open: Asked ◀─┐
//!      ▲                    ▲   │                                           │                      │   └──────┘
//!      │ stop,              │   │ either is refused, ends, is               └──────────┬───────────┘    XREAD
//!      │ from each          │   │ silent or lies                                       │ the same
//!      │           a wait   │   ▼                                                      │
//!      └───────────────── Waiting ◀─────────────────────────────────────────────────────┘
//! ```
//!
//! [`fail`] is the way to Waiting from everywhere. What a socket of an earlier attempt still tells means nothing: each event
//! has the number of its attempt.

use std::time::Duration;

use tidegate::{Loop, OutputLimits, Socket, SocketId, SocketOptions, TimerId};

use super::failure::{Failure, Lasts};
use super::greeting::{Greeting, not_asked};
use super::reply::{Bounds, Replies, Reply};
use super::{EntryId, EntryRead, Settings, command, entries};
use crate::daemon::retry::Retry;

/// How long the engine waits for an entry before it answers that there is none.
const BLOCK: Duration = Duration::from_secs(5);

/// An engine that leaves a command unanswered for so long is lost: what it may wait with itself is added.
const SILENCE: Duration = Duration::from_secs(5);

/// The state of a loop that has a link.
pub trait Linked: Sized + 'static {
    fn link(&mut self) -> &mut Link;

    /// Both connections are ready. Before this nothing is read or published.
    fn connected(on: &mut Loop<'_, Self>);

    /// What stood behind the place. `is_end`: nothing more was there when this was read.
    fn read(on: &mut Loop<'_, Self>, entries: Vec<EntryRead>, is_end: bool);

    /// The engine does not take what is published, in its words. Both connections are gone; it is tried again later.
    fn refused(on: &mut Loop<'_, Self>, why: String);

    /// Both connections are gone. What was not answered may stand in the stream or not. It is tried again later.
    fn lost(on: &mut Loop<'_, Self>, why: String);
}

pub struct Link {
    settings: Settings,
    state: State,
    /// The number of the present attempt to connect.
    attempt: u64,
    retry: Retry,
    /// The stream has begun anew with a clock that is behind: it is read from its beginning, wherever the reader was.
    is_another: bool,
    figures: Figures,
}

enum State {
    Idle,
    Waiting,
    Opening(Pair),
    Open { pair: Pair, since: Duration, publishing: Publishing, reading: Reading },
}

/// The connections.
struct Pair {
    publisher: Half,
    reader: Half,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Publisher,
    Reader,
}

struct Half {
    socket: SocketId,
    replies: Replies,
    greeting: Greeting,
    /// When the engine has to have answered. None: it was asked nothing.
    due: Option<Duration>,
    /// Looks at it then.
    watch: Option<(TimerId, Duration)>,
}

#[derive(Default)]
struct Publishing {
    sent: u64,
    answered: u64,
    /// One of those that were sent is measured at a time.
    measured: Option<Measured>,
}

struct Measured {
    number: u64,
    sent: Duration,
    /// How far the reader was then: what was published later stands behind it.
    read: EntryId,
}

#[derive(Clone, Copy)]
enum Reading {
    Nowhere,
    /// `waits_until`: an answer that there is nothing comes no earlier.
    Asked {
        after: EntryId,
        waits_until: Duration,
    },
}

/// What an inspector shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub is_connected: bool,
    /// How often it was connected since the start.
    pub connects: u64,
    /// Between a publication and its answer, the last one that was measured.
    pub round_trip: Option<Duration>,
    /// Publications that have no answer yet.
    pub unanswered: u64,
    /// Publications that were answered with a place in the stream.
    pub published: u64,
    /// Entries that were read.
    pub read: u64,
    /// As it calls itself: `redis 7.0.15`.
    pub engine: Option<String>,
    /// Why it is not connected.
    pub why: Option<String>,
}

impl Link {
    pub fn new(settings: Settings) -> Self {
        let retry = Retry::of(&format!("--bus {}", settings.engine));
        Link { settings, state: State::Idle, attempt: 0, retry, is_another: false, figures: Figures::default() }
    }

    pub fn figures(&self) -> Figures {
        let unanswered = match &self.state {
            State::Open { publishing, .. } => publishing.sent - publishing.answered,
            _ => 0,
        };
        let is_connected = matches!(self.state, State::Open { .. });
        Figures { is_connected, unanswered, ..self.figures.clone() }
    }

    fn pair(&mut self) -> Option<&mut Pair> {
        match &mut self.state {
            State::Opening(pair) | State::Open { pair, .. } => Some(pair),
            State::Idle | State::Waiting => None,
        }
    }

    /// One of the connections of the present attempt. None if this one is over.
    fn half(&mut self, attempt: u64, role: Role) -> Option<&mut Half> {
        let is_present = self.attempt == attempt;
        self.pair().filter(|_| is_present).map(|pair| pair.half(role))
    }
}

impl Pair {
    fn half(&mut self, role: Role) -> &mut Half {
        match role {
            Role::Publisher => &mut self.publisher,
            Role::Reader => &mut self.reader,
        }
    }

    fn is_greeted(&self) -> bool {
        self.publisher.greeting.is_over() && self.reader.greeting.is_over()
    }
}

// ---- what others call -------------------------------------------------------------------------------------------------------

/// Connects, and again whenever it is lost.
pub fn start<S: Linked>(on: &mut Loop<'_, S>) {
    if matches!(on.state.link().state, State::Idle) {
        attempt(on);
    }
}

/// Adds an entry to the stream. Without a connection nothing happens: whoever publishes keeps what it has not read back.
pub fn publish<S: Linked>(on: &mut Loop<'_, S>, fields: &[(&[u8], &[u8])]) {
    let now = on.net.now();
    let Link { settings, state, attempt, .. } = on.state.link();
    let State::Open { pair, publishing, reading, .. } = state else { return };
    let (socket, attempt) = (pair.publisher.socket, *attempt);
    let bytes = command::xadd(&settings.stream, settings.history, fields);
    publishing.sent += 1;
    if let (None, Reading::Asked { after, .. }) = (&publishing.measured, *reading) {
        publishing.measured = Some(Measured { number: publishing.sent, sent: now, read: after });
    }
    on.net.broadcast([socket], bytes); // those of a turn are one write
    expect_answer(on, attempt, Role::Publisher, SILENCE);
}

/// From now on what stands behind this place is read, until the connection is lost. To be called once after `connected`.
pub fn read_from<S: Linked>(on: &mut Loop<'_, S>, after: EntryId) {
    let link = on.state.link();
    let State::Open { reading: Reading::Nowhere, .. } = link.state else { return };
    let after = if std::mem::take(&mut link.is_another) { EntryId::ZERO } else { after };
    ask(on, after, None);
}

/// Other settings: the history from the next entry on, all others from the next connect on.
pub fn change<S: Linked>(on: &mut Loop<'_, S>, settings: Settings) {
    on.state.link().settings = settings;
}

/// Ends both connections, when what was written is sent. Nothing is called any more.
pub fn stop<S: Linked>(on: &mut Loop<'_, S>) {
    let link = on.state.link();
    link.attempt += 1;
    if let State::Opening(pair) | State::Open { pair, .. } = std::mem::replace(&mut link.state, State::Idle) {
        on.net.destroy_soon(pair.publisher.socket);
        on.net.destroy_soon(pair.reader.socket);
    }
}

// ---- connecting -------------------------------------------------------------------------------------------------------------

fn attempt<S: Linked>(on: &mut Loop<'_, S>) {
    let link = on.state.link();
    link.attempt += 1;
    let attempt = link.attempt;
    let pair = connect(on, attempt, Role::Publisher).and_then(|publisher| match connect(on, attempt, Role::Reader) {
        Ok(reader) => Ok(Pair { publisher, reader }),
        Err(error) => {
            on.net.destroy(publisher.socket);
            Err(error)
        }
    });
    let link = on.state.link();
    match pair {
        Ok(pair) => {
            link.state = State::Opening(pair);
            expect_answer(on, attempt, Role::Publisher, SILENCE * 2);
            expect_answer(on, attempt, Role::Reader, SILENCE * 2);
        }
        Err(error) => {
            link.state = State::Waiting;
            try_later(on, Duration::ZERO, &Failure::lost(error));
        }
    }
}

fn connect<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, role: Role) -> Result<Half, tidegate::Error> {
    let settings = &on.state.link().settings;
    let (engine, options) = (settings.engine.at, options(settings));
    let socket = on.connect_with(engine, options, move |socket| {
        socket.on_connect(move |socket| greet(socket, attempt, role));
        socket.on_data(move |socket, chunk| receive(&mut socket.event_loop(), attempt, role, chunk));
        socket.on_error(move |socket, error| lose(&mut socket.event_loop(), attempt, &Failure::lost(error)));
        socket.on_close(move |socket, closed| lose(&mut socket.event_loop(), attempt, &Failure::lost(closed.reason)));
    })?;
    Ok(Half { socket, replies: Replies::new(Bounds::DEFAULT), greeting: Greeting::new(), due: None, watch: None })
}

fn options(settings: &Settings) -> SocketOptions {
    /// Commands have more bytes than the entries in the outbox, and each reconnect publishes all of it.
    fn most_unsent(outbox: usize) -> usize {
        outbox.saturating_mul(2).saturating_add(1 << 20)
    }

    SocketOptions::new()
        .no_delay(true)
        .notice_gone_peers(true)
        .connect_timeout(SILENCE)
        .output_limits(OutputLimits::disconnect_above(most_unsent(settings.outbox)))
}

fn greet<S: Linked>(socket: &mut Socket<'_, S>, attempt: u64, role: Role) {
    let settings = socket.state.link().settings.clone();
    socket.set_label(match role {
        Role::Publisher => "--bus, publishes",
        Role::Reader => "--bus, reads",
    });
    let Some(half) = socket.state.link().half(attempt, role) else { return };
    if let Err(failure) = half.greeting.begin(&settings).and_then(|bytes| bytes.send(socket)) {
        lose(&mut socket.event_loop(), attempt, &failure);
    }
}

// ---- answers ----------------------------------------------------------------------------------------------------------------

fn receive<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, role: Role, chunk: &[u8]) {
    let Some(half) = on.state.link().half(attempt, role) else { return };
    half.replies.push(chunk);
    // Whoever is told of a reply may end the link.
    while let Some(half) = on.state.link().half(attempt, role) {
        match half.replies.next() {
            Ok(Some(reply)) if half.greeting.is_over() => match role {
                Role::Publisher => published(on, attempt, reply),
                Role::Reader => read(on, attempt, reply),
            },
            Ok(Some(reply)) => greeted(on, attempt, role, reply),
            Ok(None) => return,
            Err(malformed) => lose(on, attempt, &Failure::lost(format_args!("it has answered with {malformed}"))),
        }
    }
}

fn greeted<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, role: Role, reply: Reply) {
    let Some(half) = on.state.link().half(attempt, role) else { return };
    match half.greeting.answered(reply) {
        Ok(()) if half.greeting.is_over() => {
            half.due = None;
            open_if_ready(on);
        }
        Ok(()) => {}
        Err(failure) => lose(on, attempt, &failure),
    }
}

fn open_if_ready<S: Linked>(on: &mut Loop<'_, S>) {
    let now = on.net.now();
    let link = on.state.link();
    link.state = match std::mem::replace(&mut link.state, State::Waiting) {
        State::Opening(pair) if pair.is_greeted() => {
            State::Open { pair, since: now, publishing: Publishing::default(), reading: Reading::Nowhere }
        }
        other => other,
    };
    let State::Open { pair, .. } = &link.state else { return };
    let engine = pair.publisher.greeting.engine.clone();
    log::info!("{}: connected to {}", link.retry.name, engine.as_deref().unwrap_or("an engine without a name"));
    link.figures = Figures { connects: link.figures.connects + 1, engine, why: None, ..link.figures.clone() };
    S::connected(on);
}

/// An XADD was answered.
fn published<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, reply: Reply) {
    let now = on.net.now();
    let Link { state, figures, is_another, .. } = on.state.link();
    let State::Open { pair, publishing, .. } = state else { return };
    if publishing.answered == publishing.sent {
        return lose(on, attempt, &not_asked());
    }
    publishing.answered += 1;
    let id = match reply {
        Reply::Bulk(id) => entries::id_of(&id),
        Reply::Error(error) => {
            let failure = pair.publisher.greeting.error(&error);
            return refuse(on, attempt, &failure);
        }
        _ => None,
    };
    let Some(id) = id else { return lose(on, attempt, &Failure::lost("it has answered an XADD with no id")) };
    figures.published += 1;
    pair.publisher.due = (publishing.answered < publishing.sent).then_some(now + SILENCE);
    let Some(measured) = publishing.measured.take_if(|measured| measured.number == publishing.answered) else { return };
    figures.round_trip = Some(now.saturating_sub(measured.sent));
    if id <= measured.read {
        *is_another = true;
        lose(on, attempt, &Failure::lost("the stream has begun anew, with a clock that is behind the one of before"));
    }
}

/// An XREAD was answered.
fn read<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, reply: Reply) {
    let now = on.net.now();
    let Link { state, figures, settings, .. } = on.state.link();
    let State::Open { pair, reading: Reading::Asked { after, waits_until }, .. } = state else {
        return lose(on, attempt, &not_asked());
    };
    let (after, waits_until) = (*after, *waits_until);
    if pair.reader.due.take().is_none() {
        return lose(on, attempt, &not_asked());
    }
    if let Reply::Error(error) = &reply {
        let failure = pair.reader.greeting.error(error);
        return lose(on, attempt, &failure);
    }
    let found = match entries::entries(reply, &settings.stream, after) {
        // It would be asked again and again.
        Ok(found) if found.is_empty() && now < waits_until => {
            return lose(on, attempt, &Failure::lost("it was to wait for an entry, and has not waited"));
        }
        Ok(found) => found,
        Err(entries::Wrong(what)) => {
            return lose(on, attempt, &Failure::lost(format_args!("it has answered an XREAD with {what}")));
        }
    };
    figures.read += found.len() as u64;
    let is_end = found.len() < command::COUNT;
    let next = found.last().map_or(after, |entry| entry.id);
    S::read(on, found, is_end);
    if on.state.link().half(attempt, Role::Reader).is_some() {
        ask(on, next, is_end.then_some(BLOCK));
    }
}

/// Asks for what stands behind a place, and waits for it there.
fn ask<S: Linked>(on: &mut Loop<'_, S>, after: EntryId, block: Option<Duration>) {
    let now = on.net.now();
    let Link { settings, state, attempt, .. } = on.state.link();
    let State::Open { pair, reading, .. } = state else { return };
    *reading = Reading::Asked { after, waits_until: now + block.unwrap_or_default() / 2 };
    let bytes = command::xread(&settings.stream, after, block.map(|block| block.as_millis() as u64));
    let (socket, attempt) = (pair.reader.socket, *attempt);
    on.net.write(socket, &bytes);
    expect_answer(on, attempt, Role::Reader, block.unwrap_or_default() + SILENCE);
}

// ---- time -------------------------------------------------------------------------------------------------------------------

/// The engine is asked something, and has so long to answer it. If an earlier answer is missing, that one counts.
fn expect_answer<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, role: Role, within: Duration) {
    let due = on.net.now() + within;
    let Some(half) = on.state.link().half(attempt, role) else { return };
    let due = *half.due.get_or_insert(due);
    let (socket, watch) = (half.socket, half.watch);
    match watch {
        Some((_, at)) if at <= due => return, // then it looks again
        Some((timer, _)) => drop(on.cancel(timer)),
        None => {}
    }
    watch_until(on, socket, attempt, role, due);
}

fn watch_until<S: Linked>(on: &mut Loop<'_, S>, socket: SocketId, attempt: u64, role: Role, due: Duration) {
    let wait = due.saturating_sub(on.net.now());
    let Some(mut socket) = on.socket(socket) else { return };
    let timer = socket.after(wait, move |socket| look(socket, attempt, role));
    if let Some(half) = socket.state.link().half(attempt, role) {
        half.watch = Some((timer, due));
    }
}

/// Whether an answer is missing: once for many of them.
fn look<S: Linked>(socket: &mut Socket<'_, S>, attempt: u64, role: Role) {
    let (id, now) = (socket.id(), socket.net.now());
    let Some(half) = socket.state.link().half(attempt, role) else { return };
    half.watch = None;
    match half.due {
        None => {}
        Some(due) if due > now => watch_until(&mut socket.event_loop(), id, attempt, role, due),
        Some(_) => lose(&mut socket.event_loop(), attempt, &Failure::lost("it has not answered in time")),
    }
}

// ---- the end of an attempt --------------------------------------------------------------------------------------------------

fn lose<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, failure: &Failure) {
    if fail(on, attempt, failure) {
        S::lost(on, failure.why.clone());
    }
}

/// A publication was answered with an error.
fn refuse<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, failure: &Failure) {
    if fail(on, attempt, failure) {
        S::refused(on, failure.why.clone());
    }
}

/// Both connections are given up, and made again later. Whether they were open.
fn fail<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, failure: &Failure) -> bool {
    let now = on.net.now();
    let link = on.state.link();
    if link.attempt != attempt {
        return false;
    }
    link.attempt += 1;
    let (pair, since) = match std::mem::replace(&mut link.state, State::Waiting) {
        State::Opening(pair) => (pair, None),
        State::Open { pair, since, .. } => (pair, Some(since)),
        State::Idle | State::Waiting => return false,
    };
    on.net.destroy(pair.publisher.socket);
    on.net.destroy(pair.reader.socket);
    try_later(on, since.map_or(Duration::ZERO, |since| now.saturating_sub(since)), failure);
    since.is_some()
}

/// The link, which has `lasted` so long, waits for its next attempt.
fn try_later<S: Linked>(on: &mut Loop<'_, S>, lasted: Duration, failure: &Failure) {
    let is_shutting_down = on.is_shutting_down();
    let link = on.state.link();
    link.figures.why = Some(failure.why.clone());
    let (number, mut retry) = (link.attempt, link.retry.clone());
    if !is_shutting_down {
        log::warn!("{}: {}", retry.name, failure.why);
    }
    let lasted = match failure.lasts {
        Lasts::AWhile => lasted,
        Lasts::UntilChanged => {
            retry.has_to_be_changed();
            Duration::ZERO
        }
    };
    retry.later(on, lasted, move |on, retry| {
        let link = on.state.link();
        if link.attempt == number {
            link.retry = retry;
            attempt(on);
        }
    });
}
