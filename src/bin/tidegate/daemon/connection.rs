//! What the roles do alike with a connection: admit it, and log its close.

use std::fmt::Display;
use std::time::Duration;

use log::Level;
use tidegate::{CloseReason, Closed, Error, ErrorKind, Socket};

use super::Peer;
use super::admission::{Admission, Place};
use crate::cli::counted;

/// Admits a connection of echo, sink or source, in which each connection is by itself: logs it and its error, and sets its idle
/// timeout. None if there is no place for it: it is destroyed.
pub(super) fn admit<S: 'static>(socket: &mut Socket<'_, S>, admission: &Admission) -> Option<Peer> {
    let others = socket.net.sockets() - 1;
    let place = match admission.enter(socket.remote_address(), others) {
        Ok(place) => place,
        Err(why) => {
            admission.log_refusal(socket, why);
            socket.destroy();
            return None;
        }
    };
    let peer = Peer::of(socket);
    log::debug!("{peer} connected");
    if let Some(period) = admission.idle_timeout() {
        destroy_if_idle(socket, Some(period));
    }
    // It captures nothing and is the only handler of most connections, so it takes no memory.
    socket.on_error(|socket, error| log_error(&Peer::of(socket), error));
    // Most connections of this machine need neither, and a second handler takes memory.
    if place.is_some() || log::log_enabled!(Level::Debug) {
        on_close(socket, peer, place, |_, _| {});
    }
    Some(peer)
}

/// Destroys a connection on which nothing happens for so long. A role that has its own way to do that does not call this.
pub(super) fn destroy_if_idle<S: 'static>(socket: &mut Socket<'_, S>, period: Option<Duration>) {
    socket.set_timeout(period);
    if period.is_some() {
        socket.on_timeout(|socket| socket.destroy_because(CloseReason::Timeout));
    }
}

/// Logs the error that a connection broke of. A peer that a limit has put out is told to the administrator, who may want to
/// change the limit; that peers break is usual.
pub(super) fn log_error(who: &dyn Display, error: &Error) {
    match error.kind() {
        ErrorKind::OutputLimit => log::info!("{who} was disconnected: {error}"),
        _ => log::debug!("{who}: {error}"),
    }
}

/// Runs `then` when the connection has closed. At `-v` the log says so before that: why, how much was sent and received,
/// and how long the connection lasted. Without `-v` a connection does not use the memory for that. Its `place` is free then.
pub(super) fn on_close<S: 'static>(
    socket: &mut Socket<'_, S>,
    peer: impl Display + 'static,
    place: Option<Place>,
    mut then: impl FnMut(&mut Socket<'_, S>, Closed) + 'static,
) {
    if !log::log_enabled!(Level::Debug) {
        return socket.on_close(move |socket, closed| {
            let _ = &place;
            then(socket, closed);
        });
    }
    let since = socket.net.now();
    socket.on_close(move |socket, closed| {
        // `bytes_written` includes what was discarded.
        let sent = socket.bytes_written().saturating_sub(closed.unsent as u64);
        let (came, went) = (counted(socket.bytes_read(), "byte"), counted(sent, "byte"));
        let lasted = socket.net.now().saturating_sub(since);
        log::debug!("{peer} closed: {}; {came} in, {went} out, {lasted:.1?}", closed.reason);
        let _ = &place;
        then(socket, closed);
    });
}
