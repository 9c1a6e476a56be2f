//! The end of the writing half: it waits for all that was written, then shutdown(2), then `finish`.

use super::callbacks::Place;
use super::outgoing::Current;
use super::writing::Writing;
use super::{CallbackId, Change, CloseReason, ConnTask, Connection, Stage, Tasks};
use crate::base::error_kind::ErrorKind;

impl Connection {
    /// No more will be written. [`Connection::finish_if_done`] says when all is.
    pub fn end(&mut self, callback: Option<CallbackId>, tasks: &mut impl Tasks) {
        let is_destroyed = self.is_destroyed();
        if self.write.state == Writing::Open && !self.has_failed() {
            self.set_writing(Writing::Ending, tasks);
            if !is_destroyed && !self.has_ended() {
                self.reason = CloseReason::EndedHere;
            }
        }
        let Some(callback) = callback else { return };
        if self.write.state == Writing::Finished {
            self.refuse(callback, ErrorKind::AlreadyFinished, tasks);
        } else if is_destroyed {
            self.refuse(callback, ErrorKind::Destroyed, tasks);
        } else if let Some(error) = self.error() {
            // A write has failed, and the destroy is on its way.
            let outcome = Err(error.clone());
            self.callback_due(callback, outcome, tasks);
        } else {
            self.callbacks_mut().add_to_end(callback);
        }
    }

    /// Goes on with an `end` when all is written that it waits for. Whether shutdown(2) is to be done now.
    pub fn finish_if_done(&mut self, tasks: &mut impl Tasks) -> bool {
        let outgoing = self.outgoing();
        let done = self.write.state == Writing::Ending
            && !self.is_destroyed()
            && !self.has_failed()
            && outgoing.current == Current::None
            && outgoing.waiting.writes == 0;
        if !done {
            return false;
        }
        self.set_writing(Writing::ShuttingDown, tasks);
        match self.stage {
            Stage::Connected => return true,
            // The connection will ask for it: see `Connection::start`.
            Stage::Connecting => {}
            _ => self.shut(tasks),
        }
        false
    }

    /// shutdown(2) was done: `finish` follows as a task.
    pub fn shut(&mut self, tasks: &mut impl Tasks) {
        if self.write.state == Writing::ShuttingDown && !self.is_destroyed() && !self.has_failed() {
            self.set_writing(Writing::Shut, tasks);
            tasks.push(ConnTask::Finish);
        }
    }

    /// [`ConnTask::Finish`]: the callbacks of `end` are ready, so many; `finish` follows.
    pub fn finished(&mut self, tasks: &mut impl Tasks) -> u32 {
        self.set_writing(Writing::Finished, tasks);
        self.callbacks().map_or(0, |callbacks| callbacks.end_is_over(&Ok(()), Place::First))
    }

    pub fn is_finished(&self) -> bool {
        self.write.state == Writing::Finished
    }

    pub fn awaits_shutdown(&self) -> bool {
        self.write.state == Writing::ShuttingDown && self.stage == Stage::Connected
    }

    /// Whether `end` was called, by its user or because the other side has ended.
    #[inline]
    pub fn end_was_called(&self) -> bool {
        self.write.state != Writing::Open
    }

    pub(super) fn set_writing(&mut self, writing: Writing, tasks: &mut impl Tasks) {
        self.write.state = writing;
        tasks.tell(Change::Writing(writing));
    }
}
