//! Files: connections with one half, whose other side is a disk, a pipe of the system's or a terminal.
//!
//! Once it is open, a file is a connection like any other, and all that this folder does for sockets it does for files.
//! What is different:
//!
//! - It has one half: see `Connection::reading_file` and `Connection::writing_file`.
//! - It moves one piece a turn, 64 KiB at most, and nothing inside a call: a slow disk holds the loop up for no longer.
//! - Its latches stay until a call finds nothing. Of a file that never says so (a regular one) they stay for ever: it
//!   has work whenever somebody takes its data or a write is in flight, and stands in line with the sockets that have.
//!
//! `docs/decisions/0006-files.md` says why.

use std::io::ErrorKind;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::Path;

use super::link::{Link, Remote};
use super::options::{DEFAULT_HIGH_WATER_MARK, check_mark};
use super::output::{Emptied, verdict, write_front};
use super::{Net, READ_BUFFER};
use crate::base::error::{Error, Syscall};
use crate::base::id::SocketId;
use crate::connection::{Connection, Segments};
use crate::kernel::{Handle, Kernel, OpenMode, Readiness, Stdio, Watch};

/// What a file is opened with.
///
/// ```
/// use tidegate::{FileOptions, OpenMode};
///
/// let options = FileOptions::append().high_water_mark(4096);
/// assert_eq!(options.mode, OpenMode::Append);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileOptions {
    /// What for. Of a descriptor that is open already only the direction counts.
    #[doc(alias = "flags")]
    pub mode: OpenMode,
    /// The mark, in bytes. Of a file that is read: the most bytes of one `data` event, which are never more than
    /// 64 KiB, and of what is read ahead. Of one that is written: what waits when `write` returns false. Default 64 KiB,
    /// from 1 byte to 1 GiB.
    #[doc(alias = "highWaterMark")]
    pub high_water_mark: usize,
}

impl FileOptions {
    /// A file that is opened so, with the default mark.
    #[must_use]
    pub fn new(mode: OpenMode) -> Self {
        FileOptions { mode, high_water_mark: DEFAULT_HIGH_WATER_MARK }
    }

    /// A file that is read.
    #[doc(alias = "createReadStream")]
    pub fn read() -> Self {
        FileOptions::new(OpenMode::Read)
    }

    /// A file that is made, or cut to nothing, and written.
    #[doc(alias = "createWriteStream")]
    pub fn write() -> Self {
        FileOptions::new(OpenMode::Write)
    }

    /// A file that is written at its end.
    pub fn append() -> Self {
        FileOptions::new(OpenMode::Append)
    }

    /// Sets [`high_water_mark`](field@Self::high_water_mark).
    #[must_use]
    pub fn high_water_mark(mut self, high_water_mark: usize) -> Self {
        self.high_water_mark = high_water_mark;
        self
    }

    fn check(&self) -> Result<(), Error> {
        if self.high_water_mark == 0 {
            return Err(Error::invalid("high-water mark 0: that of a file is at least 1 byte"));
        }
        check_mark(self.high_water_mark)
    }
}

/// What a link that is a file has, and a socket has not.
#[derive(Debug)]
pub(super) struct FileEnd {
    mode: OpenMode,
    piece: usize,
    /// Bytes that the kernel took.
    written: u64,
    /// Standard output or standard error.
    standard: bool,
}

impl FileEnd {
    /// The most bytes of one read.
    pub fn piece(&self) -> usize {
        self.piece
    }

    pub fn written(&self) -> u64 {
        self.written
    }
}

impl Net {
    /// Opens a file to read it, or to write it. It is a socket with one half: `data`, `end` and `close` come from one
    /// that is read, once somebody listens; `drain`, `finish` and `close` from one that is written.
    ///
    /// A FIFO that is read waits for its first writer; one that is written must have a reader (ENXIO).
    ///
    /// # Errors
    /// Those of `open(2)`, with the path; a mark out of its bounds. What goes wrong later is an `error` event.
    pub fn open(&mut self, path: impl AsRef<Path>, options: FileOptions) -> Result<SocketId, Error> {
        options.check()?;
        let path = path.as_ref();
        let opened = self.kernel.open(path, options.mode);
        let handle = opened.map_err(|error| Error::of_file(&error, Syscall::Open, path))?;
        // A FIFO without a writer would look as if it were at its end.
        self.add_file(handle, options, false).map_err(|error| Error::of_file(&error, Syscall::Open, path))
    }

    /// A stream that the process was started with. Its own descriptor stays open when this one closes, and nothing
    /// changes for those who share it.
    ///
    /// # Errors
    /// It is closed; out of descriptors.
    pub fn stdio(&mut self, stream: Stdio) -> Result<SocketId, Error> {
        let options = if stream == Stdio::Input { FileOptions::read() } else { FileOptions::write() };
        let opened = self.kernel.stdio(stream);
        let id = opened.and_then(|handle| self.add_file(handle, options, true));
        let id = id.map_err(|error| Error::of_file(&error, Syscall::Open, stream))?;
        if let Some(file) = self.sockets.get_mut(id).and_then(|link| link.file.as_mut()) {
            file.standard = stream != Stdio::Input;
        }
        Ok(id)
    }

    /// A pipe, a terminal or a file that was opened elsewhere, a child's output for example. Nothing changes for those
    /// who share it.
    ///
    /// # Errors
    /// It is no descriptor of such a kind; a mark out of its bounds.
    #[cfg(unix)]
    pub fn adopt_file(&mut self, descriptor: impl Into<OwnedFd>, options: FileOptions) -> Result<SocketId, Error> {
        options.check()?;
        let adopted = self.kernel.adopt_file(descriptor.into(), options.mode);
        let id = adopted.and_then(|handle| self.add_file(handle, options, true));
        id.map_err(|error| Error::system(&error, Syscall::Open))
    }

    /// Whether it is a file.
    pub fn is_file(&self, id: SocketId) -> bool {
        self.sockets.get(id).is_some_and(|link| link.file.is_some())
    }

    /// A file is there. `readable` says whether a read may be tried before any readiness was told.
    fn add_file(&mut self, handle: Handle, options: FileOptions, readable: bool) -> std::io::Result<SocketId> {
        let mark = options.high_water_mark;
        let connection = match options.mode {
            OpenMode::Read => Connection::reading_file(mark),
            OpenMode::Write | OpenMode::Append | OpenMode::CreateNew => Connection::writing_file(mark),
        };
        let file = FileEnd {
            mode: options.mode,
            piece: options.high_water_mark.min(READ_BUFFER),
            written: 0,
            standard: false,
        };
        let link =
            Link { handle: Some(handle), remote: Remote::File, file: Some(Box::new(file)), ..Link::new(connection) };
        let id = self.sockets.insert_with(|_| link);
        let watch = self.kernel.watch_file(handle, id.into()).inspect_err(|_| {
            self.kernel.close(handle);
            self.sockets.remove(id);
        })?;
        if let Some(link) = self.sockets.get_mut(id) {
            let always = watch == Watch::AlwaysReady;
            link.latches = Readiness { readable: always || readable, writable: always, ..Readiness::default() };
        }
        Ok(id)
    }

    /// The first part of a unit goes out when the file has its turn.
    pub(super) fn write_in_its_turn(&mut self, id: SocketId) {
        self.touch(id);
        let Some((link, mut later)) = self.link(id) else { return };
        link.connection.dispatched(0, &mut later);
        if link.wants_to_write() {
            self.make_ready(id);
        }
    }

    /// # Errors
    /// A pipe that begins in a file that is written, or ends in one that is read.
    pub(super) fn check_pipe(&self, from: SocketId, to: SocketId) -> Result<(), Error> {
        let mode = |id| Some(self.sockets.get(id)?.file.as_ref()?.mode);
        match (mode(from), mode(to)) {
            (Some(from), _) if !from.is_read() => {
                Err(Error::invalid("a pipe from a file that is written: open it with `OpenMode::Read`"))
            }
            (_, Some(OpenMode::Read)) => Err(Error::invalid(
                "a pipe into a file that is read: open it with `OpenMode::Write` or `OpenMode::Append`",
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn is_standard(&self, id: SocketId) -> bool {
        self.sockets.get(id).and_then(|link| link.file.as_ref()).is_some_and(|file| file.standard)
    }
}

/// Writes one piece of the unit in flight.
pub(super) fn write_piece(
    link: &mut Link,
    handle: Handle,
    kernel: &mut dyn Kernel,
    segments: &mut Segments,
) -> (usize, Emptied) {
    let unit = link.connection.unsent_in_flight();
    if unit == 0 {
        return (0, Emptied::All);
    }
    let (_, wrote) = write_front(link.connection.queue(), unit.min(READ_BUFFER), handle, kernel, segments);
    match wrote {
        // It would say so for ever.
        Ok(0) => (0, verdict(ErrorKind::WriteZero.into())),
        Ok(sent) => {
            link.connection.queue_mut().sent(sent, segments);
            if let Some(file) = &mut link.file {
                file.written += sent as u64;
            }
            (sent, if sent == unit { Emptied::All } else { Emptied::Piece })
        }
        Err(error) => (0, verdict(error)),
    }
}
