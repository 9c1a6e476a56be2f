//! An address that frames go to. When it is connected to again, it goes on where it was.

use tidegate::{Closed, Endpoint, Loop, Socket};

use super::super::dial::{self, Dialled};
use super::super::distribution::stop_giving;
use super::super::state::{Hub, Key, Kind};
use super::super::talk::listen_to;
use super::{add_consumer, attach, detach};

#[derive(Clone)]
struct Target {
    to: Endpoint,
    key: Key,
}

pub fn open(on: &mut Loop<'_, Hub>, to: Endpoint) {
    let target = Target { to, key: on.state.new_key() };
    add_consumer(on, target.name(), Kind::Place, target.key, None);
    dial::dial(on, target);
}

impl Dialled for Target {
    fn to(&self) -> Endpoint {
        self.to
    }

    fn name(&self) -> String {
        format!("--out dial:{}", self.to)
    }

    fn connected(&self, socket: &mut Socket<'_, Hub>) {
        let key = self.key;
        listen_to(socket, key);
        // Who is sent to and has ended its side has gone.
        socket.on_end(move |socket| {
            stop_giving(&mut socket.event_loop(), key);
            socket.end();
        });
        attach(socket, key);
    }

    fn lost(&self, on: &mut Loop<'_, Hub>, closed: Closed) {
        detach(on, self.key, closed, false);
    }
}
