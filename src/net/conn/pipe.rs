//! What one connection does for its pipes. What goes from one to another is the net's: see `net/pipe.rs`.

use super::Conn;
use super::piping::{Drain, DrainWait, Pipe};
use crate::base::id::SocketId;
use crate::net::agenda::Task;
use crate::net::cx::Cx;
use crate::net::trace::Kind;

impl Conn {
    /// Pipes it into another. One whose end was emitted already ends the destination after this.
    pub fn pipe_into(&mut self, mut pipe: Pipe, cx: &mut Cx) {
        let to = pipe.to;
        pipe.after_listener = self.listener;
        let piping = self.piping.get_or_insert_default();
        if piping.destinations.len() == 1 {
            self.drain_wait = DrainWait::Set;
        }
        piping.destinations.push(pipe);
        self.connection.set_listening(true, &mut cx.agenda.of(self.id));
        if self.connection.end_was_emitted() {
            cx.agenda.push(Task::EndPipe(self.id, to));
        }
    }

    /// Takes the oldest pipe to this destination away. With the last, it is paused. None if there is no such pipe; else
    /// whether it is to go on as if the destination had drained.
    pub fn unpipe(&mut self, to: SocketId, cx: &mut Cx) -> Option<bool> {
        let piping = self.piping.as_mut()?;
        let waits = self.drain_wait == DrainWait::Set || piping.awaits_any();
        let pipe = piping.destinations.remove_first(|pipe| pipe.to == to)?;
        if piping.destinations.is_empty() {
            self.connection.pause(&mut cx.agenda.of(self.id));
            if !self.listener {
                self.connection.set_listening(false, &mut cx.agenda.of(self.id));
            }
        }
        Some(pipe.drain != Drain::NotListenedFor && waits)
    }

    /// It waits for a destination to drain.
    pub fn await_drain(&mut self, to: SocketId, cx: &mut Cx) {
        let Some(piping) = &mut self.piping else { return };
        let is_only = piping.destinations.len() == 1;
        let Some(pipe) = piping.destinations.iter_mut().find(|pipe| pipe.to == to) else { return };
        pipe.drain = Drain::Awaited;
        cx.agenda.notes.add(self.id, Kind::Held, || format!("waits for {to} to drain, which it is piped into"));
        if is_only {
            self.drain_wait = DrainWait::Single;
        }
        self.connection.pause(&mut cx.agenda.of(self.id));
    }

    /// Whether it flows again at each `drain` of this destination.
    pub fn listens_for_drain_of(&self, to: SocketId) -> bool {
        let mut destinations = self.piping.iter().flat_map(|piping| piping.destinations.iter());
        destinations.any(|pipe| pipe.to == to && pipe.drain != Drain::NotListenedFor)
    }

    /// A destination has drained: it flows again, unless it waits for another.
    pub fn destination_drained(&mut self, to: SocketId, cx: &mut Cx) {
        let Some(piping) = &mut self.piping else { return };
        piping.destinations.iter_mut().filter(|pipe| pipe.to == to).for_each(Pipe::stop_waiting);
        if !piping.awaits_any() && self.connection.is_listening() {
            self.resume(cx);
        }
    }
}
