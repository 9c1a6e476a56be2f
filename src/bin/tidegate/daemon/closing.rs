//! What the log says of a connection that has closed: in the same words, whatever the role.

use std::fmt::Display;

use log::Level;
use tidegate::{Closed, Socket};

use super::counted;

/// Runs `then` when the connection has closed. At `-v` the log says so before: why, how much went each way, and how long
/// it lasted. Only then does a connection cost the memory to know `who` it is, and since when.
pub(super) fn on_close<S: 'static>(
    socket: &mut Socket<'_, S>,
    who: impl Display + 'static,
    mut then: impl FnMut(&mut Socket<'_, S>, Closed) + 'static,
) {
    if !log::log_enabled!(Level::Debug) {
        return socket.on_close(then);
    }
    let since = socket.net.now();
    socket.on_close(move |socket, closed| {
        // What was thrown away is in the count of what was written.
        let sent = socket.bytes_written().saturating_sub(closed.unsent as u64);
        let (came, went) = (counted(socket.bytes_read(), "byte"), counted(sent, "byte"));
        let lasted = socket.net.now().saturating_sub(since);
        log::debug!("{who} closed: {}; {came} in, {went} out, {lasted:.1?}", closed.reason);
        then(socket, closed);
    });
}
