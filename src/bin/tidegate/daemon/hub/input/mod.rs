//! Where frames come from. Each connection that is read, and each file, is a feed with a framer of its own.

mod dial;
mod file;
mod listen;
mod tty;

use std::error::Error;

use tidegate::{EventLoop, Loop, Socket, SocketId};

pub use self::listen::take_producer;
use super::distribution::frames_came;
use super::frames::Wrong;
use super::ring::Origin;
use super::state::{Feed, Hub, Inputs, Key, Phase};
use super::stopping::stop_if_over;
use crate::cli::{Input, counted};

/// Opens an input of the command line; those that are listened on are listened on elsewhere.
///
/// # Errors
/// A file that cannot be opened, a device that is no terminal. What is not there yet is tried again.
pub fn open(hub: &mut EventLoop<Hub>, input: &Input) -> Result<(), Box<dyn Error>> {
    match input {
        Input::Listen(_) => Ok(()),
        Input::Dial(to) => {
            dial::open(&mut hub.event_loop(), *to);
            Ok(())
        }
        Input::Stdin => file::read_stdin(hub),
        Input::File(path) => file::read(hub, path),
        Input::Tty(tty) => tty::open_first(hub, tty),
    }
}

/// Counts the inputs before any of them is opened: one that ends must not look like the last one.
pub fn count(hub: &mut Hub) {
    let options = &hub.options;
    let ending = options.inputs.iter().filter(|input| has_an_end(input)).count();
    let lasts = have_one_that_lasts(&options.inputs) || options.has_members();
    hub.phase = Phase::Runs { ending, lasts };
}

pub fn have_one_that_lasts(inputs: &[Input]) -> bool {
    !inputs.iter().all(has_an_end)
}

fn has_an_end(input: &Input) -> bool {
    match input {
        Input::Stdin => true,
        Input::File(path) => !file::is_fifo(path),
        Input::Dial(_) | Input::Listen(_) | Input::Tty(_) => false,
    }
}

/// From now on the socket is a feed. It is paused if the inputs wait.
fn add_feed(socket: &mut Socket<'_, Hub>, name: String, is_writable: bool) -> Key {
    let key = socket.state.new_key();
    add_feed_as(socket, key, name, None, is_writable);
    key
}

fn add_feed_as(socket: &mut Socket<'_, Hub>, key: Key, name: String, origin: Origin, is_writable: bool) {
    let feed = Feed {
        socket: socket.id(),
        framer: socket.state.new_framer(),
        origin,
        name,
        is_writable,
        heard: socket.net.now(),
    };
    socket.state.feeds.insert(key, feed);
    if socket.state.inputs == Inputs::Wait {
        socket.pause();
    }
    socket.on_data(move |socket, chunk| receive(&mut socket.event_loop(), key, chunk));
}

/// As [`add_feed`], for one that also hears the others: it is known by the same key.
pub fn add_member_feed(socket: &mut Socket<'_, Hub>, name: String, key: Key) {
    add_feed_as(socket, key, name, Some(key), false);
}

/// What has come from a feed goes into the ring.
fn receive(on: &mut Loop<'_, Hub>, key: Key, chunk: &[u8]) {
    let now = on.net.now();
    let Hub { feeds, ring, .. } = &mut *on.state;
    let Some(feed) = feeds.get_mut(&key) else { return };
    feed.heard = now;
    let (before, origin) = (ring.head(), feed.origin);
    let mut wrong = Vec::new();
    feed.framer.push(chunk, |found| match found {
        Ok(parts) => ring.push(parts, origin),
        Err(why) => wrong.push(why),
    });
    let (came, name) = (before.to(ring.head()), feed.name.clone());
    count_own(on.state, origin, came);
    for why in wrong {
        left_out(on, key, &name, why);
    }
    frames_came(on);
}

fn count_own(hub: &mut Hub, origin: Origin, came: super::ring::Amount) {
    if let Some(outlet) = origin.and_then(|origin| hub.consumers.get_mut(&origin)) {
        outlet.consumer.has_sent(came);
    }
}

fn left_out(on: &mut Loop<'_, Hub>, key: Key, name: &str, why: Wrong) {
    let most = counted(on.state.options.max_frame() as u64, "byte");
    let what = match why {
        Wrong::LineTooLong => format!("{name}: a line of more than {most} was left out"),
        Wrong::MessageTooLong(length) => {
            if let Some(feed) = on.state.feeds.get(&key) {
                on.net.destroy(feed.socket);
            }
            format!("{name} was disconnected: a message of {length} bytes, where --max-frame is {most}")
        }
    };
    on.state.logs.left_out.clone().warn(on, &what);
}

/// A feed has ended: an unfinished last line is its last frame.
fn remove_feed(on: &mut Loop<'_, Hub>, key: Key) {
    let Hub { feeds, ring, .. } = &mut *on.state;
    let Some(mut feed) = feeds.remove(&key) else { return };
    let (before, origin) = (ring.head(), feed.origin);
    let left = feed.framer.end(|found| {
        if let Ok(parts) = found {
            ring.push(parts, origin);
        }
    });
    let came = before.to(ring.head());
    count_own(on.state, origin, came);
    if left > 0 {
        let what =
            format!("{}: its last message was not whole: {} were left out", feed.name, counted(left as u64, "byte"));
        on.state.logs.left_out.clone().warn(on, &what);
    }
    frames_came(on);
    stop_if_over(on);
}

/// As [`remove_feed`], for one that also hears the others.
pub fn remove_member_feed(on: &mut Loop<'_, Hub>, key: Key) {
    remove_feed(on, key);
}

/// What a consumer says goes to all inputs that can be written. Its frames are whole. False if an input is full: then those who
/// talk wait.
pub fn write_to_inputs(on: &mut Loop<'_, Hub>, frames: &[u8]) -> bool {
    let to: Vec<SocketId> = on.state.feeds.values().filter(|feed| feed.is_writable).map(|feed| feed.socket).collect();
    if to.is_empty() {
        let what =
            format!("{} from consumers were discarded: no input is connected", counted(frames.len() as u64, "byte"));
        on.state.logs.unheard.clone().warn(on, &what);
    }
    let mut has_room = true;
    for id in to {
        has_room &= on.net.write(id, frames);
    }
    has_room
}

/// Whether an input that consumers write to has not taken what it was given.
pub fn is_full(on: &Loop<'_, Hub>) -> bool {
    on.state.feeds.values().any(|feed| feed.is_writable && on.net.connection(feed.socket).needs_drain())
}
