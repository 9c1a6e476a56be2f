//! Where frames go. Each consumer has a cursor in the ring; one that is connected to, or a file, keeps it from one connection to
//! the next.

mod dial;
mod file;
mod listen;

use std::error::Error;

use tidegate::{CloseReason, Closed, EventLoop, Loop, Socket};

pub use self::listen::{take_consumer, take_member};
use super::consumer::Consumer;
use super::distribution::{log_sum, pump, regulate, stop_giving};
use super::ring::Origin;
use super::state::{Hub, Key, Kind, Outlet};
use crate::cli::Output;
use crate::daemon::connection;

/// Opens an output of the command line; those that are listened on are listened on elsewhere.
///
/// # Errors
/// A file that cannot be opened at the start.
pub fn open(hub: &mut EventLoop<Hub>, output: &Output) -> Result<(), Box<dyn Error>> {
    match output {
        Output::Listen(_) => Ok(()),
        Output::Dial(to) => {
            dial::open(&mut hub.event_loop(), *to);
            Ok(())
        }
        Output::Stdout => file::open_stdout(hub),
        Output::File(path) => file::open_first(hub, path),
    }
}

/// Each file: it may have been renamed.
pub fn open_anew(on: &mut Loop<'_, Hub>) {
    log::info!("SIGHUP: each --out file: is opened anew");
    file::open_anew(on);
}

/// A consumer is there, and has no connection yet. It hears the backlog, and what comes from now on.
fn add_consumer(on: &mut Loop<'_, Hub>, name: String, kind: Kind, key: Key, origin: Origin) {
    let consumer = Consumer::new(on.state.backlog(), origin);
    let idle_since = Some(on.net.now());
    let outlet =
        Outlet { consumer, socket: None, name, idle_since, taken_then: 0, talks: None, has_ended: false, kind };
    on.state.consumers.insert(key, outlet);
}

/// The error of somebody who has connected is usual; that of an output of the command line is not.
fn log_error(socket: &Socket<'_, Hub>, key: Key, error: &tidegate::Error) {
    let Some(outlet) = socket.state.consumers.get(&key) else { return };
    match outlet.kind {
        Kind::Client => connection::log_error(&outlet.name, error),
        Kind::Place => log::warn!("{}: {error}", outlet.name),
    }
}

/// A consumer has ended its side.
pub fn has_ended(on: &mut Loop<'_, Hub>, key: Key) {
    if let Some(outlet) = on.state.consumers.get_mut(&key) {
        outlet.has_ended = true;
    }
    regulate(on);
}

/// A consumer has its connection: it is given what waits for it.
fn attach(socket: &mut Socket<'_, Hub>, key: Key) {
    let id = socket.id();
    if let Some(outlet) = socket.state.consumers.get_mut(&key) {
        outlet.socket = Some(id);
        outlet.has_ended = false;
        outlet.idle_since = None;
    }
    socket.on_error(move |socket, error| {
        stop_giving(&mut socket.event_loop(), key);
        log_error(socket, key, error);
    });
    socket.on_timeout(move |socket| {
        stop_giving(&mut socket.event_loop(), key);
        socket.destroy_because(CloseReason::Timeout);
    });
    socket.on_drain(move |socket| pump(&mut socket.event_loop(), key));
    pump(&mut socket.event_loop(), key);
    regulate(&mut socket.event_loop());
}

/// A consumer is gone for good: the log has what it did not get.
fn remove_consumer(on: &mut Loop<'_, Hub>, key: Key, closed: Closed) {
    let hub = &mut *on.state;
    hub.live.retain(|(_, live)| *live != key);
    let Some(mut outlet) = hub.consumers.remove(&key) else { return };
    outlet.consumer.falls_behind(hub.live_at, closed.unsent, &hub.ring);
    let sum = outlet.consumer.sum(hub.live_at, closed.unsent, hub.rule, &hub.ring);
    log_sum(on, &outlet.name, sum);
    regulate(on);
}

/// A consumer has lost its connection, and will have another one. `keeps_torn`: see [`Consumer::goes_back`].
fn detach(on: &mut Loop<'_, Hub>, key: Key, closed: Closed, keeps_torn: bool) {
    let (now, grace) = (on.net.now(), on.state.options.grace());
    let Hub { live, live_at, consumers, ring, .. } = &mut *on.state;
    live.retain(|(_, live)| *live != key);
    let Some(outlet) = consumers.get_mut(&key) else { return };
    outlet.consumer.goes_back(*live_at, closed.unsent, keeps_torn, ring);
    outlet.socket = None;
    outlet.talks = None;
    outlet.idle_since = Some(now);
    if let Some(grace) = grace {
        // The inputs do not wait for it any longer than that.
        on.after(grace, regulate);
    }
    regulate(on);
}
