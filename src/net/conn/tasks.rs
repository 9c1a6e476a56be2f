//! What happens to a connection between two pieces of work: Node's next ticks, and what follows each event.
//!
//! A task may give rise to an event. What follows the event is put first in the queue, so it runs when the handler has
//! returned, before everything else. Handlers only add to the end of the queue.

use super::{Conn, Ending, ResetPlace, Task};
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;
use crate::connection::{CloseReason, ConnTask, Stage, Start};
use crate::net::cx::Cx;
use crate::net::event::{Closed, Event};

impl Conn {
    /// Does what comes next, up to an event.
    pub fn run(&mut self, task: ConnTask, cx: &mut Cx) -> Option<Event> {
        match task {
            ConnTask::Connect => return self.start_connect(cx),
            ConnTask::Attempt => self.connect_now(cx),
            ConnTask::AttemptFailed => return self.attempt_has_failed(cx),
            ConnTask::ConnectFailed => self.emit_connect_error(cx),
            ConnTask::Dial => return self.dial(cx),
            ConnTask::AfterConnect => self.after_connect(cx),
            ConnTask::Reset => self.reset_if_due(cx),

            ConnTask::Resume => {
                self.connection.resume_now();
                self.stop_waiting_for_memory(cx);
                cx.agenda.push_first([Task::Flow(self.id)]);
            }
            ConnTask::End => {
                // One that has given its turn away has more to deliver before it.
                if !self.has_yielded() && self.connection.emits_end(&mut cx.agenda.of(self.id)) {
                    let before = cx.agenda.pipes_made;
                    cx.agenda.push_first([Task::EndPipes(self.id, before), self.task(ConnTask::AfterEnd)]);
                    return Some(Event::End(self.id));
                }
            }
            ConnTask::AfterEnd => {
                self.connection.after_end(&mut self.tasks(cx));
                self.destroy_if_over(cx);
            }
            ConnTask::EndWriting => {
                if self.connection.is_writable() {
                    self.end(None, cx);
                }
            }

            ConnTask::AfterWrite(callbacks) => {
                self.run_callbacks(callbacks, self.task(ConnTask::WriteDone), cx);
                if self.connection.emits_drain() {
                    cx.agenda.push_first([Task::ResumeSources(self.id)]);
                    return Some(Event::Drain(self.id));
                }
            }
            ConnTask::WriteDone if self.connection.is_destroyed() => self.fail_waiting(cx),
            ConnTask::WriteDone => self.finish_if_done(cx),
            ConnTask::WriteFailed(callbacks) => self.write_failed(callbacks, cx),
            ConnTask::DestroyFailed => {
                // None: a write before any connection, and a connect right after it has forgotten the error.
                let error = self.connection.error().cloned().unwrap_or_else(|| Error::new(ErrorKind::SocketClosed));
                self.broke(error, cx);
            }
            ConnTask::Callbacks(0) => {}
            ConnTask::Callbacks(left) => return self.next_callback(left, cx),
            ConnTask::FailWaiting => self.fail_waiting(cx),
            ConnTask::ForgetFailed => self.connection.forget_failed(),

            ConnTask::Finish => {
                let callbacks = self.connection.finished(&mut cx.agenda.of(self.id));
                self.run_callbacks(callbacks, self.task(ConnTask::EmitFinish), cx);
            }
            ConnTask::EmitFinish => {
                let made = cx.agenda.pipes_made;
                let pipes = match self.ending {
                    Ending::DestroyOnFinish { pipes } => pipes,
                    _ => made,
                };
                cx.agenda.push_first([
                    Task::ReleaseSources(self.id, pipes),
                    self.task(ConnTask::AfterFinish),
                    Task::ReleaseSources(self.id, made),
                    self.task(ConnTask::DestroyIfOver),
                ]);
                return Some(Event::Finish(self.id));
            }
            ConnTask::AfterFinish => {
                if matches!(self.ending, Ending::DestroyOnFinish { .. }) {
                    self.ending = Ending::AsUsual;
                    self.destroy(None, Some(CloseReason::DestroyedHere), cx);
                }
            }
            ConnTask::DestroyIfOver => self.destroy_if_over(cx),

            ConnTask::Error => {
                self.connection.seal(&mut cx.agenda.of(self.id));
                let release = Task::ReleaseSources(self.id, cx.agenda.pipes_made);
                cx.agenda.push_first([release, self.task(ConnTask::EmitError)]);
            }
            ConnTask::EmitError => {
                let error = self.connection.error_to_emit().cloned();
                let error = error.unwrap_or_else(|| Error::new(ErrorKind::Other));
                return Some(Event::Error { socket: self.id, error });
            }
            ConnTask::Seal => self.connection.seal(&mut cx.agenda.of(self.id)),
            ConnTask::Close => {
                self.close(cx);
            }
            ConnTask::EmitClose => {
                let (had_error, reason) = self.connection.close(&mut cx.agenda.of(self.id));
                let release = Task::ReleaseSources(self.id, cx.agenda.pipes_made);
                cx.agenda.push_first([release, self.task(ConnTask::AfterClose)]);
                cx.count(|tally| tally.closes[reason as usize] += 1);
                let closed = Closed { had_error, reason, unsent: self.rare().discarded };
                return Some(Event::Close { socket: self.id, closed });
            }
            ConnTask::AfterClose => self.after_close(cx),
        }
        None
    }

    fn reset_if_due(&mut self, cx: &mut Cx) {
        if let Ending::ResetOnConnect(_, reason) = self.ending {
            self.reset(reason, cx);
        }
    }

    fn after_connect(&mut self, cx: &mut Cx) {
        match self.ending {
            Ending::ResetOnConnect(ResetPlace::BeforeTheWrite, reason) => self.reset(reason, cx),
            Ending::ResetOnConnect(ResetPlace::AfterTheWrite, _) => {
                cx.agenda.push_first([self.task(ConnTask::Reset)]);
            }
            _ => {}
        }
        let start = self.connection.start();
        self.read_if_catching_up();
        self.watch_if_readable(cx);
        match start {
            Start::Nothing => {
                // A broadcast may have waited.
                self.write_waiting(cx);
                self.finish_if_done(cx);
            }
            Start::WritePending => self.write_pending(cx),
            Start::Shutdown => self.flush_later(cx),
            Start::FailPending => {
                let failed = self.connection.fail_pending(ErrorKind::SocketClosed);
                self.fail_what_waits_after(failed, cx);
            }
        }
    }

    /// So many callbacks run first, and `then` after them.
    pub(super) fn run_callbacks(&self, callbacks: u32, then: Task, cx: &mut Cx) {
        cx.agenda.push_first([then]);
        self.run_callbacks_first(callbacks, cx);
    }

    fn run_callbacks_first(&self, callbacks: u32, cx: &mut Cx) {
        if callbacks > 0 {
            cx.agenda.push_first([self.task(ConnTask::Callbacks(callbacks))]);
        }
    }

    /// One callback of so many; the others after it.
    fn next_callback(&mut self, left: u32, cx: &mut Cx) -> Option<Event> {
        let (callback, outcome) = self.connection.take_callback()?;
        cx.agenda.push_first([self.task(ConnTask::Callbacks(left - 1))]);
        Some(Event::Callback { socket: self.id, callback, outcome })
    }

    /// A write has failed: its callbacks, those of what waits after it, then it is destroyed.
    pub(super) fn write_failed(&self, callbacks: u32, cx: &mut Cx) {
        cx.agenda.push_first([self.task(ConnTask::DestroyFailed)]);
        self.fail_what_waits_after(Some(callbacks), cx);
    }

    /// The last write has failed, if there was one, with so many callbacks: they run first, and what waits after it fails.
    fn fail_what_waits_after(&self, failed: Option<u32>, cx: &mut Cx) {
        if let Some(callbacks) = failed {
            self.run_callbacks(callbacks, self.task(ConnTask::FailWaiting), cx);
        }
    }

    fn fail_waiting(&mut self, cx: &mut Cx) {
        let callbacks = self.connection.fail_waiting();
        self.run_callbacks(callbacks, self.task(ConnTask::ForgetFailed), cx);
    }

    fn destroy_if_over(&mut self, cx: &mut Cx) {
        if self.connection.is_over() {
            self.destroy(None, None, cx);
        }
    }

    /// The last round of a connection: `close` is emitted. False if a write was in flight: it fails, and what waits after it,
    /// and `close` is another piece of work. So what its callbacks have put off to the next tick comes before, as in Node.
    pub fn close(&mut self, cx: &mut Cx) -> bool {
        let failed = self.connection.cancel_in_flight();
        if failed.is_none() {
            cx.agenda.push_first([self.task(ConnTask::EmitClose)]);
            return true;
        }
        self.fail_what_waits_after(failed, cx);
        false
    }

    fn after_close(&mut self, cx: &mut Cx) {
        if self.connection.stage() != Stage::Closed {
            // It connects again, and what is pending is the new connection's.
            return;
        }
        self.ending = Ending::Leaving;
        cx.agenda.push_first([Task::Forget(self.id)]);
        let failed = self.connection.fail_pending(ErrorKind::ClosedBeforeConnection);
        self.fail_what_waits_after(failed, cx);
    }
}
