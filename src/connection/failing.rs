//! Writes that fail: on their way, before the connection, or because it was destroyed. Each callback has its error.

use super::outgoing::{Current, Waiting};
use super::{Admission, ConnTask, Connection, Tasks};
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;

impl Connection {
    #[cold]
    pub(super) fn refuse_without_connection(&mut self, tasks: &mut impl Tasks) -> Admission {
        self.failed_at_once(Error::new(ErrorKind::SocketClosed), tasks);
        Admission::Refused
    }

    /// The last thing before `close`: the write in flight fails, and what waits after it. Says how many callbacks are
    /// ready.
    pub fn cancel_in_flight(&mut self) -> u32 {
        match self.outgoing().current {
            Current::InFlight { .. } => self.current_failed(Error::new(ErrorKind::Canceled)),
            _ => 0,
        }
    }

    /// `close` was emitted: a write that still waits for the connection fails. Says how many callbacks are ready.
    pub fn fail_pending(&mut self, kind: ErrorKind) -> u32 {
        match self.outgoing().current {
            Current::Pending(_) => self.current_failed(Error::new(kind)),
            _ => 0,
        }
    }

    /// The first attempt at the current write failed. Its callbacks and the destroy follow as a task.
    pub fn failed_at_once(&mut self, error: Error, tasks: &mut impl Tasks) {
        if let Current::InFlight { length, .. } = self.outgoing().current {
            self.dispatched += length as u64;
        }
        let callbacks = self.current_failed_itself(error);
        tasks.push(ConnTask::WriteFailed(callbacks));
    }

    /// A later attempt failed. Says how many callbacks are ready; the destroy follows them.
    pub fn failed(&mut self, error: Error) -> u32 {
        self.stalls_at(0);
        self.current_failed(error)
    }

    /// [`ConnTask::WriteFailed`]: what waits after the failed write fails too. Says how many callbacks are ready.
    pub fn fail_waiting(&mut self) -> u32 {
        if let Some(outgoing) = &mut self.outgoing {
            if outgoing.current != Current::None {
                return 0;
            }
            outgoing.waiting = Waiting::default();
        }
        let error = self.error().cloned().unwrap_or_else(|| Error::new(ErrorKind::Destroyed));
        let Some(callbacks) = self.callbacks() else { return 0 };
        let outcome = Err(error);
        callbacks.waiting_is_over(&outcome) + callbacks.end_is_over(&outcome)
    }

    /// There will be no connection for what waits for it. Whether something does.
    pub(super) fn forget_pending(&mut self) -> bool {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.pending = 0;
        }
        self.is_pending()
    }

    /// The current write fails, and all that waits after it. Says how many callbacks are ready.
    pub(super) fn current_failed(&mut self, error: Error) -> u32 {
        self.current_failed_itself(error) + self.fail_waiting()
    }

    pub(super) fn current_failed_itself(&mut self, error: Error) -> u32 {
        self.forget_current();
        self.fail(&error);
        self.callbacks().map_or(0, |callbacks| callbacks.current_is_over(&Err(error)))
    }
}
