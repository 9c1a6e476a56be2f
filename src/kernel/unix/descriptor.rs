//! A file of the machine's, a pipe or a terminal among them: how it is opened, and why no call on it waits.
//!
//! The kernel of `mio.rs` has one behind the handle of each file. What is shared with other processes is not made
//! non-blocking for them: see `docs/decisions/0006-files.md`.

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
    /// It says so: the description is ours and does not block. Or it never comes to that: a regular file.
    Never,
    /// It would wait, so poll(2) is asked before each call.
    Possible,
}

/// The most that is written at once where a call could wait: what a pipe that is writable takes whole (PIPE_BUF of POSIX).
const PIECE: usize = 512;

impl Descriptor {
    /// Opens a file by its path, without waiting for the other end of a FIFO.
    pub fn open(path: &Path, mode: OpenMode) -> io::Result<Self> {
        let mut options = mode.options();
        without_waiting(&mut options);
        Ok(Descriptor { file: options.open(path)?, mode, blocking: Blocking::Never, watched: false })
    }

    /// One of the three that the process was started with. Closing it leaves the process's own open.
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
                // It comes again with the next call.
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

    /// Whether a call now would not wait. An error or a hang-up is an answer too.
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
            // epoll's word for what is always ready (epoll_ctl(2)).
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Watch::AlwaysReady),
            Err(error) => Err(error),
        }
    }

    /// Whether there could be anything to wait for. The kernel's poll may still say no.
    fn could_wait(&self) -> bool {
        self.file.metadata().is_ok_and(|found| {
            let kind = found.file_type();
            !(kind.is_file() || kind.is_dir() || kind.is_block_device())
        })
    }

    /// Takes it out of the poll: a descriptor that shares its description with another is not taken out by closing it.
    pub fn deregister_if_shared(&self, registry: &Registry) -> io::Result<()> {
        if self.watched { registry.deregister(&mut SourceFd(&self.file.as_raw_fd())) } else { Ok(()) }
    }
}

/// Neither open(2) waits nor a call after it, and a terminal does not become the process's own.
pub(super) fn without_waiting(options: &mut OpenOptions) {
    options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
}
