//! Files: opening them. What is different about a connection that is one is in `conn/file.rs`.

#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::Path;

use super::Net;
use super::conn::file::FileEnd;
use super::conn::{Conn, Remote};
use super::options::FileOptions;
use crate::base::error::{Error, Syscall};
use crate::base::id::SocketId;
use crate::connection::Connection;
use crate::kernel::{Handle, OpenMode, Stdio};

impl Net {
    /// Opens a file to read it, or to write it. It is a socket with one half: `data`, `end` and `close` come from one
    /// that is read, once somebody listens; `drain`, `finish` and `close` from one that is written. One that is opened in both
    /// directions has both halves, by one descriptor.
    ///
    /// A FIFO that is read waits for its first writer; one that is written must have a reader (ENXIO).
    ///
    /// # Errors
    /// Those of `open(2)`, with the path; a mark out of its bounds. What goes wrong later is an `error` event.
    pub fn open(&mut self, path: impl AsRef<Path>, options: FileOptions) -> Result<SocketId, Error> {
        options.check()?;
        let path = path.as_ref();
        let opened = self.cx.kernel.open(path, options.mode);
        let handle = opened.map_err(|error| Error::of_file(&error, Syscall::Open, path))?;
        // A FIFO without a writer would look as if it were at its end.
        let file = FileEnd::new(options.mode, options.high_water_mark);
        self.add_file(handle, file, options, false).map_err(|error| Error::of_file(&error, Syscall::Open, path))
    }

    /// A stream that the process was started with. Its own descriptor stays open when this one closes, and nothing
    /// changes for other processes that share it.
    ///
    /// # Errors
    /// It is closed, or open for the other direction; out of descriptors.
    pub fn stdio(&mut self, stream: Stdio) -> Result<SocketId, Error> {
        let options = if stream == Stdio::Input { FileOptions::read() } else { FileOptions::write() };
        let opened = self.cx.kernel.stdio(stream);
        let file = FileEnd::new(options.mode, options.high_water_mark).of_the_process();
        let id = opened.and_then(|handle| self.add_file(handle, file, options, true));
        id.map_err(|error| Error::of_file(&error, Syscall::Open, stream))
    }

    /// A pipe, a terminal or a file that was opened elsewhere, a child's output for example. Nothing changes for those
    /// that share it.
    ///
    /// # Errors
    /// It is not open for reading, or for writing; a mark out of its bounds.
    #[cfg(unix)]
    pub fn adopt_file(&mut self, descriptor: impl Into<OwnedFd>, options: FileOptions) -> Result<SocketId, Error> {
        options.check()?;
        let adopted = self.cx.kernel.adopt_file(descriptor.into(), options.mode);
        let file = FileEnd::new(options.mode, options.high_water_mark);
        let id = adopted.and_then(|handle| self.add_file(handle, file, options, true));
        id.map_err(|error| Error::system(&error, Syscall::Open))
    }

    /// A file is there. `readable` says whether a read may be tried before any readiness was reported.
    fn add_file(
        &mut self,
        handle: Handle,
        mut file: FileEnd,
        options: FileOptions,
        readable: bool,
    ) -> std::io::Result<SocketId> {
        let mark = options.high_water_mark;
        let connection = match options.mode {
            OpenMode::Read => Connection::reading_file(mark),
            OpenMode::Write | OpenMode::Append | OpenMode::CreateNew => Connection::writing_file(mark),
            OpenMode::ReadWrite => Connection::two_way_file(mark),
        };
        let now = self.cx.second();
        let id = self.conns.insert_with(|id| Conn::new(id, connection, now).connected(handle, Remote::File));
        file.watch = self.cx.kernel.watch_file(handle, id.into()).inspect_err(|_| {
            self.cx.kernel.close(handle);
            self.conns.remove(id);
        })?;
        if let Some(conn) = self.conns.get_mut(id) {
            conn.become_file(file, readable);
        }
        Ok(id)
    }
}
