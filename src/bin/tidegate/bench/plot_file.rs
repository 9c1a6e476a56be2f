//! The file that the plot goes into: a regular file, which is made or replaced.
//!
//! Anything else is refused before the load. A FIFO would wait for a reader, a device is no place for a picture, and a link to
//! nothing does not say whether its file or the link is to be made.

use std::fs::{self, FileType, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Checks before the measurement that the file can be written. A file that was not there is removed again.
pub fn check(path: &Path) -> io::Result<()> {
    let place = place(path)?;
    OpenOptions::new().append(true).create(true).open(path)?;
    if place == Place::New { fs::remove_file(path) } else { Ok(()) }
}

/// No part of a new file is left if it cannot be written whole.
pub fn write(path: &Path, svg: &str) -> io::Result<()> {
    match place(path)? {
        Place::New => fs::write(path, svg).inspect_err(|_| {
            let _ = fs::remove_file(path); // the error that is told is that of the write
        }),
        Place::Replaced => fs::write(path, svg),
        Place::Output => OpenOptions::new().append(true).open(path)?.write_all(svg.as_bytes()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    New,
    Replaced,
    /// The output of this program goes to that file: the plot follows the report.
    Output,
}

fn place(path: &Path) -> io::Result<Place> {
    match path.metadata() {
        Ok(file) if !file.is_file() => Err(refused(&format!("it is {}, and no regular file", kind(file.file_type())))),
        Ok(_) if is_standard_stream(path) => Ok(Place::Output),
        Ok(_) => Ok(Place::Replaced),
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_symlink() => {
            Err(refused("it is a link to a file that does not exist"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Place::New),
        Err(error) => Err(error),
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, why.to_owned())
}

#[cfg(unix)]
fn kind(it: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;

    match it {
        it if it.is_dir() => "a directory",
        it if it.is_fifo() => "a FIFO or a pipe",
        it if it.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
fn kind(it: FileType) -> &'static str {
    if it.is_dir() { "a directory" } else { "a device" }
}

/// stdout or stderr may be a file, which this path names: `/dev/stdout`, or the file itself.
#[cfg(unix)]
fn is_standard_stream(path: &Path) -> bool {
    use std::os::fd::{AsFd, BorrowedFd};
    use std::os::unix::fs::MetadataExt;

    let status = |stream: BorrowedFd<'_>| fs::File::from(stream.try_clone_to_owned()?).metadata();
    let Ok(file) = path.metadata() else { return false };
    let streams = [status(io::stdout().as_fd()), status(io::stderr().as_fd())];
    streams.into_iter().flatten().any(|stream| (stream.dev(), stream.ino()) == (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn is_standard_stream(_: &Path) -> bool {
    false
}
