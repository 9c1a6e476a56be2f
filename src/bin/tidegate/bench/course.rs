//! The course of a measurement, whatever is loaded: connections open, a warm-up, the measurement, what is still under
//! way comes in, the end.
//!
//! ```text
//!   Connecting ──all are open──▶ WarmingUp ──▶ Measuring ──▶ Draining ──all has come──▶ Over
//!       │                            │             │             │ 2 s in which nothing came ▲
//!       └── the first one fails ─────┴── none is left, a signal ─┴───────────────────────────┘
//! ```
//!
//! What the connections say is the workload's: a [`Load`]. [`run`] turns the loop for it until it is over.

use std::time::{Duration, Instant};

use tidegate::{CloseReason, Closed, Endpoint, Error, EventLoop, Loop, Socket, SocketOptions, signal};

use super::measuring::Measured;
use super::pace::{Alarm, Pace};
use super::progress;
use crate::cli::BenchOptions;

/// So many connections are on their way at a time: fewer than a usual listener keeps waiting.
const CONNECTING_AT_ONCE: usize = 64;

/// How long nothing may come before what is still under way is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the connections do.
pub trait Load: Sized + 'static {
    /// What is measured is the opening of the connections, and what follows is only waited for.
    const CONNECTING_COUNTS: bool = false;

    fn course(&mut self) -> &mut Course;

    /// What is left of it at the end.
    fn into_course(self) -> Course;

    /// Before anything is sent. Most open their connections first.
    fn start(on: &mut Loop<'_, Self>) {
        open_all(on);
    }

    /// Hangs handlers on a connection that is not open yet.
    fn set_up(socket: &mut Socket<'_, Self>, number: usize);

    /// All connections are open that will be. What is left to be done before [`Load::begin`] ends in [`begin`].
    fn all_open(on: &mut Loop<'_, Self>) {
        begin(on);
    }

    /// From now on there is something to send.
    fn begin(_: &mut Loop<'_, Self>) {}

    /// Before each turn: what is not the answer to an event. Gives the time at which it is to be called again at the
    /// latest; none is after the next event.
    fn work(_: &mut Loop<'_, Self>) -> Option<Duration> {
        None
    }

    /// A connection has closed, or could not be opened.
    fn lost(_: &mut Loop<'_, Self>, _number: usize) {}

    /// What was sent and has no answer.
    fn under_way(&self) -> usize {
        0
    }
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Connecting,
    WarmingUp,
    Measuring,
    /// Measured; what is under way may still come.
    Draining,
    Over,
}

/// What a run has come to, and what went wrong.
pub struct Course {
    pub to: Endpoint,
    /// How many there are, from the begin to the end.
    pub connections: usize,
    pub stage: Stage,
    pub measured: Measured,
    pub connecting: Connecting,
    /// Connections that were open and are not, though nobody here has closed them.
    pub lost: usize,
    /// Why the first of those is not.
    pub why_lost: Option<String>,
    closed: usize,
    /// What was told last, until the close that follows it.
    pub error: Option<Error>,
    /// Connections whose bytes were wrong.
    pub wrong: usize,
    /// The first of those, and where.
    pub where_wrong: Option<Wrong>,
    /// What was given up.
    pub unanswered: usize,
    /// Messages that were due and were never sent.
    pub unsent: u64,
    /// A signal came before the time was over.
    pub is_interrupted: bool,
    pub warmup: Duration,
    pub duration: Duration,
    rate: Option<u32>,
    /// The schedule of an open loop, from [`begin`] on.
    pub pace: Option<Pace>,
    /// All times are counted from here.
    origin: Instant,
    /// When the stage was entered.
    entered: Duration,
    /// When the last answer came while draining.
    heard: Duration,
}

/// How the connections were opened.
#[derive(Debug, Default)]
pub struct Connecting {
    started: usize,
    is_done: bool,
    pub opened: usize,
    pub failed: usize,
    pub why: Option<Error>,
}

/// Bytes that are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Which connection, counted from 0.
    pub connection: usize,
    /// How many bytes had come on it before.
    pub at: u64,
    /// What is wrong there.
    pub what: String,
}

impl Course {
    pub fn new(options: &BenchOptions) -> Self {
        let origin = Instant::now();
        let began = origin.elapsed();
        Course {
            to: options.to,
            connections: options.all_connections(),
            stage: Stage::Connecting,
            measured: Measured::begin(began, options.duration),
            connecting: Connecting::default(),
            lost: 0,
            why_lost: None,
            closed: 0,
            error: None,
            wrong: 0,
            where_wrong: None,
            unanswered: 0,
            unsent: 0,
            is_interrupted: false,
            warmup: options.warmup,
            duration: options.duration,
            rate: options.workload.pressure().and_then(|pressure| pressure.rate),
            pace: None,
            origin,
            entered: began,
            heard: began,
        }
    }

    /// The real time, and not that of the turn: what is measured is finer than a turn.
    #[inline]
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// What the stage that is left has come to.
    fn leave_for(&mut self, next: Stage, now: Duration, connecting_counts: bool) {
        if !connecting_counts && self.stage < Stage::Measuring {
            // Nothing that came before counts, wherever this leads to.
            self.measured = Measured::begin(now, self.duration);
        }
        if self.stage <= Stage::Measuring && next > Stage::Measuring {
            self.measured.end(now);
            self.unsent = self.pace.as_ref().map_or(0, |pace| pace.behind(now));
        }
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.connecting.opened - self.closed
    }

    /// Whether there is still something to send.
    #[inline]
    pub fn is_loading(&self) -> bool {
        matches!(self.stage, Stage::WarmingUp | Stage::Measuring)
    }

    /// An answer, to what was sent or due at a time.
    #[inline]
    pub fn answered(&mut self, since: Duration, now: Duration) {
        match self.stage {
            Stage::Measuring => {
                self.measured.count(1, now);
                self.measured.latency(now.saturating_sub(since));
            }
            Stage::Draining => {
                self.heard = now;
                // What was due counts, or the longest waits would be left out. At the best speed of a closed loop the
                // last ones are as good as any others.
                if self.rate.is_some() {
                    self.measured.latency(now.saturating_sub(since));
                }
            }
            Stage::Connecting | Stage::WarmingUp | Stage::Over => {}
        }
    }

    /// Bytes, where they are what counts.
    #[inline]
    pub fn moved(&mut self, bytes: usize) {
        if self.stage == Stage::Measuring {
            let now = self.now();
            self.measured.count(bytes as u64, now);
        }
    }

    #[inline]
    pub fn sent(&mut self, bytes: usize) {
        if self.stage == Stage::Measuring {
            self.measured.bytes_sent += bytes as u64;
        }
    }

    #[inline]
    pub fn received(&mut self, bytes: usize) {
        if self.stage == Stage::Measuring {
            self.measured.bytes_received += bytes as u64;
        }
    }

    /// A connection that was open has closed: a loss, unless it was given up here.
    pub fn has_lost(&mut self, reason: CloseReason) {
        let error = self.error.take();
        if reason != CloseReason::DestroyedHere {
            self.lost += 1;
            self.why_lost.get_or_insert_with(|| why(error.as_ref(), reason));
        }
    }

    /// A connection could not be opened.
    pub fn has_failed(&mut self) {
        let error = self.error.take();
        self.connecting.failed += 1;
        self.connecting.why = self.connecting.why.take().or(error);
    }

    /// How much of the planned time is over, and how much there is.
    pub fn progress(&self) -> (Duration, Duration) {
        let in_stage = self.now().saturating_sub(self.entered);
        let over = match self.stage {
            Stage::Connecting => Duration::ZERO,
            Stage::WarmingUp => in_stage,
            Stage::Measuring => self.warmup + in_stage,
            Stage::Draining | Stage::Over => self.warmup + self.duration,
        };
        (over, self.warmup + self.duration)
    }
}

/// Runs it to its end.
///
/// # Errors
/// The system's, of waiting for events.
pub fn run<L: Load>(load: L) -> Result<L, Error> {
    let mut event_loop = EventLoop::with_state(load)?;
    for signal in [signal::INTERRUPT, signal::TERMINATE] {
        event_loop.on_signal(signal, interrupt)?;
    }
    progress::show(&mut event_loop);
    let mut alarm = Alarm::new(&mut event_loop)?;
    L::start(&mut event_loop.event_loop());
    while event_loop.state.course().stage != Stage::Over {
        match L::work(&mut event_loop.event_loop()) {
            None => event_loop.turn(None)?,
            Some(until) => {
                let now = event_loop.state.course().now();
                alarm.turn(&mut event_loop, now, until)?;
            }
        }
        if event_loop.state.course().stage == Stage::Draining && event_loop.state.under_way() == 0 {
            enter(&mut event_loop.event_loop(), Stage::Over);
        }
    }
    Ok(event_loop.state)
}

/// All stages are entered here, each later than the one before.
pub fn enter<L: Load>(on: &mut Loop<'_, L>, stage: Stage) {
    let course = on.state.course();
    let now = course.now();
    course.leave_for(stage, now, L::CONNECTING_COUNTS);
    (course.stage, course.entered) = (stage, now);
    match stage {
        Stage::Connecting => {}
        Stage::WarmingUp => {
            let warmup = course.warmup;
            if warmup.is_zero() {
                enter(on, Stage::Measuring);
            } else {
                on.after(warmup, |on| leave(on, Stage::WarmingUp, Stage::Measuring));
            }
        }
        Stage::Measuring => {
            if L::CONNECTING_COUNTS {
                course.measured.end(now);
            }
            let duration = course.duration;
            on.after(duration, |on| leave(on, Stage::Measuring, Stage::Draining));
        }
        Stage::Draining => {
            course.heard = now;
            on.after(PATIENCE, give_up_if_silent);
        }
        Stage::Over => {
            let unanswered = if course.is_interrupted { 0 } else { on.state.under_way() };
            on.state.course().unanswered = unanswered;
        }
    }
}

/// At the end of a time, unless the run has left the stage before.
fn leave<L: Load>(on: &mut Loop<'_, L>, from: Stage, to: Stage) {
    if on.state.course().stage == from {
        enter(on, to);
    }
}

fn give_up_if_silent<L: Load>(on: &mut Loop<'_, L>) {
    let course = on.state.course();
    let silent = course.now().saturating_sub(course.heard);
    if silent < PATIENCE {
        on.after(PATIENCE - silent, give_up_if_silent);
    } else {
        leave(on, Stage::Draining, Stage::Over);
    }
}

fn interrupt<L: Load>(on: &mut Loop<'_, L>) {
    on.state.course().is_interrupted = true;
    enter(on, Stage::Over);
}

/// Opens all connections, a few at a time.
pub fn open_all<L: Load>(on: &mut Loop<'_, L>) {
    let wanted = on.state.course().connections;
    for _ in 0..wanted.min(CONNECTING_AT_ONCE) {
        open_next(on);
    }
}

fn open_next<L: Load>(on: &mut Loop<'_, L>) {
    let course = on.state.course();
    if course.connecting.started == course.connections || course.stage != Stage::Connecting {
        return;
    }
    let (number, to, asked) = (course.connecting.started, course.to, course.now());
    course.connecting.started += 1;
    let opened = on.connect_with(to, options(), move |socket| {
        socket.on_connect(move |socket| connected(socket, asked));
        socket.on_error(|socket, error| socket.state.course().error = Some(error.clone()));
        socket.on_close(move |socket, closed| has_closed(socket, number, closed));
        L::set_up(socket, number);
    });
    if let Err(error) = opened {
        on.state.course().error = Some(error);
        not_connected(on);
    }
}

/// What every connection is made with: a small message goes out at once.
pub fn options() -> SocketOptions {
    SocketOptions::new().no_delay(true)
}

fn connected<L: Load>(socket: &mut Socket<'_, L>, asked: Duration) {
    let course = socket.state.course();
    if course.stage != Stage::Connecting {
        return;
    }
    let now = course.now();
    course.connecting.opened += 1;
    course.measured.count(1, now);
    course.measured.latency(now.saturating_sub(asked));
    settled(&mut socket.event_loop());
}

fn has_closed<L: Load>(socket: &mut Socket<'_, L>, number: usize, closed: Closed) {
    let course = socket.state.course();
    if course.stage == Stage::Over {
        return;
    }
    if closed.reason == CloseReason::ConnectFailed {
        L::lost(&mut socket.event_loop(), number);
        return not_connected(&mut socket.event_loop());
    }
    course.has_lost(closed.reason);
    L::lost(&mut socket.event_loop(), number);
    let course = socket.state.course();
    course.closed += 1;
    if course.open() == 0 && course.connecting.is_done {
        enter(&mut socket.event_loop(), Stage::Over);
    }
}

/// What a close was, in the words of a report.
fn why(error: Option<&Error>, reason: CloseReason) -> String {
    match (error, reason) {
        (Some(error), _) => error.to_string(),
        (None, CloseReason::PeerEnded) => "the server ended it".to_owned(),
        (None, CloseReason::PeerReset) => "the server reset it".to_owned(),
        (None, reason) => reason.to_string(),
    }
}

/// One that cannot be opened before any was open is an address that is wrong, and the end.
fn not_connected<L: Load>(on: &mut Loop<'_, L>) {
    let course = on.state.course();
    course.has_failed();
    if course.connecting.opened == 0 {
        enter(on, Stage::Over);
    } else {
        settled(on);
    }
}

fn settled<L: Load>(on: &mut Loop<'_, L>) {
    let course = on.state.course();
    if course.connecting.opened + course.connecting.failed < course.connections {
        return open_next(on);
    }
    course.connecting.is_done = true;
    L::all_open(on);
}

/// The connections are ready.
pub fn begin<L: Load>(on: &mut Loop<'_, L>) {
    enter(on, Stage::WarmingUp);
    let course = on.state.course();
    course.pace = course.rate.map(|rate| Pace::begin(course.now(), rate));
    L::begin(on);
}

/// Bytes were wrong: what comes behind them has no meaning, so the connection is given up.
pub fn wrong<L: Load>(socket: &mut Socket<'_, L>, wrong: Wrong) {
    let course = socket.state.course();
    course.wrong += 1;
    course.where_wrong.get_or_insert(wrong);
    socket.destroy();
}
