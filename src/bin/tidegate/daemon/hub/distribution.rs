//! From the ring to the consumers.
//!
//! ```text
//!   an input ──▶ ring ──▶ distribute: one broadcast for all who are live, less than their mark in a turn
//!                    └──▶ pump: one who is behind, whenever all that it was given has gone out
//! ```
//!
//! Whoever has not taken what it was given falls behind, and takes no time of the others any more.

use std::time::Duration;

use tidegate::{CloseReason, Loop, SocketId};

use super::brake;
use super::consumer::{Sum, Told, Torn};
use super::ring::{Amount, Origin};
use super::slow::Verdict;
use super::state::{GIVEN_IN_A_TURN, Hub, Inputs, Key, MARK, MOST_UNDISTRIBUTED, Phase};
use super::stopping;
use crate::cli::{Frames, Slow, counted};

/// What one who is behind is given in a turn. Then others come first.
const PUMPED_IN_A_TURN: usize = 256 * 1024;

/// Frames have come: they are given to those who are live, and judged are those who are not.
pub fn frames_came(on: &mut Loop<'_, Hub>) {
    distribute(on);
    judge(on);
    regulate(on);
}

/// Gives what is new to everybody who is live, as far as this turn allows.
fn distribute(on: &mut Loop<'_, Hub>) {
    begin_turn(on);
    let Hub { ring, live, live_at, given, phase, .. } = &mut *on.state;
    while *live_at < ring.head() {
        if live.is_empty() {
            *live_at = ring.head();
            break;
        }
        let room = if *phase == Phase::Stopping { usize::MAX } else { GIVEN_IN_A_TURN.saturating_sub(given.bytes) };
        let Some(piece) = ring.piece(*live_at, room.max(1)) else { break };
        if piece.bytes.len() > room && given.bytes > 0 {
            return go_on_next_turn(on);
        }
        given.bytes = given.bytes.saturating_add(piece.bytes.len());
        *live_at = piece.next;
        broadcast(on.net, live, piece.bytes, piece.origin);
    }
    stopping::stop_if_over(on);
}

fn broadcast(net: &mut tidegate::Net, live: &[(SocketId, Key)], bytes: &[u8], origin: Origin) {
    match origin {
        None => net.broadcast(live.iter().map(|(id, _)| *id), bytes),
        Some(origin) => net.broadcast(live.iter().filter(|(_, key)| *key != origin).map(|(id, _)| *id), bytes),
    }
}

fn go_on_next_turn(on: &mut Loop<'_, Hub>) {
    if !std::mem::replace(&mut on.state.goes_on_next_turn, true) {
        on.next_turn(|on| {
            on.state.goes_on_next_turn = false;
            frames_came(on);
        });
    }
}

/// In a new turn, what was given in the last one has been offered to the kernel: who has not taken it falls behind.
fn begin_turn(on: &mut Loop<'_, Hub>) {
    let turn = on.net.counters().turns;
    if on.state.given.turn == turn {
        return;
    }
    on.state.given.turn = turn;
    on.state.given.bytes = 0;
    // Less than a mark waits in all connections together, so each may have what a turn gives beside what it has.
    let nobody_is_behind = on.net.counters().memory_held < MARK;
    if nobody_is_behind || on.state.is_stopping() {
        return;
    }
    let Hub { live, consumers, ring, live_at, .. } = &mut *on.state;
    let mut fallen = Vec::new();
    let net = &*on.net;
    live.retain(|(id, key)| {
        let info = net.connection(*id);
        if !info.needs_drain() {
            return true;
        }
        if let Some(outlet) = consumers.get_mut(key) {
            outlet.consumer.falls_behind(*live_at, info.unsent(), ring);
        }
        fallen.push(*key);
        false
    });
    for key in fallen {
        watch_stall(on, key);
    }
}

/// Gives a consumer that is behind the next frames. To be called when all that it was given has gone out, or when it joins.
pub fn pump(on: &mut Loop<'_, Hub>, key: Key) {
    if on.state.is_stopping() {
        return;
    }
    skip(on, key);
    let Hub { ring, live, live_at, consumers, .. } = &mut *on.state;
    let Some(outlet) = consumers.get_mut(&key) else { return };
    let Some(id) = outlet.socket else { return };
    if outlet.consumer.is_live() || !on.net.connection(id).is_writable() {
        return;
    }
    let mut given = 0;
    let goes_on = loop {
        if given >= PUMPED_IN_A_TURN && on.net.connection(id).unsent() == 0 {
            break true;
        }
        let Some(piece) = outlet.consumer.next(ring, *live_at, MARK) else {
            if outlet.consumer.joins_the_live(*live_at) {
                live.push((id, key));
                outlet.idle_since = None;
            }
            break false;
        };
        given += piece.bytes.len();
        if !on.net.write(id, piece.bytes) {
            break false;
        }
    };
    if !outlet.consumer.is_live() {
        outlet.consumer.note_what_waits(on.net.connection(id).unsent(), ring);
        watch_stall(on, key);
    }
    if goes_on {
        on.next_turn(move |on| pump(on, key));
    }
    regulate(on);
}

/// Where the rule says so, a consumer goes on later in the stream. What it skips is told to it there, and to the log.
pub fn skip(on: &mut Loop<'_, Hub>, key: Key) {
    let Hub { ring, rule, live_at, consumers, options, .. } = &mut *on.state;
    let Some(outlet) = consumers.get_mut(&key) else { return };
    let Some(id) = outlet.socket.filter(|id| on.net.connection(*id).is_writable()) else { return };
    let torn = outlet.consumer.torn();
    let skipped = outlet.consumer.skips(*rule, *live_at, ring);
    if skipped == Amount::default() {
        return;
    }
    let mut told = Told::default();
    if torn != Torn::Nothing && options.frames == Frames::Lines {
        // The rest of that line does not come any more.
        told.end = 1;
        on.net.write(id, b"\n");
    }
    if let Some(line) = &options.gap_line {
        let line = as_frame(line.of(skipped.frames, skipped.bytes).into_bytes(), options.frames);
        told.line = line.len();
        on.net.write(id, &line);
    }
    outlet.consumer.was_told(skipped, told);
    let (frames, bytes) = (counted(skipped.frames, "frame"), counted(skipped.bytes, "byte"));
    let what = format!("{}: {frames} ({bytes}) were skipped, since it does not keep up", outlet.name);
    on.state.logs.losses.clone().warn(on, &what);
}

fn as_frame(mut text: Vec<u8>, frames: Frames) -> Vec<u8> {
    match frames {
        Frames::U32 => [&(text.len() as u32).to_be_bytes()[..], &text].concat(),
        Frames::Lines | Frames::Bytes => {
            text.push(b'\n');
            text
        }
    }
}

/// Disconnects those who are too far behind, where that is the rule.
fn judge(on: &mut Loop<'_, Hub>) {
    if on.state.rule.slow != Slow::Disconnect || on.state.is_stopping() {
        return;
    }
    let Hub { ring, rule, consumers, .. } = &*on.state;
    let too_far = consumers.iter().filter_map(|(key, outlet)| {
        let verdict = rule.verdict(outlet.consumer.cursor()?, ring);
        let id = outlet.socket.filter(|id| !on.net.connection(*id).is_destroyed())?;
        Some((*key, id, outlet.name.clone())).filter(|_| verdict == Verdict::Disconnect)
    });
    for (key, id, name) in too_far.collect::<Vec<_>>() {
        log::info!("{name} was disconnected: it is more than {} behind", counted(on.state.rule.queue, "byte"));
        stop_giving(on, key);
        on.net.destroy_because(id, CloseReason::OutputLimit);
    }
}

/// The connection of a consumer takes nothing any more, and its close is to come: what it is given from now on would be lost.
pub fn stop_giving(on: &mut Loop<'_, Hub>, key: Key) {
    let Hub { live, live_at, consumers, ring, .. } = &mut *on.state;
    live.retain(|(_, live)| *live != key);
    if let Some(outlet) = consumers.get_mut(&key) {
        outlet.consumer.falls_behind(*live_at, 2 * MARK, ring);
    }
}

/// The inputs are read, or wait: for those who are live, for those who are slow, or for the first consumer.
pub fn regulate(on: &mut Loop<'_, Hub>) {
    let is_held = brake_holds(on);
    let flow = match on.state.inputs {
        _ if is_held => false,
        Inputs::Flow => !has_to_wait(on, MOST_UNDISTRIBUTED, on.state.rule.queue),
        // Not before there is room for more than one read.
        Inputs::Wait => !has_to_wait(on, 1, on.state.rule.queue.div_ceil(2)),
    };
    let wanted = if flow { Inputs::Flow } else { Inputs::Wait };
    if std::mem::replace(&mut on.state.inputs, wanted) == wanted {
        return;
    }
    let now = on.net.now();
    for feed in on.state.feeds.values_mut() {
        match wanted {
            Inputs::Flow => {
                feed.heard = now; // its silence was ours
                on.net.resume(feed.socket);
            }
            Inputs::Wait => on.net.pause(feed.socket),
        }
    }
}

/// The inputs wait for a moment, where nobody keeps up.
fn brake_holds(on: &mut Loop<'_, Hub>) -> bool {
    let now = on.net.now();
    let hub = &mut *on.state;
    if hub.is_stopping() {
        return false;
    }
    let held_before = hub.brake.is_holding();
    let holds = hub.brake.holds(hub.fastest(), hub.ring.head().byte, hub.rule.queue, now);
    if holds && !held_before {
        on.after(brake::LONGEST, regulate);
    }
    holds
}

fn has_to_wait(on: &Loop<'_, Hub>, undistributed: u64, behind: u64) -> bool {
    let hub = &*on.state;
    if hub.is_stopping() {
        return false;
    }
    if hub.ring.ahead_of(hub.live_at).bytes >= undistributed || hub.options.hold && !hub.is_heard() {
        return true;
    }
    let now = on.net.now();
    hub.rule.slow == Slow::Pause
        && hub.consumers.values().any(|outlet| {
            let is_given_up = outlet.socket.is_none() && has_run_out(outlet.idle_since, hub.options.grace(), now);
            !is_given_up && outlet.consumer.cursor().is_some_and(|cursor| hub.ring.ahead_of(cursor).bytes >= behind)
        })
}

pub fn has_run_out(since: Option<Duration>, grace: Option<Duration>, now: Duration) -> bool {
    grace.zip(since).is_some_and(|(grace, since)| now.saturating_sub(since) >= grace)
}

/// A consumer is behind. If it takes nothing for the grace period, it is disconnected.
fn watch_stall(on: &mut Loop<'_, Hub>, key: Key) {
    let Some(grace) = on.state.options.grace() else { return };
    let now = on.net.now();
    let Some(outlet) = on.state.consumers.get_mut(&key) else { return };
    let Some(id) = outlet.socket else { return };
    if outlet.idle_since.is_some() {
        return; // it is being watched
    }
    outlet.idle_since = Some(now);
    outlet.taken_then = taken(on.net, id);
    look_later(on, key, id, grace);
}

fn look_later(on: &mut Loop<'_, Hub>, key: Key, id: SocketId, grace: Duration) {
    let Some(mut socket) = on.socket(id) else { return };
    socket.after(grace / 4, move |socket| {
        let (now, taken) = (socket.net.now(), taken(socket.net, id));
        let Some(outlet) = socket.state.consumers.get_mut(&key) else { return };
        if outlet.consumer.is_live() {
            outlet.idle_since = None;
            return;
        }
        if outlet.taken_then != taken {
            outlet.taken_then = taken;
            outlet.idle_since = Some(now);
        } else if has_run_out(outlet.idle_since, Some(grace), now) {
            log::info!("{} was disconnected: it has taken nothing for {grace:?}", outlet.name);
            stop_giving(&mut socket.event_loop(), key);
            return socket.destroy_because(CloseReason::Timeout);
        }
        look_later(&mut socket.event_loop(), key, id, grace);
    });
}

fn taken(net: &tidegate::Net, id: SocketId) -> u64 {
    let info = net.connection(id);
    // Of a file, what was written is what was taken.
    if info.is_file() { info.bytes_written() } else { info.bytes_written().saturating_sub(info.unsent() as u64) }
}

/// What has not reached a consumer at its end is told to the log.
pub fn log_sum(on: &mut Loop<'_, Hub>, name: &str, sum: Sum) {
    let Sum { since_joined, taken, waiting, skipped } = sum;
    let text = format!(
        "{name}: {} since it joined: {taken} taken, {waiting} unsent, {} skipped",
        counted(since_joined, "frame"),
        skipped.frames
    );
    if waiting == 0 && skipped.frames == 0 {
        return log::debug!("{text}");
    }
    on.state.logs.losses.clone().warn(on, &text);
}
