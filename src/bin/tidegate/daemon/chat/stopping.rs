//! The stop of a room.
//!
//! ```text
//!   None ──the signal──▶ Guests ──the last one has gone, or its time is up──▶ Goodbye ──read back, or no engine in time──▶ Over
//! ```
//!
//! The loop shuts down from the signal on. Guests are told, heard, ended together when all have caught up, and waited for. A room by
//! itself hears nothing after that, as nobody is left who could. A room that is shared goes on hearing its guests until they have
//! gone, for the others: so the connections to the engine outlast those of the guests. The goodbye is the last that the node says.

use std::process::ExitCode;
use std::time::Duration;

use tidegate::{EventLoop, Loop, ShutDownOptions, Socket};

use super::bus::{self, Node};
use super::outputs::carry_out_all;
use super::receiving::{guest, receive_held};
use super::room::Room;
use super::shared::{bounds, with_node};
use crate::cli::counted;
use crate::daemon::engine;

/// How far the stop of a room that is shared has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    None,
    /// Guests are still heard. `not_heard`: lines that others did not hear before.
    Guests {
        time_of_engine: Duration,
        not_heard: u64,
    },
    /// The node has said that it goes.
    Goodbye {
        not_heard: u64,
    },
    /// Nothing more comes of the engine.
    Over {
        not_heard: u64,
    },
}

/// The time for all of it is the patience of the options. The engine has no more than half of it for what comes last.
pub fn shut_down(on: &mut Loop<'_, Room>, options: ShutDownOptions) {
    if on.state.shared.is_none() {
        on.shut_down_with(options);
        return say_farewell(on);
    }
    on.shut_down_with(options.discard(false));
    let time_of_engine = on.state.options.bus.bus_patience.min(options.patience / 2);
    // What does not come back is told here before the guests are ended, and that is when nothing has come for the quiet time.
    let patience = on.state.options.bus.bus_patience.min(options.quiet / 2);
    let bounds = bus::Settings { patience, ..bounds(&on.state.options.bus) };
    with_node(on, |node, _| node.set_bounds(bounds));
    if let Some(shared) = &mut on.state.shared {
        shared.stop = Stop::Guests { time_of_engine, not_heard: shared.node.figures().not_heard };
    }
    say_farewell(on);
    on.after(options.patience - time_of_engine, say_goodbye);
    go_on(on);
}

fn say_farewell(on: &mut Loop<'_, Room>) {
    on.state.online.tell(on.net, None, "* the server is shutting down\n");
    receive_last_lines(on);
}

/// What paused guests have sent is passed on now, as far as it is not more than they may say in a second.
fn receive_last_lines(on: &mut Loop<'_, Room>) {
    for id in on.net.socket_ids().collect::<Vec<_>>() {
        if let Some(mut socket) = on.socket(id) {
            if let Some(bucket) = guest(&mut socket).and_then(|guest| guest.bucket.as_mut()) {
                bucket.grant_a_second();
            }
            receive_held(&mut socket);
        }
    }
}

/// Whether what this guest sends is for somebody: for itself and others here, or for others elsewhere.
pub fn hears(socket: &Socket<'_, Room>) -> bool {
    socket.is_writable() || socket.state.shared.is_some()
}

/// A guest has gone, or something has come of the engine.
pub fn go_on(on: &mut Loop<'_, Room>) {
    let Some(shared) = &on.state.shared else { return };
    match shared.stop {
        Stop::Guests { .. } if on.state.online.len() == 0 => say_goodbye(on),
        Stop::Goodbye { .. } if shared.node.has_stopped() || !on.state.link.is_there() => end_link(on),
        _ => {}
    }
}

fn say_goodbye(on: &mut Loop<'_, Room>) {
    let Some(shared) = &mut on.state.shared else { return };
    let Stop::Guests { time_of_engine, not_heard } = shared.stop else { return };
    shared.stop = Stop::Goodbye { not_heard };
    with_node(on, Node::stops);
    on.after(time_of_engine, end_link);
    go_on(on);
}

fn end_link(on: &mut Loop<'_, Room>) {
    let Some(shared) = &mut on.state.shared else { return };
    let Stop::Goodbye { not_heard } = shared.stop else { return };
    shared.stop = Stop::Over { not_heard };
    carry_out_all(on);
    engine::stop(on);
}

/// The room has stopped, and would exit with this code.
pub fn sum_up(event_loop: &mut EventLoop<Room>, code: ExitCode) -> ExitCode {
    let discarded = event_loop.event_loop().shut_down_report().discarded_bytes;
    let room = &event_loop.state;
    if room.dropped > 0 {
        log::warn!("{} of guests who sent too fast were not passed on", counted(room.dropped, "byte"));
    }
    if room.too_late > 0 {
        log::warn!("{} of guests came too late to be passed on", counted(room.too_late, "byte"));
    }
    let Some(shared) = &room.shared else { return code };
    let figures = shared.node.figures();
    if figures.not_heard > 0 {
        log::warn!("{} were not heard elsewhere", counted(figures.not_heard, "line"));
    }
    if figures.outbox_lines > 0 {
        log::warn!(
            "{} did not come back from the engine: perhaps nobody elsewhere hears of it",
            counted(figures.outbox_lines as u64, "line")
        );
    }
    let before = match shared.stop {
        Stop::None => figures.not_heard,
        Stop::Guests { not_heard, .. } | Stop::Goodbye { not_heard } | Stop::Over { not_heard } => not_heard,
    };
    let is_heard = figures.outbox_lines == 0 && figures.not_heard == before && discarded + room.too_late == 0;
    if is_heard { code } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests;
