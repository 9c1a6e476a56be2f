//! `tidegate chat`: a room that people join with `nc`.
//!
//! A line that a guest types goes to everybody else as `name: line`. A line of the room itself begins with `* `, which no
//! guest can forge. This file has what guests do and what follows from it. The guests and their names are in `room.rs`,
//! joins and leaves are announced by `announcements.rs`, and the flood limit is in `flood.rs`.
//!
//! What a peer sends reaches other terminals only as whole lines that went through `sanitize`. A guest uses memory only for
//! an unfinished line, at most 4 KiB, and while a flood limit pauses it: the rest of a chunk, and what the engine has read
//! ahead, some 129 KiB together.

mod announcements;
mod flood;
mod room;

use std::time::Duration;

use tidegate::{CloseReason, EndOrder, EventLoop, Line, Lines, Loop, ServerOptions, Socket, sanitize};

use super::connection::on_close;
use super::stop::{self, LINGER, stop_at_signals};
use super::{Outcome, Peer, listen};
use crate::cli::ChatOptions;
use flood::TokenBucket;
use room::{Guest, LONGEST_LINE, Presence, Renamed, Room};

/// A guest who has sent this many lines above the limit is dismissed.
const MAX_TOO_LONG: u32 = 3;

const HELP: &[u8] = b"* /nick NAME: be called NAME (letters, digits, _ and -, at most 32)\n\
    * /who: who is online\n\
    * /quit: leave\n\
    * anything else is said to everybody\n";

/// Runs the room until it is stopped.
pub fn run(options: &ChatOptions, max_connections: usize) -> Outcome {
    let mut room = EventLoop::with_state(Room::new(options.clone()))?;
    // Half-open: a guest who has ended its side may still have lines to be read.
    let server = ServerOptions::new().allow_half_open(true).no_delay(true).output_limits(options.output.limits());
    stop_at_signals(&mut room, options.daemon.drain_timeout, EndOrder::Together, say_goodbye)?;
    listen(&mut room, &options.daemon, max_connections, &server, move |socket| {
        if socket.state.guests.len() >= max_connections {
            return socket.destroy();
        }
        join(socket);
    })?;
    Ok(stop::run(&mut room)?)
}

// ---- joining and leaving ------------------------------------------------------------------------------------------------

fn join(socket: &mut Socket<'_, Room>) {
    let (id, peer) = (socket.id(), Peer::of(socket));
    let room = &mut *socket.state;
    let bucket = room.options.flood_limit(peer.is_local()).map(|limit| TokenBucket::new(limit, socket.net.now()));
    let name = room.admit(id, bucket);
    log::debug!("{peer} is {name}");
    let idle_timeout = room.options.daemon.idle_timeout;
    let welcome = format!("* you are {name}; {} online\n", room.online.len());
    socket.write(welcome);
    announcements::joined(socket, &name);

    socket.on_data(receive);
    socket.on_end(|socket| {
        if !socket.is_writable() {
            return; // this side has ended before: what is left of a line comes too late
        }
        if let Some(guest) = guest(socket)
            && guest.presence == Presence::Here
        {
            guest.presence = Presence::Leaving;
        }
        receive_held(socket);
    });
    socket.set_timeout(idle_timeout);
    socket.on_timeout(|socket| {
        socket.write("* you said nothing for too long\n");
        dismiss(socket);
    });
    socket.on_error(move |_, error| log::debug!("{peer}: {error}"));
    on_close(socket, peer, |socket, _| {
        leave(socket);
        let id = socket.id();
        socket.state.guests.remove(&id);
    });
}

/// The guest of this socket.
fn guest<'r>(socket: &'r mut Socket<'_, Room>) -> Option<&'r mut Guest> {
    let id = socket.id();
    socket.state.guests.get_mut(&id)
}

/// Removes the guest from the room, if it is still in it, and tells the others unless all of them leave as well. The
/// connection stays until its close.
fn leave(socket: &mut Socket<'_, Room>) {
    if let Some(name) = socket.state.remove(socket.id())
        && !socket.event_loop().is_shutting_down()
    {
        announcements::left(socket, &name);
    }
}

/// Removes the guest from the room and ends the connection in order. If the guest does not read, or does not stop sending,
/// the connection is destroyed after a while.
fn dismiss(socket: &mut Socket<'_, Room>) {
    leave(socket);
    socket.end_and_discard(Some(LINGER));
    let patience = socket.state.options.daemon.drain_timeout.max(LINGER);
    socket.after(patience, |socket| socket.destroy_because(CloseReason::Timeout));
}

// ---- receiving ----------------------------------------------------------------------------------------------------------

/// Why a guest's next line has to wait.
enum Stop {
    /// The guest sends too fast.
    Flood(Duration),
    /// The others have their turn first.
    TimeIsUp,
}

/// Reads what a guest has sent, line by line, as far as the flood limit and the time of the turn allow.
fn receive(socket: &mut Socket<'_, Room>, chunk: &[u8]) {
    let Some(here) = guest(socket).filter(|guest| guest.presence != Presence::Gone) else { return };
    if !here.held.is_empty() {
        // The guest waits, and this chunk was read before.
        here.held.extend_from_slice(chunk);
        return;
    }
    // Out of their place while they are read, so that the room can be changed meanwhile.
    let mut lines = std::mem::replace(&mut here.lines, Lines::at_most(LONGEST_LINE));
    let mut pushed = lines.push(chunk);
    let stop = loop {
        if let Some(wait) = wait_for_token(socket) {
            break Some(Stop::Flood(wait));
        }
        let Some(line) = pushed.next() else { break None };
        spend(socket);
        receive_line(socket, &line);
        if socket.net.time_is_up() {
            break Some(Stop::TimeIsUp);
        }
    };
    let rest = pushed.rest();
    if let Some(guest) = guest(socket) {
        guest.lines = lines;
        if let Some(stop) = stop
            && guest.presence != Presence::Gone
        {
            guest.held = rest.to_vec();
            match stop {
                Stop::Flood(wait) => hold(socket, wait),
                Stop::TimeIsUp => socket.yield_turn(receive_held),
            }
        }
    }
}

/// How long a guest who sends too fast has to wait. During a stop it does not wait, because all lines that have come are
/// passed on.
fn wait_for_token(socket: &mut Socket<'_, Room>) -> Option<Duration> {
    let now = socket.net.now();
    if socket.event_loop().is_shutting_down() {
        return None;
    }
    guest(socket)?.bucket.as_mut()?.wait(now)
}

fn spend(socket: &mut Socket<'_, Room>) {
    if let Some(bucket) = guest(socket).and_then(|guest| guest.bucket.as_mut()) {
        bucket.spend();
    }
}

/// Pauses a guest who sends too fast. The others do not wait.
fn hold(socket: &mut Socket<'_, Room>, wait: Duration) {
    socket.pause();
    socket.after(wait, receive_held);
}

/// Reads what was held, and resumes the connection when nothing is left of it.
fn receive_held(socket: &mut Socket<'_, Room>) {
    let Some(held) = guest(socket).map(|guest| std::mem::take(&mut guest.held)) else { return };
    if !held.is_empty() {
        receive(socket, &held);
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
                receive_line(socket, &line);
            }
            dismiss(socket);
        }
        Presence::Gone => {}
    }
}

fn receive_line(socket: &mut Socket<'_, Room>, line: &Line<'_>) {
    if guest(socket).is_none_or(|guest| guest.presence == Presence::Gone) {
        return;
    }
    if line.is_too_long() {
        return too_long(socket);
    }
    let said = sanitize(line.bytes());
    match said.strip_prefix('/') {
        _ if said.is_empty() => {}
        Some(command) => run_command(socket, command),
        None => say(socket, &said),
    }
}

fn too_long(socket: &mut Socket<'_, Room>) {
    socket.write("* line too long\n");
    let Some(guest) = guest(socket) else { return };
    guest.too_long += 1;
    if guest.too_long == MAX_TOO_LONG {
        dismiss(socket);
    }
}

fn say(socket: &mut Socket<'_, Room>, said: &str) {
    let (me, room) = (socket.id(), &mut *socket.state);
    let Some(guest) = room.guests.get(&me) else { return };
    room.line.clear();
    room.line.extend([guest.name.as_str(), ": ", said, "\n"]);
    let echo = room.options.echo;
    let others = room.online.values().copied().filter(|id| echo || *id != me);
    socket.net.broadcast(others, &room.line);
}

// ---- commands -----------------------------------------------------------------------------------------------------------

fn run_command(socket: &mut Socket<'_, Room>, command: &str) {
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
    let answer = match socket.state.rename(me, wanted) {
        Renamed::From(old) => {
            let line = format!("* {old} is now {wanted}\n");
            socket.net.broadcast(socket.state.online.values().copied(), line);
            return;
        }
        Renamed::Same => format!("* you are {wanted}\n"),
        Renamed::Taken => format!("* name taken: {wanted}\n"),
        Renamed::NotAllowed => format!("* name not allowed: {wanted}\n"),
    };
    socket.write(answer);
}

fn who(socket: &mut Socket<'_, Room>) {
    let room = &*socket.state;
    let names: Vec<&str> =
        room.online.values().filter_map(|id| room.guests.get(id)).map(|guest| guest.name.as_str()).collect();
    let answer = format!("* {} online: {}\n", names.len(), names.join(", "));
    socket.write(answer);
}

// ---- the stop -----------------------------------------------------------------------------------------------------------

fn say_goodbye(on: &mut Loop<'_, Room>) {
    on.net.broadcast(on.state.online.values().copied(), "* the server is shutting down\n");
    // What paused guests have sent is passed on now.
    for id in on.net.socket_ids().collect::<Vec<_>>() {
        if let Some(mut socket) = on.socket(id) {
            receive_held(&mut socket);
        }
    }
}
