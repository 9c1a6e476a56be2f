//! The simulated disk: files in memory, with the errors and the delays of a disk.
//!
//! ```
//! use std::time::Duration;
//! use tidegate::sim::{Disk, Sim};
//! use tidegate::{EventLoop, FileOptions};
//!
//! let sim = Sim::new(1);
//! sim.set_disk(Disk::new().size(3).slow(Duration::from_secs(60)));
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
//! There is one disk, and all machines see it. A path is only a name: there are no directories. The standard streams are
//! the files `/dev/stdin`, `/dev/stdout` and `/dev/stderr`. All files are regular and always ready, except those of Unix
//! sockets, which cannot be opened.

use std::collections::{HashMap, HashSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use slab::Slab;

use super::Sim;
use super::fault::{Extent, os, parts};
use super::world::World;
use crate::kernel::setters::setters;
use crate::kernel::{Handle, OpenMode, Stdio};

/// Set in the handles of files, to distinguish them from those of sockets.
const FILE: u32 = 1 << 31;

/// How a simulated disk behaves. By default it is fast, undamaged and without bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disk {
    /// The most bytes of all files together. A write beyond it fails with ENOSPC.
    pub size: u64,
    /// The most bytes that the user may have. A write beyond it fails with EDQUOT.
    pub quota: u64,
    /// How long a call takes, on the network's clock. The loop stands still for so long.
    pub slow: Duration,
    /// How many of a thousand reads and writes are short.
    pub short: u32,
}

impl Default for Disk {
    fn default() -> Self {
        Disk { size: u64::MAX, quota: u64::MAX, slow: Duration::ZERO, short: 0 }
    }
}

impl Disk {
    setters! {
        size: u64,
        quota: u64,
        slow: Duration,
        short: u32,
    }
}

/// All files, and those that are open.
#[derive(Default)]
pub(super) struct Files {
    disk: Disk,
    by_path: HashMap<PathBuf, usize>,
    contents: Slab<Content>,
    open: Slab<Open>,
    /// The files of Unix sockets, whether a server listens there or not.
    sockets: HashSet<PathBuf>,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    /// The first byte that is damaged.
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

    /// Puts a file on the disk. The bounds of the disk do not count.
    pub fn put_file(&self, path: impl AsRef<Path>, bytes: impl Into<Vec<u8>>) {
        let mut world = self.world.borrow_mut();
        let content = world.files.make(path.as_ref());
        world.files.contents[content].bytes = bytes.into();
    }

    /// The content of a file.
    pub fn file(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let world = self.world.borrow();
        let content = *world.files.by_path.get(path.as_ref())?;
        Some(world.files.contents[content].bytes.clone())
    }

    /// Puts the file of a Unix socket on the disk on which no server listens, such as a killed server leaves. A connect to
    /// it is refused, and a server that listens there takes it over. If there is something at the path already, nothing
    /// changes.
    pub fn put_stale_socket(&self, path: impl AsRef<Path>) {
        self.world.borrow_mut().files.add_socket(path.as_ref());
    }

    /// Damages a file: reading or writing beyond its first `sound` bytes fails with EIO. `None` repairs it.
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

    /// The content at a path, which is made if it is not there.
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

    /// Makes the file of a Unix socket, or takes it over. False if there is something else at the path.
    pub fn add_socket(&mut self, path: &Path) -> bool {
        let is_free = !self.by_path.contains_key(path);
        if is_free {
            self.sockets.insert(path.to_owned());
        }
        is_free
    }

    /// Removes the file of a socket that is closed.
    pub fn remove_socket(&mut self, path: &Path) {
        self.sockets.remove(path);
    }

    /// How many more bytes fit on the disk, and the error for more.
    fn room(&self) -> (usize, Errno) {
        let used: u64 = self.contents.iter().map(|(_, content)| content.bytes.len() as u64).sum();
        let bound = self.disk.size.min(self.disk.quota);
        let errno = if self.disk.quota < self.disk.size { Errno::DQUOT } else { Errno::NOSPC };
        (usize::try_from(bound.saturating_sub(used)).unwrap_or(usize::MAX), errno)
    }
}

impl World {
    /// Opens a file. The number is its key in [`Files::open`].
    pub fn open_file(&mut self, machine: usize, path: &Path, mode: OpenMode) -> io::Result<usize> {
        self.may_open(machine)?;
        self.spend_disk_time();
        let exists = self.files.exists(path);
        match mode {
            OpenMode::Read | OpenMode::ReadWrite if !exists => return Err(os(Errno::NOENT)),
            OpenMode::CreateNew if exists => return Err(os(Errno::EXIST)),
            // open(2) says so of a socket.
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

    pub fn read_file(&mut self, handle: Handle, buffer: &mut [u8], extent: Extent) -> io::Result<usize> {
        self.spend_disk_time();
        let Some(Open { content, position, .. }) = self.files.open.get(key(handle)) else {
            return Err(os(Errno::BADF));
        };
        let found = &self.files.contents[*content];
        // It may have been truncated since.
        let (content, position) = (*content, (*position).min(found.bytes.len()));
        let left = found.bytes.len().saturating_sub(position);
        let possible = buffer.len().min(left).min(found.sound(position));
        if possible == 0 && left > 0 {
            return Err(os(Errno::IO));
        }
        let count = self.bytes_moved(extent, possible);
        buffer[..count].copy_from_slice(&self.files.contents[content].bytes[position..position + count]);
        self.files.open[key(handle)].position = position + count;
        Ok(count)
    }

    pub fn write_file(&mut self, handle: Handle, slices: &[IoSlice<'_>], extent: Extent) -> io::Result<usize> {
        self.spend_disk_time();
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
        let count = self.bytes_moved(extent, possible);
        let bytes = &mut self.files.contents[content].bytes;
        if bytes.len() < at + count {
            bytes.resize(at + count, 0);
        }
        let mut place = at;
        for part in parts(slices, count) {
            bytes[place..place + part.len()].copy_from_slice(part);
            place += part.len();
        }
        self.files.open[key(handle)].position = at + count;
        Ok(count)
    }

    pub fn close_file(&mut self, handle: Handle) {
        if let Some(closed) = self.files.open.try_remove(key(handle)) {
            self.machines[closed.machine].descriptors -= 1;
        }
    }

    /// Closes the files of a process that has ended.
    pub fn close_files_of(&mut self, machine: usize) {
        let of_machine = self.files.open.iter().filter(|(_, open)| open.machine == machine);
        let left: Vec<usize> = of_machine.map(|(number, _)| number).collect();
        left.into_iter().for_each(|number| self.close_file(handle(number)));
    }

    /// Lets the time pass that a call takes.
    fn spend_disk_time(&mut self) {
        if !self.files.disk.slow.is_zero() {
            let until = self.now + self.files.disk.slow;
            self.advance(until);
        }
    }

    /// How many of `possible` bytes a call moves.
    fn bytes_moved(&mut self, extent: Extent, possible: usize) -> usize {
        let short = self.files.disk.short;
        let extent = if extent == Extent::Full && self.happens(short) { Extent::Random } else { extent };
        self.share(extent, possible)
    }
}

impl Content {
    /// How many bytes after `position` are not damaged.
    fn sound(&self, position: usize) -> usize {
        self.sound_until
            .map_or(usize::MAX, |until| usize::try_from(until).unwrap_or(usize::MAX).saturating_sub(position))
    }
}

/// The file that stands for a standard stream.
pub(super) fn stdio(stream: Stdio) -> (&'static str, OpenMode) {
    match stream {
        Stdio::Input => ("/dev/stdin", OpenMode::Read),
        Stdio::Output => ("/dev/stdout", OpenMode::Append),
        Stdio::Error => ("/dev/stderr", OpenMode::Append),
    }
}

/// The handle of a file that [`World::open_file`] has opened.
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
