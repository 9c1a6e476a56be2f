//! What is written of a run, and until when.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::io::{self, Write};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::time::Duration;

use super::blocks::{Header, beginning, framed, write_block};
use super::effect::{Detail, Fingerprint};
use super::format::{Class, Kind, Put, tag};
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
    pub(super) fn writing(&self) -> Writing<'_> {
        Writing { tape: self.0.borrow_mut(), telling: Telling(None) }
    }

    /// Writes what the program was told outside of the contract: an environment variable, the answer of a system call of its
    /// own. Whoever plays the run gets it from [`Playback::fact`](super::Playback::fact).
    pub fn fact(&self, name: &str, value: Option<&str>) {
        self.writing().call(Kind::Fact, 0, &Detail::Text(name.to_owned()), Ok(&()), |bytes, ()| {
            bytes.number(value.is_some().into());
            bytes.bytes(value.unwrap_or_default().as_bytes());
        });
    }

    /// Writes what waits in memory: to be called before the process exits without dropping its loop.
    pub fn flush(&self) {
        self.writing().flush();
    }

    /// The program ends here, without dropping its loop. What comes later is not recorded.
    pub fn finish(&self) {
        self.writing().end();
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

    /// How many turns were recorded.
    pub fn turns(&self) -> u64 {
        self.0.borrow().turns
    }

    /// A hash of all effects. Whoever plays the recording gets the same one.
    pub fn fingerprint(&self) -> u64 {
        self.0.borrow().fingerprint.0
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// The tape, while something is written to it. Who is to be told that it has stopped is told when it is free again, so that
/// they may ask it: the fields are dropped in this order.
pub(super) struct Writing<'t> {
    tape: RefMut<'t, Tape>,
    telling: Telling,
}

struct Telling(Option<(OnStop, String)>);

impl Deref for Writing<'_> {
    type Target = Tape;

    #[inline]
    fn deref(&self) -> &Tape {
        &self.tape
    }
}

impl DerefMut for Writing<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Tape {
        &mut self.tape
    }
}

impl Drop for Writing<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.tape.to_tell.is_some() {
            self.telling.0 = self.tape.to_tell.take();
        }
    }
}

impl Drop for Telling {
    #[inline]
    fn drop(&mut self) {
        if let Some((on_stop, why)) = self.0.take() {
            on_stop(&why);
        }
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
    /// What waits to be written.
    block: Vec<u8>,
    /// The most bytes that the block may have.
    room: usize,
    written: u64,
    /// When the block that waits is to be written, in nanoseconds too.
    due: Option<(u64, Duration)>,
    /// The time of the last look at the clock, in nanoseconds.
    clock: u64,
    last_write: Option<Detail>,
    turns: u64,
    fingerprint: Fingerprint,
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
            turns: 0,
            fingerprint: Fingerprint::EMPTY,
        };
        let beginning = beginning(&header);
        tape.to.write_all(&beginning)?;
        tape.written = beginning.len() as u64;
        tape.begin_block();
        tape.entry(|bytes| {
            bytes.push(tag::SLACK);
            bytes.number(nanos(slack));
        });
        Ok(tape)
    }

    pub fn is_recording(&self) -> bool {
        matches!(self.state, State::Recording)
    }

    pub fn set_on_stop(&mut self, on_stop: OnStop) {
        self.on_stop = Some(on_stop);
    }

    pub fn size(&self) -> u64 {
        self.written + if self.block.is_empty() { 0 } else { framed(self.block.len()) }
    }

    pub fn keeps_contents(&self) -> bool {
        self.options.contents
    }

    // ---- entries -------------------------------------------------------------------------------------------------------

    #[inline]
    pub fn clock(&mut self, now: Duration) {
        let now = nanos(now);
        let since = now.saturating_sub(self.clock);
        self.clock = now;
        self.entry(|bytes| {
            bytes.push(tag::CLOCK);
            bytes.number(since);
        });
    }

    /// A turn begins.
    pub fn wait(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        self.entry(put);
        self.turns += u64::from(self.is_recording());
    }

    /// A call and its answer.
    #[inline]
    pub fn call<T>(
        &mut self,
        kind: Kind,
        handle: u32,
        detail: &Detail,
        answer: Result<&T, &io::Error>,
        put: impl FnOnce(&mut Vec<u8>, &T),
    ) {
        if kind.class() == Class::Effect && self.is_recording() {
            self.fingerprint.add(kind, handle, detail);
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
        self.entry(|bytes| match answer {
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

    /// A write that was taken, in whole or in part. Many are the same: those of a broadcast.
    #[inline]
    pub fn wrote(&mut self, handle: Handle, detail: Detail) {
        let Detail::Bytes { offered, taken, hash } = detail else { return };
        if self.last_write.as_ref() == Some(&detail) {
            self.fingerprint.add(Kind::Write, handle.0, &detail);
            return self.entry(|bytes| {
                bytes.push(tag::SAME_WRITE);
                bytes.number(handle.0.into());
            });
        }
        let keeps_contents = self.options.contents;
        self.call(Kind::Write, handle.0, &detail, Ok(&()), |bytes, ()| {
            bytes.number(offered);
            bytes.number(offered - taken);
            if keeps_contents {
                bytes.extend_from_slice(&hash.to_le_bytes());
            }
        });
        self.last_write = Some(detail);
    }

    /// Adds an entry, if there is room for it below the limit.
    #[inline]
    fn entry(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        if !self.is_recording() {
            return;
        }
        let before = self.block.len();
        put(&mut self.block);
        if self.block.len() > self.room {
            self.has_no_room(before);
        }
    }

    /// The block is full, or the recording has no room for the last entry, which begins here.
    #[cold]
    fn has_no_room(&mut self, entry: usize) {
        match self.options.limit {
            Some(limit) if self.block.len() > self.room_below_limit() => {
                self.block.truncate(entry);
                self.stop_at(limit);
            }
            _ => self.flush(),
        }
    }

    fn room_below_limit(&self) -> usize {
        let Some(limit) = self.options.limit else { return usize::MAX };
        let room = limit.max(LEAST_LIMIT).saturating_sub(self.written + framed(0) + RESERVE);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    fn begin_block(&mut self) {
        self.block.clear();
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
            self.block = Vec::new();
        }
    }

    // ---- blocks --------------------------------------------------------------------------------------------------------

    /// Before a wait: when what waits in memory is to be written. What is late is written now. The time is that of the last
    /// look at the clock: another one would cost more than all else here.
    #[inline]
    pub fn due(&mut self) -> Option<Duration> {
        let delay = self.options.delay.filter(|_| self.is_recording() && !self.block.is_empty())?;
        let (nanos, due) = match self.due {
            Some(due) => due,
            None => {
                let due = Duration::from_nanos(self.clock).saturating_add(delay);
                *self.due.insert((nanos(due), due))
            }
        };
        if nanos <= self.clock {
            self.flush();
            return None;
        }
        Some(due)
    }

    /// Writes what waits in memory.
    pub fn flush(&mut self) {
        self.due = None;
        if self.block.is_empty() || !self.is_recording() {
            return;
        }
        let written = write_block(&mut *self.to, &self.block).and_then(|()| self.to.flush());
        match written {
            Ok(()) => self.written += framed(self.block.len()),
            Err(error) => self.stop(error.to_string()),
        }
        self.begin_block();
    }

    /// The program has ended.
    pub fn end(&mut self) {
        self.entry(|bytes| bytes.push(tag::ENDED));
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
