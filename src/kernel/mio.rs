//! The machine's own kernel: mio for readiness. Its sockets and files are in `unix/`, and in `windows.rs`.
//!
//! Every handle is registered once, for both directions; mio is edge-triggered. A handle is a slot of a slab, and the
//! slab's number is mio's token, so that nothing is looked up by hash.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll};
use slab::Slab;

use super::clock::Clock;
use super::datagrams::Datagrams;
use super::signals::Signals;
use super::source::{Entry, Source};
use super::system::{Descriptor, Listener, Stream, random};
use super::{
    ConnectOptions, Handle, Kernel, ListenOptions, MOST_SLICES, OpenMode, PeerCred, Readiness, Ready, SocketOption,
    Stdio, Token, Wake, Watch,
};
use crate::address::Address;
use crate::base::error::Syscall;

/// Events taken from the system at once.
const EVENTS_AT_ONCE: usize = 1024;

/// The longest that the events of one turn usually take. See [`Kernel::clock_slack`].
const CLOCK_SLACK: Duration = Duration::from_micros(500);

/// mio's token for the signals; a slab never gets there.
const SIGNALS: mio::Token = mio::Token(usize::MAX);

/// mio's token for a wake, which only ends the wait.
const WAKER: mio::Token = mio::Token(usize::MAX - 1);

/// The machine's own kernel, which [`EventLoop::new`](crate::EventLoop::new) uses: mio for readiness, and the sockets and
/// files of the operating system.
///
/// It is public so that it can be wrapped: to count calls, to write them down, to make some fail. A wrapper is a kernel
/// that has another inside and passes on what it does not change. It passes on the methods that have a default too:
/// the default says that the kernel cannot do it.
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// use tidegate::EventLoop;
/// use tidegate::kernel::{Handle, Kernel, MioKernel};
/// # use std::io::{self, IoSlice};
/// # use std::time::Duration;
/// # use tidegate::kernel::{ConnectOptions, ListenOptions, Ready, SocketOption, Token};
/// # use tidegate::{Address, Syscall};
///
/// /// Counts the calls of read(2).
/// #[derive(Debug)]
/// struct CountingReads {
///     inner: MioKernel,
///     reads: Rc<Cell<u64>>,
/// }
///
/// impl Kernel for CountingReads {
///     fn read(&mut self, socket: Handle, buffer: &mut [u8]) -> std::io::Result<usize> {
///         self.reads.set(self.reads.get() + 1);
///         self.inner.read(socket, buffer)
///     }
///     // Every other method calls that of `inner`.
/// #   fn now(&self) -> Duration { self.inner.now() }
/// #   fn clock_slack(&self) -> Duration { self.inner.clock_slack() }
/// #   fn wait(&mut self, deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
/// #       self.inner.wait(deadline, ready)
/// #   }
/// #   fn listen(&mut self, address: Address, options: &ListenOptions) -> io::Result<Handle> {
/// #       self.inner.listen(address, options)
/// #   }
/// #   fn accept(&mut self, listener: Handle) -> io::Result<(Handle, Address)> { self.inner.accept(listener) }
/// #   fn shed(&mut self, listener: Handle) -> io::Result<bool> { self.inner.shed(listener) }
/// #   fn connect(&mut self, to: Address, options: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)> {
/// #       self.inner.connect(to, options)
/// #   }
/// #   fn connected(&mut self, socket: Handle) -> io::Result<bool> { self.inner.connected(socket) }
/// #   fn register(&mut self, handle: Handle, token: Token) -> io::Result<()> { self.inner.register(handle, token) }
/// #   fn write(&mut self, socket: Handle, bytes: &[u8]) -> io::Result<usize> { self.inner.write(socket, bytes) }
/// #   fn write_vectored(&mut self, socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize> {
/// #       self.inner.write_vectored(socket, slices)
/// #   }
/// #   fn shutdown(&mut self, socket: Handle) -> io::Result<()> { self.inner.shutdown(socket) }
/// #   fn close(&mut self, handle: Handle) { self.inner.close(handle) }
/// #   fn reset(&mut self, socket: Handle) { self.inner.reset(socket) }
/// #   fn set_option(&mut self, socket: Handle, option: SocketOption) -> io::Result<()> {
/// #       self.inner.set_option(socket, option)
/// #   }
/// #   fn local_address(&self, handle: Handle) -> io::Result<Address> { self.inner.local_address(handle) }
/// #   fn watch_signal(&mut self, signal: i32) -> io::Result<()> { self.inner.watch_signal(signal) }
/// }
///
/// let reads = Rc::new(Cell::new(0));
/// let kernel = CountingReads { inner: MioKernel::new()?, reads: Rc::clone(&reads) };
/// let mut greeter = EventLoop::on(kernel, ());
/// let server = greeter.listen("127.0.0.1:0", |socket| {
///     socket.end_with("hello");
///     socket.net.close_servers();
/// })?;
/// let address = greeter.net.server_address(server).expect("it listens");
/// greeter.connect(address, |client| client.on_data(|_, chunk| assert_eq!(chunk, b"hello")))?;
/// greeter.run()?;
/// assert!(reads.get() >= 2);
/// # Ok::<(), tidegate::Error>(())
/// ```
pub struct MioKernel {
    poll: Poll,
    events: Events,
    clock: Clock,
    handles: Slab<Source>,
    /// A second descriptor for the poll. When all descriptors are in use, closing it makes room for one accept: see
    /// [`Kernel::shed`].
    spare: Option<mio::Registry>,
    signals: Signals,
    /// Made when the first one is asked for. mio allows one for each poll, and it must live as long as the poll.
    waker: Option<Arc<mio::Waker>>,
}

impl fmt::Debug for MioKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MioKernel").field("handles", &self.handles.len()).finish_non_exhaustive()
    }
}

impl MioKernel {
    /// A kernel without sockets and files.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let spare = Some(poll.registry().try_clone()?);
        Ok(MioKernel {
            poll,
            events: Events::with_capacity(EVENTS_AT_ONCE),
            clock: Clock::start(),
            handles: Slab::new(),
            spare,
            signals: Signals::default(),
            waker: None,
        })
    }

    /// Polls once, and appends what is ready. How many events it was; None if a signal has interrupted the poll.
    #[inline]
    fn take_ready(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<Option<usize>> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return Ok(None);
            }
            polled => polled?,
        }
        let (mut taken, mut signalled) = (0, false);
        for event in &self.events {
            taken += 1;
            if event.token() == SIGNALS {
                signalled = true;
                continue;
            }
            let Some(source) = self.handles.get(event.token().0) else { continue };
            let readiness = Readiness {
                readable: event.is_readable(),
                writable: event.is_writable(),
                ended: event.is_read_closed(),
                urgent: event.is_priority(),
                hung_up: event.is_error() || (event.is_read_closed() && event.is_write_closed()),
            };
            ready.push(Ready::Io { token: source.token(), readiness });
        }
        if signalled {
            ready.extend(self.signals.take().map(Ready::Signal));
        }
        Ok(Some(taken))
    }

    /// A poll that was to end at `deadline` was interrupted, or has found as much as is taken at once.
    #[cold]
    fn take_more(
        &mut self,
        taken: Option<usize>,
        deadline: Option<Duration>,
        ready: &mut Vec<Ready>,
    ) -> io::Result<()> {
        // A process that was stopped comes back with EINTR. At its deadline it has to look at what is ready by then.
        let goes_on = taken.is_some() || deadline.is_some_and(|deadline| deadline <= self.now());
        // Edges are reported once, so it comes to an end; the bound makes sure.
        let mut polls_left = if goes_on { 1 + self.handles.len() / EVENTS_AT_ONCE } else { 0 };
        while polls_left > 0 {
            let taken = self.take_ready(Some(Duration::ZERO), ready)?.unwrap_or(0);
            polls_left = if taken < EVENTS_AT_ONCE { 0 } else { polls_left - 1 };
        }
        Ok(())
    }

    fn keep(&mut self, source: Source) -> Handle {
        // A slot number is below the number of open descriptors.
        Handle(self.handles.insert(source) as u32)
    }

    fn listener(&self, handle: Handle) -> io::Result<&Listener> {
        match self.handles.get(handle.0 as usize) {
            Some(Source::Listener(entry)) => Ok(&entry.source),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn stream(&self, handle: Handle) -> io::Result<&Stream> {
        match self.handles.get(handle.0 as usize) {
            Some(Source::Stream(entry)) => Ok(&entry.source),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn datagrams_of(&self, handle: Handle) -> io::Result<&Datagrams> {
        match self.handles.get(handle.0 as usize) {
            Some(Source::Datagrams(entry)) => Ok(&entry.source),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    // Not inlined, because the calls on sockets would grow by what files need.

    #[inline(never)]
    fn read_file(&mut self, handle: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        self.file(handle)?.read(buffer)
    }

    #[inline(never)]
    fn write_file(&mut self, handle: Handle, bytes: &[u8]) -> io::Result<usize> {
        self.file(handle)?.write(bytes)
    }

    fn file(&mut self, handle: Handle) -> io::Result<&mut Descriptor> {
        match self.handles.get_mut(handle.0 as usize) {
            Some(Source::File(entry)) => Ok(&mut entry.source),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Kernel for MioKernel {
    #[inline]
    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    fn clock_slack(&self) -> Duration {
        CLOCK_SLACK
    }

    fn wait(&mut self, deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = match deadline {
            None => None,
            Some(Duration::ZERO) => Some(Duration::ZERO),
            Some(deadline) => Some(deadline.saturating_sub(self.now())),
        };
        match self.take_ready(timeout, ready)? {
            Some(taken) if taken < EVENTS_AT_ONCE => Ok(()),
            taken => self.take_more(taken, deadline, ready),
        }
    }

    fn events_at_once(&self) -> usize {
        EVENTS_AT_ONCE
    }

    fn listen(&mut self, address: Address, options: &ListenOptions) -> io::Result<Handle> {
        let listener = Listener::listen(address, options)?;
        Ok(self.keep(Source::Listener(Box::new(Entry::new(listener)))))
    }

    #[cfg(unix)]
    fn adopt_listener(&mut self, listener: OwnedFd, tcp: &super::TcpOptions) -> io::Result<Handle> {
        let listener = Listener::adopt(listener, tcp)?;
        Ok(self.keep(Source::Listener(Box::new(Entry::new(listener)))))
    }

    #[cfg(unix)]
    fn adopt_stream(&mut self, stream: OwnedFd, tcp: &super::TcpOptions) -> io::Result<(Handle, Option<Address>)> {
        let (stream, peer) = Stream::adopt(stream, tcp)?;
        Ok((self.keep(Source::Stream(Entry::new(stream))), peer))
    }

    fn accept(&mut self, listener: Handle) -> io::Result<(Handle, Address)> {
        let (stream, peer) = self.listener(listener)?.accept()?;
        if self.spare.is_none() {
            // It could not be opened again before, because another socket had taken the last descriptor.
            self.spare = self.poll.registry().try_clone().ok();
        }
        Ok((self.keep(Source::Stream(Entry::new(stream))), peer))
    }

    fn shed(&mut self, listener: Handle) -> io::Result<bool> {
        drop(self.spare.take());
        let shed = match self.listener(listener)?.accept() {
            Ok((stream, _)) => {
                // It is closed here. An end could be taken for an empty answer.
                stream.reset_at_close();
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        };
        self.spare = self.poll.registry().try_clone().ok();
        shed
    }

    fn connect(&mut self, address: Address, options: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)> {
        let stream = Stream::connect(address, options)?;
        Ok(self.keep(Source::Stream(Entry::new(stream))))
    }

    fn connected(&mut self, socket: Handle) -> io::Result<bool> {
        self.stream(socket)?.connected()
    }

    fn register(&mut self, handle: Handle, token: Token) -> io::Result<()> {
        let Some(source) = self.handles.get_mut(handle.0 as usize) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let registry = self.poll.registry();
        let key = mio::Token(handle.0 as usize);
        match source {
            Source::Listener(entry) => {
                entry.token = token;
                entry.source.register(registry, key)
            }
            Source::Stream(entry) => {
                entry.token = token;
                entry.source.register(registry, key)
            }
            Source::Datagrams(entry) => {
                entry.token = token;
                entry.source.register(registry, key)
            }
            Source::File(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    #[inline]
    fn read(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        match self.handles.get_mut(socket.0 as usize) {
            Some(Source::Stream(entry)) => entry.source.read(buffer),
            _ => self.read_file(socket, buffer),
        }
    }

    #[inline]
    fn write(&mut self, socket: Handle, bytes: &[u8]) -> io::Result<usize> {
        match self.handles.get_mut(socket.0 as usize) {
            Some(Source::Stream(entry)) => entry.source.write(bytes),
            _ => self.write_file(socket, bytes),
        }
    }

    fn write_vectored(&mut self, socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let slices = &slices[..slices.len().min(MOST_SLICES)];
        match self.handles.get_mut(socket.0 as usize) {
            Some(Source::Stream(entry)) => entry.source.write_vectored(slices),
            _ => self.file(socket)?.write_vectored(slices),
        }
    }

    fn take_error(&mut self, socket: Handle) -> io::Result<Option<io::Error>> {
        self.stream(socket)?.take_error()
    }

    fn shutdown(&mut self, socket: Handle) -> io::Result<()> {
        self.stream(socket)?.shutdown()
    }

    fn close(&mut self, handle: Handle) {
        // Dropping closes the descriptor, and that takes it out of the poll unless another one shares its description.
        let Some(mut closed) = self.handles.try_remove(handle.0 as usize) else { return };
        let registry = self.poll.registry();
        let deregistered = match &mut closed {
            Source::Stream(entry) => entry.source.deregister_if_shared(registry),
            Source::Listener(entry) => entry.source.deregister_if_shared(registry),
            Source::File(entry) => entry.source.deregister_if_shared(registry),
            Source::Datagrams(_) => Ok(()),
        };
        if let Err(error) = deregistered {
            log::debug!("a descriptor could not be taken out of the poll: {error}");
        }
    }

    fn reset(&mut self, socket: Handle) {
        if let Ok(stream) = self.stream(socket) {
            stream.reset_at_close();
        }
        self.close(socket);
    }

    fn set_option(&mut self, socket: Handle, option: SocketOption) -> io::Result<()> {
        self.stream(socket)?.set_option(option)
    }

    fn type_of_service(&self, socket: Handle) -> io::Result<u8> {
        self.stream(socket)?.type_of_service()
    }

    fn peer_cred(&self, socket: Handle) -> io::Result<PeerCred> {
        self.stream(socket)?.peer_cred()
    }

    fn local_address(&self, handle: Handle) -> io::Result<Address> {
        match self.handles.get(handle.0 as usize) {
            Some(Source::Listener(entry)) => entry.source.local_address(),
            Some(Source::Stream(entry)) => entry.source.local_address(),
            Some(Source::Datagrams(entry)) => entry.source.local_address().map(Address::Ip),
            Some(Source::File(_)) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn random(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        random(buffer)
    }

    fn datagrams(&mut self, peer: SocketAddr, local: Option<SocketAddr>) -> io::Result<Handle> {
        let socket = Datagrams::new(peer, local)?;
        Ok(self.keep(Source::Datagrams(Box::new(Entry::new(socket)))))
    }

    fn send(&mut self, socket: Handle, datagram: &[u8]) -> io::Result<()> {
        self.datagrams_of(socket)?.send(datagram)
    }

    fn receive(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        self.datagrams_of(socket)?.receive(buffer)
    }

    fn watch_signal(&mut self, signal: i32) -> io::Result<()> {
        self.signals.watch(self.poll.registry(), SIGNALS, signal)
    }

    fn unwatch_signal(&mut self, signal: i32) {
        self.signals.unwatch(signal);
    }

    fn waker(&mut self) -> io::Result<Wake> {
        let waker = match &mut self.waker {
            Some(waker) => waker,
            none => none.insert(Arc::new(mio::Waker::new(self.poll.registry(), WAKER)?)),
        };
        let waker = Arc::clone(waker);
        Ok(Box::new(move || waker.wake()))
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.poll.registry().as_fd())
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<Handle> {
        let file = Descriptor::open(path, mode)?;
        Ok(self.keep(Source::File(Box::new(Entry::new(file)))))
    }

    fn stdio(&mut self, stream: Stdio) -> io::Result<Handle> {
        let file = Descriptor::stdio(stream)?;
        Ok(self.keep(Source::File(Box::new(Entry::new(file)))))
    }

    #[cfg(unix)]
    fn adopt_file(&mut self, descriptor: OwnedFd, mode: OpenMode) -> io::Result<Handle> {
        let file = Descriptor::adopt(descriptor, mode)?;
        Ok(self.keep(Source::File(Box::new(Entry::new(file)))))
    }

    fn watch_file(&mut self, handle: Handle, token: Token) -> io::Result<Watch> {
        let Some(Source::File(entry)) = self.handles.get_mut(handle.0 as usize) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        entry.token = token;
        entry.source.watch(self.poll.registry(), mio::Token(handle.0 as usize))
    }
}
