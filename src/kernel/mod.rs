//! The contract between the loop and an operating system: all that the loop needs from one.
//!
//! No code outside this folder makes a system call on a socket, a file, a clock or a signal. So the same loop runs on the
//! machine's own kernel ([`MioKernel`]), on the simulated one ([`sim`](crate::sim)), and on any other that keeps this
//! contract. Only the engine (`net/`) calls it.
//!
//! Every operation returns at once. One that cannot go on gives [`ErrorKind::WouldBlock`], and when it can go on,
//! [`Kernel::wait`] gives a readiness for its handle. Each readiness is given once (edge-triggered), so the caller must
//! remember what it does not use.
//!
//! [`ErrorKind::WouldBlock`]: std::io::ErrorKind::WouldBlock

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use crate::address::Address;
use crate::base::error::Syscall;

mod clock;
mod datagrams;
mod mio;
mod options;
pub(crate) mod pass_on;
mod recording;
pub(crate) mod setters;
mod signals;
mod socket_options;
mod source;
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
pub use recording::{
    Difference, Header, Playback, Recorder, RecorderOptions, Recording, Replay, ReplayOptions, Report, RunEnd,
};
pub use token::Token;
pub(crate) use token::TokenOwner;

/// What the loop needs from an operating system. See the [module](self).
pub trait Kernel: fmt::Debug {
    /// The time since the kernel was made. It never goes back.
    fn now(&self) -> Duration;

    /// The same, for a look that decides nothing: statistics are measured by it. A recording keeps it apart, so a run plays with
    /// statistics and without, however it was recorded.
    fn now_to_measure(&self) -> Duration {
        self.now()
    }

    /// How far the clock may move while the events of one `wait` are handled, during which the loop does not read it again.
    /// The loop adds this to the time that its timers start from, so that no timer is early. Zero for a clock that stands
    /// still in the meantime.
    fn clock_slack(&self) -> Duration;

    /// Sleeps until something is ready or `deadline` has passed, and appends what is ready to `ready`. Without a deadline it
    /// sleeps until something is ready; with one in the past it does not sleep. It may return early with nothing. What it
    /// returns is all that is ready by then: the loop judges peers that were silent when it has served that.
    ///
    /// # Errors
    /// Those of `epoll_wait(2)` except EINTR, which may be an early return.
    fn wait(&mut self, deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()>;

    /// The most events that one look of [`Kernel::wait`] takes. A wait that has found as many may have had to look again: the
    /// statistics count it.
    fn events_at_once(&self) -> usize {
        usize::MAX
    }

    /// A socket that listens on `address`.
    ///
    /// The mode and the owner of a Unix socket's file are set between `bind(2)` and `listen(2)`, before anybody can connect.
    /// A path that another socket has left is taken over if no server listens on it. Closing removes the file.
    ///
    /// # Errors
    /// Those of `socket(2)`, `bind(2)`, `chmod(2)`, `chown(2)` and `listen(2)`.
    fn listen(&mut self, address: Address, options: &ListenOptions) -> io::Result<Handle>;

    /// Takes over a socket that listens already. It keeps its options, and the given ones that are on are set too. Closing
    /// does not remove the file that it is bound to.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](io::ErrorKind::InvalidInput), with the reason, for a descriptor that is no stream socket
    /// or does not listen; a kernel without descriptors.
    #[cfg(unix)]
    fn adopt_listener(&mut self, _listener: OwnedFd, _tcp: &TcpOptions) -> io::Result<Handle> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel has no descriptors to adopt"))
    }

    /// Takes over a connection that was made elsewhere. Gives the address of its peer too, if the system still has it. A
    /// connection that was reset can be adopted: it gives what had come before, and then the error.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](io::ErrorKind::InvalidInput), with the reason, for a descriptor that is no stream socket
    /// or was never connected; a kernel without descriptors.
    #[cfg(unix)]
    fn adopt_stream(&mut self, _stream: OwnedFd, _tcp: &TcpOptions) -> io::Result<(Handle, Option<Address>)> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel has no descriptors to adopt"))
    }

    /// Takes one connection that waits.
    ///
    /// # Errors
    /// Those of `accept4(2)`.
    fn accept(&mut self, listener: Handle) -> io::Result<(Handle, Address)>;

    /// Takes one connection that waits and resets it, when all descriptors are in use: the kernel keeps a spare one for it.
    /// A client that is turned away at once can try elsewhere, a client that waits cannot. False if none waits.
    ///
    /// # Errors
    /// Those of `accept4(2)`; out of descriptors, if there was none to keep.
    fn shed(&mut self, listener: Handle) -> io::Result<bool>;

    /// A socket that has begun to connect to `address`. After the first readiness [`Kernel::connected`] says how the connect
    /// has ended.
    ///
    /// # Errors
    /// Those of `socket(2)`, `bind(2)`, `setsockopt(2)` and `connect(2)` except EINPROGRESS, with the call that failed.
    fn connect(&mut self, address: Address, options: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)>;

    /// Whether a connect has ended: true if the socket is connected, false if the connect still goes on.
    ///
    /// A socket of TCP can meet itself, if nobody listens at an address and the system has chosen its port for the client:
    /// then one address is at both ends. That counts as refused, and the close of such a socket is a reset, which leaves the
    /// port free.
    ///
    /// # Errors
    /// The error of the connect, if it failed.
    fn connected(&mut self, socket: Handle) -> io::Result<bool>;

    /// Asks for the readiness of a handle, in both directions. [`Kernel::wait`] gives it with this token. It is called once
    /// for each handle.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)`: out of memory or of watches.
    fn register(&mut self, handle: Handle, token: Token) -> io::Result<()>;

    /// Reads into `buffer`. 0 is the end: the peer sends nothing more.
    ///
    /// # Errors
    /// Those of `read(2)`.
    fn read(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as much of one slice as fits.
    ///
    /// # Errors
    /// Those of `write(2)`.
    fn write(&mut self, socket: Handle, bytes: &[u8]) -> io::Result<usize>;

    /// Writes as much of the slices as fits, in order. Only the first [`MOST_SLICES`] are used.
    ///
    /// # Errors
    /// Those of `sendmsg(2)` and `writev(2)`.
    fn write_vectored(&mut self, socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Takes the error that has broken a connection (SO_ERROR), if one has and no other call has given it: a reset, a
    /// time-out of keep-alive. A loop asks after a readiness that is [`hung_up`](Readiness::hung_up), for a connection that it
    /// does not read from. What has arrived before can still be read.
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    fn take_error(&mut self, _socket: Handle) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    /// Ends the writing side: the FIN follows what was written.
    ///
    /// # Errors
    /// Those of `shutdown(2)`.
    fn shutdown(&mut self, socket: Handle) -> io::Result<()>;

    /// Closes a socket or a file. What was written to a socket still goes out, unless there is input that was not read: then
    /// the kernel resets the connection (RFC 2525, section 2.17).
    fn close(&mut self, handle: Handle);

    /// Closes a connection with a reset: what was written and has not gone out is discarded. Unix sockets have no reset, so
    /// they are only closed.
    fn reset(&mut self, socket: Handle);

    /// Sets an option of a connection. On a Unix socket, which has none of them, it does nothing and gives no error.
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

    /// The process at the other end of a Unix socket: the one that connected, or the one that called `listen(2)`.
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

    /// Fills `buffer` with random bytes that nobody can guess: for names, keys, and the seeds of hashes.
    ///
    /// # Errors
    /// Those of `getrandom(2)`; a kernel that has none.
    fn random(&mut self, _buffer: &mut [u8]) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel has no random numbers"))
    }

    /// Makes [`Kernel::wait`] give a signal, which then has no other effect on the process.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](io::ErrorKind::InvalidInput), with the reason, for a number that no signal has and for a
    /// signal that cannot be caught; a kernel without signals.
    fn watch_signal(&mut self, signal: i32) -> io::Result<()>;

    /// Takes [`Kernel::watch_signal`] back: the signal has the effect that it had before, and `wait` does not give one that
    /// has arrived already. For a signal that is not watched, and in a kernel without signals, it does nothing. When the
    /// kernel is dropped, the same holds for all its signals.
    fn unwatch_signal(&mut self, _signal: i32) {}

    // ---- datagrams: `register` and `close` are for these handles too ------------------------------------------------------

    /// A socket that sends datagrams to `peer`, and receives those of `peer` alone. It sends from `local`; without one, from a
    /// port that the system chooses.
    ///
    /// # Errors
    /// Those of `socket(2)`, `bind(2)` and `connect(2)`; a kernel without datagrams.
    fn datagrams(&mut self, _peer: SocketAddr, _local: Option<SocketAddr>) -> io::Result<Handle> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Sends one datagram, whole or not at all. That it was sent does not say that it will arrive.
    ///
    /// # Errors
    /// Those of `send(2)`, and those that an earlier datagram has met: nobody receives there, for example.
    fn send(&mut self, _socket: Handle, _datagram: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes one datagram, and gives its length. What is longer than `buffer` is cut. An empty datagram is one like all
    /// others: datagrams have no end.
    ///
    /// # Errors
    /// Those of `recv(2)`, and those that an earlier datagram has met.
    fn receive(&mut self, _socket: Handle, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// A function that ends a `wait` from another thread: the `wait` that sleeps at that time returns early, or the next one
    /// if none does.
    ///
    /// # Errors
    /// Out of descriptors; a kernel that cannot be woken.
    fn waker(&mut self) -> io::Result<Wake> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this kernel cannot be woken from another thread"))
    }

    /// A descriptor that is readable when `wait` would give something, for a loop inside another loop.
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
    /// A stream that is closed; out of descriptors; a kernel without files.
    fn stdio(&mut self, _stream: Stdio) -> io::Result<Handle> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes over a descriptor that was opened elsewhere: a file, a pipe, a terminal, or anything else that can be read or
    /// written. Nothing changes for the processes that share it, and no call on it blocks.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](io::ErrorKind::InvalidInput) for one that is not open for its mode; those of `fstat(2)`; a
    /// kernel without descriptors.
    #[cfg(unix)]
    fn adopt_file(&mut self, _descriptor: OwnedFd, _mode: OpenMode) -> io::Result<Handle> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Asks for the readiness of a file, in the direction of its mode, and says whether there will be any.
    /// [`Kernel::wait`] gives it with this token.
    ///
    /// # Errors
    /// Those of `epoll_ctl(2)` except EPERM, which says that the file is always ready; a kernel without files.
    fn watch_file(&mut self, _handle: Handle, _token: Token) -> io::Result<Watch> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The function of [`Kernel::waker`]. Any thread may call it at any time, also when the kernel no longer exists.
pub type Wake = Box<dyn Fn() -> io::Result<()> + Send + Sync>;

/// The most slices that one `write_vectored` takes: IOV_MAX of Linux.
pub const MOST_SLICES: usize = 1024;

/// The number of a socket or a file of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub u32);

/// Something that `wait` has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// A handle is ready.
    Io {
        /// The token that it was registered with.
        token: Token,
        /// What it is ready for.
        readiness: Readiness,
    },
    /// A signal has arrived.
    Signal(i32),
}

/// What a handle is ready for. Each of these is a hint: only the operation itself shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// There is something to read or to accept; an end and an error count too.
    pub readable: bool,
    /// There is room to write, or a connect has ended.
    pub writable: bool,
    /// The peer's FIN follows what is to be read.
    pub ended: bool,
    /// There is urgent data: a read stops short at it, although there is more, and no other edge may come.
    pub urgent: bool,
    /// Both directions have ended (EPOLLHUP) or failed (EPOLLERR): reading and writing show which.
    pub hung_up: bool,
}

/// The process at the other end of a Unix socket, as the kernel knows it, so that nobody can pretend to be another. It is
/// the process that connected or listened, as it was at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerCred {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The process; `None` if it is in a namespace that this process does not see. It may have ended since, and another
    /// process may have its number.
    pub pid: Option<u32>,
}

/// What a file is opened for. The letters are Node's flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenMode {
    /// `r`: to read it. It must exist.
    Read,
    /// `w`: to write it from the beginning. It is created, or truncated.
    Write,
    /// `a`: to write at its end; each write goes to where the end is then. It is created if it does not exist.
    Append,
    /// `wx`: to create it and write it. It must not exist.
    CreateNew,
    /// `r+`: to read and to write it, by one descriptor. It must exist, and is not truncated: a serial device, or a FIFO that
    /// is to have no end while nobody else writes to it.
    ReadWrite,
}

impl OpenMode {
    pub(crate) fn is_read(self) -> bool {
        matches!(self, OpenMode::Read | OpenMode::ReadWrite)
    }

    pub(crate) fn is_written(self) -> bool {
        self != OpenMode::Read
    }

    /// The same for std.
    fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        match self {
            OpenMode::Read => options.read(true),
            OpenMode::Write => options.write(true).create(true).truncate(true),
            OpenMode::Append => options.append(true).create(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
            OpenMode::ReadWrite => options.read(true).write(true),
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

/// How the loop learns that a file is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    /// [`Kernel::wait`] gives its readiness: a pipe, a terminal.
    Edges,
    /// No call on it gives [`WouldBlock`](io::ErrorKind::WouldBlock): a regular file, `/dev/null`.
    AlwaysReady,
}
