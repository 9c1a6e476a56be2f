//! The kernel that plays a recording.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::blocks::Header;
use super::difference::RunEnd;
use super::effect::{self, Detail, hash_of, hash_of_slices, length_of};
use super::entry::{Answer, Found};
use super::format::Kind;
use super::script::Script;
use crate::address::Address;
use crate::base::error::Syscall;
#[cfg(unix)]
use crate::kernel::TcpOptions;
use crate::kernel::setters::setters;
use crate::kernel::{
    ConnectOptions, Handle, Kernel, ListenOptions, OpenMode, PeerCred, Ready, SocketOption, Stdio, Token, Wake, Watch,
};

/// How a recording is played.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReplayOptions {
    /// The turn that is the last one to be played. Default: all are.
    pub until: Option<u64>,
    /// How much faster than then it is played: 1 is as fast as then. Default: as fast as it goes.
    pub speed: Option<f64>,
}

impl ReplayOptions {
    setters! {
        until: Option<u64>,
        speed: Option<f64>,
    }
}

/// What was played of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// How many turns.
    pub turns: u64,
    /// How many calls, without questions.
    pub calls: u64,
    /// How many connections were accepted, adopted, or begun.
    pub connections: u64,
    /// How many bytes were read.
    pub bytes_read: u64,
    /// How many bytes were written.
    pub bytes_written: u64,
    /// How long the run took then.
    pub time: Duration,
    /// A hash of all effects, by which two builds are compared.
    pub fingerprint: u64,
    /// How it has ended. While it goes on: [`RunEnd::Until`].
    pub end: RunEnd,
}

impl Default for Report {
    fn default() -> Self {
        Report {
            turns: 0,
            calls: 0,
            connections: 0,
            bytes_read: 0,
            bytes_written: 0,
            time: Duration::ZERO,
            fingerprint: 0,
            end: RunEnd::Until,
        }
    }
}

/// What becomes of a run that is played: beside the loop that has the [`Replay`].
#[derive(Clone)]
pub struct Playback {
    script: Rc<RefCell<Script>>,
    header: Rc<Header>,
}

impl Playback {
    /// The header of the recording.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was recorded by [`Recording::fact`](super::Recording::fact).
    pub fn fact(&self, name: &str) -> Option<String> {
        match self.script.borrow_mut().question(Kind::Fact, 0, name) {
            Some(Answer::Fact(value)) => value,
            _ => None,
        }
    }

    /// Whether the run is over: the program or the recording has ended, or the program does something else than then.
    pub fn is_over(&self) -> bool {
        self.script.borrow().is_over()
    }

    /// The program ends here, without dropping its loop.
    pub fn finish(&self) {
        self.script.borrow_mut().finish();
    }

    /// What was played. It is complete when the loop was dropped, or after [`Playback::finish`].
    pub fn report(&self) -> Report {
        self.script.borrow().report()
    }
}

impl fmt::Debug for Playback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playback").field("report", &self.report()).finish_non_exhaustive()
    }
}

/// A kernel that gives the answers of a [recording](super::Recorder) back. It touches nothing of the machine: no socket, no
/// file, no clock.
///
/// The program has to be the one that was recorded, and has to have no other door to the world than its kernel: see
/// [`guide`](crate::guide#12-a-run-that-is-recorded). What it does is compared with what it did. At the first difference, and at the
/// end of the recording, [`Kernel::wait`] gives an error, so `run` returns. [`Playback::report`] says which of the two it was.
pub struct Replay {
    playback: Playback,
    options: ReplayOptions,
    tokens: BTreeMap<u32, Token>,
    /// When it began on the machine's clock, if it is played at a speed.
    began: Option<Instant>,
}

impl Replay {
    /// Reads the header and the first turn.
    ///
    /// # Errors
    /// What is read is no recording, a newer one, or has a damaged header; those of reading.
    pub fn new(recording: impl Read + 'static, options: ReplayOptions) -> io::Result<Self> {
        let (header, script) = Script::open(Box::new(recording), options)?;
        let playback = Playback { script: Rc::new(script.into()), header: Rc::new(header) };
        Ok(Replay { playback, options, tokens: BTreeMap::new(), began: None })
    }

    /// What becomes of the run, to be kept beside the loop.
    pub fn playback(&self) -> Playback {
        self.playback.clone()
    }

    fn effect(&self, kind: Kind, handle: u32, detail: Detail) -> io::Result<Answer> {
        answered(self.playback.script.borrow_mut().effect(kind, handle, |_| detail, b""))
    }

    fn input(&self, kind: Kind, handle: Handle) -> io::Result<Answer> {
        answered(self.playback.script.borrow_mut().input(kind, handle.0))
    }

    fn question(&self, kind: Kind, handle: Handle) -> io::Result<Answer> {
        answered(self.playback.script.borrow_mut().question(kind, handle.0, ""))
    }

    fn gives_handle(&self, kind: Kind, what: String) -> io::Result<Handle> {
        match self.effect(kind, 0, Detail::Text(what))? {
            Answer::Number(handle) => Ok(Handle(handle as u32)),
            _ => Err(is_over()),
        }
    }

    fn writes(
        &self,
        kind: Kind,
        handle: Handle,
        offered: usize,
        hash: impl FnOnce(usize) -> u32,
        preview: &[u8],
    ) -> io::Result<usize> {
        let offered = offered as u64;
        let mut taken_then = 0;
        let detail = |then: Option<&Detail>| match then {
            // How much was taken the system has decided, not the program.
            Some(Detail::Bytes { offered: then, taken, hash: hash_then }) if *then == offered => {
                taken_then = *taken;
                let hash = if *hash_then == 0 { 0 } else { hash(*taken as usize) };
                Detail::Bytes { offered, taken: *taken, hash }
            }
            _ => Detail::Bytes { offered, taken: offered, hash: 0 },
        };
        answered(self.playback.script.borrow_mut().effect(kind, handle.0, detail, preview))?;
        Ok(taken_then as usize)
    }

    /// Puts bytes into a buffer. What was not kept is zeros.
    fn fill(&self, buffer: &mut [u8], answer: Answer) -> io::Result<usize> {
        let length = match &answer {
            Answer::Bytes(bytes) => bytes.len(),
            Answer::Length(length) => *length,
            _ => return Err(is_over()),
        };
        let Some(place) = buffer.get_mut(..length) else {
            let what = format!("a buffer of {} bytes for {length}", buffer.len());
            self.playback.script.borrow_mut().does_not_fit(&what);
            return Err(is_over());
        };
        match answer {
            Answer::Bytes(bytes) => place.copy_from_slice(&bytes),
            _ => place.fill(0),
        }
        Ok(length)
    }

    /// At a speed, a turn comes at its time.
    fn keep_pace(&mut self) {
        let Some(speed) = self.options.speed.filter(|speed| *speed > 0.0) else { return };
        let began = *self.began.get_or_insert_with(Instant::now);
        if let Some(then) = self.playback.script.borrow().turn_began()
            && let Ok(since) = Duration::try_from_secs_f64(then.as_secs_f64() / speed)
        {
            std::thread::sleep(since.saturating_sub(began.elapsed()));
        }
    }
}

/// The error of a call after the end of the run. It is one that ends no connection: nothing is to be done any more.
fn is_over() -> io::Error {
    ErrorKind::WouldBlock.into()
}

fn answered(answer: Option<Answer>) -> io::Result<Answer> {
    match answer {
        None => Err(is_over()),
        Some(Answer::Failed(failure)) => Err(io::Error::from(&failure)),
        Some(answer) => Ok(answer),
    }
}

fn yes(answer: &Answer) -> bool {
    matches!(answer, Answer::Yes(true))
}

impl Kernel for Replay {
    fn now(&self) -> Duration {
        self.playback.script.borrow_mut().now()
    }

    fn now_to_measure(&self) -> Duration {
        self.playback.script.borrow_mut().measured()
    }

    fn clock_slack(&self) -> Duration {
        self.playback.script.borrow().slack()
    }

    fn wait(&mut self, _deadline: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let waited = self.playback.script.borrow_mut().wait();
        let found = match waited {
            None => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the run that is played is over")),
            Some(Err(failure)) => return Err(io::Error::from(&failure)),
            Some(Ok(found)) => found,
        };
        self.keep_pace();
        ready.extend(found.into_iter().filter_map(|found| match found {
            Found::Io(handle, readiness) => {
                self.tokens.get(&handle).map(|token| Ready::Io { token: *token, readiness })
            }
            Found::Signal(signal) => Some(Ready::Signal(signal)),
        }));
        Ok(())
    }

    fn listen(&mut self, address: Address, options: &ListenOptions) -> io::Result<Handle> {
        self.gives_handle(Kind::Listen, effect::listen(address, options))
    }

    #[cfg(unix)]
    fn adopt_listener(&mut self, _listener: OwnedFd, tcp: &TcpOptions) -> io::Result<Handle> {
        self.gives_handle(Kind::AdoptListener, effect::tcp(tcp))
    }

    #[cfg(unix)]
    fn adopt_stream(&mut self, _stream: OwnedFd, tcp: &TcpOptions) -> io::Result<(Handle, Option<Address>)> {
        match self.effect(Kind::AdoptStream, 0, Detail::Text(effect::tcp(tcp)))? {
            Answer::Peer(handle, peer) => Ok((Handle(handle), peer)),
            _ => Err(is_over()),
        }
    }

    fn accept(&mut self, listener: Handle) -> io::Result<(Handle, Address)> {
        match self.input(Kind::Accept, listener)? {
            Answer::Peer(handle, Some(peer)) => Ok((Handle(handle), peer)),
            _ => Err(is_over()),
        }
    }

    fn shed(&mut self, listener: Handle) -> io::Result<bool> {
        self.input(Kind::Shed, listener).map(|answer| yes(&answer))
    }

    fn connect(&mut self, address: Address, options: &ConnectOptions) -> Result<Handle, (Syscall, io::Error)> {
        let detail = Detail::Text(effect::connect(address, options));
        match self.effect(Kind::Connect, 0, detail) {
            Ok(Answer::Number(handle)) => Ok(Handle(handle as u32)),
            Ok(Answer::ConnectFailed(syscall, failure)) => Err((syscall, io::Error::from(&failure))),
            Ok(_) => Err((Syscall::Connect, is_over())),
            Err(error) => Err((Syscall::Connect, error)),
        }
    }

    fn connected(&mut self, socket: Handle) -> io::Result<bool> {
        self.input(Kind::Connected, socket).map(|answer| yes(&answer))
    }

    fn register(&mut self, handle: Handle, token: Token) -> io::Result<()> {
        self.tokens.insert(handle.0, token);
        self.effect(Kind::Register, handle.0, Detail::Nothing).map(drop)
    }

    fn read(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        let answer = self.input(Kind::Read, socket)?;
        self.fill(buffer, answer)
    }

    fn write(&mut self, socket: Handle, bytes: &[u8]) -> io::Result<usize> {
        self.writes(Kind::Write, socket, bytes.len(), |taken| hash_of(bytes, taken), bytes)
    }

    fn write_vectored(&mut self, socket: Handle, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let preview = slices.first().map_or(&b""[..], |slice| slice);
        self.writes(Kind::Write, socket, length_of(slices), |taken| hash_of_slices(slices, taken), preview)
    }

    fn take_error(&mut self, socket: Handle) -> io::Result<Option<io::Error>> {
        match self.input(Kind::TakeError, socket)? {
            Answer::Error(failure) => Ok(failure.as_ref().map(io::Error::from)),
            _ => Err(is_over()),
        }
    }

    fn shutdown(&mut self, socket: Handle) -> io::Result<()> {
        self.effect(Kind::Shutdown, socket.0, Detail::Nothing).map(drop)
    }

    fn close(&mut self, handle: Handle) {
        self.tokens.remove(&handle.0);
        let _ = self.effect(Kind::Close, handle.0, Detail::Nothing);
    }

    fn reset(&mut self, socket: Handle) {
        self.tokens.remove(&socket.0);
        let _ = self.effect(Kind::Reset, socket.0, Detail::Nothing);
    }

    fn set_option(&mut self, socket: Handle, option: SocketOption) -> io::Result<()> {
        self.effect(Kind::SetOption, socket.0, Detail::Text(effect::option(option))).map(drop)
    }

    fn type_of_service(&self, socket: Handle) -> io::Result<u8> {
        match self.question(Kind::TypeOfService, socket)? {
            Answer::Number(value) => Ok(value as u8),
            _ => Err(is_over()),
        }
    }

    fn peer_cred(&self, socket: Handle) -> io::Result<PeerCred> {
        match self.question(Kind::PeerCred, socket)? {
            Answer::Cred(cred) => Ok(cred),
            _ => Err(is_over()),
        }
    }

    fn local_address(&self, handle: Handle) -> io::Result<Address> {
        match self.question(Kind::LocalAddress, handle)? {
            Answer::Address(address) => Ok(address),
            _ => Err(is_over()),
        }
    }

    fn random(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let answer = answered(self.playback.script.borrow_mut().input(Kind::Random, 0))?;
        self.fill(buffer, answer).map(drop)
    }

    fn datagrams(&mut self, peer: SocketAddr, local: Option<SocketAddr>) -> io::Result<Handle> {
        self.gives_handle(Kind::Datagrams, effect::datagrams(peer, local))
    }

    fn send(&mut self, socket: Handle, datagram: &[u8]) -> io::Result<()> {
        self.writes(Kind::Send, socket, datagram.len(), |taken| hash_of(datagram, taken), datagram).map(drop)
    }

    fn receive(&mut self, socket: Handle, buffer: &mut [u8]) -> io::Result<usize> {
        let answer = self.input(Kind::Receive, socket)?;
        self.fill(buffer, answer)
    }

    fn watch_signal(&mut self, signal: i32) -> io::Result<()> {
        self.effect(Kind::WatchSignal, signal as u32, Detail::Nothing).map(drop)
    }

    fn unwatch_signal(&mut self, signal: i32) {
        let _ = self.effect(Kind::UnwatchSignal, signal as u32, Detail::Nothing);
    }

    /// There is nothing to wake: a turn comes when it came then.
    fn waker(&mut self) -> io::Result<Wake> {
        self.effect(Kind::Waker, 0, Detail::Nothing)?;
        Ok(Box::new(|| Ok(())))
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> io::Result<Handle> {
        self.gives_handle(Kind::Open, effect::open(path, mode))
    }

    fn stdio(&mut self, stream: Stdio) -> io::Result<Handle> {
        self.gives_handle(Kind::Stdio, format!("{stream:?}"))
    }

    #[cfg(unix)]
    fn adopt_file(&mut self, _descriptor: OwnedFd, mode: OpenMode) -> io::Result<Handle> {
        self.gives_handle(Kind::AdoptFile, effect::letters(mode).to_owned())
    }

    fn watch_file(&mut self, handle: Handle, token: Token) -> io::Result<Watch> {
        self.tokens.insert(handle.0, token);
        let answer = self.effect(Kind::WatchFile, handle.0, Detail::Nothing)?;
        Ok(if yes(&answer) { Watch::AlwaysReady } else { Watch::Edges })
    }
}

/// The program has ended.
impl Drop for Replay {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.playback.script.borrow_mut().finish();
        }
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("playback", &self.playback).finish_non_exhaustive()
    }
}
