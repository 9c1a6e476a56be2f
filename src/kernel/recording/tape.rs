//! What is written of a run, and until when.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use super::blocks::{HEAD, Header, beginning, seal};
use super::effect::{Detail, Fingerprint};
use super::format::{Class, Kind, Put, Short, put_clock, tag};
use crate::kernel::Handle;
use crate::kernel::setters::setters;

/// A block is written when it has so many bytes.
const BLOCK: usize = 64 * 1024;

/// A limit that is smaller counts as this.
const LEAST_LIMIT: u64 = 1024;

/// What stays free below the limit, for the entry that says that the limit is reached.
const RESERVE: u64 = 128;

/// How a run is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderOptions {
    /// The most bytes of the recording, from 1 KiB. Then the recording stops, and the run goes on. Default: 64 MiB, which is
    /// 600,000 lines in a room of ten. `None`: until the disk is full.
    pub limit: Option<u64>,
    /// Whether what is read is kept, and a hash of what is written. If not, only lengths are: then a run is played with zeros,
    /// and is the run of then only if its course does not depend on contents. Default: true.
    pub contents: bool,
    /// The longest time that something which was recorded waits in memory. Default: a second. `None`: until there are 64 KiB of
    /// it, or the run ends; then the recorder never ends a wait early.
    pub delay: Option<Duration>,
}

impl RecorderOptions {
    setters! {
        limit: Option<u64>,
        contents: bool,
        delay: Option<Duration>,
    }
}

impl Default for RecorderOptions {
    fn default() -> Self {
        RecorderOptions { limit: Some(64 << 20), contents: true, delay: Some(Duration::from_secs(1)) }
    }
}

/// A recording that is being made: beside the loop that has the [`Recorder`](super::Recorder).
#[derive(Clone)]
pub struct Recording(pub(super) Rc<RefCell<Tape>>);

impl Recording {
    #[inline]
    pub(super) fn tape(&self) -> RefMut<'_, Tape> {
        self.0.borrow_mut()
    }

    /// Tells that the recording has stopped, if it has. The tape is free then, so whoever is told may ask it.
    pub(super) fn tell(&self) {
        let to_tell = self.tape().to_tell.take();
        if let Some((on_stop, why)) = to_tell {
            on_stop(&why);
        }
    }

    /// Writes what the program was told outside of the contract: an environment variable, the answer of a system call of its
    /// own. Whoever plays the run gets it from [`Playback::fact`](super::Playback::fact).
    pub fn fact(&self, name: &str, value: Option<&str>) {
        self.tape().call(Kind::Fact, 0, &Detail::Text(name.to_owned()), Ok(&()), |bytes, ()| {
            bytes.number(value.is_some().into());
            bytes.bytes(value.unwrap_or_default().as_bytes());
        });
    }

    /// From now on, until it is turned off, what is written has a secret in it, a password for example. The recording has its
    /// length only, as a hash of it could be compared with guesses. The bytes of a run that is played are not compared there,
    /// so they may be any of that length. What is queued is written later: turn it off when nothing of it is.
    pub fn conceal(&self, on: bool) {
        self.tape().conceals = on;
    }

    /// Writes what waits in memory: to be called before the process exits without dropping its loop.
    pub fn flush(&self) {
        self.tape().flush();
        self.tell();
    }

    /// The program ends here, without dropping its loop. What comes later is not recorded.
    pub fn finish(&self) {
        self.tape().end();
        self.tell();
    }

    /// Why the recording has stopped before the run, if it has: the limit is reached, or it could not be written.
    pub fn stopped(&self) -> Option<String> {
        match &self.0.borrow().state {
            State::Stopped(why) => Some(why.clone()),
            State::Recording | State::Ended => None,
        }
    }

    /// How many bytes were recorded.
    pub fn size(&self) -> u64 {
        self.0.borrow().size()
    }

    /// How many turns were recorded. If the recording has stopped, those that are in it.
    pub fn turns(&self) -> u64 {
        self.0.borrow().counts.turns
    }

    /// A hash of all effects that were recorded. Whoever plays the recording gets the same one.
    pub fn fingerprint(&self) -> u64 {
        self.0.borrow().counts.fingerprint.0
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// Called once, with the reason, when a recording stops before its run.
type OnStop = Box<dyn FnOnce(&str)>;

#[derive(Debug, PartialEq, Eq)]
enum State {
    Recording,
    /// Before the run, for this reason.
    Stopped(String),
    /// The run has ended.
    Ended,
}

pub(super) struct Tape {
    state: State,
    to: Box<dyn Write>,
    options: RecorderOptions,
    on_stop: Option<OnStop>,
    /// It has stopped, and nobody has been told yet.
    to_tell: Option<(OnStop, String)>,
    /// What waits to be written, behind the room for the head of its block.
    block: Vec<u8>,
    /// The most bytes that the block may have.
    room: usize,
    written: u64,
    /// When the block that waits is to be written, in nanoseconds too.
    due: Option<(Duration, u64)>,
    /// The time of the last look at the clock, in nanoseconds.
    clock: u64,
    last_write: Option<Written>,
    /// What is written now is secret.
    conceals: bool,
    /// What is in the recording, with what waits in memory.
    counts: Counts,
    /// The same without that.
    written_counts: Counts,
}

/// What people are told of a recording.
#[derive(Clone, Copy)]
struct Counts {
    turns: u64,
    fingerprint: Fingerprint,
}

/// A write that was taken, in whole or in part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    pub offered: u64,
    pub taken: u64,
    pub hash: u32,
}

impl Tape {
    /// Writes the beginning of the recording.
    pub fn new(to: Box<dyn Write>, header: &Header, options: RecorderOptions, slack: Duration) -> io::Result<Self> {
        let header = match options.contents {
            true => header.clone(),
            false => header.clone().with("contents", "no"),
        };
        let mut tape = Tape {
            state: State::Recording,
            to,
            options,
            on_stop: None,
            to_tell: None,
            block: Vec::new(),
            room: 0,
            written: 0,
            due: None,
            clock: 0,
            last_write: None,
            conceals: false,
            counts: Counts { turns: 0, fingerprint: Fingerprint::EMPTY },
            written_counts: Counts { turns: 0, fingerprint: Fingerprint::EMPTY },
        };
        let beginning = beginning(&header);
        tape.to.write_all(&beginning)?;
        tape.written = beginning.len() as u64;
        tape.begin_block();
        tape.keep(tape.counts, |bytes| {
            bytes.push(tag::SLACK);
            bytes.number(nanos(slack));
        });
        Ok(tape)
    }

    pub fn is_recording(&self) -> bool {
        matches!(self.state, State::Recording)
    }

    pub fn has_to_tell(&self) -> bool {
        self.to_tell.is_some()
    }

    pub fn set_on_stop(&mut self, on_stop: OnStop) {
        self.on_stop = Some(on_stop);
    }

    pub fn size(&self) -> u64 {
        self.written + if self.has_block() { self.block.len() as u64 } else { 0 }
    }

    /// Whether something waits to be written.
    fn has_block(&self) -> bool {
        self.block.len() > HEAD
    }

    pub fn keeps_contents(&self) -> bool {
        self.options.contents
    }

    pub fn hashes_writes(&self) -> bool {
        self.options.contents && !self.conceals
    }

    // ---- entries: those of each turn are short ones, made on the stack ----------------------------------------------------

    /// A look at the clock, of the kind that the tag says.
    #[inline]
    pub fn clock(&mut self, tag: u8, now: Duration) {
        let now = nanos(now);
        let since = now.saturating_sub(self.clock);
        self.clock = now;
        self.keep(self.counts, |block| put_clock(block, tag, since));
    }

    /// A turn begins.
    #[inline]
    pub fn wait(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let counts = Counts { turns: self.counts.turns.wrapping_add(1), ..self.counts };
        self.keep(counts, put);
    }

    /// A call and its answer.
    pub fn call<T>(
        &mut self,
        kind: Kind,
        handle: u32,
        detail: &Detail,
        answer: Result<&T, &io::Error>,
        put: impl FnOnce(&mut Vec<u8>, &T),
    ) {
        let mut counts = self.counts;
        if kind.class() == Class::Effect {
            counts.fingerprint.add(kind, handle, detail);
        }
        let begin = |bytes: &mut Vec<u8>, failed: u8| {
            bytes.push(kind as u8 | failed);
            if kind.has_handle() {
                bytes.number(handle.into());
            }
            if let Detail::Text(text) = detail {
                bytes.bytes(text.as_bytes());
            }
        };
        self.keep(counts, |bytes| match answer {
            Ok(answer) => {
                begin(bytes, 0);
                put(bytes, answer);
            }
            Err(error) => {
                begin(bytes, tag::FAILED);
                if let Detail::Bytes { offered, .. } = detail {
                    bytes.number(*offered);
                }
                bytes.error(error);
            }
        });
    }

    /// A read that has found something, or the end.
    #[inline]
    pub fn read(&mut self, handle: Handle, found: &[u8]) {
        let mut entry = Short::new(Kind::Read as u8);
        entry.number(handle.0.into());
        entry.number(found.len() as u64);
        let contents = if self.options.contents { found } else { b"" };
        self.keep(self.counts, |block| {
            entry.add_to(block);
            block.extend_from_slice(contents);
        });
    }

    /// A write that was taken. Many are the same: those of a broadcast.
    #[inline]
    pub fn wrote(&mut self, handle: Handle, written: Written) {
        let Written { offered, taken, hash } = written;
        let mut counts = self.counts;
        counts.fingerprint.add_write(handle.0, offered, taken, hash);
        let entry = if self.last_write == Some(written) {
            let mut entry = Short::new(tag::SAME_WRITE);
            entry.number(handle.0.into());
            entry
        } else {
            self.last_write = Some(written);
            let mut entry = Short::new(Kind::Write as u8);
            entry.number(handle.0.into());
            entry.number(offered);
            entry.number(offered - taken);
            if self.options.contents {
                entry.hash(hash);
            }
            entry
        };
        self.keep(counts, |block| entry.add_to(block));
    }

    /// Adds an entry, if there is room for it below the limit. `counts` are those with it.
    #[inline]
    fn keep(&mut self, counts: Counts, put: impl FnOnce(&mut Vec<u8>)) {
        if !self.is_recording() {
            return;
        }
        let before = self.block.len();
        put(&mut self.block);
        if self.block.len() <= self.room || self.make_room(before) {
            self.counts = counts;
        }
    }

    /// The block was full before the last entry, which begins here: another one begins with it. Whether there is room for it
    /// below the limit.
    #[cold]
    fn make_room(&mut self, entry: usize) -> bool {
        let entry = self.block.split_off(entry);
        self.flush();
        match self.options.limit {
            Some(limit) if self.block.len() + entry.len() > self.room_below_limit() => self.stop_at(limit),
            _ => self.block.extend(entry),
        }
        self.is_recording()
    }

    fn room_below_limit(&self) -> usize {
        let Some(limit) = self.options.limit else { return usize::MAX };
        let room = limit.max(LEAST_LIMIT).saturating_sub(self.written + RESERVE);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    fn begin_block(&mut self) {
        self.block.clear();
        self.block.resize(HEAD, 0);
        self.room = self.room_below_limit().min(BLOCK);
    }

    #[cold]
    fn stop_at(&mut self, limit: u64) {
        let why = format!("the limit of {limit} bytes is reached");
        self.block.push(tag::STOPPED);
        self.block.bytes(why.as_bytes());
        self.flush();
        self.stop(why);
    }

    #[cold]
    fn stop(&mut self, why: String) {
        if self.is_recording() {
            self.to_tell = self.on_stop.take().map(|on_stop| (on_stop, why.clone()));
            self.state = State::Stopped(why);
            // What waits in memory is in no file.
            self.block = Vec::new();
            self.counts = self.written_counts;
        }
    }

    // ---- blocks --------------------------------------------------------------------------------------------------------

    /// Before a wait: when what waits in memory is to be written. What is late is written now. The time is that of the last
    /// look at the clock: another one would cost more than all else here.
    #[inline]
    pub fn due(&mut self) -> Option<Duration> {
        if let Some((due, nanos)) = self.due
            && self.clock < nanos
        {
            return Some(due);
        }
        self.next_due()
    }

    /// It is late, or nothing has waited before.
    fn next_due(&mut self) -> Option<Duration> {
        let delay = self.options.delay.filter(|_| self.is_recording() && self.has_block())?;
        let due = Duration::from_nanos(self.clock).saturating_add(delay);
        if self.due.is_some() || delay.is_zero() {
            self.flush();
            return None;
        }
        self.due = Some((due, nanos(due)));
        Some(due)
    }

    /// Writes what waits in memory.
    pub fn flush(&mut self) {
        self.due = None;
        if !self.has_block() || !self.is_recording() {
            return;
        }
        seal(&mut self.block, self.written);
        match self.to.write_all(&self.block).and_then(|()| self.to.flush()) {
            Ok(()) => {
                self.written += self.block.len() as u64;
                self.written_counts = self.counts;
            }
            Err(error) => self.stop(error.to_string()),
        }
        self.begin_block();
    }

    /// The program has ended.
    pub fn end(&mut self) {
        self.keep(self.counts, |bytes| bytes.push(tag::ENDED));
        self.flush();
        if self.is_recording() {
            self.state = State::Ended;
        }
    }
}

/// Five centuries fit.
#[inline]
fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into())
}
