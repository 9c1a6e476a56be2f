//! A room that is one with rooms elsewhere (`--bus`): what its guests do goes to the node, and what the node tells goes to the guests.
//!
//! ```text
//!   guests ──arrives, says, …──▶ Node ──Publish, ReadFrom──▶ Link ──▶ engine
//!   guests ◀──Named, Said, …──── Node ◀──connected, read──── Link ◀── engine
//! ```
//!
//! The node (`bus/`) decides, and has no socket. The link (`../engine/`) has the sockets, and decides nothing.

use std::error::Error;
use std::time::Duration;

use tidegate::{Loop, Socket, TimerId};

use super::super::engine::{self, EntryRead, Link, Linked};
use super::bus::{self, Entry, Node};
use super::names::Refused;
use super::outputs::{Outputs, carry_out_in_time, forget_connection};
use super::receiving::guest;
use super::room::Room;
use super::stopping::{self, Stop};
use crate::cli::{BusOptions, counted};

/// How many guests of all nodes are known by their names.
const MOST_GUESTS: usize = 1 << 20;

/// What a room has if it is shared.
pub struct Shared {
    pub node: Node,
    /// When the node is asked next, and the timer for it.
    timer: Option<(Duration, TimerId)>,
    pub outputs: Outputs,
    /// How far the stop has come.
    pub stop: Stop,
}

impl Shared {
    pub fn new(node: Node) -> Self {
        Shared { node, timer: None, outputs: Outputs::default(), stop: Stop::None }
    }

    /// Nobody waits for readers any more.
    pub fn is_stopping(&self) -> bool {
        self.stop != Stop::None
    }

    /// The answer to `/who`: all guests, and how many each node has.
    pub fn who(&self) -> String {
        let nodes = self.node.who();
        let names: Vec<&str> = nodes.iter().flat_map(|(_, names)| names).map(String::as_str).collect();
        let counts: Vec<String> = nodes.iter().map(|(label, names)| format!("{label} {}", names.len())).collect();
        format!(
            "* {} online: {}\n* at {}: {}\n",
            names.len(),
            names.join(", "),
            counted(nodes.len() as u64, "machine"),
            counts.join(", ")
        )
    }
}

// ---- what guests do: false, or None, if the room is not shared -----------------------------------------------------------

/// The guest is here. It is welcome when it has a name.
pub fn arrive(socket: &mut Socket<'_, Room>) -> bool {
    of_guest(socket, |node, guest, now| node.arrives(guest, None, now)).is_some()
}

/// The others are to know of it.
pub fn join(socket: &mut Socket<'_, Room>) -> bool {
    of_guest(socket, Node::joins).is_some()
}

pub fn say(socket: &mut Socket<'_, Room>, text: &str) -> bool {
    of_guest(socket, |node, guest, now| node.says(guest, text, now)).is_some()
}

/// Whether speakers here have to wait: what was said before has not come back, or was not told yet.
pub fn is_ahead(room: &Room) -> bool {
    let Some(shared) = &room.shared else { return false };
    match shared.stop {
        Stop::None if shared.node.is_away() => shared.outputs.waiting() > 0,
        Stop::None => !shared.node.has_room(),
        // Those who hear it here are about to go. It is for the others, if anything can reach them.
        Stop::Guests { .. } => !shared.node.has_room() && room.link.is_there(),
        Stop::Goodbye { .. } | Stop::Over { .. } => false,
    }
}

pub fn rename(socket: &mut Socket<'_, Room>, wanted: &str) -> Option<Result<(), Refused>> {
    of_guest(socket, |node, guest, now| node.renames(guest, wanted, now))
}

/// The guest of this number has gone.
pub fn leave(socket: &mut Socket<'_, Room>, guest: u64) -> bool {
    with_node(&mut socket.event_loop(), |node, now| node.leaves(guest, now)).is_some()
}

fn of_guest<T>(socket: &mut Socket<'_, Room>, act: impl FnOnce(&mut Node, u64, Duration) -> T) -> Option<T> {
    let number = guest(socket)?.number;
    with_node(&mut socket.event_loop(), |node, now| act(node, number, now))
}

// ---- the start, and other flags -------------------------------------------------------------------------------------------

/// Begins to look for the engine, if the room is to be shared.
///
/// # Errors
/// There are no random numbers.
pub fn start(on: &mut Loop<'_, Room>) -> Result<(), Box<dyn Error>> {
    let Some(settings) = engine::Settings::of(&on.state.options.bus) else { return Ok(()) };
    settings.check()?;
    let mut boot = [0; 8];
    on.net.random(&mut boot)?;
    let (boot, now) = (u64::from_ne_bytes(boot), on.net.now());
    let node = Node::new(settings.label.as_str().into(), boot, bounds(&on.state.options.bus), now);
    on.state.link = Link::new(settings);
    on.state.shared = Some(Box::new(Shared::new(node)));
    engine::start(on);
    with_node(on, |_, _| ());
    Ok(())
}

/// Other flags are in force: what of them needs no restart.
pub fn change(on: &mut Loop<'_, Room>) {
    let Some(settings) = engine::Settings::of(&on.state.options.bus) else { return };
    engine::change(on, settings);
    let bounds = bounds(&on.state.options.bus);
    with_node(on, |node, _| node.set_bounds(bounds));
}

pub fn bounds(options: &BusOptions) -> bus::Settings {
    bus::Settings {
        patience: options.bus_patience,
        outbox_bytes: options.outbox(),
        catch_up: options.catch_up as usize,
        most_guests: MOST_GUESTS,
    }
}

/// Lets a node do something, and then does what it wants. None: the room is not shared, and nothing was done.
pub fn with_node<T>(on: &mut Loop<'_, Room>, act: impl FnOnce(&mut Node, Duration) -> T) -> Option<T> {
    let now = on.net.now();
    let done = act(&mut on.state.shared.as_mut()?.node, now);
    carry_out_in_time(on);
    set_timer(on);
    Some(done)
}

/// An earlier time than the one that is set is set. A later one is found when that has come: most lines come back long before
/// the patience is over, and none of them costs a timer.
fn set_timer(on: &mut Loop<'_, Room>) {
    let Some(shared) = on.state.shared.as_ref() else { return };
    let Some(deadline) = shared.node.next_deadline() else { return };
    if let Some((time, timer)) = shared.timer {
        if time <= deadline {
            return;
        }
        on.cancel(timer);
    }
    let wait = deadline.saturating_sub(on.net.now());
    let timer = on.after(wait, |on| {
        if let Some(shared) = &mut on.state.shared {
            shared.timer = None;
        }
        with_node(on, Node::expire);
    });
    on.net.set_timer_ref(timer, false);
    if let Some(shared) = &mut on.state.shared {
        shared.timer = Some((deadline, timer));
    }
}

impl Linked for Room {
    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn connected(on: &mut Loop<'_, Self>) {
        with_node(on, Node::connected);
    }

    fn read(on: &mut Loop<'_, Self>, entries: Vec<EntryRead>, is_end: bool) {
        let entries: Vec<_> = entries.iter().map(|entry| (entry.id, Entry::from_fields(&entry.fields))).collect();
        for (id, malformed) in entries.iter().filter_map(|(id, entry)| Some((id, entry.as_ref().err()?))) {
            log::debug!("--bus: the entry {id} is not understood: {malformed}");
        }
        with_node(on, |node, now| node.read(&entries, is_end, now));
        stopping::go_on(on);
    }

    fn refused(on: &mut Loop<'_, Self>, _: String) {
        forget_connection(on);
        with_node(on, Node::refused);
        stopping::go_on(on);
    }

    fn lost(on: &mut Loop<'_, Self>, why: String) {
        if on.is_shutting_down() {
            return Self::refused(on, why); // there is no other connection to wait for
        }
        forget_connection(on);
        with_node(on, Node::lost);
    }
}

#[cfg(test)]
mod tests {
    use tidegate::EventLoop;
    use tidegate::sim::Sim;

    use super::*;
    use crate::cli::ChatOptions;

    #[test]
    fn what_is_too_much_for_a_turn_is_told_in_the_next_ones() {
        let sim = Sim::new(1);
        let mut room = Room::new(ChatOptions::of(&[]));
        let bounds = bounds(&room.options.bus);
        room.shared = Some(Box::new(Shared::new(Node::new("web1".into(), 1, bounds, Duration::ZERO))));
        let mut event_loop = EventLoop::on(sim.kernel(), room);
        let network = sim.clone();
        event_loop.event_loop().next_turn(move |on| {
            with_node(on, Node::refused);
            network.work(Duration::from_secs(1));
            with_node(on, |node, now| {
                node.arrives(1, None, now);
                (0..100).for_each(|_| node.says(1, "a line", now));
            });
            assert!(on.state.shared.as_ref().unwrap().node.has_outputs(), "the time of the turn is up");
        });
        sim.run(&mut [&mut event_loop], Duration::from_secs(2)).unwrap();
        assert!(!event_loop.state.shared.as_ref().unwrap().node.has_outputs());
    }
}
