//! The machine's own kernel: mio for readiness, socket2 for what std's sockets do not offer.
//!
//! Every handle is registered once, for both directions; mio is edge-triggered. A handle is a slot of a slab, and the
//! slab's number is mio's token, so that nothing is looked up by hash.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use slab::Slab;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

#[cfg(unix)]
use super::Standard;
use super::descriptor::Descriptor;
use super::{Access, Handle, Inherit, KeepAlive, Kernel, MOST_SLICES, Readiness, Ready, SocketOption, Token, Watch};

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

/// Node's times between probes, which it sets together with the initial delay.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEP_ALIVE_PROBES: u32 = 10;

pub(crate) struct MioKernel {
    poll: Poll,
    events: Events,
    started: Instant,
    handles: Slab<Entry>,
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
    token: Token,
}

#[derive(Debug)]
enum Source {
    Listener(TcpListener),
    Stream(TcpStream),
    File(Descriptor),
}

/// The token of a handle that is not registered yet; nothing comes out of `wait` for it.
const NO_TOKEN: Token = Token::Server(crate::id::ServerId { slot: u32::MAX, generation: u32::MAX });

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
            spare,
            #[cfg(feature = "signals")]
            signals: None,
        })
    }

    fn keep(&mut self, source: Source) -> Handle {
        // A slot number is below the number of open descriptors.
        Handle(self.handles.insert(Entry { source, token: NO_TOKEN }) as u32)
    }

    fn listener(&self, handle: Handle) -> io::Result<&TcpListener> {
        match self.handles.get(handle.0 as usize) {
            Some(Entry { source: Source::Listener(listener), .. }) => Ok(listener),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    #[inline]
    fn stream(&mut self, handle: Handle) -> io::Result<&mut TcpStream> {
        match self.handles.get_mut(handle.0 as usize) {
            Some(Entry { source: Source::Stream(stream), .. }) => Ok(stream),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
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

    fn listen(&mut self, address: SocketAddr, backlog: u32, inherit: &Inherit) -> io::Result<Handle> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            // Set it always: the system's default differs between machines. Only the address of all takes both families.
            socket.set_only_v6(!address.ip().is_unspecified())?;
        }
        socket.bind(&address.into())?;
        if inherit.no_delay {
            socket.set_tcp_nodelay(true)?;
        }
        if let Some(keep_alive) = inherit.keep_alive {
            set_keep_alive(&SockRef::from(&socket), keep_alive)?;
        }
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(self.keep(Source::Listener(TcpListener::from_std(socket.into()))))
    }

    fn accept(&mut self, listener: Handle) -> io::Result<(Handle, SocketAddr)> {
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

    fn connect(&mut self, address: SocketAddr) -> io::Result<Handle> {
        let stream = TcpStream::connect(address)?;
        Ok(self.keep(Source::Stream(stream)))
    }

    fn connected(&mut self, socket: Handle) -> io::Result<bool> {
        let stream = self.stream(socket)?;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        // Without an error the peer's address tells: a readiness alone may be spurious (documentation of mio's connect).
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn register(&mut self, handle: Handle, token: Token) -> io::Result<()> {
        let Some(entry) = self.handles.get_mut(handle.0 as usize) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        entry.token = token;
        let registry = self.poll.registry();
        let key = mio::Token(handle.0 as usize);
        match &mut entry.source {
            Source::Listener(listener) => registry.register(listener, key, Interest::READABLE),
            Source::Stream(stream) => registry.register(stream, key, STREAM_INTEREST),
            Source::File(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    #[inline]
    fn read(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        match self.handles.get_mut(socket.0 as usize) {
            Some(Entry { source: Source::Stream(stream), .. }) => stream.read(buffer),
            _ => self.file(socket)?.read(buffer),
        }
    }

    #[inline]
    fn write(&mut self, socket: Handle, bytes: &[u8]) -> io::Result<usize> {
        match self.handles.get_mut(socket.0 as usize) {
            Some(Entry { source: Source::Stream(stream), .. }) => stream.write(bytes),
            _ => self.file(socket)?.write(bytes),
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
        self.stream(socket)?.shutdown(Shutdown::Write)
    }

    fn close(&mut self, handle: Handle) {
        // Dropping closes, and closing takes the descriptor out of the poll, unless another shares its description.
        let closed = self.handles.try_remove(handle.0 as usize);
        #[cfg(unix)]
        if let Some(Entry { source: Source::File(file), .. }) = &closed
            && file.watched
            && let Err(error) = self.poll.registry().deregister(&mut SourceFd(&file.fd()))
        {
            log::debug!("a file could not be taken out of the poll: {error}");
        }
        drop(closed);
    }

    fn reset(&mut self, socket: Handle) {
        if let Ok(stream) = self.stream(socket) {
            // A linger of zero turns the close into a reset (socket(7)). If it cannot be set, a plain close is the best
            // that is left.
            let _ = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
        }
        self.close(socket);
    }

    fn set_option(&mut self, socket: Handle, option: SocketOption) -> io::Result<()> {
        let stream = self.stream(socket)?;
        match option {
            SocketOption::NoDelay(on) => stream.set_nodelay(on),
            SocketOption::KeepAlive(Some(keep_alive)) => set_keep_alive(&SockRef::from(&*stream), keep_alive),
            SocketOption::KeepAlive(None) => SockRef::from(&*stream).set_keepalive(false),
        }
    }

    fn local_address(&self, handle: Handle) -> io::Result<SocketAddr> {
        match self.handles.get(handle.0 as usize) {
            Some(Entry { source: Source::Listener(listener), .. }) => listener.local_addr(),
            Some(Entry { source: Source::Stream(stream), .. }) => stream.local_addr(),
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
        Err(io::Error::new(io::ErrorKind::Unsupported, "built without the feature `signals`"))
    }

    #[cfg(unix)]
    fn poll_fd(&self) -> Option<i32> {
        Some(std::os::fd::AsRawFd::as_raw_fd(&self.poll))
    }

    #[cfg(not(unix))]
    fn poll_fd(&self) -> Option<i32> {
        None
    }

    fn open(&mut self, path: &Path, access: Access) -> io::Result<Handle> {
        let file = Descriptor::open(path, access)?;
        Ok(self.keep(Source::File(file)))
    }

    #[cfg(unix)]
    fn standard(&mut self, stream: Standard) -> io::Result<Handle> {
        let file = Descriptor::standard(stream)?;
        Ok(self.keep(Source::File(file)))
    }

    #[cfg(unix)]
    fn adopt(&mut self, descriptor: OwnedFd, access: Access) -> io::Result<Handle> {
        let file = Descriptor::adopt(descriptor, access)?;
        Ok(self.keep(Source::File(file)))
    }

    #[cfg(unix)]
    fn watch_file(&mut self, handle: Handle, token: Token) -> io::Result<Watch> {
        let Some(Entry { source: Source::File(file), token: place }) = self.handles.get_mut(handle.0 as usize) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        *place = token;
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

fn set_keep_alive(socket: &SockRef<'_>, keep_alive: KeepAlive) -> io::Result<()> {
    let seconds = keep_alive.initial_delay.as_secs();
    if seconds == 0 {
        return socket.set_keepalive(true);
    }
    let times = TcpKeepalive::new().with_time(Duration::from_secs(seconds));
    #[cfg(unix)]
    let times = times.with_interval(KEEP_ALIVE_INTERVAL).with_retries(KEEP_ALIVE_PROBES);
    socket.set_tcp_keepalive(&times)
}
