//! Writes that fail: on their way, before the connection, or because it was destroyed. Each callback has its error.

use super::callbacks::Place;
use super::outgoing::Current;
use super::{Admission, ConnTask, Connection, Tasks};
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;

impl Connection {
    #[cold]
    pub(super) fn refuse_without_connection(&mut self, tasks: &mut impl Tasks) -> Admission {
        self.failed_at_once(Error::new(ErrorKind::SocketClosed), tasks);
        Admission::Refused
    }

    /// The last thing before `close`: the write in flight fails, if there is one. Says how many callbacks are ready.
    pub fn cancel_in_flight(&mut self) -> Option<u32> {
        self.is_in_flight().then(|| self.current_failed(Error::new(ErrorKind::Canceled), Place::First))
    }

    /// There will be no connection: a write that still waits for it fails. Says how many callbacks are ready.
    pub fn fail_pending(&mut self, kind: ErrorKind) -> Option<u32> {
        self.is_pending().then(|| self.current_failed(Error::new(kind), Place::First))
    }

    /// The first attempt at the current write failed. Its callbacks and the destroy follow as a task.
    pub fn failed_at_once(&mut self, error: Error, tasks: &mut impl Tasks) {
        if let Current::InFlight { length, .. } = self.outgoing().current {
            self.dispatched += length as u64;
        }
        let callbacks = self.current_failed(error, Place::Last);
        tasks.push(ConnTask::WriteFailed(callbacks));
    }

    /// A later attempt failed. Says how many callbacks are ready.
    pub fn failed(&mut self, error: Error) -> u32 {
        self.stalls_at(0);
        self.current_failed(error, Place::First)
    }

    /// [`ConnTask::FailWaiting`]: what waits after a write that failed, or when it was destroyed, fails too. Says how many
    /// callbacks are ready; [`Connection::forget_failed`] follows them.
    pub fn fail_waiting(&mut self) -> u32 {
        let Some(outgoing) = &mut self.outgoing else { return self.fail_what_waits(0) };
        if outgoing.current != Current::None {
            return 0;
        }
        // Each callback sees what waits after it, and all of it was written as far as `bytes_written` is concerned.
        outgoing.waiting.writes = 0;
        outgoing.failed = outgoing.waiting.bytes;
        let bytes = outgoing.failed;
        self.fail_what_waits(bytes)
    }

    fn fail_what_waits(&mut self, bytes: usize) -> u32 {
        let error = self.error().cloned().unwrap_or_else(|| Error::new(ErrorKind::Destroyed));
        self.callbacks().map_or(0, |callbacks| callbacks.waiting_is_over(Some(bytes), &Err(error), Place::First))
    }

    /// [`ConnTask::ForgetFailed`]: nothing is left of the writes that waited and have failed.
    pub fn forget_failed(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.failed = 0;
            if outgoing.waiting.writes == 0 {
                outgoing.waiting.bytes = 0;
            }
        }
    }

    /// There will be no connection for what waits for it. Whether something does.
    pub(super) fn forget_pending(&mut self) -> bool {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.pending = 0;
        }
        self.is_pending()
    }

    /// The current write fails. What waits after it fails as [`ConnTask::FailWaiting`]. Says how many callbacks are ready.
    fn current_failed(&mut self, error: Error, place: Place) -> u32 {
        self.forget_current();
        self.fail(error.clone());
        self.callbacks().map_or(0, |callbacks| callbacks.current_is_over(&Err(error), place))
    }
}
