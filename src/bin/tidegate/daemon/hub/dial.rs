//! An address that is connected to, and again when it is lost: of an input and of an output.

use std::time::Duration;

use tidegate::{Closed, Endpoint, Loop, Socket};

use super::state::Hub;
use crate::daemon::retry::Retry;

/// What a place of the command line does with its connection.
pub trait Dialled: Clone + 'static {
    fn to(&self) -> Endpoint;

    /// The flag, as it was written.
    fn name(&self) -> String;

    /// It is connected.
    fn connected(&self, socket: &mut Socket<'_, Hub>);

    /// The connection that it had is lost.
    fn lost(&self, on: &mut Loop<'_, Hub>, closed: Closed);
}

pub fn dial(on: &mut Loop<'_, Hub>, place: impl Dialled) {
    let retry = Retry::of(&place.name());
    attempt(on, place, retry);
}

fn attempt(on: &mut Loop<'_, Hub>, place: impl Dialled, retry: Retry) {
    let options = on.state.socket_options();
    let (next, again) = (place.clone(), retry.clone());
    let connecting = on.connect_with(place.to(), options, move |socket| {
        let name = retry.name.clone();
        socket.on_error(move |_, error| log::warn!("{name}: {error}"));
        let (next, again) = (place.clone(), retry.clone());
        socket.on_close(move |socket, _| attempt_later(&mut socket.event_loop(), &next, &again, Duration::ZERO));
        socket.on_connect(move |socket| connected(socket, &place, &retry));
    });
    if let Err(error) = connecting {
        log::warn!("{}: {error}", again.name);
        attempt_later(on, &next, &again, Duration::ZERO);
    }
}

fn connected(socket: &mut Socket<'_, Hub>, place: &impl Dialled, retry: &Retry) {
    log::info!("{}: connected", retry.name);
    socket.set_label(&retry.name);
    let (since, next, again) = (socket.net.now(), place.clone(), retry.clone());
    socket.on_close(move |socket, closed| {
        let on = &mut socket.event_loop();
        next.lost(on, closed);
        let lasted = on.net.now().saturating_sub(since);
        if !on.is_shutting_down() {
            log::warn!("{}: the connection is lost after {lasted:.1?}: {}", again.name, closed.reason);
        }
        attempt_later(on, &next, &again, lasted);
    });
    place.connected(socket);
}

fn attempt_later(on: &mut Loop<'_, Hub>, place: &impl Dialled, retry: &Retry, lasted: Duration) {
    let place = place.clone();
    retry.clone().later(on, lasted, move |on, retry| attempt(on, place, retry));
}
