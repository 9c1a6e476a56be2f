//! The file of a listening Unix socket: bound, made accessible to those who may connect, removed at the end.
//!
//! A path outlives its socket, so a server that was killed leaves one behind. It is taken over, and only if it is a
//! socket on which nobody listens: a connect to it is refused. Whatever else is there is never touched. What is removed
//! at the end is the file that was made, known by device and inode, and not one that has come in its place. It is removed
//! before the socket is closed: until then no other file can get the same inode.
//!
//! The order is lock, bind, mode, owner, listen. The file is there from bind(2) on, with the mode that the umask leaves;
//! but until listen(2) every connect is refused, so that nobody slips in before the mode is set. Setting the umask
//! instead would be for the whole process, which is not a library's to do. The owner comes last: from then on the file is
//! another's, who may put something else in its place.
//!
//! Until listen(2) a socket looks stale, and between the look and the removal a stale one may be replaced. So of those who
//! start on a path at the same time one holds a lock, [`Starting`], and the others are told that the path is in use. A
//! name of its own and rename(2) instead would need no lock to be made, but one to replace a stale file all the same; and
//! `ss` and getsockname(2) would show the name that was bound. A lock on the folder would be in the way of other paths.
//!
//! What the lock cannot keep away is a program that does not know it, and takes the path or puts a link there between two
//! of these calls. Therefore: a folder in which nobody else may write, or a sticky one. Who has come to listen looks once
//! more whether the file is still its own, and gives up if it is not.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket};

use super::differences;
use crate::kernel::SocketPermissions;

/// A file that goes with its owner.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// What a file is known by, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(found: &Metadata) -> Self {
        Identity { device: found.dev(), inode: found.ino() }
    }
}

impl SocketFile {
    /// Has a socket listen on a path, once the file there has its mode and its owner.
    pub fn listen(socket: &Socket, path: &Path, permissions: SocketPermissions, backlog: i32) -> io::Result<Self> {
        let _starting = Starting::on(path)?;
        let file = SocketFile::bind(socket, path)?;
        file.give(permissions)?;
        socket.listen(backlog)?;
        if file.is_in_place() { Ok(file) } else { Err(Errno::ADDRINUSE.into()) }
    }

    fn bind(socket: &Socket, path: &Path) -> io::Result<Self> {
        let address = SockAddr::unix(path)?;
        match socket.bind(&address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && remove_stale(path)? => socket.bind(&address)?,
            bound => bound?,
        }
        let identity = Identity::of(&fs::symlink_metadata(path)?);
        Ok(SocketFile { path: path.to_owned(), identity })
    }

    fn give(&self, permissions: SocketPermissions) -> io::Result<()> {
        if let Some(mode) = permissions.mode {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(mode))?;
        }
        if permissions.owner.is_some() || permissions.group.is_some() {
            std::os::unix::fs::lchown(&self.path, permissions.owner, permissions.group)?;
        }
        Ok(())
    }

    /// Whether its path still leads to it.
    pub fn is_in_place(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| Identity::of(&found) == self.identity)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_in_place()
            && let Err(error) = fs::remove_file(&self.path)
        {
            log::debug!("{} was not removed: {error}", self.path.display());
        }
    }
}

/// Held by the one who is about to listen on a path: an empty file beside it, locked by flock(2), which ends with its
/// process, however that ends. It is removed again; one that a killed process has left is as good as a new one.
struct Starting {
    path: PathBuf,
    _locked: OwnedFd,
}

impl Starting {
    /// None where there can be no such file: then bind(2) has its say.
    ///
    /// # Errors
    /// EADDRINUSE: somebody else is about to listen there, or was in this moment.
    fn on(path: &Path) -> io::Result<Option<Self>> {
        let mut name = path.as_os_str().to_owned();
        name.push(".tidegate-lock");
        let path = PathBuf::from(name);
        let flags =
            OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => fs::File::from(file),
            Err(error) => {
                log::debug!("{}: no lock: {error}", path.display());
                return Ok(None);
            }
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(Errno::ADDRINUSE.into()),
            // A file system that has none.
            Err(error) => log::debug!("{}: no lock: {error}", path.display()),
            Ok(()) => {}
        }
        // Who held it before has removed it: this is no longer the file that others would lock.
        let found = fs::symlink_metadata(&path).map_err(|_| Errno::ADDRINUSE)?;
        if Identity::of(&found) != Identity::of(&file.metadata()?) {
            return Err(Errno::ADDRINUSE.into());
        }
        Ok(Some(Starting { path, _locked: file.into() }))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("{} was not removed: {error}", self.path.display());
        }
    }
}

/// Removes a socket on which nobody listens. False if there is something else, or somebody.
fn remove_stale(path: &Path) -> io::Result<bool> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(true) }; // it has gone meanwhile
    if !found.file_type().is_socket() || !is_refused(path)? {
        return Ok(false);
    }
    match fs::symlink_metadata(path) {
        Ok(again) if Identity::of(&again) != Identity::of(&found) => return Ok(false), // another server was faster
        Ok(_) => log::debug!("{}: nobody listens there, it is taken over", path.display()),
        Err(_) => return Ok(true),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

/// Whether a connect to it is refused. A server whose backlog is full, or that lets only others in, answers otherwise.
fn is_refused(path: &Path) -> io::Result<bool> {
    let probe = differences::socket(Domain::UNIX, None)?;
    Ok(probe.connect(&SockAddr::unix(path)?).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused))
}
