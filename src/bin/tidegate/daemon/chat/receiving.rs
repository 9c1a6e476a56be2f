//! What a guest sends: how far it is read, and what becomes of a line.

use std::time::Duration;

use tidegate::{Line, Socket};

use super::commands;
use super::pressure::{PAUSE, readers_are_behind};
use super::room::{Arrival, Guest, Presence, Room};
use super::said::said;
use super::stranger::Stranger;
use super::typed::{Answer, Next};
use super::{announce, dismiss, shared, tell};
use crate::cli::counted;

/// A guest who has sent this many lines above the limit is dismissed.
const MAX_TOO_LONG: u32 = 3;

/// A telnet command costs the room less than a line, which goes to everybody: the flood limit counts so many as one. A client
/// sends up to twenty when it connects, and its first line should not wait for that.
const COMMANDS_AS_A_LINE: u32 = 16;

/// How long what a guest has sent too fast is heard after its end. Its place would stay taken for hours otherwise, at no cost to
/// whoever wants that.
const HEARD_AFTER_END: Duration = Duration::from_secs(5);

/// Why what a guest has sent next has to wait.
enum Stop {
    /// The guest sends too fast.
    Flood(Duration),
    /// Most readers are behind, or what was said before has not come back.
    Pressure,
    /// The others have their turn first.
    TimeIsUp,
}

/// The guest of this socket.
pub fn guest<'r>(socket: &'r mut Socket<'_, Room>) -> Option<&'r mut Guest> {
    let id = socket.id();
    socket.state.guests.get_mut(&id)
}

/// Reads what a guest has sent, line by line, as far as the flood limit and the time of the turn allow.
pub fn receive(socket: &mut Socket<'_, Room>, chunk: &[u8]) {
    let now = socket.net.now();
    let Some(here) = guest(socket).filter(|guest| guest.presence() != Presence::Gone) else { return };
    here.last_heard = now;
    if here.presence() == Presence::CutOff {
        socket.state.dropped += chunk.len() as u64;
        return;
    }
    if !here.held.is_empty() {
        // The guest waits, and this chunk was read before.
        here.held.extend_from_slice(chunk);
        return;
    }
    // Out of their place while they are read, so that the room can be changed meanwhile.
    let mut typed = std::mem::take(&mut here.typed);
    let mut rest = chunk;
    let (me, turn) = (socket.id(), socket.net.counters().turns);
    socket.state.said.begin(turn);
    // Ended guests hear nothing any more: what this one says is for other nodes.
    let are_behind = socket.is_writable() && readers_are_behind(&mut socket.event_loop(), Some(me));
    let stop = loop {
        if let Some(wait) = wait_for_token(socket) {
            break Some(Stop::Flood(wait));
        }
        if !rest.is_empty() {
            if socket.state.said.is_enough() {
                break Some(Stop::TimeIsUp);
            }
            if are_behind || shared::is_ahead(socket.state) {
                break Some(Stop::Pressure);
            }
        }
        match typed.next(&mut rest) {
            None => break None,
            Some(Next::Line(line)) => {
                spend(socket, 1.0);
                receive_line(socket, &line);
            }
            Some(Next::Command(answer)) => {
                spend(socket, 1.0 / f64::from(COMMANDS_AS_A_LINE));
                receive_command(socket, answer, typed.is_telnet());
            }
            Some(Next::Stranger(stranger)) => {
                send_away(socket, stranger);
                break None;
            }
        }
        if socket.net.time_is_up() {
            break Some(Stop::TimeIsUp);
        }
    };
    if let Some(guest) = guest(socket) {
        guest.typed = typed;
        if let Some(stop) = stop
            && guest.presence() != Presence::Gone
        {
            guest.held = rest.to_vec();
            match stop {
                Stop::Flood(_) if socket.event_loop().is_shutting_down() => cut_off(socket),
                Stop::Flood(wait) => hold(socket, wait),
                Stop::Pressure => hold(socket, PAUSE),
                Stop::TimeIsUp => socket.yield_turn(receive_held),
            }
        }
    }
}

/// How long a guest who sends too fast has to wait.
fn wait_for_token(socket: &mut Socket<'_, Room>) -> Option<Duration> {
    let now = socket.net.now();
    guest(socket)?.bucket.as_mut()?.wait(now)
}

/// What a guest has sent faster than it may is not passed on, and nothing that follows is: it could begin in the middle of a
/// line.
fn cut_off(socket: &mut Socket<'_, Room>) {
    let Some(guest) = guest(socket) else { return };
    guest.goes_on(Presence::CutOff);
    let held = std::mem::take(&mut guest.held);
    socket.state.dropped += held.len() as u64;
}

fn spend(socket: &mut Socket<'_, Room>, tokens: f64) {
    if let Some(bucket) = guest(socket).and_then(|guest| guest.bucket.as_mut()) {
        bucket.spend(tokens);
    }
}

/// Pauses a guest who sends too fast. The others do not wait. After its end it does not stay for long.
fn hold(socket: &mut Socket<'_, Room>, wait: Duration) {
    socket.pause_for("flood");
    socket.after(wait, |socket| {
        let now = socket.net.now();
        let has_ended = socket.net.connection(socket.id()).has_peer_ended();
        let is_stopping = socket.event_loop().is_shutting_down(); // that has a time of its own
        if has_ended
            && !is_stopping
            && let Some(guest) = guest(socket)
        {
            guest.goes_on(Presence::Leaving(now));
            if matches!(guest.presence(), Presence::Leaving(since) if now.saturating_sub(since) >= HEARD_AFTER_END) {
                log::info!(
                    "{} had sent too fast when it ended: {} were not passed on",
                    guest.name,
                    counted(guest.held.len() as u64, "byte")
                );
                cut_off(socket);
                return dismiss(socket);
            }
        }
        receive_held(socket);
    });
}

/// Reads what was held, and resumes the connection when nothing is left of it.
pub fn receive_held(socket: &mut Socket<'_, Room>) {
    let Some(held) = guest(socket).map(|guest| std::mem::take(&mut guest.held)) else { return };
    if !held.is_empty() {
        receive(socket, &held);
    }
    let Some(guest) = guest(socket) else { return };
    if !guest.held.is_empty() {
        return;
    }
    match guest.presence() {
        Presence::Gone => {}
        Presence::Leaving(_) | Presence::CutOff if !socket.is_readable() => finish(socket),
        _ => socket.resume(),
    }
}

/// The guest has ended its side, and nothing is held any more. An unfinished last line counts, and for the flood limit too.
fn finish(socket: &mut Socket<'_, Room>) {
    let is_stopping = socket.event_loop().is_shutting_down();
    if let Some(wait) = wait_for_token(socket).filter(|_| !is_stopping) {
        return hold(socket, wait);
    }
    let last =
        guest(socket).filter(|guest| guest.presence() != Presence::CutOff).and_then(|guest| guest.typed.finish());
    if let Some(line) = last
        && wait_for_token(socket).is_none()
    {
        spend(socket, 1.0);
        receive_line(socket, &line);
    }
    dismiss(socket);
}

fn receive_line(socket: &mut Socket<'_, Room>, line: &Line<'_>) {
    let Some(arrival) = guest(socket).filter(|guest| guest.presence() != Presence::Gone).map(|guest| guest.arrival)
    else {
        return;
    };
    let is_first = arrival != Arrival::Spoken;
    if is_first && let Some(stranger) = Stranger::of_line(line.bytes(), line.is_too_long()) {
        return send_away(socket, stranger);
    }
    if line.is_too_long() {
        return too_long(socket);
    }
    let Some(said) = said(line.bytes()) else { return };
    if is_first && !commands::is_quit(&said) {
        begin_to_speak(socket);
    }
    match said.strip_prefix('/') {
        None => say(socket, &said),
        Some(text) if text.starts_with('/') => say(socket, text),
        Some(command) => commands::run(socket, command),
    }
}

/// The others are told of a guest before they hear of it.
fn begin_to_speak(socket: &mut Socket<'_, Room>) {
    announce(socket);
    if let Some(guest) = guest(socket) {
        guest.arrival = Arrival::Spoken;
    }
}

fn receive_command(socket: &mut Socket<'_, Room>, answer: Option<Answer>, is_telnet: bool) {
    let id = socket.id();
    if is_telnet {
        socket.state.use_crlf(id);
    }
    // All answers of a turn go out in one write.
    match answer {
        None => {}
        Some(Answer::Here) => socket.net.broadcast([id], "* yes, the room is here\r\n"),
        Some(Answer::Bytes(answer)) => socket.net.broadcast([id], answer),
    }
}

fn too_long(socket: &mut Socket<'_, Room>) {
    begin_to_speak(socket);
    tell(socket, "* line too long\n");
    let Some(guest) = guest(socket) else { return };
    guest.too_long += 1;
    if guest.too_long == MAX_TOO_LONG {
        dismiss(socket);
    }
}

fn say(socket: &mut Socket<'_, Room>, said: &str) {
    if shared::say(socket, said) {
        return;
    }
    let (me, room) = (socket.id(), &mut *socket.state);
    let Some(guest) = room.guests.get(&me) else { return };
    room.line.clear();
    room.line.extend([guest.name.as_str(), ": ", said, "\n"]);
    let except = (!room.options.echo).then_some(me);
    room.said.add(room.line.len());
    room.online.tell(socket.net, except, &room.line);
}

/// The client is told that this is a chat, and has said nothing in it.
fn send_away(socket: &mut Socket<'_, Room>, stranger: Stranger) {
    let name = guest(socket).map_or("", |guest| &guest.name);
    log::debug!("{name} is no chat client: it speaks {}", stranger.name());
    if socket.is_writable() {
        socket.write(stranger.answer());
    }
    dismiss(socket);
}
