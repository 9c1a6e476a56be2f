//! An address that frames come from. One that is silent for too long is taken for dead.

use std::time::Duration;

use tidegate::{CloseReason, Closed, Endpoint, Loop, Socket};

use super::super::dial::{self, Dialled};
use super::super::state::{Hub, Inputs, Key};
use super::super::talk::listeners_can_talk;
use super::{add_feed_as, remove_feed};

#[derive(Clone)]
struct Source {
    to: Endpoint,
    /// Of each feed that it has.
    key: Key,
}

pub fn open(on: &mut Loop<'_, Hub>, to: Endpoint) {
    let source = Source { to, key: on.state.new_key() };
    dial::dial(on, source);
}

impl Dialled for Source {
    fn to(&self) -> Endpoint {
        self.to
    }

    fn name(&self) -> String {
        format!("--in {}", self.to)
    }

    fn connected(&self, socket: &mut Socket<'_, Hub>) {
        let is_writable = socket.state.options.two_way;
        add_feed_as(socket, self.key, self.name(), None, is_writable);
        if let Some(preamble) = socket.state.options.preamble().map(<[u8]>::to_vec) {
            socket.write(preamble);
        }
        if let Some(quiet) = socket.state.options.quiet_timeout {
            look_for_quiet(socket, self.key, self.to, quiet, quiet);
        }
        socket.on_drain(|socket| listeners_can_talk(&mut socket.event_loop()));
    }

    fn lost(&self, on: &mut Loop<'_, Hub>, _: Closed) {
        remove_feed(on, self.key);
        listeners_can_talk(on);
    }
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
            return socket.destroy_because(CloseReason::Timeout);
        }
        look_for_quiet(socket, key, to, quiet, left);
    });
}
