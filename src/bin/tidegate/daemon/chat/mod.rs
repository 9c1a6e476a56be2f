//! `tidegate chat`: a room that people join with `nc` or `telnet`.
//!
//! A line that a guest types goes to everybody else as `name: line`. A line of the room itself begins with `* `, which no
//! guest can forge.
//!
//! ```text
//!   bytes ──typed──▶ lines ──said──▶ text ──receiving──▶ everybody else, or `commands`
//!            │ telnet, opening         stranger: no chat client
//! ```
//!
//! This file has the coming and going of guests. The guests and their names are in `room.rs`, and the order of what becomes of
//! their bytes in `receiving.rs`.
//!
//! What a peer sends reaches other terminals only as whole lines that went through `said`. A guest uses memory only for
//! an unfinished line, at most 4 KiB, and while a flood limit pauses it: the rest of a chunk, and what the engine has read
//! ahead, some 129 KiB together.

mod announcements;
mod bus;
mod commands;
mod flood;
mod names;
mod online;
mod opening;
mod outputs;
mod pressure;
mod receiving;
mod room;
mod said;
mod shared;
mod stopping;
mod stranger;
mod table;
mod telnet;
#[cfg(test)]
mod tests;
mod turned_away;
mod typed;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use tidegate::{
    CloseReason, EndOrder, EventLoop, Loop, OutputLimits, ServerId, ServerOptions, ShutDownOptions, Socket, TimerId,
};

use super::admission::{Admission, Place};
use super::connection::{log_error, on_close};
use super::service::{Service, listens_everywhere, serve};
use super::stop::LINGER;
use super::{Outcome, Peer};
use crate::cli::{Change, ChatOptions, DaemonOptions, Listen, Role};
use crate::inspector::OwnFigure;
use announcements::What;
use flood::TokenBucket;
use receiving::{guest, receive, receive_held};
use room::{Arrival, Presence, Room};
use turned_away::turn_away;

/// The others are told of a guest when it says something, and after this time at the latest. A health check that connects and
/// closes is gone by then, and nobody hears of it. It closes when it is connected, so a round trip is long enough.
const SILENT_ARRIVAL: Duration = Duration::from_millis(200);

/// How long a guest who was dismissed may go on sending, or not read its last lines, before its place is free.
const LONGEST_LEAVE: Duration = Duration::from_secs(5);

/// Runs the room until it is stopped.
pub fn run(options: &ChatOptions) -> Outcome {
    serve(Room::new(options.clone()), &options.daemon)
}

impl Service for Room {
    type Door = ();
    const NAME: &'static str = "chat";
    const ORDER: EndOrder = EndOrder::Together;

    /// Half-open: a guest who has ended its side may still have lines to be read.
    fn server_options(&self) -> ServerOptions {
        ServerOptions::new().allow_half_open(true).no_delay(true).output_limits(self.accepted_with)
    }

    fn places(&self, daemon: &DaemonOptions) -> Vec<(Listen, ())> {
        listens_everywhere(daemon)
    }

    fn default_door(&self) -> Option<()> {
        Some(())
    }

    fn welcome(socket: &mut Socket<'_, Self>, (): (), doors: &Admission) {
        match doors.enter(socket.remote_address(), socket.state.guests.len()) {
            Ok(place) => join(socket, place),
            Err(why) => {
                doors.log_refusal(socket, why);
                turn_away(socket, why);
            }
        }
    }

    fn start(event_loop: &mut EventLoop<Self>, _: &[(ServerId, ())]) -> Result<(), Box<dyn Error>> {
        shared::start(&mut event_loop.event_loop())
    }

    fn shut_down(on: &mut Loop<'_, Self>, options: ShutDownOptions) {
        stopping::shut_down(on, options);
    }

    fn has_stopped(event_loop: &mut EventLoop<Self>, code: ExitCode) -> ExitCode {
        stopping::sum_up(event_loop, code)
    }

    fn figures(&self) -> Vec<OwnFigure> {
        table::figures(self)
    }

    fn write_table(on: &mut Loop<'_, Self>) {
        table::write_tables(on);
    }

    fn change(on: &mut Loop<'_, Self>, change: &Change, _: &[(ServerId, ())]) {
        if let Role::Chat(options) = &change.role {
            on.state.options = options.clone();
            change_guests(on, change);
            if ["bus-password-file", "bus-patience", "catch-up", "bus-history"].iter().any(|flag| change.has(flag)) {
                shared::change(on);
            }
        }
    }

    fn set_idle_timeout(socket: &mut Socket<'_, Self>, period: Option<Duration>) {
        if let Some(timer) = guest(socket).and_then(|guest| guest.silence.take()) {
            socket.cancel(timer);
        }
        if let Some(period) = period {
            dismiss_if_silent(socket, period);
        }
    }
}

/// What each guest has of --flood and of the limits of output. One that has not changed is left alone: limits that are set begin a
/// new grace.
fn change_guests(on: &mut Loop<'_, Room>, change: &Change) {
    let limits = ["output-hard", "output-soft", "output-grace"].iter().any(|flag| change.has(flag));
    let limits = limits.then(|| on.state.options.output.limits());
    let flood = change.has("flood");
    for id in on.state.guests.keys().copied().collect::<Vec<_>>() {
        let Some(mut socket) = on.socket(id) else { continue };
        if let Some(limits) = limits {
            set_output_limits(&mut socket, limits);
        }
        if flood {
            set_flood_limit(&mut socket);
        }
    }
}

fn set_output_limits(socket: &mut Socket<'_, Room>, limits: OutputLimits) {
    if let Err(error) = socket.set_output_limits(limits) {
        log::debug!("{error}");
    }
}

fn set_flood_limit(socket: &mut Socket<'_, Room>) {
    let (flood, now) = (socket.state.options.flood_limit(Peer::of(socket).is_local()), socket.net.now());
    if let Some(guest) = guest_here(socket) {
        guest.bucket = flood.map(|flood| match guest.bucket {
            Some(bucket) => bucket.with(flood, now),
            None => TokenBucket::new(flood, now),
        });
    }
}

fn join(socket: &mut Socket<'_, Room>, place: Option<Place>) {
    let (id, peer, now) = (socket.id(), Peer::of(socket), socket.net.now());
    let is_alone = socket.state.online.len() == 0 && socket.state.shared.is_none();
    let arrival = match is_alone {
        true => Arrival::Silent, // nobody is to be told
        false => Arrival::Unannounced(announce_later(socket)),
    };
    let room = &mut *socket.state;
    let name = room.admit(id, arrival, peer, now);
    log::debug!("{peer} is {name}");
    let idle_timeout = room.options.daemon.idle_timeout;
    let limits = room.options.output.limits();
    let is_accepted_with_others = limits != room.accepted_with;
    if !shared::arrive(socket) {
        socket.set_label(&name);
        welcome(socket, &name);
    }

    socket.on_data(receive);
    socket.on_end(|socket| {
        if !stopping::hears(socket) {
            return; // this side has ended before: what is left of a line comes too late
        }
        let now = socket.net.now();
        if let Some(guest) = guest(socket) {
            guest.goes_on(Presence::Leaving(now));
        }
        receive_held(socket);
    });
    if let Some(period) = idle_timeout {
        dismiss_if_silent(socket, period);
    }
    if is_accepted_with_others {
        set_output_limits(socket, limits);
    }
    socket.on_error(move |socket, error| {
        let name = guest(socket).map_or_else(String::new, |guest| guest.name.clone());
        log_error(&format_args!("{peer} {name}"), error);
    });
    on_close(socket, peer, place, |socket, _| {
        leave(socket);
        let id = socket.id();
        socket.state.guests.remove(&id);
    });
}

fn welcome(socket: &mut Socket<'_, Room>, name: &str) {
    let welcome = format!("* you are {name}; {} online\n", socket.state.online());
    tell(socket, &welcome);
}

/// Writes to a guest alone, if it still reads. The lines end with LF here.
fn tell(socket: &mut Socket<'_, Room>, text: &str) {
    if socket.is_writable()
        && let Some(end) = guest(socket).map(|guest| guest.line_end)
    {
        socket.write(&*end.of(text));
    }
}

fn announce_later(socket: &mut Socket<'_, Room>) -> TimerId {
    let id = socket.id();
    socket.event_loop().after(SILENT_ARRIVAL, move |on| {
        if !on.is_shutting_down()
            && let Some(mut socket) = on.socket(id)
        {
            announce(&mut socket);
        }
    })
}

/// Tells the others that a guest has joined, unless they know.
fn announce(socket: &mut Socket<'_, Room>) {
    let Some(guest) = guest_here(socket) else { return };
    let Arrival::Unannounced(timer) = guest.arrival else { return };
    guest.arrival = Arrival::Silent;
    let name = guest.name.clone();
    socket.state.announced += 1;
    socket.cancel(timer);
    if !shared::join(socket) {
        let (me, online) = (socket.id(), socket.state.announced as u64);
        announcements::announce(&mut socket.event_loop(), Some(me), &name, What::Joined, online);
    }
}

/// Dismisses a guest of whom nothing has come for --idle-timeout. What others say does not count, so this is not the idle clock of
/// the library, which counts both directions.
fn dismiss_if_silent(socket: &mut Socket<'_, Room>, period: Duration) {
    let now = socket.net.now();
    let Some(guest) = guest(socket) else { return };
    // A guest whose lines are held is not silent.
    let since = if guest.held.is_empty() { guest.last_heard } else { now };
    let wait = (since + period).saturating_sub(now);
    let timer = socket.after(wait, move |socket| {
        if !socket.is_writable() {
            return; // it was ended already, by a stop: nothing can be said to it any more
        }
        let now = socket.net.now();
        match guest_here(socket) {
            None => {}
            Some(guest) if guest.held.is_empty() && now >= guest.last_heard + period => {
                tell(socket, "* you said nothing for too long\n");
                dismiss(socket);
            }
            Some(_) => dismiss_if_silent(socket, period),
        }
    });
    if let Some(guest) = self::guest(socket) {
        guest.silence = Some(timer);
    }
}

fn guest_here<'a>(socket: &'a mut Socket<'_, Room>) -> Option<&'a mut room::Guest> {
    guest(socket).filter(|guest| guest.presence() != Presence::Gone)
}

/// Removes the guest from the room, if it is still in it, and tells the others if they know of it, unless all of them leave as
/// well. The connection stays until its close.
fn leave(socket: &mut Socket<'_, Room>) {
    let (me, now) = (socket.id(), socket.net.now());
    let held = guest(socket).map_or(0, |guest| guest.held.len() as u64);
    if socket.event_loop().is_shutting_down() {
        socket.state.too_late += held;
    }
    let Some((number, name, arrival)) = socket.state.remove(me, now) else { return };
    if let Arrival::Unannounced(timer) = arrival {
        socket.cancel(timer);
    }
    if socket.event_loop().is_shutting_down() {
        return stopping::go_on(&mut socket.event_loop());
    }
    if shared::leave(socket, number) || !arrival.is_announced() {
        return;
    }
    let online = socket.state.announced as u64;
    announcements::announce(&mut socket.event_loop(), Some(me), &name, What::Left, online);
}

/// Removes the guest from the room and ends the connection in order. If the guest does not read, or does not stop sending,
/// the connection is destroyed after a while.
fn dismiss(socket: &mut Socket<'_, Room>) {
    leave(socket);
    socket.end_and_discard(Some(LINGER));
    let patience = socket.state.options.daemon.drain_timeout.clamp(LINGER, LONGEST_LEAVE);
    socket.after(patience, |socket| socket.destroy_because(CloseReason::Timeout));
}
