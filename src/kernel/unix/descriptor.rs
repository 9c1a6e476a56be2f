//! A file, a pipe, a terminal or anything else that is read and written: how it is opened, and why no call on it blocks.
//!
//! The kernel of `mio.rs` has one for the handle of each file. A file that other processes share is not made non-blocking,
//! because it would be so for them too: see `docs/decisions/0006-files.md` and, for each kind,
//! `docs/decisions/0013-what-is-adopted-never-blocks.md`.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::net::{RecvFlags, SendFlags};

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
    /// As [`Blocking::Possible`], of an eventfd: one that is writable takes the number 1, and may be too full for a larger one.
    PossibleForEventfd,
    /// A socket: a flag of each call says that it is not to block.
    ByFlag,
}

/// The most that is written at once if a call could block. A pipe that is writable takes that much (POSIX: PIPE_BUF).
const PIECE: usize = 512;

/// What an eventfd takes in one write: a number.
const NUMBER: usize = size_of::<u64>();

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
        let access = rustix::fs::fcntl_getfl(&file)? & OFlags::ACCMODE;
        let (wanted, what) = match (mode.is_read(), mode.is_written()) {
            (true, true) => (OFlags::RDWR, "reading and writing"),
            (true, false) => (OFlags::RDONLY, "reading"),
            _ => (OFlags::WRONLY, "writing"),
        };
        if access != wanted && access != OFlags::RDWR {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("the descriptor is not open for {what}")));
        }
        let kind = file.metadata()?.file_type();
        let (file, blocking) = match differences::reopen(&file, mode)? {
            Some(own) => (own, Blocking::Never),
            None if kind.is_socket() => (file, Blocking::ByFlag),
            // Some files without a size wait for their data, and the poll knows of them: /proc/kmsg.
            None if kind.is_dir() || kind.is_block_device() || (kind.is_file() && !mode.is_read()) => {
                (file, Blocking::Never)
            }
            None if differences::is_eventfd(&file) => (file, Blocking::PossibleForEventfd),
            None => (file, Blocking::Possible),
        };
        Ok(Descriptor { file, mode, blocking, watched: false })
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.blocking {
            Blocking::Never => self.file.read(buffer),
            Blocking::ByFlag => Ok(rustix::net::recv(&self.file, buffer, RecvFlags::DONTWAIT)?.0),
            Blocking::Possible | Blocking::PossibleForEventfd if self.is_ready(PollFlags::IN) => self.file.read(buffer),
            Blocking::Possible | Blocking::PossibleForEventfd => Err(ErrorKind::WouldBlock.into()),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.blocking {
            Blocking::Never => differences::without_signals(|| self.file.write(bytes)),
            Blocking::ByFlag => {
                Ok(rustix::net::send(&self.file, bytes, differences::SEND_FLAGS | SendFlags::DONTWAIT)?)
            }
            Blocking::Possible => self.write_pieces(bytes, PIECE),
            Blocking::PossibleForEventfd => self.write_pieces(bytes, NUMBER),
        }
    }

    fn write_pieces(&mut self, bytes: &[u8], piece: usize) -> io::Result<usize> {
        let mut sent = 0;
        while sent < bytes.len() {
            let next = &bytes[sent..bytes.len().min(sent + piece)];
            if !self.is_ready(PollFlags::OUT) || !self.has_room_for(next) {
                break;
            }
            match differences::without_signals(|| self.file.write(next)) {
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
            (Blocking::Never, _) => differences::without_signals(|| self.file.write_vectored(slices)),
            (_, Some(first)) => self.write(first),
            (_, None) => Ok(0),
        }
    }

    /// Whether what is writable takes all of `bytes`. Only the counter of an eventfd may not.
    fn has_room_for(&self, bytes: &[u8]) -> bool {
        match (self.blocking, bytes.try_into().map(u64::from_ne_bytes)) {
            (Blocking::PossibleForEventfd, Ok(number @ 2..)) => differences::eventfd_has_room_for(&self.file, number),
            _ => true,
        }
    }

    /// Whether a read or a write would not block now. It would not after an error or a hang-up either.
    fn is_ready(&self, wanted: PollFlags) -> bool {
        let mut asked = [PollFd::new(&self.file, wanted)];
        matches!(poll(&mut asked, Some(&Timespec::default())), Ok(1..))
    }

    /// Asks for its readiness, in the direction of its mode.
    pub fn watch(&mut self, registry: &Registry, key: mio::Token) -> io::Result<Watch> {
        if !self.could_wait() {
            return Ok(self.always_ready());
        }
        let interest = match (self.mode.is_read(), self.mode.is_written()) {
            (true, true) => Interest::READABLE.add(Interest::WRITABLE),
            (true, false) => Interest::READABLE,
            _ => Interest::WRITABLE,
        };
        match registry.register(&mut SourceFd(&self.file.as_raw_fd()), key, interest) {
            Ok(()) => {
                self.watched = true;
                Ok(Watch::Edges)
            }
            // EPERM is epoll's word for a file that is always ready (epoll_ctl(2)).
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(self.always_ready()),
            Err(error) => Err(error),
        }
    }

    /// There is nothing to ask before a call.
    fn always_ready(&mut self) -> Watch {
        self.blocking = Blocking::Never;
        Watch::AlwaysReady
    }

    /// Whether it could ever have to wait. The poll may still refuse it.
    fn could_wait(&self) -> bool {
        self.file.metadata().is_ok_and(|found| {
            let kind = found.file_type();
            let is_plain = kind.is_file() && !(differences::POLL_KNOWS_FILES && self.mode.is_read());
            !(is_plain || kind.is_dir() || kind.is_block_device())
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
