//! The flush: what waits for its phase, so that much goes out as one. Broadcasts are sent, writing sides ended, and the
//! outcome of a write's second attempt is told.

use std::time::Duration;

use super::Net;
use super::turn::Step;
use crate::base::error::{Error, Syscall};
use crate::base::id::SocketId;

/// Connections flushed at one go, and for how long: a broadcast to all of 15,000 is cut into pieces, between which the
/// others have their turn. A send to a socket that is in no cache takes ten times that to one that is, so the count alone
/// would not do.
const FLUSHES_AT_ONCE: usize = 512;
const LONGEST_FLUSH: Duration = Duration::from_millis(1);

/// The clock is looked at behind so many of them: fewer are no matter.
const FLUSHES_UNTIMED: usize = 32;

impl Net {
    /// Puts a socket on the flush list, once.
    #[inline]
    pub(super) fn flush_later(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id)
            && !link.to_be_flushed
        {
            link.to_be_flushed = true;
            self.flushing.push_back(id);
        }
    }

    /// shutdown(2) waits for the flush: libuv does it in its pending phase.
    pub(super) fn shutdown_later(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id) {
            link.shutdown_wanted = true;
            self.flush_later(id);
        }
    }

    /// Fixes what belongs to the round: those that wait now, as many as there is time for.
    pub(super) fn begin_flush(&mut self) {
        self.flushes_left = self.flushing.len().min(FLUSHES_AT_ONCE);
        if self.flushes_left > FLUSHES_UNTIMED {
            self.flush_until = self.kernel.now() + LONGEST_FLUSH;
        }
    }

    /// The next of this round, while there is time.
    #[inline]
    fn next_to_flush(&mut self) -> Option<SocketId> {
        self.flushes_left = self.flushes_left.checked_sub(1)?;
        if self.flushes_left > 0
            && self.flushes_left.is_multiple_of(FLUSHES_UNTIMED)
            && self.kernel.now() > self.flush_until
        {
            self.flushes_left = 0;
        }
        self.flushing.pop_front()
    }

    /// One connection of the flush list: a broadcast is sent, a writing side ended.
    pub(super) fn flush_one(&mut self) -> Step {
        let Some(id) = self.next_to_flush() else {
            if self.flushing.is_empty() {
                self.segments.seal();
            }
            return Step::Over;
        };
        let Some(link) = self.sockets.get_mut(id) else { return Step::Worked };
        link.to_be_flushed = false;
        if let Some(outcome) = link.rare_if_any().and_then(|rare| rare.outcome.take()) {
            // Its end, if it has one to send, goes right behind.
            link.to_be_flushed = true;
            self.flushing.push_front(id);
            self.flushes_left += 1;
            return self.unit_is_over(id, outcome).map_or(Step::Worked, Step::Event);
        }
        if self.dispatch_waiting(id) {
            self.judge(id);
        }
        self.finish_if_done(id);
        self.shutdown_if_wanted(id);
        Step::Worked
    }

    /// shutdown(2), once all is written.
    pub(super) fn shutdown_if_wanted(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        if !link.shutdown_wanted || !link.connection.awaits_shutdown() {
            return;
        }
        link.shutdown_wanted = false;
        if let Some(handle) = link.handle.filter(|_| link.file.is_none())
            && let Err(error) = self.kernel.shutdown(handle)
        {
            // Only a connection that is broken already fails here, and the next read will say of what. Should it say
            // that nothing is wrong, this is the error: who cannot tell its end must not wait for the other's.
            link.rare_mut().unshut = Some(Error::system(&error, Syscall::Shutdown));
            link.latches.readable = true;
            self.list_if_readable(id);
        }
        if let Some((link, mut later)) = self.link(id) {
            link.connection.shut(&mut later);
        }
    }
}
