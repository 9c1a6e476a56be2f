//! The machine's own kernel: mio for readiness; how its sockets are made is in `sockets.rs`.
//!
//! Every handle is registered once, for both directions; mio is edge-triggered. A handle is a slot of a slab, and the
//! slab's number is mio's token, so that nothing is looked up by hash.

#[cfg(unix)]
use std::collections::HashSet;
use std::fmt;
use std::io::{self, IoSlice};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

#[cfg(unix)]
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use slab::Slab;

use super::descriptor::Descriptor;
use super::sockets::{Listener, Stream};
use super::{
    ConnectOptions, Handle, Kernel, ListenOptions, MOST_SLICES, OpenMode, PeerCred, Readiness, Ready, SocketOption,
    Token, Watch,
};
#[cfg(unix)]
use super::{Stdio, TcpOptions};
use crate::address::Address;
use crate::base::error::Syscall;

/// Events taken from the system at once. More wait there for the next turn.
const EVENTS_AT_ONCE: usize = 1024;

/// How long the handling of one turn's events usually takes at most. See [`Kernel::clock_slack`].
const CLOCK_SLACK: Duration = Duration::from_micros(500);

/// What is asked of a connection: both directions, and on Linux urgent data, at which a read stops short.
#[cfg(any(target_os = "linux", target_os = "android"))]
const STREAM_INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const STREAM_INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// mio's token for the signals; a slab never gets there.
#[cfg(feature = "signals")]
const SIGNALS: mio::Token = mio::Token(usize::MAX);

pub(crate) struct MioKernel {
    poll: Poll,
    events: Events,
    started: Instant,
    handles: Slab<Entry>,
    /// Sockets that were adopted: whoever made them may hold them still, so that closing them here does not take them
    /// out of the poll. Apart, as hardly any socket is.
    #[cfg(unix)]
    adopted: HashSet<Handle>,
    /// A second descriptor for the poll, kept for the time when there is no other: closed, it leaves room for one
    /// accept. See [`Kernel::shed`].
    spare: Option<mio::Registry>,
    #[cfg(feature = "signals")]
    signals: Option<signal_hook_mio::v1_0::Signals>,
}

impl fmt::Debug for MioKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MioKernel").field("handles", &self.handles.len()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Entry {
    source: Source,
    /// Nobody's until it is registered.
    token: Token,
}

#[derive(Debug)]
enum Source {
    Stream(Stream),
    // Apart: there are few, and they are larger.
    Listener(Box<Listener>),
    File(Box<Descriptor>),
}

impl MioKernel {
    /// # Errors
    /// Out of descriptors or memory.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let spare = Some(poll.registry().try_clone()?);
        Ok(MioKernel {
            poll,
            events: Events::with_capacity(EVENTS_AT_ONCE),
            started: Instant::now(),
            handles: Slab::new(),
            #[cfg(unix)]
            adopted: HashSet::new(),
            spare,
            #[cfg(feature = "signals")]
            signals: None,
        })
    }

    fn keep(&mut self, source: Source) -> Handle {
        // A slot number is below the number of open descriptors.
        Handle(self.handles.insert(Entry { source, token: Token::NOBODY }) as u32)
    }

    fn listener(&self, handle: Handle) -> io::Result<&Listener> {
        match self.handles.get(handle.0 as usize) {
            Some(Entry { source: Source::Listener(listener), .. }) => Ok(listener),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn stream(&self, handle: Handle) -> io::Result<&Stream> {
        match self.handles.get(handle.0 as usize) {
            Some(Entry { source: Source::Stream(stream), .. }) => Ok(stream),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    // Not inline: they would cost every socket the room for what files need.

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
            Some(Entry { source: Source::File(file), .. }) => Ok(file),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    #[cfg(feature = "signals")]
    fn take_signals(&mut self, ready: &mut Vec<Ready>) {
        if let Some(signals) = &mut self.signals {
            ready.extend(signals.pending().map(Ready::Signal));
        }
    }
}

impl Kernel for MioKernel {
    fn now(&self) -> Duration {
        self.started.elapsed()
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
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        #[cfg(feature = "signals")]
        let mut signalled = false;
        for event in &self.events {
            #[cfg(feature = "signals")]
            if event.token() == SIGNALS {
                signalled = true;
                continue;
            }
            let Some(entry) = self.handles.get(event.token().0) else { continue };
            let readiness = Readiness {
                readable: event.is_readable(),
                writable: event.is_writable(),
                // At urgent data a read stops short with more behind it, as it does before an end.
                ended: event.is_read_closed() || event.is_priority(),
                hung_up: event.is_error() || (event.is_read_closed() && event.is_write_closed()),
            };
            ready.push(Ready::Io { token: entry.token, readiness });
        }
        #[cfg(feature = "signals")]
        if signalled {
            self.take_signals(ready);
        }
        Ok(())
    }

    fn listen(&mut self, address: Address, options: &ListenOptions) -> io::Result<Handle> {
        let listener = Listener::listen(address, options)?;
        Ok(self.keep(Source::Listener(Box::new(listener))))
    }

    #[cfg(unix)]
    fn adopt_listener(&mut self, listener: OwnedFd, tcp: &TcpOptions) -> io::Result<Handle> {
        let listener = Listener::adopt(listener, tcp)?;
        let handle = self.keep(Source::Listener(Box::new(listener)));
        self.adopted.insert(handle);
        Ok(handle)
    }

    #[cfg(unix)]
    fn adopt_stream(&mut self, stream: OwnedFd, tcp: &TcpOptions) -> io::Result<(Handle, Address)> {
        let (stream, peer) = Stream::adopt(stream, tcp)?;
        let handle = self.keep(Source::Stream(stream));
        self.adopted.insert(handle);
        Ok((handle, peer))
    }

    fn accept(&mut self, listener: Handle) -> io::Result<(Handle, Address)> {
        let (stream, peer) = self.listener(listener)?.accept()?;
        if self.spare.is_none() {
            // Somebody else was faster when it was to be opened again.
            self.spare = self.poll.registry().try_clone().ok();
        }
        Ok((self.keep(Source::Stream(stream)), peer))
    }

    fn shed(&mut self, listener: Handle) -> io::Result<bool> {
        drop(self.spare.take());
        let shed = match self.listener(listener)?.accept() {
            Ok(_closed_here) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        };
        self.spare = self.poll.registry().try_clone().ok();
        shed
    }

    fn connect(&mut self, address: Address, options: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)> {
        let stream = Stream::connect(address, options)?;
        Ok(self.keep(Source::Stream(stream)))
    }

    fn connected(&mut self, socket: Handle) -> io::Result<bool> {
        self.stream(socket)?.connected()
    }

    fn register(&mut self, handle: Handle, token: Token) -> io::Result<()> {
        let Some(entry) = self.handles.get_mut(handle.0 as usize) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        entry.token = token;
        let registry = self.poll.registry();
        let key = mio::Token(handle.0 as usize);
        match &mut entry.source {
            Source::Listener(listener) => registry.register(listener.source(), key, Interest::READABLE),
            Source::Stream(stream) => registry.register(stream.source(), key, STREAM_INTEREST),
            Source::File(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    #[inline]
    fn read(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        match self.handles.get_mut(socket.0 as usize) {
            Some(Entry { source: Source::Stream(stream), .. }) => stream.read(buffer),
            _ => self.read_file(socket, buffer),
        }
    }

    #[inline]
    fn write(&mut self, socket: Handle, bytes: &[u8]) -> io::Result<usize> {
        match self.handles.get_mut(socket.0 as usize) {
            Some(Entry { source: Source::Stream(stream), .. }) => stream.write(bytes),
            _ => self.write_file(socket, bytes),
        }
    }

    fn write_vectored(&mut self, socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let slices = &slices[..slices.len().min(MOST_SLICES)];
        match self.handles.get_mut(socket.0 as usize) {
            Some(Entry { source: Source::Stream(stream), .. }) => stream.write_vectored(slices),
            _ => self.file(socket)?.write_vectored(slices),
        }
    }

    fn shutdown(&mut self, socket: Handle) -> io::Result<()> {
        self.stream(socket)?.shutdown()
    }

    fn close(&mut self, handle: Handle) {
        // Dropping closes, and closing takes the descriptor out of the poll, unless another shares its description.
        let closed = self.handles.try_remove(handle.0 as usize);
        #[cfg(unix)]
        if let Some(mut entry) = closed {
            let registry = self.poll.registry();
            let taken_out = match &mut entry.source {
                Source::File(file) if file.watched => registry.deregister(&mut SourceFd(&file.fd())),
                Source::Stream(stream) if self.adopted.remove(&handle) => registry.deregister(stream.source()),
                Source::Listener(listener) if self.adopted.remove(&handle) => registry.deregister(listener.source()),
                _ => Ok(()),
            };
            if let Err(error) = taken_out {
                log::debug!("a descriptor could not be taken out of the poll: {error}");
            }
        }
        #[cfg(not(unix))]
        drop(closed);
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
            Some(Entry { source: Source::Listener(listener), .. }) => listener.local_address(),
            Some(Entry { source: Source::Stream(stream), .. }) => stream.local_address(),
            Some(Entry { source: Source::File(_), .. }) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    #[cfg(feature = "signals")]
    fn watch_signal(&mut self, signal: i32) -> io::Result<()> {
        if signal_hook::consts::FORBIDDEN.contains(&signal) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("signal {signal} cannot be caught")));
        }
        if let Some(signals) = &self.signals {
            return signals.add_signal(signal);
        }
        let mut signals = signal_hook_mio::v1_0::Signals::new([signal])?;
        self.poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        self.signals = Some(signals);
        Ok(())
    }

    #[cfg(not(feature = "signals"))]
    fn watch_signal(&mut self, _signal: i32) -> io::Result<()> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "built without the feature `signals`: add it to those of tidegate in Cargo.toml",
        ))
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<i32> {
        Some(std::os::fd::AsRawFd::as_raw_fd(&self.poll))
    }

    #[cfg(not(unix))]
    fn poll_fd(&self) -> Option<i32> {
        None
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<Handle> {
        let file = Descriptor::open(path, mode)?;
        Ok(self.keep(Source::File(Box::new(file))))
    }

    #[cfg(unix)]
    fn stdio(&mut self, stream: Stdio) -> io::Result<Handle> {
        let file = Descriptor::stdio(stream)?;
        Ok(self.keep(Source::File(Box::new(file))))
    }

    #[cfg(unix)]
    fn adopt_file(&mut self, descriptor: OwnedFd, mode: OpenMode) -> io::Result<Handle> {
        let file = Descriptor::adopt(descriptor, mode)?;
        Ok(self.keep(Source::File(Box::new(file))))
    }

    #[cfg(unix)]
    fn watch_file(&mut self, handle: Handle, token: Token) -> io::Result<Watch> {
        let Some(entry) = self.handles.get_mut(handle.0 as usize) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        entry.token = token;
        let Source::File(file) = &mut entry.source else { return Err(io::ErrorKind::NotFound.into()) };
        if !file.could_wait() {
            return Ok(Watch::AlwaysReady);
        }
        let interest = if file.reads() { Interest::READABLE } else { Interest::WRITABLE };
        let key = mio::Token(handle.0 as usize);
        match self.poll.registry().register(&mut SourceFd(&file.fd()), key, interest) {
            Ok(()) => {
                file.watched = true;
                Ok(Watch::Edges)
            }
            // epoll's word for what is always ready (epoll_ctl(2)).
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Watch::AlwaysReady),
            Err(error) => Err(error),
        }
    }

    #[cfg(not(unix))]
    fn watch_file(&mut self, _handle: Handle, _token: Token) -> io::Result<Watch> {
        Ok(Watch::AlwaysReady)
    }
}
