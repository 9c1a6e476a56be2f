//! The loop is stopped or shut down, by a handler or between two turns, and goes on afterwards.
//!
//! What must hold: a `run` returns when the turn of a stop is over, or the shut-down has ended, and for no other reason; a
//! stop is used up by one `run`. A shut-down ends within its patience, whatever handlers do meanwhile, and before that it
//! destroys nothing that is connected. What it has taken away without a `close` was opened when the patience was over. Its
//! report is true. When it has ended, or a stop has given it up, none of its clocks is left, and it destroys nothing any more.

use std::time::Duration;

use tidegate::{CloseReason, Closed, EndOrder, EventLoop, ShutDownOptions, SocketId};

use super::acts::listen_at;
use super::party::{On, Party};

/// A timer may be so late, besides what turns take (docs/reliability.md).
const LATE: Duration = Duration::from_millis(50);

/// How much time may pass between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// What a loop was told about its end.
#[derive(Default)]
pub struct Stops {
    /// Whether handlers play with it.
    pub are_played: bool,
    /// No `run` has used up this stop yet. It came when so many turns were over.
    unused: Option<u64>,
    shut_down: Option<ShutDown>,
    /// How many came.
    pub stops: u64,
    pub shut_downs: u64,
}

/// One that is under way, as far as is known here.
struct ShutDown {
    /// When the patience is over, by the clock of the loop, which stands still in a turn.
    due: Duration,
    /// The same by the clock of the network.
    deadline: Duration,
    lingers: bool,
    /// The most sockets that were there.
    sockets: usize,
    unsent: u64,
}

/// What a socket has to do with shut-downs.
#[derive(Default)]
pub struct Affected {
    /// It was there during one: what it reads may be discarded.
    pub discards: bool,
    /// One that was given up had destroyed it before.
    was_destroyed: bool,
}

/// Stops the loop, or shuts it down.
pub fn tell(on: &mut On<'_>) {
    if on.state.random(2) == 0 { stop(on) } else { shut_down(on) }
}

fn stop(on: &mut On<'_>) {
    on.state.sim.note("it is stopped");
    on.state.stops.stops += 1;
    if on.state.stops.shut_down.take().is_some() {
        for id in on.state.open.clone() {
            if on.net.connection(id).is_destroyed()
                && let Some(seen) = on.state.seen.get_mut(&id)
            {
                seen.affected.was_destroyed = true;
            }
        }
    }
    on.stop();
    has_stopped(on);
    if on.is_shutting_down() {
        on.state.problems.push("a stop has not given up the shut-down".to_owned());
    }
}

/// The next `run` returns, or the one that is under way.
fn has_stopped(on: &mut On<'_>) {
    let turns = on.net.counters().turns;
    on.state.stops.unused.get_or_insert(turns);
}

fn shut_down(on: &mut On<'_>) {
    let ms = Duration::from_millis;
    let patience = on.state.one_of(&[ms(0), ms(3), ms(30), ms(200)]);
    let linger = on.state.one_of(&[None, Some(ms(10))]);
    let options = ShutDownOptions::new()
        .patience(patience)
        .quiet(on.state.one_of(&[ms(0), ms(1), ms(200)]))
        .linger(linger)
        .discard(on.state.one_of(&[true, true, false]))
        .order(on.state.one_of(&[EndOrder::Each, EndOrder::Together, EndOrder::ByPeers]));
    on.state.sim.note(format_args!("it is shut down: {options:?}"));
    let is_the_second = on.is_shutting_down();
    on.shut_down_with(options);
    if is_the_second {
        return;
    }
    on.state.stops.shut_downs += 1;
    let (due, deadline) = (on.net.now() + patience, on.state.sim.now() + patience);
    on.state.stops.shut_down =
        Some(ShutDown { due, deadline, lingers: linger.is_some(), sockets: on.net.sockets(), unsent: 0 });
    for id in on.state.open.clone() {
        if let Some(seen) = on.state.seen.get_mut(&id) {
            seen.affected.discards = true;
        }
    }
}

impl Stops {
    /// What a socket that is opened now has to do with it.
    pub fn affect(&self) -> Affected {
        Affected { discards: self.shut_down.is_some(), was_destroyed: false }
    }
}

/// What is wrong with a `close`, of a socket that was connected or was not.
pub fn judge_close(on: &mut On<'_>, id: SocketId, closed: &Closed, was_connected: bool) {
    let now = on.state.sim.now();
    let was_destroyed = on.state.seen.get(&id).is_some_and(|seen| seen.affected.was_destroyed);
    let (its_own, lingered) = match &mut on.state.stops.shut_down {
        None => (was_destroyed, was_destroyed),
        Some(shut_down) => {
            shut_down.unsent += closed.unsent as u64;
            (now >= shut_down.due || !was_connected || was_destroyed, shut_down.lingers || was_destroyed)
        }
    };
    match closed.reason {
        CloseReason::Shutdown if !its_own => on.state.problem(id, "a shut-down has destroyed it"),
        CloseReason::Timeout if !closed.had_error && !lingered => {
            on.state.problem(id, "a lingering close has ended it")
        }
        _ => {}
    }
}

/// To be called before anything else, in each handler and between two turns: perhaps the shut-down has ended.
pub fn settle(on: &mut On<'_>) {
    if on.is_shutting_down() {
        return;
    }
    let Some(shut_down) = on.state.stops.shut_down.take() else { return };
    has_stopped(on);
    let unsent = on.shut_down_report().unsent_bytes;
    if unsent != shut_down.unsent {
        on.state.problems.push(format!("{} bytes were not sent, and the report says {unsent}", shut_down.unsent));
    }
    for id in on.state.open.clone() {
        if on.net.connection(id).exists() {
            continue;
        }
        let opened = on.state.seen.remove(&id).map(|seen| seen.opened);
        on.state.open.retain(|other| *other != id);
        if opened < Some(shut_down.due) {
            on.state.problem(id, format!("taken away without a close, and opened at {opened:?}"));
        }
    }
    // It serves again, all at once or little by little.
    if !on.state.quiet && on.state.random(2) == 0 {
        (0..on.state.places.len()).for_each(|at| listen_at(on, at));
    }
}

/// Between two turns, each of which takes `turn` at the most. Nothing happens between the end of a shut-down and this look if
/// the loop is alone.
pub fn look(on: &mut On<'_>, turn: Duration, is_alone: bool) {
    let (now, sockets) = (on.state.sim.now(), on.net.sockets());
    let is_over = !on.is_shutting_down();
    if let Some(shut_down) = &mut on.state.stops.shut_down {
        if now <= shut_down.deadline {
            shut_down.sockets = shut_down.sockets.max(sockets);
        }
        // In each turn one socket closes at least. The timer waits for what is ready, of which it is one in a turn, too.
        let turns = 2 * shut_down.sockets as u32 + 20;
        let latest = shut_down.deadline + LATE + BETWEEN_LOOKS + turns * turn;
        if now > latest {
            let what =
                format!("{now:?}: a shut-down was to end at {latest:?} (a turn takes {turn:?}), over: {is_over}");
            on.state.problems.push(what);
        }
        if is_over && is_alone && sockets > 0 {
            on.state.problems.push(format!("{now:?}: a shut-down has left {sockets} sockets"));
        }
    } else if !is_over {
        on.state.problems.push(format!("{now:?}: it is shutting down, and nobody has asked for it"));
    }
    settle(on);
}

/// A `run` of the loop that is alone, for so long at the most.
pub fn run(event_loop: &mut EventLoop<Party>, most: Duration) {
    let (before, stopped_before) = (event_loop.net.counters().turns, event_loop.state.stops.unused);
    let timer = event_loop.after(most, stop);
    let ran = event_loop.run();
    event_loop.state.sim.goes_on();
    ran.expect("a simulated kernel can wait");
    event_loop.event_loop().cancel(timer);
    settle(&mut event_loop.event_loop());
    let turns = event_loop.net.counters().turns;
    let latest = match (stopped_before, event_loop.state.stops.unused.take()) {
        (Some(_), _) => Some(before),
        (None, Some(stopped)) => Some(stopped + 1),
        (None, None) => None,
    };
    if latest.is_none_or(|latest| turns > latest) {
        let what =
            format!("run returned after {turns} turns; there were {before}, and a stop was to end it at {latest:?}");
        event_loop.state.problems.push(what);
    }
}
