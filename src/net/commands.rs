//! What a user asks of a socket: to be made, to pause, to catch up, its clock and its options.
//!
//! Connecting is in `connect.rs`, writing in `output.rs`, ending it at once in `destroy.rs`, pipes in `pipe.rs`. Each call
//! is legal at any time, and does nothing where the socket is gone.

use std::time::Duration;

use super::link::{self, Link};
use super::options::{self, SocketOptions};
use super::{Alarm, Net};
use crate::base::error::{Code, Error};
use crate::base::id::SocketId;
use crate::connection::{CallbackId, Connection, Stage};
use crate::kernel::{KeepAlive, SocketOption};

impl Net {
    /// A socket that is not connected yet.
    ///
    /// # Errors
    /// An option out of its bounds.
    pub fn new_socket(&mut self, options: SocketOptions) -> Result<SocketId, Error> {
        options.check()?;
        let connection = Connection::new(options.high_water_mark, options.allow_half_open);
        Ok(self.sockets.insert_with(|_| Link::unconnected(connection, &options)))
    }

    /// Takes back a socket that nobody has seen.
    pub(crate) fn forget_fresh(&mut self, id: SocketId) {
        if self.sockets.get(id).is_some_and(|link| link.connection.stage() == Stage::Fresh) {
            self.sockets.remove(id);
        }
    }

    /// Stops the `data` events. Reading goes on until read-ahead is full: the mark - 1 + 64 KiB at most.
    pub fn pause(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id) {
            link.connection.pause();
        }
    }

    /// Lets `data` events come, from the next tick on, those that were kept first.
    pub fn resume(&mut self, id: SocketId) {
        if let Some((link, mut later)) = self.link(id) {
            link.connection.resume(&mut later);
        }
    }

    /// Has [`Event::Callback`](super::Event::Callback) with this number come when a read has found nothing more, or the
    /// end: all that the other side had sent until then was delivered. With a graceful stop in mind: what it has said is
    /// heard, and what it says later is not waited for. A pause is respected: it does not come before `resume`. If the
    /// socket is destroyed first, it comes with an error.
    pub fn catch_up(&mut self, id: SocketId, callback: CallbackId) {
        let Some((link, mut later)) = self.link(id) else { return };
        if link.connection.is_destroyed() {
            link.connection.callback_due(callback, Err(Error::new(Code::Destroyed)), &mut later);
        } else {
            link.rare_mut().catching_up.push(callback);
            self.look_for_more(id);
            self.list_if_readable(id);
        }
    }

    /// A read has found nothing more. What was read and not delivered is still to come.
    pub(super) fn caught_up(&mut self, id: SocketId) {
        let Some((link, mut later)) = self.link(id) else { return };
        if link.connection.read_ahead() > 0 {
            return;
        }
        let Some(rare) = link.rare_if_any() else { return };
        for callback in std::mem::take(&mut rare.catching_up) {
            link.connection.callback_due(callback, Ok(()), &mut later);
        }
    }

    /// Who is to catch up has nothing left that was read: the next read tells whether there is more.
    pub(super) fn look_for_more(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        if link.rare().catching_up.is_empty() {
            return;
        }
        if link.connection.has_ended() {
            self.caught_up(id);
        } else if link.connection.stage() == Stage::Connected {
            link.latches.readable = true;
        }
    }

    /// Says that somebody takes the data of this socket, or that nobody does any more. As adding a `data` handler does
    /// in Node, it lets the data flow unless the socket was paused; removing it does not pause.
    pub fn listen_for_data(&mut self, id: SocketId, listening: bool) {
        if let Some((link, mut later)) = self.link(id) {
            link.listener = listening;
            let anybody = listening || link.is_piped();
            if listening || !anybody {
                link.connection.set_listening(anybody, &mut later);
            }
        }
    }

    /// Sets Node's idle clock: `timeout` is told when nothing moved for so long, once for each idle period. `None` or
    /// zero turns it off. It does nothing else to the socket, and does not keep the loop running.
    ///
    /// As in Node, a write in flight that moves holds it off, and one that stalls altogether is told after twice the
    /// time. Resolution 1 ms, at most 2^31 - 1 ms.
    #[doc(alias = "setTimeout")]
    pub fn set_timeout(&mut self, id: SocketId, period: Option<Duration>) {
        let now = self.time_of_call();
        let Some(link) = self.sockets.get_mut(id) else { return };
        if link.connection.is_destroyed() {
            return;
        }
        let period = period.filter(|period| !period.is_zero());
        if let Some(due) = link.connection.set_idle(period, now, &mut self.timers) {
            self.timers.push(due, Alarm::Idle(id));
        }
        // An entry that a shorter period has overtaken, or that stands for a clock that is off.
        self.forget_alarm();
    }

    /// TCP_NODELAY. Before the connection it is remembered; the same value again makes no system call.
    #[doc(alias = "setNoDelay")]
    pub fn set_no_delay(&mut self, id: SocketId, on: bool) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        if link.no_delay != on {
            link.no_delay = on;
            self.set_if_connected(id, SocketOption::NoDelay(on));
        }
    }

    /// Keep-alive probes, or `None` to turn them off. Before the connection it is remembered; the same value again makes
    /// no system call.
    ///
    /// # Errors
    /// A time or a count out of its bounds: see [`KeepAlive`].
    #[doc(alias = "setKeepAlive")]
    pub fn set_keep_alive(&mut self, id: SocketId, keep_alive: Option<KeepAlive>) -> Result<(), Error> {
        options::check_keep_alive(keep_alive)?;
        let inherited = self.inherited_keep_alive(self.server_of(id));
        let Some(link) = self.sockets.get_mut(id) else { return Ok(()) };
        if link.rare().keep_alive.unwrap_or(inherited) != keep_alive {
            link.rare_mut().keep_alive = Some(keep_alive);
            self.set_if_connected(id, SocketOption::KeepAlive(keep_alive));
        }
        Ok(())
    }

    /// IP_TOS and IPV6_TCLASS: how routers are to treat what is sent. The two lowest bits are the system's own (ECN).
    /// Before the connection it is remembered.
    #[doc(alias = "setTypeOfService")]
    pub fn set_type_of_service(&mut self, id: SocketId, value: u8) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        link.tcp_mut().type_of_service = Some(value);
        self.set_if_connected(id, SocketOption::TypeOfService(value));
    }

    /// TCP_USER_TIMEOUT, on Linux: when what was sent has no answer for so long, the connection is over with ETIMEDOUT.
    /// `None` is the system's own, some 15 minutes. Before the connection it is remembered.
    ///
    /// # Errors
    /// A time that is not from 1 ms to 2^31 - 1 ms.
    pub fn set_user_timeout(&mut self, id: SocketId, timeout: Option<Duration>) -> Result<(), Error> {
        options::check_user_timeout(timeout)?;
        let Some(link) = self.sockets.get_mut(id) else { return Ok(()) };
        link.tcp_mut().user_timeout = timeout;
        self.set_if_connected(id, SocketOption::UserTimeout(timeout));
        Ok(())
    }

    /// What an option says is remembered for the next connection, and said to one that is there already.
    fn set_if_connected(&mut self, id: SocketId, option: SocketOption) {
        if let Some(handle) = self.sockets.get(id).and_then(Link::handle_if_connected) {
            link::set_option(&mut *self.kernel, handle, option);
        }
    }

    /// Whether the socket keeps the loop running while it is active.
    #[doc(alias = "ref")]
    #[doc(alias = "unref")]
    pub fn set_ref(&mut self, id: SocketId, on: bool) {
        if let Some(link) = self.sockets.get_mut(id) {
            link.referenced = on;
        }
    }
}
