//! Sending: as much of what is queued as the kernel takes.

use std::io::{self, IoSlice};

use super::Conn;
use crate::connection::{Segments, WriteQueue};
use crate::kernel::{Handle, Kernel};
use crate::net::cx::Cx;
use crate::net::read_buffer::READ_BUFFER;

/// Slices given to the kernel at once. More would only make the stack frame larger: small writes are merged.
const SLICES_AT_ONCE: usize = 64;

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
    Failed(io::Error),
}

impl Conn {
    /// Writes from the queue as much of the write in flight as the kernel takes.
    #[inline(always)]
    pub(super) fn empty(&mut self, cx: &mut Cx) -> (usize, Emptied) {
        let Some(handle) = self.handle else { return (0, Emptied::Blocked) };
        if self.is_file() {
            return self.write_piece(handle, cx);
        }
        let mut total = 0;
        let length = self.connection.unsent_in_flight();
        if length == 0 {
            return (0, write_nothing(handle, cx).map_or_else(Emptied::Failed, |_| Emptied::All));
        }
        while total < length {
            let (offered, wrote) =
                write_front(self.connection.queue(), length - total, handle, &mut *cx.kernel, &cx.segments);
            if offered == 0 {
                debug_assert!(false, "{length} bytes are counted in flight, and the queue has only {total}");
                break;
            }
            cx.wrote(offered, &wrote);
            match wrote {
                Ok(sent) => {
                    cx.time.spend(sent / 1024);
                    self.connection.queue_mut().sent(sent, &mut cx.segments);
                    total += sent;
                    if sent < offered {
                        return (total, Emptied::Blocked);
                    }
                }
                Err(error) => return (total, classify(error)),
            }
        }
        (total, Emptied::All)
    }

    /// Writes one piece of the write in flight.
    fn write_piece(&mut self, handle: Handle, cx: &mut Cx) -> (usize, Emptied) {
        let length = self.connection.unsent_in_flight();
        if length == 0 {
            return (0, Emptied::All);
        }
        let most = length.min(READ_BUFFER);
        let (offered, wrote) = write_front(self.connection.queue(), most, handle, &mut *cx.kernel, &cx.segments);
        cx.wrote(offered, &wrote);
        match wrote {
            // It would say so for ever.
            Ok(0) => (0, classify(io::ErrorKind::WriteZero.into())),
            Ok(sent) => {
                self.connection.queue_mut().sent(sent, &mut cx.segments);
                if let Some(file) = &mut self.rare_mut().file {
                    file.written += sent as u64;
                }
                (sent, if sent == length { Emptied::All } else { Emptied::Piece })
            }
            Err(error) => (0, classify(error)),
        }
    }
}

/// A write of nothing: the kernel says whether the peer is gone. That it is full says nothing.
#[cold]
pub(super) fn write_nothing(handle: Handle, cx: &mut Cx) -> io::Result<usize> {
    let wrote = cx.kernel.write(handle, &[]);
    cx.wrote(0, &wrote);
    match wrote.map_err(classify) {
        Err(Emptied::Failed(error)) => Err(error),
        _ => Ok(0),
    }
}

/// Offers the kernel what is at the front of a queue, `most` bytes at most: how much that was, and what came of it.
#[inline]
fn write_front(
    queue: &WriteQueue,
    most: usize,
    handle: Handle,
    kernel: &mut dyn Kernel,
    segments: &Segments,
) -> (usize, io::Result<usize>) {
    // All but the receivers that do not keep up have one piece.
    if let Some(only) = queue.only_piece(segments) {
        let bytes = &only[..only.len().min(most)];
        return (bytes.len(), kernel.write(handle, bytes));
    }
    write_gathered(queue, most, handle, kernel, segments)
}

// Not inline: the usual write would have its large stack frame.
#[inline(never)]
fn write_gathered(
    queue: &WriteQueue,
    most: usize,
    handle: Handle,
    kernel: &mut dyn Kernel,
    segments: &Segments,
) -> (usize, io::Result<usize>) {
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

/// The table of what write(2) can fail with.
#[cold]
pub(super) fn classify(error: io::Error) -> Emptied {
    match error.kind() {
        io::ErrorKind::WouldBlock => Emptied::Blocked,
        io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory => Emptied::TryAgain,
        _ if is_no_buffers(&error) => Emptied::TryAgain,
        _ => Emptied::Failed(error),
    }
}

/// ENOBUFS, for which std has no kind.
#[cfg(unix)]
fn is_no_buffers(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

#[cfg(not(unix))]
fn is_no_buffers(_error: &io::Error) -> bool {
    false
}
