//! How a run goes, whatever the workload is: connections open, a warm-up, the measurement, the last answers, the end.
//!
//! ```text
//!   Connecting ──all are open──▶ WarmingUp ──▶ Measuring ──▶ Draining ──all answers came──▶ Over
//!       │                            │             │             │ nothing came for 2 s     ▲
//!       └── the first one fails ─────┴── none is open, a signal ─┴──────────────────────────┘
//! ```
//!
//! What the connections send is up to the workload, which is a [`Load`]. [`run`] turns the event loop until the run is
//! over.

use std::error::Error as StdError;
use std::time::Duration;

use tidegate::{CloseReason, Closed, EventLoop, Loop, Socket, SocketOptions, signal};

use super::run_state::{Mismatch, Plan, RunState, Stage};
use super::schedule::{PreciseTimer, Schedule};
use super::{clock, progress};
use crate::cli::Workload;
use crate::inspector::{self, Limits, OwnFigures, Subject};

/// A measurement of a number of messages, without a time, is given up when nothing has come for this long.
pub const STALLED: Duration = Duration::from_secs(10);

/// How many connections are being opened at the same time: fewer than the backlog of a usual listener.
const MAX_CONNECTING: usize = 64;

/// A full backlog of a Unix socket is tried again after this time.
pub const BACKLOG_AGAIN: Duration = Duration::from_millis(10);

/// Draining is over when nothing has come for this long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of the event loop.
pub struct Bench<L> {
    pub run: RunState,
    pub load: L,
}

pub type BenchLoop<'a, L> = Loop<'a, Bench<L>>;
pub type BenchSocket<'a, L> = Socket<'a, Bench<L>>;

/// What the connections do.
pub trait Load: Sized + 'static {
    /// The connects are measured, and then the connections are only held.
    const MEASURES_CONNECTS: bool = false;

    /// The run begins. Most workloads open their connections before they send anything.
    fn start(on: &mut BenchLoop<'_, Self>) {
        open_all(on);
    }

    /// Sets handlers on a connection that is not open yet.
    fn set_up(socket: &mut BenchSocket<'_, Self>, number: usize);

    /// All connections are open, or have failed. A workload that has more to prepare calls [`begin`] after that.
    fn all_open(on: &mut BenchLoop<'_, Self>) {
        begin(on);
    }

    /// The warm-up has begun.
    fn begin(_: &mut BenchLoop<'_, Self>) {}

    /// Runs before each turn, for what is not the answer to an event. Returns the time of its next call; with None that
    /// is after the next event.
    fn work(_: &mut BenchLoop<'_, Self>) -> Option<Duration> {
        None
    }

    /// A connection has closed, or could not be opened.
    fn lost(_: &mut BenchLoop<'_, Self>, _number: usize) {}

    /// How many messages have no answer yet.
    fn in_flight(&self) -> usize {
        0
    }

    /// How many messages were sent and are not done.
    fn unfinished(&self) -> u64 {
        self.in_flight() as u64
    }

    /// Since when they have none, and how many.
    fn waiting(&self) -> impl Iterator<Item = (Duration, u64)> {
        std::iter::empty()
    }
}

/// Runs a workload to its end.
///
/// # Errors
/// Those of the system when it waits for events.
pub fn run<L: Load>(workload: &Workload, load: L) -> Result<RunState, Box<dyn StdError>> {
    let mut event_loop = EventLoop::with_state(Bench { run: RunState::new(workload), load })?;
    for signal in [signal::INTERRUPT, signal::TERMINATE] {
        event_loop.on_signal(signal, interrupt)?;
    }
    let role = format!("bench {}", workload.name());
    // How many it opens is its plan and no limit: it would always be used up, and raise an alert.
    let subject = Subject { role, limits: Limits::default(), own: OwnFigures::default() };
    inspector::inspect(&mut event_loop, &workload.options().inspector, subject)?;
    event_loop.every(clock::READ_EVERY, |on| {
        on.state.run.now();
    });
    progress::show(&mut event_loop);
    let mut timer = PreciseTimer::new(&mut event_loop)?;
    L::start(&mut event_loop.event_loop());
    while event_loop.state.run.stage != Stage::Over {
        match L::work(&mut event_loop.event_loop()) {
            None => event_loop.turn(None)?,
            Some(until) => {
                let now = event_loop.state.run.now();
                timer.turn(&mut event_loop, now, until)?;
            }
        }
        let Bench { run, load } = &event_loop.state;
        if run.stage == Stage::Measuring && run.to_send == Some(0) && load.unfinished() == 0 {
            enter(&mut event_loop.event_loop(), Stage::Draining);
        }
        if event_loop.state.run.stage == Stage::Draining && event_loop.state.load.in_flight() == 0 {
            enter(&mut event_loop.event_loop(), Stage::Over);
        }
    }
    Ok(event_loop.state.run)
}

/// Enters a stage, which is later than the present one.
pub fn enter<L: Load>(on: &mut BenchLoop<'_, L>, stage: Stage) {
    let Bench { run, load } = &mut *on.state;
    let from = run.stage;
    run.go_to(stage, L::MEASURES_CONNECTS);
    let plan = run.plan;
    match stage {
        Stage::Connecting => {}
        Stage::WarmingUp if plan.warmup.is_zero() => enter(on, Stage::Measuring),
        Stage::WarmingUp => {
            leave_after(on, plan.warmup, Stage::Measuring);
        }
        Stage::Measuring => {
            if L::MEASURES_CONNECTS {
                let now = run.now();
                run.measurement.end(now);
            }
            run.last_answer = run.now();
            run.to_send = plan.number.map(|number| number.saturating_sub(load.unfinished()));
            match plan.duration {
                Some(duration) => leave_after(on, duration, Stage::Draining),
                None => leave_if_silent(on, STALLED, Stage::Draining),
            }
        }
        Stage::Draining => {
            run.last_answer = run.now();
            if load.in_flight() == 0 {
                // What waits for no answer and is queued here was not sent.
                run.to_send = run.to_send.map(|left| left + load.unfinished());
            }
            leave_if_silent(on, DRAIN_TIMEOUT, Stage::Over);
        }
        Stage::Over => {
            if from >= Stage::Measuring {
                run.count_waiting(load.waiting());
            }
            run.unanswered = if run.interrupted { 0 } else { load.in_flight() };
        }
    }
}

/// Leaves the present stage when it has gone on for so long.
fn leave_after<L: Load>(on: &mut BenchLoop<'_, L>, time: Duration, to: Stage) {
    leave_when(on, to, move |run| time.saturating_sub(run.in_stage()));
}

/// Leaves the present stage when no answer has come for so long.
fn leave_if_silent<L: Load>(on: &mut BenchLoop<'_, L>, time: Duration, to: Stage) {
    leave_when(on, to, move |run| {
        // What a room holds back comes for a long time, and says nothing new.
        let is_held_back = run.stage == Stage::Draining && run.held_back.is_some();
        let since = if is_held_back { run.in_stage() } else { run.now().saturating_sub(run.last_answer) };
        time.saturating_sub(since)
    });
}

/// Leaves the present stage when no time is left. It is asked again at the end of that time, because the clock of the run may
/// have stood still, and an answer may have come.
fn leave_when<L: Load>(on: &mut BenchLoop<'_, L>, to: Stage, left: impl Fn(&RunState) -> Duration + 'static) {
    let from = on.state.run.stage;
    match left(&on.state.run) {
        Duration::ZERO => enter(on, to),
        time => {
            on.after(time, move |on| {
                if on.state.run.stage == from {
                    leave_when(on, to, left);
                }
            });
        }
    }
}

fn interrupt<L: Load>(on: &mut BenchLoop<'_, L>) {
    on.state.run.interrupted = true;
    enter(on, Stage::Over);
}

/// Opens all connections, a few at a time.
fn open_all<L: Load>(on: &mut BenchLoop<'_, L>) {
    for _ in 0..on.state.run.plan.connections.min(MAX_CONNECTING) {
        open_next(on);
    }
}

fn open_next<L: Load>(on: &mut BenchLoop<'_, L>) {
    let run = &mut on.state.run;
    if run.connections.started == run.plan.connections || run.stage != Stage::Connecting {
        return;
    }
    let (number, asked) = (run.connections.started, run.now());
    run.connections.started += 1;
    open(on, number, asked);
}

fn open<L: Load>(on: &mut BenchLoop<'_, L>, number: usize, asked: Duration) {
    let plan = on.state.run.plan;
    let opened = on.connect_with(plan.to, socket_options(&plan), move |socket| {
        socket.on_connect(move |socket| connected(socket, asked));
        socket.on_error(|socket, error| socket.state.run.error = Some(error.clone()));
        socket.on_close(move |socket, closed| has_closed(socket, number, asked, closed));
        L::set_up(socket, number);
    });
    if let Err(error) = opened {
        on.state.run.error = Some(error);
        not_connected(on);
    }
}

fn open_again<L: Load>(on: &mut BenchLoop<'_, L>, number: usize, asked: Duration) {
    on.after(BACKLOG_AGAIN, move |on| {
        if on.state.run.stage == Stage::Connecting {
            open(on, number, asked);
        }
    });
}

/// A small message is sent at once.
pub fn socket_options(plan: &Plan) -> SocketOptions {
    SocketOptions::new().no_delay(true).notice_gone_peers(true).connect_timeout(plan.connect_timeout)
}

fn connected<L: Load>(socket: &mut BenchSocket<'_, L>, asked: Duration) {
    let run = &mut socket.state.run;
    if run.stage != Stage::Connecting {
        return;
    }
    let now = run.now();
    let took = now.saturating_sub(asked);
    let fastest = &mut run.connections.fastest;
    *fastest = if run.connections.opened == 0 { took } else { took.min(*fastest) };
    run.connections.opened += 1;
    run.measurement.count(1, now);
    run.measurement.latency(took);
    go_on_connecting(&mut socket.event_loop());
}

/// If the first connection fails, the address is wrong, and the run is over.
fn not_connected<L: Load>(on: &mut BenchLoop<'_, L>) {
    on.state.run.open_no_more_if_it_does_not_accept();
    on.state.run.count_failure();
    if on.state.run.connections.opened == 0 {
        enter(on, Stage::Over);
    } else {
        go_on_connecting(on);
    }
}

fn go_on_connecting<L: Load>(on: &mut BenchLoop<'_, L>) {
    if on.state.run.has_connected() {
        L::all_open(on);
    } else {
        open_next(on);
    }
}

fn has_closed<L: Load>(socket: &mut BenchSocket<'_, L>, number: usize, asked: Duration, closed: Closed) {
    let run = &mut socket.state.run;
    if run.stage == Stage::Over {
        return;
    }
    if closed.reason == CloseReason::ConnectFailed {
        if run.may_connect_again(asked) {
            return open_again(&mut socket.event_loop(), number, asked);
        }
        L::lost(&mut socket.event_loop(), number);
        return not_connected(&mut socket.event_loop());
    }
    run.count_close(closed.reason);
    L::lost(&mut socket.event_loop(), number);
    let run = &mut socket.state.run;
    run.connections.closed += 1;
    if run.connections.open() == 0 && run.has_connected() {
        enter(&mut socket.event_loop(), Stage::Over);
    }
}

/// The connections are ready: the warm-up begins.
pub fn begin<L: Load>(on: &mut BenchLoop<'_, L>) {
    enter(on, Stage::WarmingUp);
    let run = &mut on.state.run;
    run.schedule = run.plan.rate.map(|rate| Schedule::begin(run.now(), rate));
    L::begin(on);
}

/// Wrong bytes came. Those after them have no meaning, so the connection is destroyed.
pub fn mismatch<L: Load>(socket: &mut BenchSocket<'_, L>, mismatch: Mismatch) {
    let run = &mut socket.state.run;
    run.mismatches += 1;
    run.first_mismatch.get_or_insert(mismatch);
    socket.destroy();
}
