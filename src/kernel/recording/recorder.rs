//! The kernel that writes down what another one is asked and answers.

use std::fmt;
use std::io::{self, IoSlice, Write};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::blocks::Header;
use super::effect::{self, Detail, hash_of, hash_of_slices, length_of};
use super::entry::{put_handle_and_peer, put_ready};
use super::format::{Kind, Put, number_of_syscall, tag};
use super::tape::{RecorderOptions, Recording, Tape, Written};
use super::tokens::Tokens;
use crate::address::Address;
use crate::base::error::Syscall;
#[cfg(unix)]
use crate::kernel::TcpOptions;
use crate::kernel::pass_on::pass_on;
use crate::kernel::{
    ConnectOptions, Handle, Kernel, ListenOptions, OpenMode, PeerCred, Ready, SocketOption, Stdio, Token, Wake, Watch,
};

/// A kernel around another one: it passes everything on, and records it for a [`Replay`](super::Replay).
///
/// When it is dropped, the recording is complete. If it cannot be written, or has reached its limit, it stops, and the run
/// goes on without it.
///
/// ```
/// use tidegate::EventLoop;
/// use tidegate::kernel::{Header, MioKernel, Playback, Recorder, RecorderOptions, Replay, ReplayOptions, RunEnd};
///
/// // A program: its only door to the world is the kernel.
/// fn program(mut greeter: EventLoop<usize>) -> Result<(), tidegate::Error> {
///     let server = greeter.listen("127.0.0.1:0", |socket| {
///         socket.end_with("hello");
///         socket.net.close_servers();
///     })?;
///     let address = greeter.net.server_address(server).expect("it listens");
///     greeter.connect(address, |client| client.on_data(|client, chunk| *client.state += chunk.len()))?;
///     greeter.run()
/// }
///
/// # let path = std::env::temp_dir().join(format!("tidegate-recording-{}", std::process::id()));
/// let header = Header::new().with("program", "greeter");
/// let file = std::fs::File::create(&path)?;
/// let recorder = Recorder::new(MioKernel::new()?, file, &header, RecorderOptions::new())?;
/// let recording = recorder.recording();
/// program(EventLoop::on(recorder, 0))?;
///
/// // Again, without a network.
/// let replay = Replay::new(std::fs::File::open(&path)?, ReplayOptions::new())?;
/// let playback = replay.playback();
/// program(EventLoop::on(replay, 0))?;
/// assert_eq!(playback.report().end, RunEnd::Ended);
/// assert_eq!(playback.report().fingerprint, recording.fingerprint());
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Recorder<K> {
    inner: K,
    recording: Recording,
    tokens: Tokens,
    /// A waker was used: the wait has to return, although nothing is ready.
    woken: Arc<AtomicBool>,
}

impl<K: Kernel> Recorder<K> {
    /// Writes the header, and then whatever `inner` is asked and answers.
    ///
    /// # Errors
    /// Those of writing.
    pub fn new(inner: K, to: impl Write + 'static, header: &Header, options: RecorderOptions) -> io::Result<Self> {
        let tape = Tape::new(Box::new(to), header, options, inner.clock_slack())?;
        let recording = Recording(Rc::new(tape.into()));
        Ok(Recorder { inner, recording, tokens: Tokens::default(), woken: Arc::default() })
    }

    /// Has `told` called with the reason, once, if the recording stops before the run. It may ask the [`Recording`].
    #[must_use]
    pub fn on_stop(self, told: impl FnOnce(&str) + 'static) -> Self {
        self.recording.0.borrow_mut().set_on_stop(Box::new(told));
        self
    }

    /// The recording, to be kept beside the loop.
    pub fn recording(&self) -> Recording {
        self.recording.clone()
    }

    /// Records a call that is about a handle, and has nothing more to say of itself.
    #[inline]
    fn on_handle<T>(&self, kind: Kind, handle: Handle, answer: &io::Result<T>, put: impl FnOnce(&mut Vec<u8>, &T)) {
        self.recording.tape().call(kind, handle.0, &Detail::Nothing, answer.as_ref(), put);
    }

    /// Records a call that gives a handle.
    fn gave_handle(&self, kind: Kind, what: String, answer: &io::Result<Handle>) {
        let put = |bytes: &mut Vec<u8>, handle: &Handle| bytes.number(handle.0.into());
        self.recording.tape().call(kind, 0, &Detail::Text(what), answer.as_ref(), put);
    }

    /// Records a write. `hash` is that of so many of the bytes as were taken.
    #[inline]
    fn wrote(&self, handle: Handle, offered: usize, answer: &io::Result<usize>, hash: impl FnOnce(usize) -> u32) {
        let mut tape = self.recording.tape();
        if !tape.is_recording() {
            return;
        }
        let offered = offered as u64;
        match answer {
            Ok(taken) => {
                let hash = if tape.hashes_writes() { hash(*taken) } else { 0 };
                tape.wrote(handle, Written { offered, taken: *taken as u64, hash });
            }
            Err(_) => {
                let detail = Detail::Bytes { offered, taken: 0, hash: 0 };
                tape.call(Kind::Write, handle.0, &detail, answer.as_ref(), |_, _| {});
            }
        }
    }

    /// Waits until something is ready. What waits to be written is written in time.
    fn wait_and_flush(&mut self, deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        loop {
            // A loop that always has work does not wait: what is late is written all the same.
            let due = self.recording.tape().due();
            let Some(due) = due.filter(|due| deadline.is_none_or(|deadline| *due < deadline)) else {
                return self.inner.wait(deadline, ready);
            };
            let before = ready.len();
            self.inner.wait(Some(due), ready)?;
            if ready.len() > before || self.inner.now() < due {
                return Ok(());
            }
            self.recording.tape().flush();
            // Only this recorder has ended the wait, so it goes on.
            if self.woken.swap(false, Ordering::SeqCst) {
                return Ok(());
            }
        }
    }
}

fn put_nothing(_: &mut Vec<u8>, (): &()) {}

impl<K: Kernel> Kernel for Recorder<K> {
    fn now(&self) -> Duration {
        let now = self.inner.now();
        self.recording.tape().clock(tag::CLOCK, now);
        now
    }

    fn now_to_measure(&self) -> Duration {
        let now = self.inner.now_to_measure();
        self.recording.tape().clock(tag::MEASURED, now);
        now
    }

    // The slack never changes, and is recorded once. What the descriptor is readable for comes from the inner kernel, and is
    // recorded by the wait that follows.
    pass_on!(clock_slack, events_at_once, poll_fd);

    fn wait(&mut self, deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let before = ready.len();
        let waited = self.wait_and_flush(deadline, ready);
        let found = &mut ready[before..];
        let mut tape = self.recording.tape();
        tape.wait(|bytes| match &waited {
            Ok(()) => put_ready(bytes, found),
            Err(error) => {
                bytes.push(tag::WAIT_FAILED);
                bytes.error(error);
            }
        });
        let has_to_tell = tape.has_to_tell();
        drop(tape);
        if has_to_tell {
            self.recording.tell();
        }
        self.tokens.give_back(found);
        waited
    }

    fn listen(&mut self, address: Address, options: &ListenOptions) -> io::Result<Handle> {
        let answer = self.inner.listen(address, options);
        self.gave_handle(Kind::Listen, effect::listen(address, options), &answer);
        answer
    }

    #[cfg(unix)]
    fn adopt_listener(&mut self, listener: OwnedFd, tcp: &TcpOptions) -> io::Result<Handle> {
        let answer = self.inner.adopt_listener(listener, tcp);
        self.gave_handle(Kind::AdoptListener, effect::tcp(tcp), &answer);
        answer
    }

    #[cfg(unix)]
    fn adopt_stream(&mut self, stream: OwnedFd, tcp: &TcpOptions) -> io::Result<(Handle, Option<Address>)> {
        let answer = self.inner.adopt_stream(stream, tcp);
        let detail = Detail::Text(effect::tcp(tcp));
        self.recording.tape().call(Kind::AdoptStream, 0, &detail, answer.as_ref(), put_handle_and_peer);
        answer
    }

    fn accept(&mut self, listener: Handle) -> io::Result<(Handle, Address)> {
        let answer = self.inner.accept(listener);
        self.on_handle(Kind::Accept, listener, &answer, |bytes, (handle, peer)| {
            put_handle_and_peer(bytes, &(*handle, Some(*peer)));
        });
        answer
    }

    fn shed(&mut self, listener: Handle) -> io::Result<bool> {
        let answer = self.inner.shed(listener);
        self.on_handle(Kind::Shed, listener, &answer, |bytes, shed| bytes.number((*shed).into()));
        answer
    }

    fn connect(&mut self, address: Address, options: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)> {
        let answer = self.inner.connect(address, options);
        let detail = Detail::Text(effect::connect(address, options));
        let mut tape = self.recording.tape();
        // That a connect failed at once is an answer of its own: it has the call that failed.
        tape.call(Kind::Connect, 0, &detail, Ok(&answer), |bytes, answer| match answer {
            Ok(handle) => bytes.number(u64::from(handle.0) + 1),
            Err((syscall, error)) => {
                bytes.number(0);
                bytes.number(number_of_syscall(*syscall));
                bytes.error(error);
            }
        });
        drop(tape);
        answer
    }

    fn connected(&mut self, socket: Handle) -> io::Result<bool> {
        let answer = self.inner.connected(socket);
        self.on_handle(Kind::Connected, socket, &answer, |bytes, connected| bytes.number((*connected).into()));
        answer
    }

    fn register(&mut self, handle: Handle, token: Token) -> io::Result<()> {
        let token = self.tokens.insert(handle, token);
        let answer = self.inner.register(handle, token);
        self.on_handle(Kind::Register, handle, &answer, put_nothing);
        answer
    }

    #[inline]
    fn read(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        let answer = self.inner.read(socket, buffer);
        match &answer {
            Ok(length) => self.recording.tape().read(socket, &buffer[..*length]),
            Err(_) => self.on_handle(Kind::Read, socket, &answer, |_, _| {}),
        }
        answer
    }

    #[inline]
    fn write(&mut self, socket: Handle, bytes: &[u8]) -> io::Result<usize> {
        let answer = self.inner.write(socket, bytes);
        self.wrote(socket, bytes.len(), &answer, |taken| hash_of(bytes, taken));
        answer
    }

    fn write_vectored(&mut self, socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let answer = self.inner.write_vectored(socket, slices);
        self.wrote(socket, length_of(slices), &answer, |taken| hash_of_slices(slices, taken));
        answer
    }

    fn take_error(&mut self, socket: Handle) -> io::Result<Option<io::Error>> {
        let answer = self.inner.take_error(socket);
        self.on_handle(Kind::TakeError, socket, &answer, |bytes, error| {
            bytes.number(error.is_some().into());
            if let Some(error) = error {
                bytes.error(error);
            }
        });
        answer
    }

    fn shutdown(&mut self, socket: Handle) -> io::Result<()> {
        let answer = self.inner.shutdown(socket);
        self.on_handle(Kind::Shutdown, socket, &answer, put_nothing);
        answer
    }

    fn close(&mut self, handle: Handle) {
        self.inner.close(handle);
        self.tokens.remove(handle);
        self.on_handle(Kind::Close, handle, &Ok(()), put_nothing);
    }

    fn reset(&mut self, socket: Handle) {
        self.inner.reset(socket);
        self.tokens.remove(socket);
        self.on_handle(Kind::Reset, socket, &Ok(()), put_nothing);
    }

    fn set_option(&mut self, socket: Handle, option: SocketOption) -> io::Result<()> {
        let answer = self.inner.set_option(socket, option);
        let detail = Detail::Text(effect::option(option));
        self.recording.tape().call(Kind::SetOption, socket.0, &detail, answer.as_ref(), put_nothing);
        answer
    }

    fn type_of_service(&self, socket: Handle) -> io::Result<u8> {
        let answer = self.inner.type_of_service(socket);
        self.on_handle(Kind::TypeOfService, socket, &answer, |bytes, value| bytes.number((*value).into()));
        answer
    }

    fn peer_cred(&self, socket: Handle) -> io::Result<PeerCred> {
        let answer = self.inner.peer_cred(socket);
        self.on_handle(Kind::PeerCred, socket, &answer, |bytes, PeerCred { uid, gid, pid }| {
            bytes.number((*uid).into());
            bytes.number((*gid).into());
            bytes.number(pid.map_or(0, |pid| u64::from(pid) + 1));
        });
        answer
    }

    fn local_address(&self, handle: Handle) -> io::Result<Address> {
        let answer = self.inner.local_address(handle);
        self.on_handle(Kind::LocalAddress, handle, &answer, |bytes, address| bytes.address(*address));
        answer
    }

    fn random(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let answer = self.inner.random(buffer);
        let mut tape = self.recording.tape();
        tape.call(Kind::Random, 0, &Detail::Nothing, answer.as_ref(), |bytes, ()| bytes.bytes(buffer));
        drop(tape);
        answer
    }

    fn datagrams(&mut self, peer: SocketAddr, local: Option<SocketAddr>) -> io::Result<Handle> {
        let answer = self.inner.datagrams(peer, local);
        self.gave_handle(Kind::Datagrams, effect::datagrams(peer, local), &answer);
        answer
    }

    fn send(&mut self, socket: Handle, datagram: &[u8]) -> io::Result<()> {
        let answer = self.inner.send(socket, datagram);
        let mut tape = self.recording.tape();
        let (offered, hash) = (datagram.len() as u64, tape.keeps_contents().then(|| hash_of(datagram, datagram.len())));
        let taken = if answer.is_ok() { offered } else { 0 };
        let detail = Detail::Bytes { offered, taken, hash: hash.filter(|_| answer.is_ok()).unwrap_or(0) };
        tape.call(Kind::Send, socket.0, &detail, answer.as_ref(), |bytes, ()| {
            bytes.number(offered);
            bytes.extend(hash.map(u32::to_le_bytes).into_iter().flatten());
        });
        drop(tape);
        answer
    }

    fn receive(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        let answer = self.inner.receive(socket, buffer);
        let mut tape = self.recording.tape();
        let keeps_contents = tape.keeps_contents();
        tape.call(Kind::Receive, socket.0, &Detail::Nothing, answer.as_ref(), |bytes, length| match keeps_contents {
            true => bytes.bytes(&buffer[..*length]),
            false => bytes.number(*length as u64),
        });
        drop(tape);
        answer
    }

    fn watch_signal(&mut self, signal: i32) -> io::Result<()> {
        let answer = self.inner.watch_signal(signal);
        self.on_handle(Kind::WatchSignal, Handle(signal as u32), &answer, put_nothing);
        answer
    }

    fn unwatch_signal(&mut self, signal: i32) {
        self.inner.unwatch_signal(signal);
        self.on_handle(Kind::UnwatchSignal, Handle(signal as u32), &Ok(()), put_nothing);
    }

    fn waker(&mut self) -> io::Result<Wake> {
        let answer = self.inner.waker();
        let mut tape = self.recording.tape();
        tape.call(Kind::Waker, 0, &Detail::Nothing, answer.as_ref().map(|_| &()), put_nothing);
        drop(tape);
        let (wake, woken) = (answer?, Arc::clone(&self.woken));
        Ok(Box::new(move || {
            woken.store(true, Ordering::SeqCst);
            wake()
        }))
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<Handle> {
        let answer = self.inner.open(path, mode);
        self.gave_handle(Kind::Open, effect::open(path, mode), &answer);
        answer
    }

    fn stdio(&mut self, stream: Stdio) -> io::Result<Handle> {
        let answer = self.inner.stdio(stream);
        self.gave_handle(Kind::Stdio, format!("{stream:?}"), &answer);
        answer
    }

    #[cfg(unix)]
    fn adopt_file(&mut self, descriptor: OwnedFd, mode: OpenMode) -> io::Result<Handle> {
        let answer = self.inner.adopt_file(descriptor, mode);
        self.gave_handle(Kind::AdoptFile, effect::letters(mode).to_owned(), &answer);
        answer
    }

    fn watch_file(&mut self, handle: Handle, token: Token) -> io::Result<Watch> {
        let token = self.tokens.insert(handle, token);
        let answer = self.inner.watch_file(handle, token);
        self.on_handle(Kind::WatchFile, handle, &answer, |bytes, watch| {
            bytes.number((*watch == Watch::AlwaysReady).into());
        });
        answer
    }
}

/// The run is over. One that ends by a panic is cut.
impl<K> Drop for Recorder<K> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.recording.flush();
        } else {
            self.recording.finish();
        }
    }
}

impl<K: fmt::Debug> fmt::Debug for Recorder<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("inner", &self.inner).field("recording", &self.recording).finish()
    }
}
