//! How long an answer may take: an engine that is silent is lost.

use std::time::Duration;

use tidegate::{Loop, Socket, SocketId};

use super::ending::lose;
use super::{Linked, Role};
use crate::daemon::engine::failure::Failure;

/// The engine is asked something, and has so long to answer it. If an earlier answer is missing, that one counts.
pub fn expect_answer<S: Linked>(on: &mut Loop<'_, S>, attempt: u64, role: Role, within: Duration) {
    let due = on.net.now() + within;
    let Some(half) = on.state.link().half(attempt, role) else { return };
    let due = *half.due.get_or_insert(due);
    let (socket, watch) = (half.socket, half.watch);
    match watch {
        Some((_, at)) if at <= due => return, // then it looks again
        Some((timer, _)) => drop(on.cancel(timer)),
        None => {}
    }
    watch_until(on, socket, attempt, role, due);
}

fn watch_until<S: Linked>(on: &mut Loop<'_, S>, socket: SocketId, attempt: u64, role: Role, due: Duration) {
    let wait = due.saturating_sub(on.net.now());
    let Some(mut socket) = on.socket(socket) else { return };
    let timer = socket.after(wait, move |socket| look(socket, attempt, role));
    if let Some(half) = socket.state.link().half(attempt, role) {
        half.watch = Some((timer, due));
    }
}

/// Whether an answer is missing: once for many of them.
fn look<S: Linked>(socket: &mut Socket<'_, S>, attempt: u64, role: Role) {
    let (id, now) = (socket.id(), socket.net.now());
    let Some(half) = socket.state.link().half(attempt, role) else { return };
    half.watch = None;
    match half.due {
        None => {}
        Some(due) if due > now => watch_until(&mut socket.event_loop(), id, attempt, role, due),
        Some(_) => lose(&mut socket.event_loop(), attempt, &Failure::lost("it has not answered in time")),
    }
}
