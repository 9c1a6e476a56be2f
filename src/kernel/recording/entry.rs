//! What a recording has: the entries, one after the other.

use std::io::{self, Read};
use std::time::Duration;

use super::blocks::{Blocks, Header, NoBlock};
use super::difference::RunEnd;
use super::effect::{Call, Detail};
use super::format::{Bytes, Failure, Kind, Put, Short, tag};
use crate::address::Address;
use crate::base::error::Syscall;
use crate::kernel::{Handle, PeerCred, Readiness, Ready};

/// One entry of a recording.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Clock(Duration),
    /// A look at the clock that decides nothing.
    Measured(Duration),
    Call(Call, Answer),
    Slack(Duration),
    Turn(TurnEnd),
}

/// What a kernel answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Done,
    Yes(bool),
    Number(u64),
    Bytes(Vec<u8>),
    /// Bytes that were not kept.
    Length(usize),
    Peer(u32, Option<Address>),
    Address(Address),
    Cred(PeerCred),
    Error(Option<Failure>),
    Fact(Option<String>),
    Failed(Failure),
    ConnectFailed(Syscall, Failure),
}

/// Something that was ready.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    Io(u32, Readiness),
    Signal(i32),
}

/// What comes after the last call of a turn.
#[derive(Clone, Debug)]
pub(super) enum TurnEnd {
    /// The next turn, with what was ready.
    Wait(Vec<Found>),
    WaitFailed(Failure),
    ProgramEnded,
    /// The recording has no more. The turn may have gone on.
    NoMore(String),
    /// What comes next is no entry, or cannot be read.
    Damaged(String),
}

impl TurnEnd {
    /// How a run ends that has come here, if the recording does not say how it goes on.
    pub fn without_more(&self) -> Option<RunEnd> {
        match self {
            TurnEnd::NoMore(why) => Some(RunEnd::NoMore(why.clone())),
            TurnEnd::Damaged(why) => Some(RunEnd::Damaged(why.clone())),
            TurnEnd::Wait(_) | TurnEnd::WaitFailed(_) | TurnEnd::ProgramEnded => None,
        }
    }
}

/// The entries of a recording that is read.
pub(super) struct Entries {
    blocks: Blocks<Box<dyn Read>>,
    keeps_contents: bool,
    /// The block that is read, and how far.
    block: Vec<u8>,
    place: usize,
    /// The time of the last look at the clock, in nanoseconds.
    clock: u64,
    last_write: Detail,
}

impl Entries {
    pub fn open(recording: Box<dyn Read>) -> io::Result<(Header, Self)> {
        let (header, blocks) = Blocks::open(recording)?;
        let keeps_contents = header.get("contents") != Some("no");
        let (block, last_write) = (Vec::new(), Detail::Nothing);
        Ok((header, Entries { blocks, keeps_contents, block, place: 0, clock: 0, last_write }))
    }

    /// The next one. The last one is the end of a turn.
    pub fn next(&mut self) -> Entry {
        while self.place == self.block.len() {
            match self.blocks.next() {
                Ok(block) => (self.block, self.place) = (block, 0),
                Err(why) => {
                    return Entry::Turn(match why {
                        NoBlock::Cut => TurnEnd::NoMore("it was cut, or its program was killed".to_owned()),
                        NoBlock::Damaged(place) => TurnEnd::Damaged(format!("it is damaged at byte {place}")),
                        NoBlock::Unreadable(why) => TurnEnd::Damaged(format!("it cannot be read: {why}")),
                    });
                }
            }
        }
        let block = std::mem::take(&mut self.block);
        let mut bytes = Bytes(&block[self.place..]);
        let entry = self.entry(&mut bytes);
        self.place = block.len() - bytes.0.len();
        self.block = block;
        entry.unwrap_or_else(|| {
            // Its checksum was right, so a later build has made it.
            self.place = self.block.len();
            Entry::Turn(TurnEnd::Damaged("it has an entry that this build does not know".to_owned()))
        })
    }

    fn entry(&mut self, bytes: &mut Bytes<'_>) -> Option<Entry> {
        let first = bytes.byte()?;
        Some(match first {
            tag::CLOCK..=tag::CLOCK_OF_8 => Entry::Clock(self.time(first - tag::CLOCK, bytes)?),
            tag::MEASURED..=tag::MEASURED_OF_8 => Entry::Measured(self.time(first - tag::MEASURED, bytes)?),
            tag::SLACK => Entry::Slack(Duration::from_nanos(bytes.number()?)),
            tag::WAIT => Entry::Turn(TurnEnd::Wait(found(bytes)?)),
            tag::WAIT_ONE => Entry::Turn(TurnEnd::Wait(vec![Found::Io(bytes.small()?, readiness(bytes.byte()?))])),
            tag::WAIT_FAILED => Entry::Turn(TurnEnd::WaitFailed(bytes.error()?)),
            tag::ENDED => Entry::Turn(TurnEnd::ProgramEnded),
            tag::STOPPED => Entry::Turn(TurnEnd::NoMore(bytes.text()?)),
            tag::SAME_WRITE => {
                let call = Call { kind: Kind::Write, handle: bytes.small()?, detail: self.last_write.clone() };
                Entry::Call(call, Answer::Done)
            }
            _ => self.call(Kind::from_number(first & !tag::FAILED)?, first & tag::FAILED != 0, bytes)?,
        })
    }

    /// The time of a look at the clock, which has so many bytes.
    fn time(&mut self, length: u8, bytes: &mut Bytes<'_>) -> Option<Duration> {
        self.clock = self.clock.checked_add(bytes.number_of(length)?)?;
        Some(Duration::from_nanos(self.clock))
    }

    fn call(&mut self, kind: Kind, failed: bool, bytes: &mut Bytes<'_>) -> Option<Entry> {
        let handle = if kind.has_handle() { bytes.small()? } else { 0 };
        let detail = match kind {
            Kind::Write | Kind::Send if failed => Detail::Bytes { offered: bytes.number()?, taken: 0, hash: 0 },
            Kind::Write => {
                let (offered, left) = (bytes.number()?, bytes.number()?);
                let hash = if self.keeps_contents { bytes.hash()? } else { 0 };
                self.last_write = Detail::Bytes { offered, taken: offered.checked_sub(left)?, hash };
                self.last_write.clone()
            }
            Kind::Send => {
                let offered = bytes.number()?;
                let hash = if self.keeps_contents { bytes.hash()? } else { 0 };
                Detail::Bytes { offered, taken: offered, hash }
            }
            kind if kind.has_text() => Detail::Text(bytes.text()?),
            _ => Detail::Nothing,
        };
        let answer = if failed { Answer::Failed(bytes.error()?) } else { self.answer(kind, bytes)? };
        Some(Entry::Call(Call { kind, handle, detail }, answer))
    }

    fn answer(&self, kind: Kind, bytes: &mut Bytes<'_>) -> Option<Answer> {
        Some(match kind {
            Kind::Read | Kind::Receive if !self.keeps_contents => Answer::Length(bytes.number()?.try_into().ok()?),
            Kind::Read | Kind::Random | Kind::Receive => Answer::Bytes(bytes.bytes()?.to_vec()),
            Kind::Accept | Kind::AdoptStream => {
                let (handle, has_peer) = (bytes.small()?, bytes.number()? != 0);
                Answer::Peer(handle, if has_peer { Some(bytes.address()?) } else { None })
            }
            Kind::Shed | Kind::Connected | Kind::WatchFile => Answer::Yes(bytes.number()? != 0),
            Kind::TakeError => Answer::Error(if bytes.number()? != 0 { Some(bytes.error()?) } else { None }),
            Kind::Listen
            | Kind::AdoptListener
            | Kind::AdoptFile
            | Kind::Open
            | Kind::Stdio
            | Kind::Datagrams
            | Kind::TypeOfService => Answer::Number(bytes.number()?),
            Kind::Connect => match bytes.number()?.checked_sub(1) {
                Some(handle) => Answer::Number(handle),
                None => Answer::ConnectFailed(bytes.syscall()?, bytes.error()?),
            },
            Kind::LocalAddress => Answer::Address(bytes.address()?),
            Kind::PeerCred => {
                let (uid, gid, pid) = (bytes.small()?, bytes.small()?, bytes.number()?);
                Answer::Cred(PeerCred { uid, gid, pid: pid.checked_sub(1).and_then(|pid| pid.try_into().ok()) })
            }
            Kind::Fact => {
                let (is_some, value) = (bytes.number()? != 0, bytes.text()?);
                Answer::Fact(is_some.then_some(value))
            }
            _ => Answer::Done,
        })
    }
}

fn found(bytes: &mut Bytes<'_>) -> Option<Vec<Found>> {
    let count = bytes.number()?;
    let mut found = Vec::new();
    for _ in 0..count {
        let number = bytes.number()?;
        let what = u32::try_from(number >> 1).ok()?;
        found.push(match number & 1 {
            1 => Found::Signal(what as i32),
            _ => Found::Io(what, readiness(bytes.byte()?)),
        });
    }
    Some(found)
}

fn readiness(flags: u8) -> Readiness {
    Readiness {
        readable: flags & 1 != 0,
        writable: flags & 2 != 0,
        ended: flags & 4 != 0,
        urgent: flags & 8 != 0,
        hung_up: flags & 16 != 0,
    }
}

pub(super) fn put_handle_and_peer(bytes: &mut Vec<u8>, (handle, peer): &(Handle, Option<Address>)) {
    bytes.number(handle.0.into());
    bytes.number(peer.is_some().into());
    if let Some(peer) = peer {
        bytes.address(*peer);
    }
}

#[inline]
fn flags(readiness: Readiness) -> u8 {
    let Readiness { readable, writable, ended, urgent, hung_up } = readiness;
    u8::from(readable) | u8::from(writable) << 1 | u8::from(ended) << 2 | u8::from(urgent) << 3 | u8::from(hung_up) << 4
}

#[inline]
pub(super) fn put_ready(bytes: &mut Vec<u8>, ready: &[Ready]) {
    if let [Ready::Io { token, readiness }] = ready {
        let mut entry = Short::new(tag::WAIT_ONE);
        entry.number(token.to_bits());
        entry.byte(flags(*readiness));
        return entry.add_to(bytes);
    }
    put_many(bytes, ready);
}

fn put_many(bytes: &mut Vec<u8>, ready: &[Ready]) {
    bytes.push(tag::WAIT);
    bytes.number(ready.len() as u64);
    for ready in ready {
        match ready {
            Ready::Io { token, readiness } => {
                bytes.number(token.to_bits() << 1);
                bytes.push(flags(*readiness));
            }
            Ready::Signal(signal) => bytes.number((u64::from(signal.unsigned_abs()) << 1) | 1),
        }
    }
}
