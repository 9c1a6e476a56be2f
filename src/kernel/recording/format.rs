//! Numbers, texts, addresses and errors as bytes, and the kinds of calls.
//!
//! A number takes a byte for each seven bits, the lowest first. What is written here is read by later versions too: a new
//! kind gets a new number, and no number changes its meaning.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::address::{Address, UnixAddress};
use crate::base::error::Syscall;

/// What a call is to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The program does something: compared, in order.
    Effect,
    /// The program gets something: answered from the recording, once each.
    Input,
    /// Answered from the recording, and then as the last time.
    Question,
}

/// The calls, but for the clock and the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Kind {
    Read,
    Accept,
    Shed,
    Connected,
    TakeError,
    Random,
    Write,
    Shutdown,
    Close,
    Reset,
    Register,
    WatchFile,
    SetOption,
    Listen,
    Connect,
    AdoptListener,
    AdoptStream,
    AdoptFile,
    Open,
    Stdio,
    WatchSignal,
    UnwatchSignal,
    Waker,
    LocalAddress,
    TypeOfService,
    PeerCred,
    /// What the program asks of the world outside: see [`Recording::fact`](super::Recording::fact).
    Fact,
    Datagrams,
    Send,
    Receive,
}

impl Kind {
    /// Each at the place of its number.
    const ALL: [Kind; 30] = [
        Kind::Read,
        Kind::Accept,
        Kind::Shed,
        Kind::Connected,
        Kind::TakeError,
        Kind::Random,
        Kind::Write,
        Kind::Shutdown,
        Kind::Close,
        Kind::Reset,
        Kind::Register,
        Kind::WatchFile,
        Kind::SetOption,
        Kind::Listen,
        Kind::Connect,
        Kind::AdoptListener,
        Kind::AdoptStream,
        Kind::AdoptFile,
        Kind::Open,
        Kind::Stdio,
        Kind::WatchSignal,
        Kind::UnwatchSignal,
        Kind::Waker,
        Kind::LocalAddress,
        Kind::TypeOfService,
        Kind::PeerCred,
        Kind::Fact,
        Kind::Datagrams,
        Kind::Send,
        Kind::Receive,
    ];

    pub fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(number)).copied()
    }

    pub fn class(self) -> Class {
        match self {
            Kind::Read
            | Kind::Accept
            | Kind::Shed
            | Kind::Connected
            | Kind::TakeError
            | Kind::Random
            | Kind::Receive => Class::Input,
            Kind::LocalAddress | Kind::TypeOfService | Kind::PeerCred | Kind::Fact => Class::Question,
            _ => Class::Effect,
        }
    }

    /// Whether it is about a handle.
    pub fn has_handle(self) -> bool {
        use Kind::*;

        !matches!(
            self,
            Random
                | Listen
                | Connect
                | AdoptListener
                | AdoptStream
                | AdoptFile
                | Open
                | Stdio
                | Waker
                | Fact
                | Datagrams
        )
    }

    /// Whether what is asked for is in a text: an address, options, a path, a name.
    pub fn has_text(self) -> bool {
        use Kind::*;

        matches!(
            self,
            SetOption | Listen | Connect | AdoptListener | AdoptStream | AdoptFile | Open | Stdio | Fact | Datagrams
        )
    }

    pub fn words(self) -> &'static str {
        match self {
            Kind::Read => "read",
            Kind::Accept => "accept",
            Kind::Shed => "accept and close",
            Kind::Connected => "ask whether it is connected",
            Kind::TakeError => "ask for its error",
            Kind::Random => "ask for random bytes",
            Kind::Write => "write",
            Kind::Shutdown => "end",
            Kind::Close => "close",
            Kind::Reset => "reset",
            Kind::Register => "register",
            Kind::WatchFile => "watch",
            Kind::SetOption => "set an option",
            Kind::Listen => "listen",
            Kind::Connect => "connect",
            Kind::AdoptListener => "adopt a listener",
            Kind::AdoptStream => "adopt a connection",
            Kind::AdoptFile => "adopt a file",
            Kind::Open => "open",
            Kind::Stdio => "open the standard stream",
            Kind::WatchSignal => "watch signal",
            Kind::UnwatchSignal => "watch no more signal",
            Kind::Waker => "make a waker",
            Kind::LocalAddress => "ask for the own address",
            Kind::TypeOfService => "ask for the type of service",
            Kind::PeerCred => "ask for the peer's process",
            Kind::Fact => "ask",
            Kind::Datagrams => "send datagrams to",
            Kind::Send => "send",
            Kind::Receive => "receive",
        }
    }
}

/// The first byte of an entry: the number of a kind, with [`tag::FAILED`] if the call failed, or one of these.
pub(super) mod tag {
    /// A wait that has found one handle, as most do.
    pub const WAIT_ONE: u8 = 0x40;
    /// A wait: what was ready.
    pub const WAIT: u8 = 0x41;
    pub const WAIT_FAILED: u8 = 0x42;
    /// The slack of the clock in nanoseconds.
    pub const SLACK: u8 = 0x43;
    /// A write of just what was written last, to another handle.
    pub const SAME_WRITE: u8 = 0x44;
    /// The recording was stopped, for this reason.
    pub const STOPPED: u8 = 0x45;
    /// The program has ended.
    pub const ENDED: u8 = 0x46;
    /// A look at the clock: nanoseconds since the last one. The tag has the number of their bytes too.
    pub const CLOCK: u8 = 0x50;
    pub const CLOCK_OF_8: u8 = CLOCK + 8;
    /// A look that decides nothing.
    pub const MEASURED: u8 = 0x60;
    pub const MEASURED_OF_8: u8 = MEASURED + 8;
    /// The call failed, and an error follows.
    pub const FAILED: u8 = 0x80;
}

/// Writes values as bytes.
pub(super) trait Put {
    fn number(&mut self, number: u64);
    fn bytes(&mut self, bytes: &[u8]);
    fn address(&mut self, address: Address);
    fn error(&mut self, error: &io::Error);
}

impl Put for Vec<u8> {
    #[inline]
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.push(number as u8);
    }

    /// With their length before them.
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }

    fn address(&mut self, address: Address) {
        match address {
            Address::Ip(SocketAddr::V4(address)) => {
                self.push(4);
                self.extend(address.ip().octets());
                self.extend(address.port().to_be_bytes());
            }
            Address::Ip(SocketAddr::V6(address)) => {
                self.push(6);
                self.extend(address.ip().octets());
                self.extend(address.port().to_be_bytes());
                self.number(address.flowinfo().into());
                self.number(address.scope_id().into());
            }
            Address::Unix(address) => {
                self.push(0);
                self.bytes(address.bytes());
            }
        }
    }

    /// The number of the system, plus one. An error without one has 0, its kind and its text.
    fn error(&mut self, error: &io::Error) {
        if let Some(number) = error.raw_os_error().and_then(|number| u64::try_from(number).ok()) {
            return self.number(number + 1);
        }
        self.number(0);
        self.push(KINDS_OF_ERRORS.iter().position(|kind| *kind == error.kind()).unwrap_or(0) as u8);
        self.bytes(error.to_string().as_bytes());
    }
}

/// A short entry, which is made on the stack and goes into a block by one copy of a fixed size: the entries that each turn has
/// cost no call.
#[derive(Clone, Copy)]
pub(super) struct Short {
    bytes: [u8; Short::MOST],
    length: usize,
}

impl Short {
    /// A write has most: its kind, a handle of 5 bytes, two numbers of 10 and a hash.
    const MOST: usize = 32;

    #[inline(always)]
    pub fn new(first: u8) -> Self {
        let mut entry = Short { bytes: [0; Short::MOST], length: 0 };
        entry.byte(first);
        entry
    }

    #[inline(always)]
    pub fn byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length = self.length.wrapping_add(1);
        }
    }

    #[inline(always)]
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    #[inline(always)]
    pub fn hash(&mut self, hash: u32) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + 4) {
            place.copy_from_slice(&hash.to_le_bytes());
            self.length += 4;
        }
    }

    #[inline(always)]
    pub fn add_to(&self, block: &mut Vec<u8>) {
        let before = block.len();
        block.extend_from_slice(&self.bytes);
        block.truncate(before + self.length);
    }
}

/// Adds a look at the clock, so long after the last one: all of its bytes at once, and then it is cut to those that count.
#[inline(always)]
pub(super) fn put_clock(block: &mut Vec<u8>, tag: u8, since: u64) {
    let length = 8 - since.leading_zeros() / 8;
    let entry = u128::from(since) << 8 | u128::from(u32::from(tag) + length);
    let end = block.len() + 1 + length as usize;
    block.extend_from_slice(&entry.to_le_bytes());
    block.truncate(end);
}

/// Those that a kernel gives without a number of the system.
const KINDS_OF_ERRORS: [ErrorKind; 9] = [
    ErrorKind::Other,
    ErrorKind::WouldBlock,
    ErrorKind::InvalidInput,
    ErrorKind::NotFound,
    ErrorKind::Unsupported,
    ErrorKind::ConnectionRefused,
    ErrorKind::WriteZero,
    ErrorKind::UnexpectedEof,
    ErrorKind::Interrupted,
];

const SYSCALLS: [Syscall; 4] = [Syscall::Connect, Syscall::Bind, Syscall::SetOption, Syscall::Listen];

pub(super) fn number_of_syscall(syscall: Syscall) -> u64 {
    SYSCALLS.iter().position(|known| *known == syscall).unwrap_or(0) as u64
}

/// Reads values from bytes. `None`: these bytes are none of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(pub &'a [u8]);

impl<'a> Bytes<'a> {
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    pub fn hash(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number of so many bytes, the lowest first.
    pub fn number_of(&mut self, length: u8) -> Option<u64> {
        Some(self.take(length.into())?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?.try_into().ok()?;
        self.take(length)
    }

    pub fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn port(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn address(&mut self) -> Option<Address> {
        Some(match self.byte()? {
            4 => {
                let ip = Ipv4Addr::from(self.array::<4>()?);
                SocketAddr::from((ip, self.port()?)).into()
            }
            6 => {
                let (ip, port) = (Ipv6Addr::from(self.array::<16>()?), self.port()?);
                let (flow, scope) = (self.small()?, self.small()?);
                SocketAddr::from(SocketAddrV6::new(ip, port, flow, scope)).into()
            }
            0 => UnixAddress::of(self.bytes()?).into(),
            _ => return None,
        })
    }

    pub fn error(&mut self) -> Option<Failure> {
        let number = self.number()?;
        if let Some(number) = number.checked_sub(1) {
            return Some(Failure::Number(number.try_into().ok()?));
        }
        let kind = *KINDS_OF_ERRORS.get(usize::from(self.byte()?))?;
        Some(Failure::Kind(kind, self.text()?))
    }

    pub fn syscall(&mut self) -> Option<Syscall> {
        SYSCALLS.get(usize::try_from(self.number()?).ok()?).copied()
    }
}

/// An error, which can be given more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Number(i32),
    Kind(ErrorKind, String),
}

impl From<&Failure> for io::Error {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Number(number) => io::Error::from_raw_os_error(*number),
            // One without a text of its own is made without an allocation.
            Failure::Kind(kind, text) if io::Error::from(*kind).to_string() == *text => (*kind).into(),
            Failure::Kind(kind, text) => io::Error::new(*kind, text.clone()),
        }
    }
}
