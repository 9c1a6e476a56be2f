//! How a socket comes to its end when there is time for it: it is read until it has caught up, ended, and waited for.

use std::time::Duration;

use super::RunState;
use crate::connection::CloseReason;
use crate::event_loop::socket::Socket;
use crate::event_loop::socket_handlers::SocketHandlers;

/// What a socket has read, and until when it is waited for.
type Quiet = (u64, Duration);

/// How long an ended socket may be silent, and the number of the shut-down that says so: when that is given up, this is too.
#[derive(Clone, Copy)]
pub(super) struct Linger {
    pub time: Duration,
    pub shut_down: Option<u64>,
}

impl<S> Socket<'_, S> {
    /// Ends this side after all that was written, and discards what still arrives, up to the other side's end: a lingering
    /// close. The idle timeout of the socket is turned off. With a `linger` time the socket is destroyed when it has sent
    /// everything, and then nothing arrives for that long.
    ///
    /// A socket that is destroyed before it was read to its end would be reset by the system, and what is on its way to the
    /// peer could be lost.
    pub fn end_and_discard(&mut self, linger: Option<Duration>) {
        self.end_and_linger(linger.map(|time| Linger { time, shut_down: None }));
    }

    pub(super) fn end_and_linger(&mut self, linger: Option<Linger>) {
        for to in self.net.piped_to(self.id) {
            self.unpipe(to);
        }
        self.set(SocketHandlers::remove_readers);
        self.net.listen_for_data(self.id, false);
        self.resume();
        self.end_and_hear(linger);
    }

    /// As [`Socket::end_and_discard`], but that what arrives is for its handlers. A socket is not silent while it is paused, or while they have not heard all.
    pub(super) fn end_and_hear(&mut self, linger: Option<Linger>) {
        self.set_timeout(None);
        match linger {
            None => self.end(),
            Some(linger) => self.end_then(move |socket, _| socket.destroy_if_silent(linger)),
        }
    }

    fn destroy_if_silent(&mut self, linger: Linger) {
        if linger.shut_down.is_some_and(|number| !self.is_shut_down_by(number)) {
            return; // It was given up.
        }
        let before = self.bytes_read();
        let clock = self.after(linger.time, move |socket| {
            let info = socket.net.connection(socket.id);
            if info.bytes_read() == before && info.read_ahead() == 0 && !info.waits_for_resume() {
                socket.destroy_because(CloseReason::Timeout);
            } else {
                socket.destroy_if_silent(linger);
            }
        });
        if linger.shut_down.is_some() {
            self.handlers.shut_down.clocks.insert(self.id, clock);
        }
    }

    fn is_shut_down_by(&self, number: u64) -> bool {
        self.handlers.run_state != RunState::Running && self.handlers.shut_down.number == number
    }

    /// Reads until nothing more arrives, for as long as the options say.
    pub(super) fn catch_up_quietly(&mut self, number: u64, before: Option<Quiet>) {
        self.catch_up(move |socket, caught_up| {
            // It was given up. Or all have been waited for long enough, and it was ended: then it has a clock already, and lingers.
            if !socket.is_shut_down_by(number) || socket.handlers.shut_down.has_ended(socket.id) {
                return;
            }
            let options = socket.handlers.shut_down.options;
            let (read, now) = (socket.bytes_read(), socket.net.now());
            let (read_before, until) = before.unzip();
            let until = until.unwrap_or(now + options.longest_wait());
            let quiet = options.quiet.min(options.patience / 4);
            if caught_up.is_err() {
                // It was destroyed; its `close` comes.
            } else if read_before == Some(read) || now >= until || quiet.is_zero() || !socket.is_readable() {
                let id = socket.id();
                socket.event_loop().has_caught_up(id);
            } else {
                let clock = socket.after(quiet, move |socket| socket.catch_up_quietly(number, Some((read, until))));
                socket.handlers.shut_down.clocks.insert(socket.id, clock);
            }
        });
    }
}
