//! What can go wrong between standard input, a server and standard output, with its exit code.

use std::fmt;
use std::time::Duration;

use tidegate::{Error, ErrorKind};

/// SIGPIPE: what a program in a pipeline dies of when nobody reads it any more.
const PIPE: i32 = 13;

/// Why it has not ended in order.
#[derive(Debug)]
pub enum Failure {
    Input(Error),
    NotConnected(Error),
    Lost(Error),
    Idle(Duration),
    Output(Error),
    Signal(i32),
}

impl Failure {
    /// As `--help` lists them.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Input(_) => 1,
            Failure::NotConnected(_) => 3,
            Failure::Lost(_) => 4,
            Failure::Idle(_) => 5,
            Failure::Output(_) if self.has_no_reader() => of_signal(PIPE),
            Failure::Output(_) => 6,
            Failure::Signal(signal) => of_signal(*signal),
        }
    }

    /// Whether nobody has to be told: a reader who has gone wants no more, and whoever has sent a signal knows it.
    pub fn is_silent(&self) -> bool {
        self.has_no_reader() || matches!(self, Failure::Signal(_))
    }

    fn has_no_reader(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == ErrorKind::BrokenPipe)
    }
}

/// As a shell has it.
fn of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Input(error) => write!(f, "cannot read standard input: {error}"),
            Failure::NotConnected(error) => error.fmt(f),
            Failure::Lost(error) => write!(f, "the connection is lost: {error}"),
            Failure::Idle(time) => write!(f, "no byte came or went for {time:?}: given up"),
            Failure::Output(error) => write!(f, "cannot write to standard output: {error}"),
            Failure::Signal(signal) => write!(f, "ended by signal {signal}"),
        }
    }
}
