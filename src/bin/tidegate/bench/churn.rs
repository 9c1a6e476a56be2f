//! Connections that open and close: connect, one message that comes back, close by both sides, and again.
//!
//! A slot is a socket that connects again after its close. This side ends first, so it keeps the port for a while
//! (TIME_WAIT). If there are no more ports, the system says so.

use std::time::Duration;

use tidegate::{CloseReason, Closed};

use super::pattern::Pattern;
use super::run::{self, Bench, BenchLoop, BenchSocket, Load};
use super::run_state::Stage;
use crate::cli::Workload;

/// How long a slot waits after a failed connection: another attempt at once would most likely fail too.
const RETRY_AFTER: Duration = Duration::from_millis(100);

pub struct Churn {
    pattern: Pattern,
    size: usize,
    slots: Vec<Slot>,
}

/// The present connection of a slot.
#[derive(Clone, Default)]
struct Slot {
    /// Since when it is wanted. None between two connections.
    since: Option<Duration>,
    received: usize,
}

impl Churn {
    pub fn new(workload: &Workload, size: usize) -> Self {
        Churn { pattern: Pattern::new(), size, slots: vec![Slot::default(); workload.all_connections()] }
    }
}

impl Load for Churn {
    /// The connects are a part of the workload, so none is opened before.
    fn start(on: &mut BenchLoop<'_, Self>) {
        run::begin(on);
    }

    fn set_up(_: &mut BenchSocket<'_, Self>, _: usize) {}

    fn begin(on: &mut BenchLoop<'_, Self>) {
        for number in 0..on.state.load.slots.len() {
            fill(on, number);
        }
    }

    fn in_flight(&self) -> usize {
        self.slots.iter().filter(|slot| slot.since.is_some()).count()
    }

    fn waiting(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.slots.iter().filter_map(|slot| Some((slot.since?, 1)))
    }
}

/// Gives a slot its socket, for many connections.
fn fill(on: &mut BenchLoop<'_, Churn>, number: usize) {
    if on.state.run.is_loading() && on.state.run.take(1) > 0 {
        let since = on.state.run.now();
        open(on, number, since);
    }
}

fn open(on: &mut BenchLoop<'_, Churn>, number: usize, since: Duration) {
    let plan = on.state.run.plan;
    on.state.load.slots[number] = Slot { since: Some(since), received: 0 };
    let made = on.connect_with(plan.to, run::socket_options(&plan), move |socket| {
        socket.on_connect(move |socket| send(socket, number));
        socket.on_data(move |socket, chunk| receive(socket, number, chunk));
        socket.on_error(|socket, error| socket.state.run.error = Some(error.clone()));
        socket.on_close(move |socket, closed| has_closed(socket, number, closed));
    });
    if let Err(error) = made {
        on.state.run.error = Some(error);
        on.state.run.count_failure();
        run::enter(on, Stage::Over);
    }
}

fn send(socket: &mut BenchSocket<'_, Churn>, number: usize) {
    let id = socket.id();
    let Bench { run, load } = &mut *socket.state;
    run.connections.opened += 1;
    run.sent(load.size);
    for piece in load.pattern.pieces(number, 0, load.size) {
        socket.net.write(id, piece);
    }
}

fn receive(socket: &mut BenchSocket<'_, Churn>, number: usize, chunk: &[u8]) {
    let Bench { run, load } = &mut *socket.state;
    let slot = &mut load.slots[number];
    let before = slot.received;
    slot.received += chunk.len();
    run.received(chunk.len());
    if let Err(mismatch) = load.pattern.check(number, before as u64, load.size as u64, chunk) {
        return run::mismatch(socket, mismatch);
    }
    if slot.received == load.size {
        socket.end();
    }
}

fn has_closed(socket: &mut BenchSocket<'_, Churn>, number: usize, closed: Closed) {
    let Bench { run, load } = &mut *socket.state;
    let slot = std::mem::take(&mut load.slots[number]);
    let now = run.now();
    let since = slot.since.unwrap_or(now);
    let is_complete = slot.received == load.size && !closed.had_error;
    if run.stage == Stage::Over {
        return;
    }
    if is_complete {
        run.count_answer(since, now);
    } else if closed.reason == CloseReason::ConnectFailed {
        if run.may_connect_again(since) {
            load.slots[number].since = slot.since;
            socket.event_loop().after(run::BACKLOG_AGAIN, move |on| open(on, number, since));
            return;
        }
        run.give_back();
        run.count_failure();
        if run.connections.opened == 0 {
            return run::enter(&mut socket.event_loop(), Stage::Over);
        }
    } else {
        run.give_back();
        run.count_close(closed.reason);
    }
    if !run.is_loading() {
        return;
    }
    let to = run.plan.to;
    if is_complete {
        if run.take(1) == 0 {
            return;
        }
        load.slots[number].since = Some(now);
    }
    // The socket keeps its id and its handlers.
    if !is_complete || socket.connect(to).is_err() {
        if is_complete {
            socket.state.run.give_back();
        }
        socket.state.load.slots[number].since = None;
        socket.event_loop().after(RETRY_AFTER, move |on| fill(on, number));
    }
}
