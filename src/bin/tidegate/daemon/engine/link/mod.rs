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
//! [`ending::fail`] is the way to Waiting from everywhere. What a socket of an earlier attempt still tells means nothing: each event
//! has the number of its attempt.

mod answers;
mod connecting;
mod ending;
mod patience;

use std::time::Duration;

use tidegate::{Loop, SocketId, TimerId};

use self::answers::ask;
use self::connecting::attempt;
use self::patience::expect_answer;
use super::greeting::Greeting;
use super::reply::Replies;
use super::{EntryId, EntryRead, Settings, command};
use crate::daemon::retry::Retry;

/// An engine that leaves a command unanswered for so long is lost: what it may wait with itself is added.
const SILENCE: Duration = Duration::from_secs(5);

/// The longest wait for the next attempt: when an engine is back after a long time, all nodes are there again long before the first
/// of them takes the others for dead.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

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
    /// Nothing more is asked for.
    is_held: bool,
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
    /// It is asked for what stands behind this place when the link goes on, which waits there for so long.
    Held {
        after: EntryId,
        block: Option<Duration>,
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
        let retry = Retry::of(&format!("--bus {}", settings.engine)).at_most(LONGEST_WAIT);
        Link {
            settings,
            state: State::Idle,
            attempt: 0,
            retry,
            is_another: false,
            is_held: false,
            figures: Figures::default(),
        }
    }

    pub fn figures(&self) -> Figures {
        let unanswered = match &self.state {
            State::Open { publishing, .. } => publishing.sent - publishing.answered,
            _ => 0,
        };
        let is_connected = matches!(self.state, State::Open { .. });
        Figures { is_connected, unanswered, ..self.figures.clone() }
    }

    /// Whether there are connections to an engine, open or on their way.
    pub fn is_there(&self) -> bool {
        matches!(self.state, State::Opening(_) | State::Open { .. })
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

/// From now on what stands behind this place is read, until the connection is lost. To be called after `connected`, and in
/// [`Linked::read`] by whoever wants to go on elsewhere than behind the last entry.
pub fn read_from<S: Linked>(on: &mut Loop<'_, S>, after: EntryId) {
    let link = on.state.link();
    let State::Open { reading: Reading::Nowhere | Reading::Held { .. }, .. } = link.state else { return };
    let after = if std::mem::take(&mut link.is_another) { EntryId::ZERO } else { after };
    ask(on, after, None);
}

/// Nothing more is read for now: what was read has not been told yet. The stream keeps it.
pub fn hold<S: Linked>(on: &mut Loop<'_, S>) {
    on.state.link().is_held = true;
}

/// Reads on.
pub fn go_on<S: Linked>(on: &mut Loop<'_, S>) {
    let link = on.state.link();
    link.is_held = false;
    if let State::Open { reading: Reading::Held { after, block }, .. } = link.state {
        ask(on, after, block);
    }
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
