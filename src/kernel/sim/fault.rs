//! What can go wrong with a call, and the list of calls that a simulated kernel keeps.
//!
//! The table of errors is that of Linux's man pages: what each call can give for reasons that are not its caller's.

use std::io;

use rustix::io::Errno;

/// A call of the [`Kernel`](crate::kernel::Kernel) contract that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Call {
    /// socket(2), bind(2) and listen(2).
    Listen,
    /// accept(2).
    Accept,
    /// socket(2) and connect(2): what they say at once.
    Connect,
    /// How a connect has ended: SO_ERROR.
    Connected,
    /// epoll_ctl(2).
    Register,
    /// read(2).
    Read,
    /// write(2) and writev(2).
    Write,
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
}

impl Call {
    /// The error numbers that this call can give though its caller did nothing wrong.
    pub const fn errors(self) -> &'static [i32] {
        const fn number(errno: Errno) -> i32 {
            errno.raw_os_error()
        }
        match self {
            Call::Listen => {
                const { &[number(Errno::ADDRINUSE), number(Errno::ACCESS), number(Errno::MFILE), number(Errno::NOBUFS)] }
            }
            Call::Accept => {
                const {
                    &[
                        number(Errno::INTR),
                        number(Errno::CONNABORTED),
                        number(Errno::PROTO),
                        number(Errno::MFILE),
                        number(Errno::NFILE),
                        number(Errno::NOBUFS),
                        number(Errno::NOMEM),
                        number(Errno::PERM),
                    ]
                }
            }
            Call::Connect => const { &[number(Errno::NETUNREACH), number(Errno::ADDRNOTAVAIL), number(Errno::MFILE)] },
            Call::Connected => {
                const {
                    &[
                        number(Errno::CONNREFUSED),
                        number(Errno::NETUNREACH),
                        number(Errno::ADDRNOTAVAIL),
                        number(Errno::TIMEDOUT),
                    ]
                }
            }
            Call::Register => const { &[number(Errno::NOMEM), number(Errno::NOSPC)] },
            Call::Read => {
                const {
                    &[
                        number(Errno::INTR),
                        number(Errno::CONNRESET),
                        number(Errno::TIMEDOUT),
                        number(Errno::HOSTUNREACH),
                        number(Errno::IO),
                    ]
                }
            }
            Call::Write => {
                const {
                    &[
                        number(Errno::INTR),
                        number(Errno::PIPE),
                        number(Errno::CONNRESET),
                        number(Errno::NOBUFS),
                        number(Errno::NOMEM),
                    ]
                }
            }
            Call::Shutdown => const { &[number(Errno::NOTCONN)] },
            Call::SetOption => const { &[number(Errno::INVAL)] },
            Call::Open => {
                const { &[number(Errno::ACCESS), number(Errno::MFILE), number(Errno::ROFS), number(Errno::IO)] }
            }
            Call::ReadFile => const { &[number(Errno::IO)] },
            Call::WriteFile => {
                const { &[number(Errno::NOSPC), number(Errno::DQUOT), number(Errno::FBIG), number(Errno::IO)] }
            }
        }
    }
}

/// What a test has planned for one call.
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

/// What comes of a call that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Normal,
    Short(Short),
    /// Short by a number of bytes that is drawn.
    ShortAtRandom,
}

/// The calls that were made, as far as somebody asked to keep them.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// The number of the next call, counted over all loops.
    pub next: u64,
    pub planned: std::collections::HashMap<u64, Fault>,
    /// Every call, if a test wants to fail each of them in turn.
    pub calls: Option<Vec<Call>>,
    lines: std::collections::VecDeque<String>,
    most_lines: usize,
    /// Over every call and what it answered: two runs with the same fingerprint were the same.
    pub fingerprint: u64,
}

impl Record {
    pub fn keep_lines(&mut self, most: usize) {
        self.most_lines = most;
        self.lines.truncate(most);
    }

    pub fn keeps_lines(&self) -> bool {
        self.most_lines > 0
    }

    /// Adds a line to the trace, if one is kept; else it is not even made.
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

    /// Mixes something into the fingerprint (FNV-1a, a word at a time).
    pub fn mix(&mut self, words: impl IntoIterator<Item = u64>) {
        for word in words {
            self.fingerprint = (self.fingerprint ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
        }
    }
}

pub(super) fn os(errno: Errno) -> io::Error {
    io::Error::from_raw_os_error(errno.raw_os_error())
}

pub(super) fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}
