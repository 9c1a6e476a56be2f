//! `tidegate chat`: a room that people join with `nc`.
//!
//! A line that a guest types goes to everybody else as `name: line`; a line of the server's own begins with `* `, which
//! no guest can forge. This file is what guests do and what becomes of it. Who is in the room, and what they may be
//! called, is in `room.rs`; comings and goings are told by `announcements.rs`; the pace of one guest is in `flood.rs`.
//!
//! Nothing that a peer sends reaches another terminal before `sanitize` has seen it as one whole line. A guest costs
//! memory only while half a line or a flood of his is held: at most 4 KiB and one chunk.

mod announcements;
mod flood;
mod room;

use std::process::ExitCode;
use std::time::Duration;

use tidegate::{CloseReason, EventLoop, Line, Lines, Loop, ServerOptions, Socket, sanitize};

use super::closing::on_close;
use super::stopping::{self, Ending, Role, Stopping, end_and_discard};
use super::{CannotStart, Peer, listen};
use crate::cli::ChatOptions;
use flood::Bucket;
use room::{Guest, LONGEST_LINE, Presence, Renamed, Room};

/// With this many lines over the bound, a guest has to go.
const TOO_MANY_TOO_LONG: u32 = 3;

const HELP: &[u8] = b"* /nick NAME: be called NAME (letters, digits, _ and -, at most 32)\n\
    * /who: who is online\n\
    * /quit: leave\n\
    * anything else is said to everybody\n";

/// Runs the room until it is stopped.
pub fn run(options: &ChatOptions, max_connections: usize) -> Result<ExitCode, CannotStart> {
    let common = &options.common;
    let mut room = EventLoop::with_state(Room::new(options.clone()))?;
    // A guest who has ended is heard out first.
    let server = ServerOptions::new().allow_half_open(true).no_delay(true).output_limits(options.limits);
    stopping::at_signals(&mut room)?;
    listen(&mut room, common, max_connections, &server, move |socket| {
        if socket.state.guests.len() >= max_connections {
            return socket.destroy();
        }
        arrive(socket);
    })?;
    Ok(stopping::run(&mut room)?)
}

// ---- coming and going ---------------------------------------------------------------------------------------------------

fn arrive(socket: &mut Socket<'_, Room>) {
    let (id, peer) = (socket.id(), Peer::of(socket));
    let room = &mut *socket.state;
    let bucket = room.options.flood.limit_for(peer.is_local()).map(|limit| Bucket::new(limit, socket.net.now()));
    let name = room.admit(id, bucket);
    log::debug!("{peer} is {name}");
    let idle_timeout = room.options.common.idle_timeout;
    let welcome = format!("* you are {name}; {} online\n", room.online.len());
    socket.write(welcome);
    announcements::joined(socket, &name);

    socket.on_data(hear);
    socket.on_end(|socket| {
        if let Some(guest) = guest(socket)
            && guest.presence == Presence::Here
        {
            guest.presence = Presence::Leaving;
        }
        hear_held(socket);
    });
    socket.set_timeout(idle_timeout);
    socket.on_timeout(|socket| {
        socket.write("* you said nothing for too long\n");
        dismiss(socket);
    });
    socket.on_error(move |_, error| log::debug!("{peer}: {error}"));
    on_close(socket, peer, |socket, closed| {
        socket.state.stopping.closed(closed);
        leave(socket);
        let id = socket.id();
        socket.state.guests.remove(&id);
    });
}

/// Whose socket this is.
fn guest<'r>(socket: &'r mut Socket<'_, Room>) -> Option<&'r mut Guest> {
    let id = socket.id();
    socket.state.guests.get_mut(&id)
}

/// Out of the room, if still in it; the others are told. The connection lives on until its close.
fn leave(socket: &mut Socket<'_, Room>) {
    if let Some(name) = socket.state.remove(socket.id()) {
        announcements::left(socket, &name);
    }
}

/// Out of the room, and the connection comes to a proper end: one that does not read, or does not stop sending, to a
/// sudden one after a while.
fn dismiss(socket: &mut Socket<'_, Room>) {
    leave(socket);
    end_and_discard(socket);
    let patience = socket.state.stopping.patience();
    socket.after(patience, |socket| socket.destroy_because(CloseReason::Timeout));
}

// ---- hearing ------------------------------------------------------------------------------------------------------------

/// Takes what a guest has sent, line by line, as far as the flood limit lets it.
fn hear(socket: &mut Socket<'_, Room>, chunk: &[u8]) {
    let Some(here) = guest(socket).filter(|guest| guest.presence != Presence::Gone) else { return };
    if !here.held.is_empty() {
        // He is paused, and this was on its way.
        here.held.extend_from_slice(chunk);
        return;
    }
    // Out of its place while lines are heard, so that the room is free meanwhile.
    let mut lines = std::mem::replace(&mut here.lines, Lines::at_most(LONGEST_LINE));
    let mut pushed = lines.push(chunk);
    let wait = loop {
        let wait = may_speak_in(socket);
        if wait.is_some() {
            break wait;
        }
        let Some(line) = pushed.next() else { break None };
        spend(socket);
        hear_line(socket, &line);
    };
    let rest = pushed.rest();
    if let Some(guest) = guest(socket) {
        guest.lines = lines;
        if let Some(wait) = wait
            && guest.presence != Presence::Gone
        {
            guest.held = rest.to_vec();
            hold(socket, wait);
        }
    }
}

/// How long a guest who talks too fast has to wait; none at all while the server stops, since what was said is heard.
fn may_speak_in(socket: &mut Socket<'_, Room>) -> Option<Duration> {
    let now = socket.net.now();
    if socket.state.stopping.has_begun() {
        return None;
    }
    guest(socket)?.bucket.as_mut()?.wait(now)
}

fn spend(socket: &mut Socket<'_, Room>) {
    if let Some(bucket) = guest(socket).and_then(|guest| guest.bucket.as_mut()) {
        bucket.spend();
    }
}

/// The flooder waits; the room does not.
fn hold(socket: &mut Socket<'_, Room>, wait: Duration) {
    socket.pause();
    socket.after(wait, hear_held);
}

/// Goes on with what was held, and with the connection when nothing is.
fn hear_held(socket: &mut Socket<'_, Room>) {
    let Some(held) = guest(socket).map(|guest| std::mem::take(&mut guest.held)) else { return };
    if !held.is_empty() {
        hear(socket, &held);
    }
    let Some(guest) = guest(socket) else { return };
    if !guest.held.is_empty() {
        return;
    }
    match guest.presence {
        Presence::Here => socket.resume(),
        Presence::Leaving => {
            // An unfinished last line counts.
            let last = guest.lines.finish();
            if let Some(line) = last {
                hear_line(socket, &line);
            }
            dismiss(socket);
        }
        Presence::Gone => {}
    }
}

fn hear_line(socket: &mut Socket<'_, Room>, line: &Line<'_>) {
    if guest(socket).is_none_or(|guest| guest.presence == Presence::Gone) {
        return;
    }
    if line.is_too_long() {
        return too_long(socket);
    }
    let said = sanitize(line.bytes());
    match said.strip_prefix('/') {
        _ if said.is_empty() => {}
        Some(command) => obey(socket, command),
        None => say(socket, &said),
    }
}

fn too_long(socket: &mut Socket<'_, Room>) {
    socket.write("* line too long\n");
    let Some(guest) = guest(socket) else { return };
    guest.too_long += 1;
    if guest.too_long == TOO_MANY_TOO_LONG {
        dismiss(socket);
    }
}

fn say(socket: &mut Socket<'_, Room>, said: &str) {
    let (me, room) = (socket.id(), &mut *socket.state);
    let Some(guest) = room.guests.get(&me) else { return };
    room.said.clear();
    room.said.extend([guest.name.as_str(), ": ", said, "\n"]);
    let echo = room.options.echo;
    let others = room.online.values().copied().filter(|id| echo || *id != me);
    socket.net.broadcast(others, &room.said);
}

// ---- commands -----------------------------------------------------------------------------------------------------------

fn obey(socket: &mut Socket<'_, Room>, command: &str) {
    let (verb, argument) = command.split_once(' ').unwrap_or((command, ""));
    match verb {
        "nick" => nick(socket, argument.trim()),
        "who" => who(socket),
        "quit" => dismiss(socket),
        "help" => {
            socket.write(HELP);
        }
        _ => {
            socket.write(format!("* unknown command: /{verb}; try /help\n"));
        }
    }
}

fn nick(socket: &mut Socket<'_, Room>, wanted: &str) {
    let me = socket.id();
    let told = match socket.state.rename(me, wanted) {
        Renamed::From(old) => {
            let told = format!("* {old} is now {wanted}\n");
            socket.net.broadcast(socket.state.online.values().copied(), told);
            return;
        }
        Renamed::Same => format!("* you are {wanted}\n"),
        Renamed::Taken => format!("* name taken: {wanted}\n"),
        Renamed::NotAllowed => format!("* name not allowed: {wanted}\n"),
    };
    socket.write(told);
}

fn who(socket: &mut Socket<'_, Room>) {
    let room = &*socket.state;
    let names: Vec<&str> =
        room.online.values().filter_map(|id| room.guests.get(id)).map(|guest| guest.name.as_str()).collect();
    let told = format!("* {} online: {}\n", names.len(), names.join(", "));
    socket.write(told);
}

impl Role for Room {
    const ENDING: Ending = Ending::AllTogether;

    fn stopping(&mut self) -> &mut Stopping {
        &mut self.stopping
    }

    fn farewell(on: &mut Loop<'_, Self>) {
        on.net.broadcast(on.state.online.values().copied(), "* the server is shutting down\n");
        // Whoever is paused for talking too fast is heard now: what was said is served.
        stopping::for_each_socket(on, hear_held);
    }
}
