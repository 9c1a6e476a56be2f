//! A peer that is gone, while nothing is read from its connection: it is paused, or its read-ahead is full.
//!
//! The kernel reports the end of both directions (EPOLLHUP) and an error (EPOLLERR) in any case. A read would say which, after
//! the data that has arrived. Where no read is wanted, and the option is on, SO_ERROR is asked for instead. Without an error
//! both sides have ended in order, and the data waits for whoever resumes.

use super::{Conn, HangUp};
use crate::base::error::{Error, Syscall};
use crate::net::cx::Cx;

impl Conn {
    pub fn notices_hang_up(self, on: bool) -> Self {
        Conn { hang_up: if on { HangUp::Awaited } else { HangUp::Unnoticed }, ..self }
    }

    /// The kernel has reported it. What is read is read to its end, which says what has happened.
    pub(super) fn hangs_up(&mut self) {
        if self.hang_up == HangUp::Awaited {
            self.hang_up = HangUp::Reported;
            self.latches.has_more = true;
        }
    }

    /// Another connection begins, or this one was looked at.
    pub(super) fn await_hang_up(&mut self) {
        if self.hang_up == HangUp::Reported {
            self.hang_up = HangUp::Awaited;
        }
    }

    /// Whether it is to be found out, since no read will.
    #[inline]
    pub(super) fn may_be_gone(&self) -> bool {
        self.hang_up == HangUp::Reported && self.connection.is_connected() && !self.wants_to_read()
    }

    /// Destroys it if the kernel knows of an error.
    pub(super) fn look_whether_gone(&mut self, cx: &mut Cx) {
        self.await_hang_up();
        let Some(handle) = self.handle else { return };
        if let Some(error) = cx.kernel.take_error(handle).unwrap_or_else(Some) {
            self.broke(Error::system(&error, Syscall::Read), cx);
        }
    }
}
