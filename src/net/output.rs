//! Writing: at once where the kernel takes it, queued where it does not.
//!
//! ```text
//!   write, uncork ──▶ writev(2) at once ──all taken──▶ completed
//!                         │ the rest
//!                         ▼
//!   broadcast ─────▶   queue  ──▶ writable edge (serve.rs) ──▶ writev(2) ──▶ completed ──▶ drain
//!                                 or the flush (flush.rs)
//! ```

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::time::Duration;

use super::event::Event;
use super::link::Link;
use super::ticks::{Deferred, Later, Tail};
use super::turn::Step;
use super::{Alarm, Net};
use crate::base::arena::Arena;
use crate::base::error::{Code, Error, Syscall};
use crate::base::id::SocketId;
use crate::base::timers::Timers;
use crate::connection::{Admission, CallbackId, CloseReason, Last, Segments, WriteQueue};
use crate::kernel::{Handle, Kernel};

/// Slices given to the kernel at once. More would only make the stack frame larger: small writes are merged.
const SLICES_AT_ONCE: usize = 64;

/// A write that found no memory is tried again after this time: no edge tells when there is some.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// How far a queue was emptied.
#[derive(Debug)]
pub(super) enum Emptied {
    /// To the end.
    All,
    /// The kernel is full; a writable edge will come.
    Blocked,
    /// The kernel has no memory, or was interrupted; no edge will come.
    TryAgain,
    /// As far as the file may go in one turn; its next turn is the next one.
    Piece,
    Failed(Error),
}

impl Net {
    /// Writes: at once, or behind what is queued already. True while the buffer is under the high-water mark after the
    /// attempt; if false, `drain` will tell when it is empty.
    ///
    /// After `end` it destroys the socket with an error, as in Node; after `destroy` it does nothing.
    #[inline]
    pub fn write(&mut self, id: SocketId, bytes: &[u8]) -> bool {
        self.write_as(id, bytes, None, Write::USER)
    }

    /// As [`Net::write`]; [`Event::Callback`] with this number tells when the kernel has taken
    /// all of it, or that it never will.
    pub fn write_with(&mut self, id: SocketId, bytes: &[u8], callback: CallbackId) -> bool {
        self.write_as(id, bytes, Some(callback), Write::USER)
    }

    #[inline(always)]
    pub(super) fn write_as(&mut self, id: SocketId, bytes: &[u8], callback: Option<CallbackId>, write: Write) -> bool {
        let is_usual = callback.is_none() && !bytes.is_empty();
        let attempt = if is_usual { self.write_at_once(id, bytes) } else { AtOnce::NotNow };
        match attempt {
            AtOnce::Whole => true,
            AtOnce::InPart(wrote) => self.wrote_in_part(id, bytes, wrote, write.judged),
            AtOnce::NotNow => self.write_behind(id, bytes, callback, write),
        }
    }

    /// The usual write: nothing is before it, the kernel takes all of it, and nothing is left to be done.
    #[inline(always)]
    fn write_at_once(&mut self, id: SocketId, bytes: &[u8]) -> AtOnce {
        let (writer, _) = self.writer();
        writer.write_at_once(id, bytes)
    }

    /// As [`Net::write_as`] by a pipe, with the first `length` bytes of the read buffer, which stays where it is in the
    /// usual case.
    #[inline(always)]
    pub(super) fn write_read_bytes(&mut self, id: SocketId, length: usize) -> bool {
        let (writer, buffer) = self.writer();
        match writer.write_at_once(id, &buffer[..length]) {
            AtOnce::Whole => true,
            attempt => self.write_read_bytes_behind(id, length, attempt),
        }
    }

    #[cold]
    fn write_read_bytes_behind(&mut self, id: SocketId, length: usize, attempt: AtOnce) -> bool {
        let buffer = std::mem::take(&mut self.buffer);
        let bytes = &buffer[..length];
        let more = match attempt {
            AtOnce::Whole => true,
            AtOnce::InPart(wrote) => self.wrote_in_part(id, bytes, wrote, Write::PIPE.judged),
            AtOnce::NotNow => self.write_behind(id, bytes, None, Write::PIPE),
        };
        self.buffer = buffer;
        more
    }

    #[inline(always)]
    fn writer(&mut self) -> (Writer<'_>, &[u8]) {
        let writer = Writer {
            sockets: &mut self.sockets,
            kernel: &mut *self.kernel,
            deferred: &mut self.deferred,
            timers: &mut self.timers,
            counted_from: self.counted_from,
        };
        (writer, &self.buffer)
    }

    /// A write whose turn has not come, or whose end is to be told.
    #[inline(never)]
    fn write_behind(
        &mut self,
        id: SocketId,
        bytes: &[u8],
        callback: Option<CallbackId>,
        Write { judged, last }: Write,
    ) -> bool {
        let Some(link) = self.sockets.get_mut(id) else { return false };
        if judged && link.limits.is_some() && !self.limits_admit(id, bytes.len()) {
            if let Some((link, mut later)) = self.link(id)
                && let Some(callback) = callback
            {
                link.connection.callback_due(callback, Err(Error::new(Code::OutputLimit)), &mut later);
            }
            return false;
        }
        let Some((link, mut later)) = self.link(id) else { return false };
        match link.connection.write(bytes.len(), last, callback, &mut later) {
            Admission::Now if link.file.is_some() => {
                let borders = link.borders();
                link.connection.keep(bytes, borders);
                self.write_in_its_turn(id);
            }
            Admission::Now => {
                let wrote = match link.handle {
                    Some(handle) if !bytes.is_empty() => self.kernel.write(handle, bytes),
                    _ => Ok(0),
                };
                self.first_write(id, bytes, wrote);
            }
            Admission::Queue => {
                let borders = link.borders();
                link.connection.keep(bytes, borders);
                self.dispatch_waiting(id);
            }
            Admission::Refused => return false,
            Admission::Destroy(code) => {
                self.destroy_as(id, Some(Error::new(code)), Some(CloseReason::Error));
                return false;
            }
        }
        self.write_returns(id, judged)
    }

    /// The kernel has not taken all of a write that nothing was before.
    #[cold]
    fn wrote_in_part(&mut self, id: SocketId, bytes: &[u8], wrote: std::io::Result<usize>, judged: bool) -> bool {
        if let Some(link) = self.sockets.get_mut(id) {
            link.connection.begin_unit(bytes.len());
        }
        self.first_write(id, bytes, wrote);
        self.write_returns(id, judged)
    }

    fn write_returns(&mut self, id: SocketId, judged: bool) -> bool {
        if judged {
            self.judge(id);
        }
        self.sockets.get_mut(id).is_some_and(|link| link.connection.write_returns())
    }

    /// The first attempt at a write was made; only what the kernel has not taken is copied.
    fn first_write(&mut self, id: SocketId, bytes: &[u8], wrote: std::io::Result<usize>) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        let sent = *wrote.as_ref().unwrap_or(&0);
        if sent < bytes.len() {
            let borders = link.borders();
            link.connection.keep(&bytes[sent..], borders);
        }
        let emptied = match wrote {
            Ok(sent) if sent == bytes.len() => Emptied::All,
            Ok(_) => Emptied::Blocked,
            Err(error) => verdict(error),
        };
        self.first_attempt(id, sent, emptied);
    }

    /// The first attempt at the write that waited for the connection. What follows a completion follows at once, and
    /// not on a tick: for the user the write was made long ago.
    pub(super) fn dispatch_parked(&mut self, id: SocketId) -> Option<Event> {
        self.touch(id);
        let link = self.sockets.get_mut(id)?;
        link.connection.begin_parked();
        match self.go_on_writing(id) {
            Step::Event(event) => Some(event),
            Step::Worked | Step::Over => None,
        }
    }

    /// The first attempt at a unit that lies in the queue.
    fn dispatch(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        if link.file.is_some() {
            return self.write_in_its_turn(id);
        }
        let (sent, emptied) = empty(link, &mut *self.kernel, &mut self.segments);
        self.first_attempt(id, sent, emptied);
        self.relieve(id);
    }

    /// What waits goes out, unless something is in flight or it is corked.
    /// Says whether anything did.
    pub(super) fn dispatch_waiting(&mut self, id: SocketId) -> bool {
        let Some((link, mut later)) = self.link(id) else { return false };
        match link.connection.next_unit(&mut later) {
            Admission::Now => self.dispatch(id),
            // There is no connection, and none on its way: the bytes that it was to have are the failed write.
            Admission::Refused | Admission::Destroy(_) => self.clear_output(id),
            Admission::Queue => return false,
        }
        true
    }

    #[inline]
    fn first_attempt(&mut self, id: SocketId, sent: usize, emptied: Emptied) {
        self.touch(id);
        let Some((link, mut later)) = self.link(id) else { return };
        match emptied {
            Emptied::Failed(error) => {
                // Nothing was queued for the peer that is gone: these bytes are the failed write itself.
                link.connection.failed_at_once(error, &mut later);
                self.clear_output(id);
            }
            Emptied::All => {
                link.connection.dispatched(sent, &mut later);
            }
            Emptied::Blocked => {
                link.latches.writable = false;
                link.connection.dispatched(sent, &mut later);
                if sent > 0 {
                    self.second_attempt(id);
                }
            }
            Emptied::TryAgain => {
                link.connection.dispatched(sent, &mut later);
                self.retry_write_later(id);
            }
            Emptied::Piece => {
                link.connection.dispatched(sent, &mut later);
            }
        }
    }

    /// A write that was taken in part is tried once more at once, as in libuv: a peer that is gone shows now, and not
    /// behind what can still be read. The outcome is told in the next flush.
    fn second_attempt(&mut self, id: SocketId) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        let (sent, emptied) = empty(link, &mut *self.kernel, &mut self.segments);
        link.connection.progressed(sent);
        match emptied {
            Emptied::All => link.rare_mut().outcome = Some(Ok(())),
            Emptied::Failed(error) => link.rare_mut().outcome = Some(Err(error)),
            Emptied::Blocked | Emptied::Piece => {}
            Emptied::TryAgain => self.retry_write_later(id),
        }
        if self.sockets.get(id).is_some_and(|link| link.rare().outcome.is_some()) {
            self.flush_later(id);
        }
        self.relieve(id);
    }

    /// Ends the writing side: after all that was written, and any cork is pulled. `finish` tells when the kernel has
    /// taken it. Reading goes on.
    pub fn end(&mut self, id: SocketId, callback: Option<CallbackId>) {
        let Some(link) = self.sockets.get_mut(id) else { return };
        link.connection.uncork_for_end();
        self.dispatch_waiting(id);
        if let Some((link, mut later)) = self.link(id) {
            link.connection.end(callback, &mut later);
        }
        self.finish_if_done(id);
    }

    /// Writes, then ends. What is true of [`Net::write`] after `end` is true of this.
    pub fn end_with(&mut self, id: SocketId, bytes: &[u8], callback: Option<CallbackId>) {
        if self.sockets.get(id).is_some_and(|link| link.connection.is_writable()) {
            self.write_as(id, bytes, None, Write::LAST);
            self.end(id, callback);
        } else {
            self.write_as(id, bytes, callback, Write::LAST);
        }
    }

    /// Holds writes back until as many [`Net::uncork`]s; then they go out as one. [`Net::end`] pulls all corks.
    pub fn cork(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id) {
            link.connection.cork();
        }
    }

    /// One cork less; with the last, all that was held goes out at once, gathered.
    pub fn uncork(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id) {
            link.connection.uncork();
            if self.dispatch_waiting(id) {
                self.judge(id);
            }
        }
    }

    /// The kernel has room again: the unit in flight goes on.
    pub(super) fn go_on_writing(&mut self, id: SocketId) -> Step {
        let Some(link) = self.sockets.get_mut(id) else { return Step::Worked };
        let (sent, emptied) = empty(link, &mut *self.kernel, &mut self.segments);
        let event = match emptied {
            Emptied::Failed(error) => self.unit_is_over(id, Err(error)),
            Emptied::All => {
                link.connection.progressed(sent);
                self.unit_is_over(id, Ok(()))
            }
            Emptied::Blocked => {
                link.latches.writable = false;
                link.connection.progressed(sent);
                None
            }
            Emptied::TryAgain => {
                link.connection.progressed(sent);
                self.retry_write_later(id);
                None
            }
            Emptied::Piece => {
                link.connection.progressed(sent);
                None
            }
        };
        self.relieve(id);
        event.map_or(Step::Worked, Step::Event)
    }

    /// The write in flight has come to its end; the next one begins.
    pub(super) fn unit_is_over(&mut self, id: SocketId, outcome: Result<(), Error>) -> Option<Event> {
        let link = self.sockets.get_mut(id)?;
        if let Err(error) = outcome {
            let callbacks = link.connection.failed(error);
            self.discard_output(id);
            return self.callbacks(id, callbacks, Tail::Destroy);
        }
        let callbacks = link.connection.completed();
        self.touch(id);
        self.dispatch_waiting(id);
        self.after_write(id, callbacks)
    }

    /// What is queued will never be sent, and is counted as thrown away.
    pub(super) fn discard_output(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id) {
            let unsent = link.connection.queue().unsent();
            if unsent > 0 {
                link.rare_mut().thrown_away += unsent;
            }
        }
        self.clear_output(id);
    }

    fn clear_output(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id) {
            link.connection.clear_queue(&mut self.segments);
        }
    }

    fn retry_write_later(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id) {
            link.latches.writable = false;
        }
        let due = self.timers.after(self.counted_from, RETRY_AFTER);
        self.timers.push(due, Alarm::Retry(id));
    }

    pub(super) fn retry_write(&mut self, id: SocketId) {
        if let Some(link) = self.sockets.get_mut(id) {
            link.latches.writable = true;
            if link.wants_to_write() {
                self.make_ready(id);
            }
        }
    }
}

/// On whose account a write is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    /// Whether the output limits count it. They do not for pipes, whose source is paused instead.
    judged: bool,
    last: Last,
}

impl Write {
    pub const USER: Write = Write { judged: true, last: Last::No };
    pub const LAST: Write = Write { judged: true, last: Last::Yes };
    pub const PIPE: Write = Write { judged: false, last: Last::No };
}

/// What the usual write needs of the net; the read buffer is not among it.
struct Writer<'a> {
    sockets: &'a mut Arena<SocketId, Link>,
    kernel: &'a mut dyn Kernel,
    deferred: &'a mut VecDeque<Deferred>,
    timers: &'a mut Timers<Alarm>,
    counted_from: Duration,
}

impl Writer<'_> {
    #[inline(always)]
    fn write_at_once(self, id: SocketId, bytes: &[u8]) -> AtOnce {
        let Some(link) = self.sockets.get_mut(id) else { return AtOnce::NotNow };
        if !link.connection.writes_at_once() || link.file.is_some() {
            return AtOnce::NotNow;
        }
        let Some(handle) = link.handle else { return AtOnce::NotNow };
        let wrote = self.kernel.write(handle, bytes);
        if !matches!(wrote, Ok(sent) if sent == bytes.len()) {
            return AtOnce::InPart(wrote);
        }
        link.connection.wrote_at_once(bytes.len(), &mut Later { id, queue: self.deferred });
        if let Some(due) = link.connection.activity(self.counted_from, self.timers) {
            self.timers.push(due, Alarm::Idle(id));
        }
        AtOnce::Whole
    }
}

/// What came of a write that might be the usual one.
#[derive(Debug)]
enum AtOnce {
    Whole,
    /// It is begun.
    InPart(std::io::Result<usize>),
    /// It was not tried.
    NotNow,
}

/// Writes from the queue as much of the unit in flight as the kernel takes.
fn empty(link: &mut Link, kernel: &mut dyn Kernel, segments: &mut Segments) -> (usize, Emptied) {
    let Some(handle) = link.handle else { return (0, Emptied::Blocked) };
    if link.file.is_some() {
        return super::file::write_piece(link, handle, kernel, segments);
    }
    let mut total = 0;
    let unit = link.connection.unsent_in_flight();
    while total < unit {
        let (offered, wrote) = write_front(link.connection.queue(), unit - total, handle, kernel, segments);
        if offered == 0 {
            debug_assert!(false, "a unit counts {unit} bytes, and the queue has only {total}");
            break;
        }
        match wrote {
            Ok(sent) => {
                link.connection.queue_mut().sent(sent, segments);
                total += sent;
                if sent < offered {
                    return (total, Emptied::Blocked);
                }
            }
            Err(error) => return (total, verdict(error)),
        }
    }
    (total, Emptied::All)
}

/// Offers the kernel what is at the front of a queue, `most` bytes at most: how much that was, and what came of it.
pub(super) fn write_front(
    queue: &WriteQueue,
    most: usize,
    handle: Handle,
    kernel: &mut dyn Kernel,
    segments: &Segments,
) -> (usize, std::io::Result<usize>) {
    // All but the receivers that do not keep up have one piece.
    if let Some(only) = queue.only_piece(segments) {
        let bytes = &only[..only.len().min(most)];
        return (bytes.len(), kernel.write(handle, bytes));
    }
    let mut slices = [IoSlice::new(&[]); SLICES_AT_ONCE];
    let count = queue.gather(most, segments, &mut slices);
    let offered = slices[..count].iter().map(|slice| slice.len()).sum();
    let wrote = match &slices[..count] {
        [] => Ok(0),
        [one] => kernel.write(handle, one),
        many => kernel.write_vectored(handle, many),
    };
    (offered, wrote)
}

pub(super) fn verdict(error: std::io::Error) -> Emptied {
    match error.kind() {
        ErrorKind::WouldBlock => Emptied::Blocked,
        ErrorKind::Interrupted | ErrorKind::OutOfMemory => Emptied::TryAgain,
        _ if is_no_buffers(&error) => Emptied::TryAgain,
        _ => Emptied::Failed(Error::system(&error, Syscall::Write)),
    }
}

/// ENOBUFS, for which std has no kind.
#[cfg(unix)]
pub(super) fn is_no_buffers(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

#[cfg(not(unix))]
pub(super) fn is_no_buffers(_error: &std::io::Error) -> bool {
    false
}
