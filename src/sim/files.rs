//! The simulated disk: files in memory, and what a disk can do to a program.
//!
//! ```
//! use std::time::Duration;
//! use tidegate::sim::{Disk, Sim};
//! use tidegate::{EventLoop, FileOptions};
//!
//! let sim = Sim::new(1);
//! sim.set_disk(Disk { size: 3, slow: Duration::from_secs(60), ..Disk::default() });
//! let mut event_loop = EventLoop::on(sim.kernel(), String::new());
//! event_loop.event_loop().open("log", FileOptions::append(), |file| {
//!     file.on_error(|file, error| *file.state = error.to_string());
//!     file.end_with("hello");
//! })?;
//! event_loop.run()?;
//! assert_eq!(sim.file("log").as_deref(), Some(&b"hel"[..]));
//! assert!(event_loop.state.starts_with("write ENOSPC"));
//! assert!(sim.now() >= Duration::from_secs(120), "two writes of a minute each");
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! There is one disk, and all machines see it. A path is a name and no more: there are no directories. The standard
//! streams are the files `/dev/stdin`, `/dev/stdout` and `/dev/stderr`. All files are regular, always ready, but for those
//! of Unix sockets, which are only there.

use std::collections::{HashMap, HashSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use slab::Slab;

use super::Sim;
use super::fault::{Fate, os};
use super::world::World;
use crate::kernel::{Handle, OpenMode, Stdio};

/// Set in the handles of files, so that they are told from those of sockets.
const FILE: u32 = 1 << 31;

/// How a simulated disk behaves. By default it is fast, sound and without bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Bytes of all files together: beyond that, ENOSPC.
    pub size: u64,
    /// What the user may have of them: beyond that, EDQUOT.
    pub quota: u64,
    /// What a call takes on the network's clock: for so long the loop stands still.
    pub slow: Duration,
    /// Of a thousand reads and writes, so many are short.
    pub short: u32,
}

impl Default for Disk {
    fn default() -> Self {
        Disk { size: u64::MAX, quota: u64::MAX, slow: Duration::ZERO, short: 0 }
    }
}

/// All files, and who has them open.
#[derive(Default)]
pub(super) struct Files {
    disk: Disk,
    by_path: HashMap<PathBuf, usize>,
    contents: Slab<Content>,
    open: Slab<Open>,
    /// The files of Unix sockets, whether somebody listens or not.
    sockets: HashSet<PathBuf>,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    /// From this byte on the disk is damaged.
    sound_until: Option<u64>,
}

struct Open {
    machine: usize,
    content: usize,
    mode: OpenMode,
    position: usize,
}

impl Sim {
    /// Changes how the disk behaves, from now on.
    pub fn set_disk(&self, disk: Disk) {
        self.world.borrow_mut().files.disk = disk;
    }

    /// Puts a file on the disk, whatever its bounds.
    pub fn put_file(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        let mut world = self.world.borrow_mut();
        let content = world.files.make(path.as_ref());
        world.files.contents[content].bytes = bytes.into();
    }

    /// What is in a file.
    pub fn file(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let world = self.world.borrow();
        let content = *world.files.by_path.get(path.as_ref())?;
        Some(world.files.contents[content].bytes.clone())
    }

    /// Puts the file of a Unix socket on the disk on which nobody listens, as a server leaves it that was killed. Who
    /// connects is refused; who listens there takes it over. Where there is something already, nothing changes.
    pub fn put_stale_socket(&self, path: impl AsRef<Path>) {
        self.world.borrow_mut().files.add_socket(path.as_ref());
    }

    /// Damages the disk under a file: reading or writing beyond its first `sound` bytes fails with EIO. `None` mends it.
    pub fn damage_file(&self, path: impl AsRef<Path>, sound: Option<u64>) {
        let mut world = self.world.borrow_mut();
        let content = world.files.make(path.as_ref());
        world.files.contents[content].sound_until = sound;
    }
}

impl Files {
    /// How many are open.
    pub fn descriptors(&self) -> usize {
        self.open.len()
    }

    /// The content at a path, which is there afterwards.
    fn make(&mut self, path: &Path) -> usize {
        if let Some(content) = self.by_path.get(path) {
            return *content;
        }
        let content = self.contents.insert(Content::default());
        self.by_path.insert(path.to_owned(), content);
        content
    }

    /// Whether there is anything at a path.
    pub fn exists(&self, path: &Path) -> bool {
        self.by_path.contains_key(path) || self.sockets.contains(path)
    }

    /// The file of a Unix socket, made or taken over. False if there is something else.
    pub fn add_socket(&mut self, path: &Path) -> bool {
        let is_free = !self.by_path.contains_key(path);
        if is_free {
            self.sockets.insert(path.to_owned());
        }
        is_free
    }

    /// It goes with its socket.
    pub fn remove_socket(&mut self, path: &Path) {
        self.sockets.remove(path);
    }

    /// How many more bytes there may be, and what is said to more.
    fn room(&self) -> (usize, Errno) {
        let used: u64 = self.contents.iter().map(|(_, content)| content.bytes.len() as u64).sum();
        let bound = self.disk.size.min(self.disk.quota);
        let errno = if self.disk.quota < self.disk.size { Errno::DQUOT } else { Errno::NOSPC };
        (usize::try_from(bound.saturating_sub(used)).unwrap_or(usize::MAX), errno)
    }
}

impl World {
    /// Opens, and says the number in [`Files::open`].
    pub fn open_file(&mut self, machine: usize, path: &Path, mode: OpenMode) -> io::Result<usize> {
        self.may_open(machine)?;
        self.disk_works();
        let exists = self.files.exists(path);
        match mode {
            OpenMode::Read if !exists => return Err(os(Errno::NOENT)),
            OpenMode::CreateNew if exists => return Err(os(Errno::EXIST)),
            // As of open(2).
            _ if self.files.sockets.contains(path) => return Err(os(Errno::NXIO)),
            _ => {}
        }
        let content = self.files.make(path);
        if mode == OpenMode::Write {
            self.files.contents[content].bytes.clear();
        }
        self.machines[machine].descriptors += 1;
        Ok(self.files.open.insert(Open { machine, content, mode, position: 0 }))
    }

    pub fn read_file(&mut self, handle: Handle, buffer: &mut [u8], fate: Fate) -> io::Result<usize> {
        self.disk_works();
        let Some(Open { content, position, .. }) = self.files.open.get(key(handle)) else {
            return Err(os(Errno::BADF));
        };
        let found = &self.files.contents[*content];
        // Somebody may have cut it shorter meanwhile.
        let (content, position) = (*content, (*position).min(found.bytes.len()));
        let left = found.bytes.len().saturating_sub(position);
        let possible = buffer.len().min(left).min(found.sound(position));
        if possible == 0 && left > 0 {
            return Err(os(Errno::IO));
        }
        let count = self.most(fate, possible);
        buffer[..count].copy_from_slice(&self.files.contents[content].bytes[position..position + count]);
        self.files.open[key(handle)].position = position + count;
        Ok(count)
    }

    pub fn write_file(&mut self, handle: Handle, slices: &[IoSlice<'_>], fate: Fate) -> io::Result<usize> {
        self.disk_works();
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let (room, no_room) = self.files.room();
        let Some(open) = self.files.open.get(key(handle)) else { return Err(os(Errno::BADF)) };
        let content = open.content;
        let found = &self.files.contents[content];
        let at = if open.mode == OpenMode::Append { found.bytes.len() } else { open.position };
        let sound = found.sound(at);
        let fits = (found.bytes.len() - at.min(found.bytes.len())).saturating_add(room);
        let possible = offered.min(sound).min(fits);
        if possible == 0 && offered > 0 {
            return Err(os(if sound == 0 { Errno::IO } else { no_room }));
        }
        let count = self.most(fate, possible);
        let written: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(count).collect();
        let bytes = &mut self.files.contents[content].bytes;
        if bytes.len() < at + count {
            bytes.resize(at + count, 0);
        }
        bytes[at..at + count].copy_from_slice(&written);
        self.files.open[key(handle)].position = at + count;
        Ok(count)
    }

    pub fn close_file(&mut self, handle: Handle) {
        if let Some(closed) = self.files.open.try_remove(key(handle)) {
            self.machines[closed.machine].descriptors -= 1;
        }
    }

    /// A process has ended.
    pub fn close_files_of(&mut self, machine: usize) {
        let of_machine = self.files.open.iter().filter(|(_, open)| open.machine == machine);
        let left: Vec<usize> = of_machine.map(|(number, _)| number).collect();
        left.into_iter().for_each(|number| self.close_file(handle(number)));
    }

    /// The time that a call takes.
    fn disk_works(&mut self) {
        if !self.files.disk.slow.is_zero() {
            let until = self.now + self.files.disk.slow;
            self.advance(until);
        }
    }

    /// How many of `possible` bytes a call moves.
    fn most(&mut self, fate: Fate, possible: usize) -> usize {
        let short = self.files.disk.short;
        let fate = if fate == Fate::Normal && self.happens(short) { Fate::ShortAtRandom } else { fate };
        self.share(fate, possible)
    }
}

impl Content {
    /// How many bytes from `position` on are not damaged.
    fn sound(&self, position: usize) -> usize {
        self.sound_until
            .map_or(usize::MAX, |until| usize::try_from(until).unwrap_or(usize::MAX).saturating_sub(position))
    }
}

/// Where a standard stream comes from and goes to.
pub(super) fn stdio(stream: Stdio) -> (&'static str, OpenMode) {
    match stream {
        Stdio::Input => ("/dev/stdin", OpenMode::Read),
        Stdio::Output => ("/dev/stdout", OpenMode::Append),
        Stdio::Error => ("/dev/stderr", OpenMode::Append),
    }
}

/// The handle of what [`World::open_file`] has opened.
pub(super) fn handle(number: usize) -> Handle {
    Handle(number as u32 | FILE)
}

/// Whether a handle is that of a file.
pub(super) fn is_file(handle: Handle) -> bool {
    handle.0 & FILE != 0
}

fn key(handle: Handle) -> usize {
    (handle.0 & !FILE) as usize
}
