//! Who is in the room, and how a line is sent to all of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tidegate::{Net, SocketId};

/// What ends a line that is sent to a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    Lf,
    /// For telnet, and for terminals that need the CR to begin at the left.
    CrLf,
}

impl LineEnd {
    /// A text whose lines end with LF, as it is sent to a guest.
    pub fn of(self, text: &str) -> Cow<'_, str> {
        match self {
            LineEnd::Lf => Cow::Borrowed(text),
            LineEnd::CrLf => Cow::Owned(text.replace('\n', "\r\n")),
        }
    }
}

/// The guests in the room by number: in a room by itself that is the order in which they came. Those whose lines end with CR LF are apart: a
/// message is stored once for each of the two groups, and not at all for a group that is empty.
#[derive(Debug, Default)]
pub struct Online {
    lf: BTreeMap<u64, SocketId>,
    crlf: BTreeMap<u64, SocketId>,
}

impl Online {
    pub fn add(&mut self, number: u64, id: SocketId, end: LineEnd) {
        match end {
            LineEnd::Lf => self.lf.insert(number, id),
            LineEnd::CrLf => self.crlf.insert(number, id),
        };
    }

    pub fn remove(&mut self, number: u64) {
        self.lf.remove(&number);
        self.crlf.remove(&number);
    }

    /// The guest of this number.
    pub fn socket_of(&self, number: u64) -> Option<SocketId> {
        self.lf.get(&number).or_else(|| self.crlf.get(&number)).copied()
    }

    pub fn len(&self) -> usize {
        self.lf.len() + self.crlf.len()
    }

    pub fn in_order(&self) -> impl Iterator<Item = SocketId> {
        let mut all: Vec<_> = self.lf.iter().chain(&self.crlf).collect();
        all.sort_unstable_by_key(|(number, _)| **number);
        all.into_iter().map(|(_, id)| *id)
    }

    /// Sends a line, which ends with LF, to everybody but one.
    pub fn tell(&self, net: &mut Net, except: Option<SocketId>, line: &str) {
        let is_meant = |id: &SocketId| Some(*id) != except;
        if !self.lf.is_empty() {
            net.broadcast(self.lf.values().copied().filter(is_meant), line);
        }
        if !self.crlf.is_empty() {
            net.broadcast(self.crlf.values().copied().filter(is_meant), &*LineEnd::CrLf.of(line));
        }
    }
}
