//! Writing: at once where the kernel takes it, queued where it does not.
//!
//! ```text
//!   write, uncork ──▶ write(2) at once ──all taken──▶ completed
//!                         │ the rest
//!                         ▼
//!   broadcast ─────▶   queue  ──▶ writable edge (serve.rs) ──▶ sendmsg(2) ─▶ completed ──▶ drain
//!                                 or the flush
//! ```
//!
//! What follows the first attempt at a write is a task after all others, as for Node the write has just been made. What
//! follows a later attempt comes first.

use std::io::{self};
use std::time::Duration;

use super::Conn;
use super::send::{Emptied, classify, write_nothing};
use crate::base::error::{Error, Syscall};
use crate::base::error_kind::ErrorKind;
use crate::base::id::SocketId;
use crate::base::timers::Due;
use crate::connection::{Admission, CallbackId, CloseReason, ConnTask, Last, Span};
use crate::net::clock::TimerKind;
use crate::net::cx::Cx;
use crate::net::trace::Kind;

/// A write that found no memory is tried again after this time: no edge tells when there is some.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// On whose account a write is.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) struct WriteKind {
    /// Whether the output limits count it. They do not for pipes, whose source is paused instead.
    judged: bool,
    last: Last,
}

impl WriteKind {
    pub const USER: WriteKind = WriteKind { judged: true, last: Last::No };
    pub const LAST: WriteKind = WriteKind { judged: true, last: Last::Yes };
    pub const PIPE: WriteKind = WriteKind { judged: false, last: Last::No };
}

/// Which attempt at a write it is: what follows it comes in another order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    First,
    /// Right after the first, which was taken in part, as in libuv: a peer that is gone shows now, and not after what can
    /// still be read. The outcome is emitted in the next flush.
    Second,
    /// The kernel has room again.
    Later,
}

impl Conn {
    /// See [`Net::write`](crate::Net::write).
    #[inline(always)]
    pub fn write(&mut self, bytes: &[u8], callback: Option<CallbackId>, kind: WriteKind, cx: &mut Cx) -> bool {
        // The usual write: nothing is before it, the kernel takes all of it, and nothing is left to be done.
        if callback.is_none()
            && !bytes.is_empty()
            && self.connection.writes_at_once()
            && let Some(handle) = self.handle
        {
            let wrote = cx.kernel.write(handle, bytes);
            if !matches!(wrote, Ok(sent) if sent == bytes.len()) {
                cx.wrote(bytes.len(), &wrote);
                self.connection.begin_write(bytes.len());
                return self.wrote_in_part(bytes, wrote, kind, cx);
            }
            self.connection.wrote_at_once(bytes.len(), &mut cx.agenda.of(self.id));
            self.touch(cx);
            return true;
        }
        self.admit(bytes, callback, kind, cx)
    }

    /// A write whose turn has not come, or whose outcome somebody waits for.
    #[inline(never)]
    fn admit(&mut self, bytes: &[u8], callback: Option<CallbackId>, kind: WriteKind, cx: &mut Cx) -> bool {
        if kind.judged && !self.has_room_or_makes_it(bytes.len(), cx) {
            if let Some(callback) = callback {
                let outcome = Err(Error::new(ErrorKind::OutputLimit));
                self.connection.callback_due(callback, outcome, &mut cx.agenda.of(self.id));
            }
            return false;
        }
        match self.connection.write(bytes.len(), kind.last, callback, &mut cx.agenda.of(self.id)) {
            Admission::Now if self.is_file() => {
                self.connection.keep(bytes, &mut cx.segments);
                self.write_in_its_turn(cx);
            }
            Admission::Now => {
                let wrote = match self.handle {
                    Some(handle) if bytes.is_empty() => write_nothing(handle, cx),
                    Some(handle) => {
                        let wrote = cx.kernel.write(handle, bytes);
                        cx.wrote(bytes.len(), &wrote);
                        wrote
                    }
                    None => Ok(0),
                };
                return self.wrote_in_part(bytes, wrote, kind, cx);
            }
            Admission::Queue => {
                self.connection.keep(bytes, &mut cx.segments);
                self.write_waiting(cx);
            }
            Admission::Refused => return false,
            Admission::Destroy(code) => {
                self.destroy(Some(Error::new(code)), Some(CloseReason::Error), cx);
                return false;
            }
        }
        self.write_returns(kind, cx)
    }

    /// The first attempt at a write was made; only what the kernel has not taken is copied.
    #[inline(never)]
    fn wrote_in_part(&mut self, bytes: &[u8], wrote: io::Result<usize>, kind: WriteKind, cx: &mut Cx) -> bool {
        let sent = *wrote.as_ref().unwrap_or(&0);
        if sent < bytes.len() {
            self.connection.keep(&bytes[sent..], &mut cx.segments);
        }
        let emptied = match wrote {
            Ok(sent) if sent == bytes.len() => Emptied::All,
            Ok(_) => Emptied::Blocked,
            Err(error) => classify(error),
        };
        self.attempted(Attempt::First, sent, emptied, cx);
        self.write_returns(kind, cx)
    }

    fn write_returns(&mut self, kind: WriteKind, cx: &mut Cx) -> bool {
        if kind.judged {
            self.judge(cx);
        }
        self.weigh(cx);
        self.connection.write_returns()
    }

    /// The kernel has not taken all: what is left is kept.
    fn keep_queue(&mut self, cx: &mut Cx) {
        self.connection.settle(&mut cx.segments);
        self.weigh(cx);
    }

    /// A message of a broadcast, for the flush. Those of a `sender` wait while this receiver is above its soft limit.
    #[inline(always)]
    pub fn queue_message(&mut self, message: Span, sender: Option<SocketId>, cx: &mut Cx) {
        if self.connection.queue_next_message(message, self.lowest_limit()) {
            return self.flush_later(cx);
        }
        self.queue_first_message(message, sender, cx);
    }

    /// The first one since the flush, or one that something is in the way of.
    #[inline(never)]
    fn queue_first_message(&mut self, message: Span, sender: Option<SocketId>, cx: &mut Cx) {
        let near_a_limit = !self.has_room_for(message.len());
        if near_a_limit && !self.takes_above_limit(message.len(), cx) {
            return;
        }
        if !self.connection.queue_message(message, &mut cx.segments) {
            return;
        }
        let length = message.len();
        cx.agenda.notes.add(self.id, Kind::State, || format!("a message of {length} bytes waits for the flush"));
        // Also if something is in flight: what the flush leaves is settled.
        self.flush_later(cx);
        if near_a_limit {
            self.passed_limit(sender, cx);
        }
    }

    /// One cork less; with the last, all that was held goes out at once.
    pub fn uncork(&mut self, cx: &mut Cx) {
        self.connection.uncork();
        if self.write_waiting(cx) {
            self.judge(cx);
        }
    }

    /// Its turn on the flush list: a broadcast is sent, a writing side ended.
    #[inline]
    pub fn flush(&mut self, cx: &mut Cx) {
        self.lists.flush = false;
        if let Some(outcome) = self.rare_if_any().and_then(|rare| rare.outcome.take()) {
            return self.emit_outcome(outcome, cx);
        }
        cx.time.spend(1);
        if self.write_waiting(cx) || self.is_to_be_judged() {
            self.judge_flushed(cx);
        }
        if self.connection.end_was_called() {
            self.finish_if_done(cx);
            self.shut_down_if_due(cx);
        }
    }

    /// What a connect or a write has come to, which was kept for the flush.
    fn emit_outcome(&mut self, outcome: Result<(), Error>, cx: &mut Cx) {
        match outcome {
            Err(error) if self.connection.is_connecting() => self.connect_failed(error, cx),
            outcome => {
                // Its end, if it has one to send, goes right after.
                self.lists.flush = true;
                cx.agenda.flush.push_again(self.id);
                self.write_is_over(outcome, cx);
            }
        }
    }

    /// What waits goes out, unless something is in flight or it is corked. Says whether anything did.
    #[inline]
    pub(super) fn write_waiting(&mut self, cx: &mut Cx) -> bool {
        match self.connection.next_write(&mut cx.agenda.of(self.id)) {
            Admission::Now if self.is_file() => self.write_in_its_turn(cx),
            Admission::Now => self.attempt(Attempt::First, cx),
            // There is no connection, and none on its way: the bytes that it was to have are the failed write.
            Admission::Refused | Admission::Destroy(_) => self.connection.clear_queue(&mut cx.segments),
            Admission::Queue => {
                self.keep_queue(cx);
                self.tell_waiting(cx);
                return false;
            }
        }
        true
    }

    /// The kernel has room again: the write in flight goes on.
    pub fn go_on_writing(&mut self, cx: &mut Cx) {
        self.attempt(Attempt::Later, cx);
    }

    /// The write that waited for the connection goes out. What follows it follows at once: for the user the write was made
    /// long ago.
    pub(super) fn write_pending(&mut self, cx: &mut Cx) {
        self.touch(cx);
        self.connection.begin_pending();
        self.attempt(Attempt::Later, cx);
    }

    /// Offers the kernel what is in flight.
    #[inline(always)]
    fn attempt(&mut self, attempt: Attempt, cx: &mut Cx) {
        match (self.empty(cx), attempt) {
            // The usual case.
            ((sent, Emptied::All), Attempt::First) => {
                self.touch(cx);
                self.connection.dispatched(sent, &mut cx.agenda.of(self.id));
            }
            ((sent, emptied), _) => {
                self.attempted(attempt, sent, emptied, cx);
                self.keep_queue(cx);
            }
        }
        self.relieve(cx);
    }

    /// What follows an attempt that took `sent` bytes of the write in flight.
    #[inline(never)]
    fn attempted(&mut self, attempt: Attempt, sent: usize, emptied: Emptied, cx: &mut Cx) {
        if attempt == Attempt::First {
            self.touch(cx);
        }
        match attempt {
            // A failed one is dispatched in its own way.
            Attempt::First if matches!(emptied, Emptied::Failed(_)) => {}
            Attempt::First => self.connection.dispatched(sent, &mut cx.agenda.of(self.id)),
            Attempt::Second | Attempt::Later => self.connection.progressed(sent),
        }
        let outcome = match emptied {
            Emptied::All => Ok(()),
            Emptied::Failed(error) => Err(Error::system(&error, Syscall::Write)),
            Emptied::Piece => return,
            Emptied::TryAgain => return self.retry_write_later(cx),
            Emptied::Blocked => return self.is_full(attempt, sent, cx),
        };
        match (attempt, outcome) {
            (Attempt::First, Ok(())) => {}
            (Attempt::First, Err(error)) => {
                // Nothing was queued for the peer that is gone: these bytes are the failed write itself.
                self.connection.failed_at_once(error, &mut cx.agenda.of(self.id));
                self.connection.clear_queue(&mut cx.segments);
            }
            (Attempt::Second, outcome) => self.emit_outcome_later(outcome, cx),
            (Attempt::Later, outcome) => self.write_is_over(outcome, cx),
        }
    }

    /// The kernel is full.
    fn is_full(&mut self, attempt: Attempt, sent: usize, cx: &mut Cx) {
        if attempt != Attempt::Second {
            self.latches.writable = false;
        }
        if attempt == Attempt::First && sent > 0 {
            return self.attempt_again(cx);
        }
        self.tell_waiting(cx);
    }

    /// What is queued waits for room in the kernel.
    fn tell_waiting(&self, cx: &Cx) {
        let unsent = self.connection.queue().unsent();
        if unsent > 0 {
            cx.agenda.notes.add(self.id, Kind::Held, || format!("{unsent} bytes wait for room"));
        }
    }

    #[inline(never)]
    fn attempt_again(&mut self, cx: &mut Cx) {
        self.attempt(Attempt::Second, cx);
    }

    pub(super) fn emit_outcome_later(&mut self, outcome: Result<(), Error>, cx: &mut Cx) {
        self.rare_mut().outcome = Some(outcome);
        self.flush_later(cx);
    }

    /// The write in flight has come to its end; the next one begins.
    fn write_is_over(&mut self, outcome: Result<(), Error>, cx: &mut Cx) {
        if let Err(error) = outcome {
            let callbacks = self.connection.failed(error);
            self.discard_output(cx);
            return self.write_failed(callbacks, cx);
        }
        let callbacks = self.connection.completed();
        self.touch(cx);
        self.write_waiting(cx);
        cx.agenda.push_first([self.task(ConnTask::AfterWrite(callbacks))]);
    }

    /// What is queued will never be sent, and is counted as discarded.
    pub(super) fn discard_output(&mut self, cx: &mut Cx) {
        let unsent = self.connection.queue().unsent();
        if unsent > 0 {
            self.rare_mut().discarded += unsent;
        }
        self.connection.clear_queue(&mut cx.segments);
    }

    fn retry_write_later(&mut self, cx: &mut Cx) {
        self.latches.writable = false;
        if self.rare().retry.is_none() {
            self.rare_mut().retry = Some(cx.set_timer(RETRY_AFTER, TimerKind::Retry(self.id)));
        }
    }

    /// When another attempt is made, in the timers.
    pub fn retry(&self) -> Option<Due> {
        self.rare().retry
    }

    /// The time for another attempt has come.
    pub fn retry_write(&mut self, cx: &mut Cx) {
        self.rare_mut().retry = None;
        self.latches.writable = true;
        if self.wants_to_write() {
            self.make_ready(cx);
        }
    }

    /// The first part of a write goes out when the file has its turn.
    fn write_in_its_turn(&mut self, cx: &mut Cx) {
        self.touch(cx);
        self.connection.dispatched(0, &mut cx.agenda.of(self.id));
        if self.wants_to_write() {
            self.make_ready(cx);
        }
        self.keep_queue(cx);
    }
}
