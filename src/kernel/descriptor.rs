//! A file of the machine's, a pipe or a terminal among them: how it is opened, and how it is kept from waiting.
//!
//! It is what the machine's kernel (`mio.rs`) has behind the handle of a file. What is shared with other processes is
//! not made non-blocking for them: see `docs/decisions/0006-files.md`.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::path::Path;

use super::OpenMode;

#[derive(Debug)]
pub(super) struct Descriptor {
    file: File,
    mode: OpenMode,
    waits: Waits,
    /// Registered in the poll, and to be taken out again: a descriptor that shares its description with another is not
    /// taken out by closing it.
    pub watched: bool,
}

/// What a call does when it cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// It says so: the description is ours and does not block. Or it never comes to that: a regular file.
    Never,
    /// It would wait, so it is asked before each call.
    Asked,
}

/// Written at once where a call could wait: what a pipe that is writable takes whole (PIPE_BUF of POSIX).
const ASKED_PIECE: usize = 512;

impl Descriptor {
    /// Opens a file by its path, without waiting for the other end of a FIFO.
    pub fn open(path: &Path, mode: OpenMode) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        match mode {
            OpenMode::Read => options.read(true),
            OpenMode::Write => options.write(true).create(true).truncate(true),
            OpenMode::Append => options.append(true).create(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
        };
        #[cfg(unix)]
        own::without_waiting(&mut options);
        Ok(Descriptor { file: options.open(path)?, mode, waits: Waits::Never, watched: false })
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.waits == Waits::Asked && !self.is_ready() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.file.read(buffer)
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waits == Waits::Never {
            return self.file.write(bytes);
        }
        let mut sent = 0;
        while sent < bytes.len() && self.is_ready() {
            match self.file.write(&bytes[sent..bytes.len().min(sent + ASKED_PIECE)]) {
                Ok(count) => sent += count,
                // It comes again with the next call.
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        if sent == 0 && !bytes.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(sent) }
    }

    pub fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self.waits, slices.first()) {
            (Waits::Never, _) => self.file.write_vectored(slices),
            (Waits::Asked, Some(first)) => self.write(first),
            (Waits::Asked, None) => Ok(0),
        }
    }

    #[cfg(not(unix))]
    fn is_ready(&self) -> bool {
        true
    }
}

#[cfg(unix)]
mod own {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
    use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::OFlags;

    use super::{Descriptor, Waits};
    use crate::kernel::{OpenMode, Stdio};

    /// Neither open(2) waits nor a call behind it, and a terminal does not become the process's own.
    pub fn without_waiting(options: &mut OpenOptions) {
        options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
    }

    impl Descriptor {
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
            let (file, waits) = match can_wait.then(|| reopen(&file, mode)).flatten() {
                Some(own) => (own, Waits::Never),
                None if can_wait || kind.is_socket() => (file, Waits::Asked),
                None => (file, Waits::Never),
            };
            Ok(Descriptor { file, mode, waits, watched: false })
        }

        /// Whether a call now would not wait. An error or a hang-up is an answer too.
        pub fn is_ready(&self) -> bool {
            let wanted = if self.mode.is_read() { PollFlags::IN } else { PollFlags::OUT };
            let mut asked = [PollFd::new(&self.file, wanted)];
            matches!(poll(&mut asked, Some(&Timespec::default())), Ok(1..))
        }

        /// Whether there could be anything to wait for. The kernel's poll may still say no.
        pub fn could_wait(&self) -> bool {
            self.file.metadata().is_ok_and(|found| {
                let kind = found.file_type();
                !(kind.is_file() || kind.is_dir() || kind.is_block_device())
            })
        }

        pub fn reads(&self) -> bool {
            self.mode.is_read()
        }

        pub fn fd(&self) -> RawFd {
            self.file.as_raw_fd()
        }
    }

    /// The same pipe or terminal once more, with a description that nobody else has.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn reopen(file: &File, mode: OpenMode) -> Option<File> {
        let mut options = OpenOptions::new();
        options.read(mode.is_read()).write(!mode.is_read());
        without_waiting(&mut options);
        options.open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
    }

    /// What `/dev/fd` opens elsewhere is the same description.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn reopen(_file: &File, _mode: OpenMode) -> Option<File> {
        None
    }
}
