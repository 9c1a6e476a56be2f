//! A file, a pipe or a terminal: how it is opened, and why no call on it blocks.
//!
//! The kernel of `mio.rs` has one for the handle of each file. A file that other processes share is not made non-blocking,
//! because it would be so for them too: see `docs/decisions/0006-files.md`.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::differences;
use crate::kernel::{OpenMode, Stdio, Watch};

#[derive(Debug)]
pub(in crate::kernel) struct Descriptor {
    file: File,
    mode: OpenMode,
    blocking: Blocking,
    /// Registered in the poll.
    watched: bool,
}

/// What a call does when it cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blocking {
    /// It gives WouldBlock, because the description is our own and non-blocking. Or it can always go on: a regular file.
    Never,
    /// It could block, so poll(2) is called before it.
    Possible,
}

/// The most that is written at once if a call could block. A pipe that is writable takes that much (POSIX: PIPE_BUF).
const PIECE: usize = 512;

impl Descriptor {
    /// Opens a file by its path, without waiting for the other end of a FIFO.
    pub fn open(path: &Path, mode: OpenMode) -> io::Result<Self> {
        let mut options = mode.options();
        without_waiting(&mut options);
        Ok(Descriptor { file: options.open(path)?, mode, blocking: Blocking::Never, watched: false })
    }

    /// One of the three streams of the process. Closing it leaves the process's own descriptor open.
    pub fn stdio(stream: Stdio) -> io::Result<Self> {
        match stream {
            Stdio::Input => Self::adopt(io::stdin().as_fd().try_clone_to_owned()?, OpenMode::Read),
            Stdio::Output => Self::adopt(io::stdout().as_fd().try_clone_to_owned()?, OpenMode::Write),
            Stdio::Error => Self::adopt(io::stderr().as_fd().try_clone_to_owned()?, OpenMode::Write),
        }
    }

    /// A descriptor that was opened elsewhere, perhaps in another process.
    pub fn adopt(descriptor: OwnedFd, mode: OpenMode) -> io::Result<Self> {
        let file = File::from(descriptor);
        let kind = file.metadata()?.file_type();
        let can_wait = kind.is_fifo() || kind.is_char_device();
        let (file, blocking) = match can_wait.then(|| differences::reopen(&file, mode)).flatten() {
            Some(own) => (own, Blocking::Never),
            None if can_wait || kind.is_socket() => (file, Blocking::Possible),
            None => (file, Blocking::Never),
        };
        Ok(Descriptor { file, mode, blocking, watched: false })
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.blocking == Blocking::Possible && !self.is_ready() {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.file.read(buffer)
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.blocking == Blocking::Never {
            return self.file.write(bytes);
        }
        let mut sent = 0;
        while sent < bytes.len() && self.is_ready() {
            match self.file.write(&bytes[sent..bytes.len().min(sent + PIECE)]) {
                Ok(count) => sent += count,
                // The next call gives the error again.
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        if sent == 0 && !bytes.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(sent) }
    }

    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self.blocking, slices.first()) {
            (Blocking::Never, _) => self.file.write_vectored(slices),
            (Blocking::Possible, Some(first)) => self.write(first),
            (Blocking::Possible, None) => Ok(0),
        }
    }

    /// Whether a call would not block now. It would not after an error or a hang-up either.
    fn is_ready(&self) -> bool {
        let wanted = if self.mode.is_read() { PollFlags::IN } else { PollFlags::OUT };
        let mut asked = [PollFd::new(&self.file, wanted)];
        matches!(poll(&mut asked, Some(&Timespec::default())), Ok(1..))
    }

    /// Asks for its readiness, in the direction of its mode.
    pub fn watch(&mut self, registry: &Registry, key: mio::Token) -> io::Result<Watch> {
        if !self.could_wait() {
            return Ok(Watch::AlwaysReady);
        }
        let interest = if self.mode.is_read() { Interest::READABLE } else { Interest::WRITABLE };
        match registry.register(&mut SourceFd(&self.file.as_raw_fd()), key, interest) {
            Ok(()) => {
                self.watched = true;
                Ok(Watch::Edges)
            }
            // EPERM is epoll's word for a file that is always ready (epoll_ctl(2)).
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Watch::AlwaysReady),
            Err(error) => Err(error),
        }
    }

    /// Whether it could ever have to wait. The poll may still refuse it.
    fn could_wait(&self) -> bool {
        self.file.metadata().is_ok_and(|found| {
            let kind = found.file_type();
            !(kind.is_file() || kind.is_dir() || kind.is_block_device())
        })
    }

    /// Takes it out of the poll. Closing it is not enough if another descriptor shares its description.
    pub fn deregister_if_shared(&self, registry: &Registry) -> io::Result<()> {
        if self.watched { registry.deregister(&mut SourceFd(&self.file.as_raw_fd())) } else { Ok(()) }
    }
}

/// Neither open(2) nor a later call blocks, and a terminal does not become the controlling one of the process.
pub(super) fn without_waiting(options: &mut OpenOptions) {
    options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
}
