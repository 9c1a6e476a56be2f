//! One loop of the simulation: the events of its sockets are written down and compared with what was promised.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tidegate::{CloseReason, Closed, Endpoint, Error, Loop, ServerId, Socket, SocketId};

use super::acts::act;
use super::stage::Stage;
use super::stops::{Affected, Stops, judge_close, settle};

pub type On<'a> = Loop<'a, Party>;
pub type View<'a> = Socket<'a, Party>;

/// The state of one loop.
pub struct Party {
    pub sim: Stage,
    /// What the others call its machine.
    pub ip: IpAddr,
    /// Where it listens, each with a server of its own.
    pub places: Vec<(Endpoint, Option<ServerId>)>,
    /// Where all of them do.
    pub neighbours: Vec<Endpoint>,
    pub open: Vec<SocketId>,
    pub seen: HashMap<SocketId, Seen>,
    /// The random calls are over: from here on all is brought to its end.
    pub quiet: bool,
    /// Whether pipes, broadcasts and limits are played with: then a stream has several writers, and its bytes no place.
    pub mixed: bool,
    /// How long each handler works.
    pub slow: Duration,
    /// Whether handlers panic now and then.
    pub makes_mistakes: bool,
    pub stops: Stops,
    /// The sockets whose writes an output limit may drop.
    pub drops: HashSet<SocketId>,
    pub signals: u64,
    pub closes: u64,
    pub problems: Vec<String>,
    ledger: Ledger,
}

/// What both sides of each connection say of it at its end.
pub type Ledger = Rc<RefCell<HashMap<Connection, Vec<Account>>>>;

/// By what both sides know their connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Connection {
    /// The addresses of the side that made it.
    Between(SocketAddr, SocketAddr),
    /// Over a Unix socket, which has no addresses: the number that the side that made it has sent before all else.
    Greeted(u64),
}

/// One side's account of a connection that came to its end.
#[derive(Debug)]
pub struct Account {
    written: u64,
    received: u64,
    /// Both sides ended it, nobody destroyed it and nothing broke.
    in_order: bool,
    /// No shut-down has discarded what came.
    reads_all: bool,
}

impl Account {
    fn has_all_of(&self, other: &Account) -> bool {
        if self.reads_all { self.received == other.written } else { self.received <= other.written }
    }
}

/// What one socket has seen.
#[derive(Default)]
pub struct Seen {
    pub connection: Option<Connection>,
    pub opened: Duration,
    /// It is, or was, connected.
    is_connected: bool,
    pub affected: Affected,
    /// As much as has come of the number by which this connection will be known.
    greeting: Option<Vec<u8>>,
    pub received: u64,
    pub written: u64,
    pub ended: bool,
    pub finished: bool,
    pub errors: u32,
    pub closed: bool,
    /// Writes whose callback was not called yet: their numbers and lengths.
    pub pending: VecDeque<(u64, usize)>,
    pub pending_bytes: usize,
    pub next_write: u64,
    last_completed: Option<u64>,
    pub corks: u32,
    /// Callbacks of `end` and `catch_up` that are owed.
    pub owed: u32,
    /// It has given its turn away: no data and no end comes meanwhile.
    pub yielded: bool,
    /// When something has moved last, as far as it is known here, since its idle clock was set; and for how long it is
    /// set.
    pub clock: Option<(Duration, Duration)>,
}

impl Seen {
    /// The connection, what was written here and what was heard.
    pub fn stream(&self) -> Option<(Connection, u64, u64)> {
        Some((self.connection?, self.written, self.received))
    }

    /// What is left of a chunk behind the greeting.
    fn without_greeting<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let Some(greeting) = &mut self.greeting else { return chunk };
        let (more, rest) = chunk.split_at(chunk.len().min(size_of::<u64>() - greeting.len()));
        greeting.extend(more);
        if let Ok(number) = greeting.as_slice().try_into() {
            self.connection = Some(Connection::Greeted(u64::from_le_bytes(number)));
            self.greeting = None;
        }
        rest
    }
}

impl Party {
    pub fn new(sim: Stage, ip: IpAddr, neighbours: Vec<Endpoint>, mixed: bool, ledger: Ledger) -> Self {
        Party {
            sim,
            ip,
            places: Vec::new(),
            neighbours,
            open: Vec::new(),
            seen: HashMap::new(),
            quiet: false,
            mixed,
            slow: Duration::ZERO,
            makes_mistakes: false,
            stops: Stops::default(),
            drops: HashSet::new(),
            signals: 0,
            closes: 0,
            problems: Vec::new(),
            ledger,
        }
    }

    pub fn random(&self, bound: u64) -> u64 {
        self.sim.random(bound)
    }

    pub fn one_of<T: Copy>(&self, choices: &[T]) -> T {
        choices[self.random(choices.len() as u64) as usize]
    }

    pub fn problem(&mut self, id: SocketId, what: impl std::fmt::Display) {
        let problem = format!("{:?} {id:?}: {what}", self.sim.now());
        self.sim.note(format_args!("PROBLEM {problem}"));
        self.problems.push(problem);
    }

    /// An event of a socket that must not be closed.
    fn told(&mut self, id: SocketId, event: impl std::fmt::Display) -> &mut Seen {
        self.sim.note(format_args!("{id:?} is told {event}"));
        self.sim.work(self.slow);
        if self.seen.get(&id).is_some_and(|seen| seen.closed) {
            self.problem(id, format!("{event} after close"));
        }
        self.seen.entry(id).or_default()
    }

    /// The outcome of a write has come.
    fn completed(&mut self, id: SocketId, number: u64, outcome: &Result<(), Error>) {
        let Some(seen) = self.seen.get_mut(&id) else { return };
        let Some(place) = seen.pending.iter().position(|(pending, _)| *pending == number) else {
            return self.problem(id, format!("the outcome of write {number} came twice"));
        };
        let length = seen.pending.remove(place).map_or(0, |(_, length)| length);
        seen.pending_bytes -= length;
        if outcome.is_ok() {
            let last = seen.last_completed.replace(number);
            if last > Some(number) {
                self.problem(id, format!("write {number} was completed after write {last:?}"));
            }
        }
    }

    /// Between two turns: what a socket says of itself agrees with what it was told and asked for.
    pub fn compare(on: &mut On<'_>) {
        for at in 0..on.state.open.len() {
            let id = on.state.open[at];
            let Some(seen) = on.state.seen.get(&id) else { continue };
            let (buffered, pending) = (on.net.connection(id).buffer_size(), seen.pending_bytes);
            if !on.state.mixed && !on.net.connection(id).is_destroyed() && buffered != pending {
                on.state.problem(id, format!("buffer_size is {buffered}, writes of {pending} bytes are not completed"));
            }
        }
    }

    /// Nothing is held back any more by this side.
    pub fn let_go(on: &mut On<'_>) {
        for id in on.state.open.clone() {
            let corks = on.state.seen.get_mut(&id).map_or(0, |seen| std::mem::take(&mut seen.corks));
            (0..corks).for_each(|_| on.net.uncork(id));
        }
    }

    pub fn resume_all(on: &mut On<'_>) {
        on.state.open.clone().into_iter().for_each(|id| on.net.resume(id));
    }

    pub fn end_all(on: &mut On<'_>) {
        on.state.open.clone().into_iter().for_each(|id| on.net.end(id, None));
    }

    /// At the very end: every callback was called, every socket closed.
    pub fn settle(&mut self) {
        let mut problems = Vec::new();
        for (id, seen) in &self.seen {
            if !seen.closed {
                problems.push((*id, "was never closed".to_owned()));
            }
            if !seen.pending.is_empty() {
                problems.push((*id, format!("{} writes had no outcome", seen.pending.len())));
            }
            if seen.owed != 0 {
                problems.push((*id, format!("{} callbacks were never called", seen.owed)));
            }
        }
        problems.sort();
        problems.into_iter().for_each(|(id, what)| self.problem(id, what));
    }
}

/// All bytes that one side wrote have come to the other, where neither cut it short.
pub fn settle_accounts(ledger: &Ledger, problems: &mut Vec<String>) {
    for (connection, accounts) in ledger.borrow().iter() {
        if let [one, other] = accounts.as_slice()
            && one.in_order
            && other.in_order
            && !(one.has_all_of(other) && other.has_all_of(one))
        {
            problems.push(format!("{connection:?}: bytes were lost or made up: {one:?} {other:?}"));
        }
    }
}

/// The pattern repeats itself only after this many bytes. So lost or swapped bytes show.
const PERIOD: usize = 65_521;

/// The longest write.
pub const LONGEST_WRITE: usize = 300_000;

/// The bytes at a place of every stream that is not mixed.
pub fn bytes_at(place: u64, length: usize) -> &'static [u8] {
    static PATTERN: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    let pattern = PATTERN.get_or_init(|| {
        (0..PERIOD + LONGEST_WRITE).map(|n| ((n % PERIOD).wrapping_mul(2_654_435_761) >> 11) as u8).collect()
    });
    let from = (place % PERIOD as u64) as usize;
    &pattern[from..from + length]
}

/// Hangs a handler on each event of a socket.
pub fn watch(socket: &mut View<'_>) {
    let id = socket.id();
    socket.state.open.push(id);
    let mut seen = Seen {
        opened: socket.state.sim.now(),
        is_connected: !socket.net.connection(id).is_pending(),
        affected: socket.state.stops.affect(),
        ..Seen::default()
    };
    if socket.server().is_some() {
        let addresses = socket.remote_address().zip(socket.local_address());
        seen.connection = addresses.map(|(remote, local)| Connection::Between(remote, local));
        seen.greeting = (addresses.is_none() && !socket.state.mixed).then(Vec::new);
    }
    socket.state.seen.insert(id, seen);
    socket.on_connect(move |socket| {
        let addresses = socket.local_address().zip(socket.remote_address());
        let seen = socket.state.told(id, "connect");
        seen.is_connected = true;
        seen.connection = addresses.map_or(seen.connection, |(local, remote)| Some(Connection::Between(local, remote)));
        act(&mut socket.event_loop());
    });
    socket.on_data(heard);
    socket.on_end(move |socket| {
        let seen = socket.state.told(id, "end");
        if std::mem::replace(&mut seen.ended, true) {
            socket.state.problem(id, "end twice");
        }
        act(&mut socket.event_loop());
    });
    socket.on_finish(move |socket| {
        let seen = socket.state.told(id, "finish");
        if std::mem::replace(&mut seen.finished, true) {
            socket.state.problem(id, "finish twice");
        }
        act(&mut socket.event_loop());
    });
    socket.on_drain(move |socket| {
        if socket.buffer_size() != 0 {
            socket.state.problem(id, "drain with something buffered");
        }
        socket.state.told(id, "drain");
        act(&mut socket.event_loop());
    });
    socket.on_timeout(move |socket| {
        let now = socket.state.sim.now();
        if let Some((since, period)) = socket.state.told(id, "timeout").clock
            && now < since + period
        {
            socket.state.problem(id, format!("a timeout of {period:?} after {:?}", now - since));
        }
        act(&mut socket.event_loop());
    });
    socket.on_error(move |socket, error| {
        let seen = socket.state.told(id, format_args!("error {error}"));
        seen.errors += 1;
        if seen.errors > 1 {
            socket.state.problem(id, "error twice");
        }
    });
    socket.on_close(left);
}

/// Sometimes a socket that has closed connects again, if nothing is left of its last connection.
fn connect_again(socket: &mut View<'_>) {
    let id = socket.id();
    let is_free = |seen: &Seen| seen.pending.is_empty() && seen.owed == 0 && seen.corks == 0;
    let to = socket.state.one_of(&socket.state.neighbours);
    let can = !socket.state.quiet && !socket.net.connection(id).is_file() && !matches!(to, Endpoint::Unix(_));
    if can && socket.state.seen.get(&id).is_some_and(is_free) && socket.state.random(6) == 0 {
        socket.state.sim.note(format_args!("{id:?} connects again"));
        match socket.connect(to) {
            Ok(()) => watch(socket),
            Err(error) => socket.state.problem(id, format!("it cannot connect again: {error}")),
        }
    }
}

/// Gives its turn to the others.
pub fn yield_turn(on: &mut On<'_>, id: SocketId) {
    let Some(mut socket) = on.socket(id) else { return };
    if socket.is_destroyed() {
        return;
    }
    if let Some(seen) = socket.state.seen.get_mut(&id) {
        seen.yielded = true;
    }
    socket.yield_turn(move |socket| {
        if !std::mem::take(&mut socket.state.told(id, "its turn").yielded) {
            socket.state.problem(id, "it has not given its turn away");
        }
        act(&mut socket.event_loop());
    });
}

fn heard(socket: &mut View<'_>, chunk: &[u8]) {
    let id = socket.id();
    // A destroy takes it back, and what was kept may come before the close.
    if socket.state.seen.get(&id).is_some_and(|seen| seen.yielded) && !socket.is_destroyed() {
        socket.state.problem(id, "data while its turn is given away");
    }
    // A pipe may have paused it because of this chunk.
    let paused = socket.is_paused() && socket.net.piped_to(id).is_empty();
    let seen = socket.state.told(id, "data");
    let chunk = seen.without_greeting(chunk);
    let from = seen.received;
    seen.received += chunk.len() as u64;
    if seen.ended {
        socket.state.problem(id, "data after end");
    }
    if paused {
        socket.state.problem(id, "data while paused");
    }
    if !socket.state.mixed && chunk != bytes_at(from, chunk.len()) {
        socket.state.problem(id, format!("wrong bytes at {from}"));
    }
    act(&mut socket.event_loop());
}

fn left(socket: &mut View<'_>, closed: Closed) {
    let id = socket.id();
    settle(&mut socket.event_loop());
    let seen = socket.state.told(id, format_args!("close, {:?}", closed.reason));
    if std::mem::replace(&mut seen.closed, true) {
        socket.state.problem(id, "close twice");
        return;
    }
    let account = Account {
        written: seen.written,
        received: seen.received,
        in_order: matches!(closed.reason, CloseReason::PeerEnded | CloseReason::EndedHere) && !closed.had_error,
        reads_all: !seen.affected.discards,
    };
    let was_connected = seen.is_connected;
    let agree = closed.had_error == (seen.errors > 0);
    if let Some((connection, ..)) = seen.stream()
        && !socket.state.mixed
    {
        socket.state.ledger.borrow_mut().entry(connection).or_default().push(account);
    }
    if !agree {
        socket.state.problem(id, "close and error do not agree");
    }
    let is_file = socket.net.connection(id).is_file();
    judge_close(&mut socket.event_loop(), id, &closed, was_connected && !is_file);
    socket.state.closes += 1;
    socket.state.open.retain(|other| *other != id);
    connect_again(socket);
    act(&mut socket.event_loop());
}

/// Writes the next bytes of a socket's stream, and waits for the outcome.
pub fn write(on: &mut On<'_>, id: SocketId, length: usize) {
    let writable = on.net.connection(id).is_writable();
    let Some(seen) = on.state.seen.get_mut(&id) else { return };
    let from = seen.written;
    seen.written += if writable { length as u64 } else { 0 };
    write_bytes(on, id, bytes_at(from, length));
}

/// Says by what number a connection is to be known: it has no addresses.
pub fn greet(socket: &mut View<'_>) {
    let id = socket.id();
    let number = socket.state.random(u64::MAX);
    if let Some(seen) = socket.state.seen.get_mut(&id) {
        seen.connection = Some(Connection::Greeted(number));
    }
    write_bytes(&mut socket.event_loop(), id, &number.to_le_bytes());
}

fn write_bytes(on: &mut On<'_>, id: SocketId, bytes: &[u8]) {
    let length = bytes.len();
    let writable = on.net.connection(id).is_writable();
    let Some(mut socket) = on.socket(id) else { return };
    let Some(seen) = socket.state.seen.get_mut(&id) else { return };
    let number = seen.next_write;
    seen.next_write += 1;
    seen.pending.push_back((number, length));
    seen.pending_bytes += length;
    let before = socket.bytes_written();
    let idle = socket.buffer_size() == 0;
    socket.state.sim.note(format_args!("{id:?} writes {length}"));
    socket.write_then(bytes, move |socket, outcome| socket.state.completed(id, number, &outcome));
    // Of a file it counts what the disk has.
    let may_drop = socket.state.drops.contains(&id) || socket.net.connection(id).is_file();
    let written = socket.bytes_written() == before + length as u64;
    let counted = written || may_drop;
    let at_once = idle && written && length > 0 && socket.buffer_size() == 0 && !socket.is_destroyed();
    if at_once
        // Activity counts from the beginning of its turn.
        && let now = socket.net.now()
        && let Some(Seen { clock: Some((since, _)), .. }) = socket.state.seen.get_mut(&id)
    {
        *since = now.max(*since);
    }
    if writable && !socket.is_destroyed() && !counted {
        socket.state.problem(id, "bytes_written does not count a write");
    }
}

/// A callback that must come exactly once, whatever happens.
pub fn owe(on: &mut On<'_>, id: SocketId, ask: impl FnOnce(&mut View<'_>)) {
    if let Some(mut socket) = on.socket(id) {
        if let Some(seen) = socket.state.seen.get_mut(&id) {
            seen.owed += 1;
        }
        ask(&mut socket);
    }
}

pub fn paid(socket: &mut View<'_>) {
    let id = socket.id();
    match socket.state.seen.get_mut(&id) {
        Some(seen) if seen.owed > 0 => seen.owed -= 1,
        _ => socket.state.problem(id, "a callback was called that nobody owed"),
    }
}
