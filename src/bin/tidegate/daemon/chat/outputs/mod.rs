//! What a node wants done.
//!
//! What goes to the engine goes at once. What the guests are to be told waits for its turn: no more is told in one than speakers here may
//! say in it, and nothing while most readers are behind. Until all of it is told, nothing more is read: the stream keeps it.

use std::collections::VecDeque;

use tidegate::{Loop, Socket};

use super::super::engine;
use super::announcements::{self, What};
use super::bus::{Entry, Notice, Output};
use super::pressure::{PAUSE, readers_are_behind};
use super::room::{Renamed, Room};
use super::shared::with_node;
use super::{tell, welcome};

#[derive(Default)]
pub struct Outputs {
    /// What the guests are to be told, in order, and what comes after that.
    waiting: VecDeque<Output>,
    /// It goes on in the next turn.
    is_put_off: bool,
    /// It goes on after a pause, when readers may have caught up.
    is_held: bool,
    /// Pauses in which most readers were behind.
    holds: u64,
}

/// Why what waits is not told now.
enum Wait {
    NextTurn,
    Readers,
}

impl Outputs {
    /// How many of them wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// In how many pauses most readers were behind.
    pub fn holds(&self) -> u64 {
        self.holds
    }
}

/// As far as the time of the turn and the readers allow. The rest follows by itself.
pub fn carry_out_in_time(on: &mut Loop<'_, Room>) {
    if outputs(on).is_none_or(|outputs| outputs.is_put_off) {
        return;
    }
    match carry_out_now(on) {
        None => {}
        Some(Wait::NextTurn) => put_off(on),
        Some(Wait::Readers) => hold(on),
    }
    read_on_if_all_is_told(on);
}

fn carry_out_now(on: &mut Loop<'_, Room>) -> Option<Wait> {
    while let Some(output) = next_output(on) {
        take(on, output);
        if on.net.time_is_up() && on.state.shared.as_ref()?.node.has_outputs() {
            return Some(Wait::NextTurn);
        }
    }
    if outputs(on)?.waiting.is_empty() || outputs(on)?.is_held {
        return None;
    }
    let turn = on.net.counters().turns;
    on.state.said.begin(turn);
    if !on.state.shared.as_ref()?.is_stopping() && readers_are_behind(on, None) {
        return Some(Wait::Readers);
    }
    while !outputs(on)?.waiting.is_empty() {
        if on.state.said.is_enough() {
            return Some(Wait::NextTurn);
        }
        let output = outputs(on)?.waiting.pop_front()?;
        carry_out(on, output);
        if on.net.time_is_up() && !outputs(on)?.waiting.is_empty() {
            return Some(Wait::NextTurn);
        }
    }
    None
}

fn put_off(on: &mut Loop<'_, Room>) {
    if let Some(outputs) = outputs(on) {
        outputs.is_put_off = true;
    }
    on.next_turn(|on| {
        if let Some(outputs) = outputs(on) {
            outputs.is_put_off = false;
        }
        with_node(on, |_, _| ());
    });
}

fn hold(on: &mut Loop<'_, Room>) {
    if let Some(outputs) = outputs(on) {
        outputs.is_held = true;
        outputs.holds += 1;
    }
    let timer = on.after(PAUSE, |on| {
        if let Some(outputs) = outputs(on) {
            outputs.is_held = false;
        }
        with_node(on, |_, _| ());
    });
    on.net.set_timer_ref(timer, false);
}

fn read_on_if_all_is_told(on: &mut Loop<'_, Room>) {
    let now = on.net.now();
    let Some(shared) = &mut on.state.shared else { return };
    let is_behind = shared.node.has_outputs() || !shared.outputs.waiting.is_empty();
    shared.node.is_behind(is_behind, now);
    if is_behind {
        engine::hold(on);
    } else {
        engine::go_on(on);
    }
}

/// However long that takes.
pub fn carry_out_all(on: &mut Loop<'_, Room>) {
    while let Some(output) = next_output(on) {
        take(on, output);
    }
    while let Some(output) = outputs(on).and_then(|outputs| outputs.waiting.pop_front()) {
        carry_out(on, output);
    }
}

/// There is no connection any more: what was to be published or read is not for the next one.
pub fn forget_connection(on: &mut Loop<'_, Room>) {
    while let Some(output) = next_output(on) {
        take(on, output);
    }
    if let Some(outputs) = outputs(on) {
        outputs.waiting.retain(|output| !matches!(output, Output::ReadFrom(_)));
    }
}

fn outputs<'a>(on: &'a mut Loop<'_, Room>) -> Option<&'a mut Outputs> {
    on.state.shared.as_mut().map(|shared| &mut shared.outputs)
}

fn next_output(on: &mut Loop<'_, Room>) -> Option<Output> {
    on.state.shared.as_mut()?.node.next_output()
}

/// More is read when all that was read before is told. A guest is welcome at once: nobody was told of it, so nothing of it waits.
fn take(on: &mut Loop<'_, Room>, output: Output) {
    let is_urgent = matches!(output, Output::Publish(_) | Output::Named { is_first: true, .. });
    match outputs(on) {
        Some(outputs) if !is_urgent => outputs.waiting.push_back(output),
        _ => carry_out(on, output),
    }
}

fn carry_out(on: &mut Loop<'_, Room>, output: Output) {
    match output {
        Output::Publish(entry) => publish(on, &entry),
        Output::ReadFrom(place) => engine::read_from(on, place),
        Output::Named { guest, name, is_first } => named(on, guest, name, is_first),
        Output::Refused { guest, wanted, taken_by } => refused(on, guest, &wanted, taken_by),
        Output::Said { by, name, text } => said(on, by, &name, &text),
        Output::Joined { by, name, online } => {
            let except = by.and_then(|guest| on.state.online.socket_of(guest));
            announcements::announce(on, except, &name, What::Joined, online);
        }
        Output::Left { name, online } => announcements::announce(on, None, &name, What::Left, online),
        Output::Renamed { by, from, to } => {
            if let Some(guest) = by {
                called(on, guest, &to);
            }
            on.state.online.tell(on.net, None, &Renamed::line(&from, &to));
        }
        Output::Notice(notice) => notify(on, &notice),
    }
}

fn publish(on: &mut Loop<'_, Room>, entry: &Entry) {
    let fields = entry.to_fields();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    engine::publish(on, &fields);
}

/// A guest who is told its first name is told that it is in the room. Others hear of a new name by the line for all.
fn named(on: &mut Loop<'_, Room>, guest: u64, name: String, is_first: bool) {
    called(on, guest, &name);
    let Some(mut socket) = socket_of(on, guest) else { return };
    if is_first {
        welcome(&mut socket, &name);
    } else {
        tell(&mut socket, &format!("* you are {name}\n"));
    }
}

/// The guest has this name here.
fn called(on: &mut Loop<'_, Room>, guest: u64, name: &str) {
    let Some(mut socket) = socket_of(on, guest) else { return };
    let id = socket.id();
    socket.set_label(name);
    if let Some(guest) = socket.state.guests.get_mut(&id) {
        name.clone_into(&mut guest.name);
    }
}

fn refused(on: &mut Loop<'_, Room>, guest: u64, wanted: &str, taken_by: String) {
    if let Some(mut socket) = socket_of(on, guest) {
        tell(&mut socket, &Renamed::TakenBy(taken_by).answer(wanted));
    }
}

fn said(on: &mut Loop<'_, Room>, by: Option<u64>, name: &str, text: &str) {
    let room = &mut *on.state;
    let author = by.filter(|_| !room.options.echo).and_then(|guest| room.online.socket_of(guest));
    room.line.clear();
    room.line.extend([name, ": ", text, "\n"]);
    room.said.add(room.line.len());
    room.online.tell(on.net, author, &room.line);
}

fn notify(on: &mut Loop<'_, Room>, notice: &Notice) {
    log::info!("{notice}");
    on.state.online.tell(on.net, None, &format!("* {notice}\n"));
}

fn socket_of<'a>(on: &'a mut Loop<'_, Room>, guest: u64) -> Option<Socket<'a, Room>> {
    let id = on.state.online.socket_of(guest)?;
    on.socket(id)
}

#[cfg(test)]
mod tests;
