//! An address that frames go to: it is connected to, and again when it is lost. It goes on where it was.

use std::time::Duration;

use tidegate::{Endpoint, Loop, Socket};

use super::super::backoff::Backoff;
use super::super::distribution::stop_giving;
use super::super::state::{Hub, Key, Kind};
use super::super::talk::listen_to;
use super::{add_consumer, attach, detach};

#[derive(Clone)]
struct Dial {
    to: Endpoint,
    key: Key,
    backoff: Backoff,
}

pub fn open(on: &mut Loop<'_, Hub>, to: Endpoint) {
    let key = on.state.new_key();
    add_consumer(on, format!("--out dial:{to}"), Kind::Place, key, None);
    dial(on, Dial { to, key, backoff: Backoff::default() });
}

fn dial(on: &mut Loop<'_, Hub>, dial: Dial) {
    let options = on.state.socket_options().allow_half_open(true);
    let again = dial.clone();
    let connecting = on.connect_with(dial.to, options, move |socket| {
        let to = dial.to;
        socket.on_error(move |_, error| log::warn!("--out dial:{to}: {error}"));
        socket.on_connect({
            let dial = dial.clone();
            move |socket| connected(socket, &dial)
        });
        socket.on_close(move |socket, _| dial_later(&mut socket.event_loop(), dial.clone(), Duration::ZERO));
    });
    if let Err(error) = connecting {
        log::warn!("--out dial:{}: {error}", again.to);
        dial_later(on, again, Duration::ZERO);
    }
}

fn connected(socket: &mut Socket<'_, Hub>, dial: &Dial) {
    let (since, to) = (socket.net.now(), dial.to);
    log::info!("--out dial:{to}: connected");
    socket.set_label(&format!("--out dial:{to}"));
    let dial = dial.clone();
    let key = dial.key;
    socket.on_close(move |socket, closed| {
        let on = &mut socket.event_loop();
        detach(on, dial.key, closed, false);
        let lasted = on.net.now().saturating_sub(since);
        if !on.is_shutting_down() {
            log::warn!("--out dial:{to}: the connection is lost after {lasted:.1?}: {}", closed.reason);
        }
        dial_later(on, dial.clone(), lasted);
    });
    listen_to(socket, key);
    // Who is sent to and has ended its side has gone.
    socket.on_end(move |socket| {
        stop_giving(&mut socket.event_loop(), key);
        socket.end();
    });
    attach(socket, key);
}

fn dial_later(on: &mut Loop<'_, Hub>, mut again: Dial, lasted: Duration) {
    if on.is_shutting_down() {
        return;
    }
    again.backoff.lasted(lasted);
    let wait = again.backoff.next_wait(on.net);
    log::info!("--out dial:{}: the next attempt is in {wait:.1?}", again.to);
    on.after(wait, move |on| {
        if !on.is_shutting_down() {
            dial(on, again);
        }
    });
}
