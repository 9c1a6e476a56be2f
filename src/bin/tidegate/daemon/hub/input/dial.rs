//! An address that frames come from: it is connected to, and again when it is lost.

use std::time::Duration;

use tidegate::{Endpoint, Loop, Socket};

use super::super::backoff::Backoff;
use super::super::state::{Hub, Inputs, Key};
use super::super::talk::listeners_can_talk;
use super::{add_feed, remove_feed};

#[derive(Clone)]
pub struct Dial {
    to: Endpoint,
    backoff: Backoff,
}

impl Dial {
    pub fn new(to: Endpoint) -> Self {
        Dial { to, backoff: Backoff::default() }
    }
}

pub fn dial(on: &mut Loop<'_, Hub>, dial: Dial) {
    let options = on.state.socket_options();
    let again = dial.clone();
    let connecting = on.connect_with(dial.to, options, move |socket| {
        socket.on_connect({
            let dial = dial.clone();
            move |socket| connected(socket, &dial)
        });
        socket.on_error({
            let to = dial.to;
            move |_, error| log::warn!("--in {to}: {error}")
        });
        socket.on_close(move |socket, _| dial_later(&mut socket.event_loop(), dial.clone(), Duration::ZERO));
    });
    if let Err(error) = connecting {
        log::warn!("--in {}: {error}", again.to);
        dial_later(on, again, Duration::ZERO);
    }
}

fn connected(socket: &mut Socket<'_, Hub>, dial: &Dial) {
    let (since, to) = (socket.net.now(), dial.to);
    log::info!("--in {to}: connected");
    socket.set_label(&format!("--in {to}"));
    let is_writable = socket.state.options.two_way;
    let key = add_feed(socket, format!("--in {to}"), None, is_writable);
    if let Some(preamble) = socket.state.options.preamble().map(<[u8]>::to_vec) {
        socket.write(preamble);
    }
    if let Some(quiet) = socket.state.options.quiet_timeout {
        look_for_quiet(socket, key, to, quiet, quiet);
    }
    socket.on_drain(|socket| listeners_can_talk(&mut socket.event_loop()));
    let dial = dial.clone();
    socket.on_close(move |socket, closed| {
        let on = &mut socket.event_loop();
        remove_feed(on, key);
        listeners_can_talk(on);
        let lasted = on.net.now().saturating_sub(since);
        if !on.is_shutting_down() {
            log::warn!("--in {to}: the connection is lost after {lasted:.1?}: {}", closed.reason);
        }
        dial_later(on, dial.clone(), lasted);
    });
}

/// A source that has said nothing for so long is taken for dead. While the hub does not read, silence says nothing.
fn look_for_quiet(socket: &mut Socket<'_, Hub>, key: Key, to: Endpoint, quiet: Duration, wait: Duration) {
    socket.after(wait, move |socket| {
        let now = socket.net.now();
        let Some(feed) = socket.state.feeds.get(&key) else { return };
        let heard = if socket.state.inputs == Inputs::Wait { now } else { feed.heard };
        let left = (heard + quiet).saturating_sub(now);
        if left.is_zero() {
            log::warn!("--in {to}: nothing was heard for {quiet:?}");
            return socket.destroy_because(tidegate::CloseReason::Timeout);
        }
        look_for_quiet(socket, key, to, quiet, left);
    });
}

fn dial_later(on: &mut Loop<'_, Hub>, mut again: Dial, lasted: Duration) {
    if on.is_shutting_down() {
        return;
    }
    again.backoff.lasted(lasted);
    let wait = again.backoff.next_wait(on.net);
    log::info!("--in {}: the next attempt is in {wait:.1?}", again.to);
    on.after(wait, move |on| {
        if !on.is_shutting_down() {
            dial(on, again);
        }
    });
}
