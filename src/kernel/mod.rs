//! The door to the operating system, and the whole list of what must be behind it.
//!
//! Nothing outside this folder makes a system call that touches a socket, a file, a clock or a signal. So the same loop runs on
//! the machine's kernel (`mio.rs`) and on any other that keeps this contract, a simulated one for example, and every
//! failure can be made to happen. The only caller is the net (`net/`).
//!
//! All operations return at once. Those that cannot go on say so with [`ErrorKind::WouldBlock`], after which a
//! readiness for that handle will come out of [`Kernel::wait`] when they can. Readiness is told once (edges, not
//! levels): who does not use it must remember it.
//!
//! [`ErrorKind::WouldBlock`]: std::io::ErrorKind::WouldBlock

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use crate::address::Address;
use crate::base::error::Syscall;

mod mio;
mod options;
pub(crate) mod setters;
mod signals;
mod socket_options;
mod token;
#[cfg(unix)]
mod unix;
#[cfg(not(unix))]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(not(unix))]
use windows as system;

pub use mio::MioKernel;
pub use options::{ConnectOptions, KeepAlive, ListenOptions, SocketOption, SocketPermissions, TcpOptions};
pub use token::Token;
pub(crate) use token::TokenOwner;

/// What the loop needs from an operating system. See the [module](self).
pub trait Kernel: fmt::Debug {
    /// The time since the kernel was made. It never goes back.
    fn now(&self) -> Duration;

    /// By how much the clock may move while the events of one `wait` are handled without the loop looking at it again.
    /// The loop adds it to what it counts from, so that no timer is early. Zero for a clock that stands still meanwhile.
    fn clock_slack(&self) -> Duration;

    /// Sleeps until something is ready or `deadline` has come (never, if none), and appends what is ready. A deadline
    /// in the past only looks. It may return early with nothing.
    ///
    /// # Errors
    /// Those of `epoll_wait(2)` but EINTR, which is an early return.
    fn wait(&mut self, deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()>;

    /// A socket that listens on `address`.
    ///
    /// Whatever decides who may connect is set before anybody can: mode and owner of a Unix socket's file, between
    /// `bind(2)` and `listen(2)`. A path that another socket has left is taken over, if nobody listens on it; closing
    /// removes the file.
    ///
    /// # Errors
    /// Those of `socket(2)`, `bind(2)`, `chmod(2)`, `chown(2)` and `listen(2)`.
    fn listen(&mut self, address: Address, options: &ListenOptions) -> io::Result<Handle>;

    /// A socket that listens already, made by somebody else. Its options are those that it has, and those given that
    /// are on. A file that it is bound to is not removed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](io::ErrorKind::InvalidInput), in words, for a descriptor that is no stream socket or
    /// does not listen. A kernel without descriptors takes none.
    #[cfg(unix)]
    fn adopt_listener(&mut self, _listener: OwnedFd, _tcp: &TcpOptions) -> io::Result<Handle> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel has no descriptors to adopt"))
    }

    /// A connection that somebody else made, and the other side's address.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](io::ErrorKind::InvalidInput), in words, for a descriptor that is no stream socket or
    /// is not connected. A kernel without descriptors takes none.
    #[cfg(unix)]
    fn adopt_stream(&mut self, _stream: OwnedFd, _tcp: &TcpOptions) -> io::Result<(Handle, Address)> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel has no descriptors to adopt"))
    }

    /// Takes one connection that waits.
    ///
    /// # Errors
    /// Those of `accept4(2)`.
    fn accept(&mut self, listener: Handle) -> io::Result<(Handle, Address)>;

    /// Takes one connection that waits and closes it, with the descriptor that is kept for the time when there is no
    /// other: a client that is turned away knows, one that waits does not. False if none waits.
    ///
    /// # Errors
    /// Those of `accept4(2)`; out of descriptors where there was none to keep.
    fn shed(&mut self, listener: Handle) -> io::Result<bool>;

    /// A socket that has begun to connect to `address`. How it ends, [`Kernel::connected`] tells after the first
    /// readiness.
    ///
    /// # Errors
    /// Those of `socket(2)`, `bind(2)`, `setsockopt(2)` and `connect(2)` but EINPROGRESS, with the call that failed.
    fn connect(&mut self, address: Address, options: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)>;

    /// Whether a connect has come to its end: true when connected, false while it goes on.
    ///
    /// # Errors
    /// That of the connect, if it failed.
    fn connected(&mut self, socket: Handle) -> io::Result<bool>;

    /// Asks for the readiness of a handle, in both directions, to be told under `token`. Once in a handle's life.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`: out of memory or of watches.
    fn register(&mut self, handle: Handle, token: Token) -> io::Result<()>;

    /// Reads what is there into `buffer`; 0 is the peer's end.
    ///
    /// # Errors
    /// Those of `read(2)`.
    fn read(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as much of one slice as fits.
    ///
    /// # Errors
    /// Those of `write(2)`.
    fn write(&mut self, socket: Handle, bytes: &[u8]) -> io::Result<usize>;

    /// Writes as much of the slices as fits, in order. At most [`MOST_SLICES`] are looked at.
    ///
    /// # Errors
    /// Those of `writev(2)`.
    fn write_vectored(&mut self, socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends the writing side, after all that was written.
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    fn shutdown(&mut self, socket: Handle) -> io::Result<()>;

    /// Closes. What was written still goes out, unless there is input that nobody read: then the kernel resets the
    /// connection (RFC 2525, section 2.17).
    fn close(&mut self, handle: Handle);

    /// Closes with a reset: what was written and has not gone out is thrown away. Unix sockets have no reset: they are
    /// closed.
    fn reset(&mut self, socket: Handle);

    /// Sets an option of a connection. A Unix socket has none of them; nothing is set there, and nothing told.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    fn set_option(&mut self, socket: Handle, option: SocketOption) -> io::Result<()>;

    /// The type of service of a connection: IP_TOS, or IPV6_TCLASS.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`; a Unix socket, a kernel that has none.
    fn type_of_service(&self, _socket: Handle) -> io::Result<u8> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Who is at the other end of a Unix socket: who connected, or who called `listen(2)`.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`; a socket of TCP, a kernel that does not know.
    fn peer_cred(&self, _socket: Handle) -> io::Result<PeerCred> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The address of the handle's own end.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    fn local_address(&self, handle: Handle) -> io::Result<Address>;

    /// Asks for a signal to come out of [`Kernel::wait`] instead of taking its default effect.
    ///
    /// # Errors
    /// A signal that cannot be caught; a kernel without signals.
    fn watch_signal(&mut self, signal: i32) -> io::Result<()>;

    /// What ends a `wait` from another thread: called, it has the `wait` that goes on, or else the next one, return early.
    ///
    /// # Errors
    /// Out of descriptors; a kernel that nobody can wake.
    fn waker(&mut self) -> io::Result<Wake> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel cannot be woken from another thread"))
    }

    /// A descriptor that is readable when `wait` would return something, for a loop inside another loop.
    #[cfg(unix)]
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    // ---- files: `read`, `write`, `write_vectored` and `close` are for these handles too ---------------------------------

    /// Opens a file, a FIFO or a device. It does not wait for the other end of a FIFO.
    ///
    /// # Errors
    /// Those of `open(2)`; a kernel without files.
    fn open(&mut self, _path: &Path, _mode: OpenMode) -> io::Result<Handle> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// One of the streams that the process was started with.
    ///
    /// # Errors
    /// One that is closed; out of descriptors; a kernel without files.
    fn stdio(&mut self, _stream: Stdio) -> io::Result<Handle> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// A descriptor that was opened elsewhere: a file, a pipe, a terminal. Others may share it, and do not notice.
    ///
    /// # Errors
    /// Those of `fstat(2)`; a kernel without descriptors.
    #[cfg(unix)]
    fn adopt_file(&mut self, _descriptor: OwnedFd, _mode: OpenMode) -> io::Result<Handle> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Asks for the readiness of a file to be told under `token`, in the direction of its mode, and says whether
    /// there is any to be told.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)` but EPERM, which says that the file is always ready; a kernel without files.
    fn watch_file(&mut self, _handle: Handle, _token: Token) -> io::Result<Watch> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// What [`Kernel::waker`] gives. Any thread may call it, at any time, also when the kernel is gone.
pub type Wake = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// The most slices that one `write_vectored` takes: IOV_MAX of Linux.
pub const MOST_SLICES: usize = 1024;

/// A kernel's name for one of its sockets or files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub u32);

/// One thing that `wait` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// A handle is ready.
    Io {
        /// The token that it was registered under.
        token: Token,
        /// For what.
        readiness: Readiness,
    },
    /// A signal came.
    Signal(i32),
}

/// For what a handle is ready. Each is a hint: the operation itself tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There is something to read or to accept, an end or an error among it.
    pub readable: bool,
    /// There is room to write, or a connect has come to its end.
    pub writable: bool,
    /// The peer's end stands behind what is to be read.
    pub ended: bool,
    /// Both directions are over (EPOLLHUP) or broken (EPOLLERR): reading and writing will tell which.
    pub hung_up: bool,
}

/// Who is at the other end of a Unix socket, as the kernel knows it: nobody can pretend. It is who connected or listened,
/// at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerCred {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The process; `None` if it is in a namespace that this one does not see. It may have ended since, and the number
    /// may be another's.
    pub pid: Option<u32>,
}

/// What a file is opened for. The letters are Node's flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenMode {
    /// `r`: to be read. It must exist.
    Read,
    /// `w`: to be written from the beginning. It is made, or cut to nothing.
    Write,
    /// `a`: to be written at its end, wherever that is at each write. It is made if it is not there.
    Append,
    /// `wx`: to be made and written. It must not exist.
    CreateNew,
}

impl OpenMode {
    pub(crate) fn is_read(self) -> bool {
        self == OpenMode::Read
    }

    /// What std calls it.
    fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        match self {
            OpenMode::Read => options.read(true),
            OpenMode::Write => options.write(true).create(true).truncate(true),
            OpenMode::Append => options.append(true).create(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
        };
        options
    }
}

/// The streams that a process is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stdio {
    /// Descriptor 0, to be read.
    #[doc(alias = "stdin")]
    Input,
    /// Descriptor 1.
    #[doc(alias = "stdout")]
    Output,
    /// Descriptor 2.
    #[doc(alias = "stderr")]
    Error,
}

/// How the loop learns that a file can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// Readiness comes out of [`Kernel::wait`]: a pipe, a terminal.
    Edges,
    /// No call on it says [`WouldBlock`](io::ErrorKind::WouldBlock): a regular file, `/dev/null`.
    AlwaysReady,
}
