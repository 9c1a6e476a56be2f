//! Calls and their faults. Each call of a simulated kernel is made here: it is counted and recorded, and it may fail.
//!
//! The table of errors is that of Linux's man pages: the errors of each call for which its caller has no blame.

use std::io::{self, IoSlice};

use rustix::io::Errno;

use super::world::{World, at};

/// A call of the [`Kernel`](crate::kernel::Kernel) contract that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Call {
    /// socket(2), bind(2) and listen(2).
    Listen,
    /// accept(2).
    Accept,
    /// socket(2) and connect(2), as far as they answer at once.
    Connect,
    /// SO_ERROR, which says how a connect has ended.
    Connected,
    /// epoll_ctl(2).
    Register,
    /// read(2).
    Read,
    /// write(2) and writev(2).
    Write,
    /// SO_ERROR, which says what has broken a connection.
    TakeError,
    /// shutdown(2).
    Shutdown,
    /// setsockopt(2).
    SetOption,
    /// open(2).
    Open,
    /// read(2) of a file.
    ReadFile,
    /// write(2) and writev(2) of a file.
    WriteFile,
    /// socket(2), bind(2) and connect(2) of a socket of datagrams.
    Datagrams,
    /// send(2) of a datagram.
    Send,
    /// recv(2) of a datagram.
    Receive,
}

impl Call {
    /// The error numbers that this call can give although its caller did nothing wrong.
    pub const fn errors(self) -> &'static [i32] {
        macro_rules! numbers {
            ($($name:ident)*) => { const { &[$(Errno::$name.raw_os_error()),*] } };
        }
        match self {
            Call::Listen => numbers![ADDRINUSE ACCESS MFILE NOBUFS],
            Call::Accept => numbers![INTR CONNABORTED PROTO MFILE NFILE NOBUFS NOMEM PERM],
            Call::Connect => numbers![NETUNREACH ADDRNOTAVAIL MFILE],
            Call::Connected => numbers![CONNREFUSED NETUNREACH ADDRNOTAVAIL TIMEDOUT],
            Call::Register => numbers![NOMEM NOSPC],
            Call::Read => numbers![INTR CONNRESET TIMEDOUT HOSTUNREACH IO],
            Call::Write => numbers![INTR PIPE CONNRESET NOBUFS NOMEM],
            Call::TakeError => numbers![CONNRESET TIMEDOUT],
            Call::Shutdown => numbers![NOTCONN],
            Call::SetOption => numbers![INVAL],
            Call::Open => numbers![ACCESS MFILE ROFS IO],
            Call::ReadFile => numbers![IO],
            Call::WriteFile => numbers![NOSPC DQUOT FBIG IO],
            Call::Datagrams => numbers![NETUNREACH MFILE NOBUFS],
            Call::Send => numbers![INTR CONNREFUSED NETUNREACH PERM NOBUFS],
            Call::Receive => numbers![INTR CONNREFUSED NOMEM],
        }
    }
}

/// What a test plans for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with this error number, and has no effect.
    Error(i32),
    /// A read or a write moves fewer bytes than it could.
    Short(Short),
}

/// How short a read or a write is. At least one byte moves, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Short {
    /// One byte less than possible.
    ByOne,
    /// Half of what is possible.
    Half,
    /// One byte.
    ToOne,
}

impl Short {
    /// How many of `possible` bytes move.
    pub(super) fn of(self, possible: usize) -> usize {
        match self {
            Short::ByOne => possible.saturating_sub(1).max(1),
            Short::Half => possible.div_ceil(2),
            Short::ToOne => 1,
        }
        .min(possible)
    }
}

/// How many of the possible bytes a call moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Full,
    Short(Short),
    /// A random number of them, from one to all but one.
    Random,
}

/// The record of the calls, as much of it as was asked for.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The number of the next call, counted over all loops.
    pub next: u64,
    pub planned: std::collections::HashMap<u64, Fault>,
    /// Every call, for a test that lets each of them fail in turn.
    pub calls: Option<Vec<Call>>,
    lines: std::collections::VecDeque<String>,
    most_lines: usize,
    /// A hash over every call and its answer: two runs with the same fingerprint were the same.
    pub fingerprint: u64,
}

impl Record {
    pub fn keep_lines(&mut self, most: usize) {
        self.most_lines = most;
        self.lines.drain(..self.lines.len().saturating_sub(most));
    }

    pub fn keeps_lines(&self) -> bool {
        self.most_lines > 0
    }

    /// Adds a line to the trace. The line is not even made if no trace is kept.
    pub fn line(&mut self, line: impl FnOnce() -> String) {
        if self.most_lines == 0 {
            return;
        }
        if self.lines.len() == self.most_lines {
            self.lines.pop_front();
        }
        self.lines.push_back(line());
    }

    pub fn text(&self) -> String {
        self.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    /// Adds words to the fingerprint (FNV-1a, a word at a time).
    pub fn mix(&mut self, words: impl IntoIterator<Item = u64>) {
        for word in words {
            self.fingerprint = (self.fingerprint ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }
}

impl World {
    /// Makes a call. It is counted and recorded, and it fails if that is planned or if the conditions make it fail.
    pub fn call(
        &mut self,
        call: Call,
        end: usize,
        carry_out: impl FnOnce(&mut World, Extent) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let number = self.record.next;
        self.record.next += 1;
        if let Some(calls) = &mut self.record.calls {
            calls.push(call);
        }
        let name = self.name_if_traced(end);
        let outcome = self.extent(call, number).and_then(|extent| carry_out(self, extent));
        let code = match &outcome {
            Ok(count) => *count as u64,
            Err(error) => u64::MAX - error.raw_os_error().unwrap_or(0) as u64,
        };
        self.record.mix([self.now.as_nanos() as u64, call as u64, end as u64, code]);
        self.record.line(|| {
            let answer = match &outcome {
                Ok(count) => count.to_string(),
                Err(error) => error.to_string(),
            };
            format!("{} {name} {call:?} = {answer}", at(self.now))
        });
        outcome
    }

    /// What is planned for a call, or what the conditions do to it.
    fn extent(&mut self, call: Call, number: u64) -> io::Result<Extent> {
        match self.record.planned.remove(&number) {
            Some(Fault::Error(errno)) => return Err(io::Error::from_raw_os_error(errno)),
            Some(Fault::Short(short)) => return Ok(Extent::Short(short)),
            None => {}
        }
        let faults = self.conditions.faults;
        if self.happens(faults) {
            let errors = call.errors();
            return Err(io::Error::from_raw_os_error(errors[self.random(errors.len() as u64) as usize]));
        }
        if !matches!(call, Call::Read | Call::Write) {
            return Ok(Extent::Full);
        }
        if self.happens(self.conditions.interrupted) {
            return Err(os(Errno::INTR));
        }
        if call == Call::Write && self.happens(self.conditions.no_buffers) {
            return Err(os(Errno::NOBUFS));
        }
        let short = self.conditions.short;
        Ok(if self.happens(short) { Extent::Random } else { Extent::Full })
    }

    /// How many of `possible` bytes a read or a write moves.
    pub fn share(&mut self, extent: Extent, possible: usize) -> usize {
        match extent {
            Extent::Full => possible,
            Extent::Short(short) => short.of(possible),
            Extent::Random if possible > 1 => 1 + self.random(possible as u64 - 1) as usize,
            Extent::Random => possible,
        }
    }
}

/// The first `count` bytes of the slices, part by part: so they are copied as memory. Byte by byte took a third of the time
/// of the random programs.
pub(super) fn parts<'a>(slices: &'a [IoSlice<'_>], count: usize) -> impl Iterator<Item = &'a [u8]> {
    slices.iter().scan(count, |left, slice| {
        let part = &slice[..slice.len().min(*left)];
        *left -= part.len();
        Some(part)
    })
}

pub(super) fn os(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw_os_error())
}

pub(super) fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}
