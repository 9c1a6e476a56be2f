//! The file of a listening Unix socket: how it is made, gets its permissions, and is removed.
//!
//! A path outlives its socket, so a killed server leaves a file. A new server takes the path over, but only if there is a
//! socket on which no server listens: a connect to it is refused. Anything else at the path is never touched. Closing
//! removes only the file that this socket has made, which is known by its device and inode, and not another one that has
//! taken its place. The file is removed before the socket is closed: until then no other file can get the same inode.
//!
//! The order is lock, bind, mode, owner, listen. From bind(2) on the file exists, with the mode that the umask leaves. But
//! every connect is refused until listen(2), so nobody can connect before the mode is set. The umask is not changed,
//! because it belongs to the whole process and not to a library. The owner is set last, because from then on the new owner
//! may replace the file.
//!
//! Until listen(2) the socket of a starting server looks stale. Two servers that start on one path would take it from each
//! other. So each holds a lock, [`StartLock`], and a second one gets the error that the path is in use. Two other ways are
//! worse: bind(2) under a temporary name and rename(2) needs a lock as well when it replaces a stale file, and `ss` and
//! getsockname(2) would show the temporary name; a lock on the folder would block other paths.
//!
//! The lock does not stop a program that does not know it from taking the path, or from putting a link there, between two
//! of these calls. Therefore the folder should be one in which nobody else may write, or a sticky one. A server that
//! listens checks once more that the file is still its own, and gives up if it is not.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SocketAddrUnix;
use socket2::{Domain, Socket};

use super::differences;
use crate::kernel::SocketPermissions;

/// The file of a socket. Dropping it removes the file.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// The identity of a file, whatever its name is.
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
    /// Makes a socket listen on a path, after the file there has its mode and its owner.
    pub fn listen(socket: &Socket, path: &Path, permissions: SocketPermissions, backlog: i32) -> io::Result<Self> {
        let _lock = StartLock::on(path)?;
        let file = SocketFile::bind(socket, path)?;
        file.give(permissions)?;
        socket.listen(backlog)?;
        if file.is_in_place() { Ok(file) } else { Err(Errno::ADDRINUSE.into()) }
    }

    fn bind(socket: &Socket, path: &Path) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        match rustix::net::bind(socket, &address) {
            Err(Errno::ADDRINUSE) if remove_stale(path)? => rustix::net::bind(socket, &address)?,
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

/// The lock of a server that is about to listen on a path: an empty file beside the path, locked with flock(2). The lock
/// ends with its process, however that ends. The file is removed again, and one that a killed process has left can be
/// used again.
struct StartLock {
    path: PathBuf,
    _locked: OwnedFd,
}

impl StartLock {
    /// `None` if there can be no such file: then bind(2) decides.
    ///
    /// # Errors
    /// EADDRINUSE if another server is about to listen there, or was until now.
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
            // This file system has no locks.
            Err(error) => log::debug!("{}: no lock: {error}", path.display()),
            Ok(()) => {}
        }
        // The server that held the lock has removed the file, so the next server would lock another one.
        let found = fs::symlink_metadata(&path).map_err(|_| Errno::ADDRINUSE)?;
        if Identity::of(&found) != Identity::of(&file.metadata()?) {
            return Err(Errno::ADDRINUSE.into());
        }
        Ok(Some(StartLock { path, _locked: file.into() }))
    }
}

impl Drop for StartLock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            log::debug!("{} was not removed: {error}", self.path.display());
        }
    }
}

/// Removes a socket on which no server listens. False if there is anything else, or a server.
fn remove_stale(path: &Path) -> io::Result<bool> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(true) }; // it was removed in the meantime
    if !found.file_type().is_socket() || !is_refused(path)? {
        return Ok(false);
    }
    match fs::symlink_metadata(path) {
        Ok(again) if Identity::of(&again) != Identity::of(&found) => return Ok(false), // another server was faster
        Ok(_) => log::debug!("{}: no server listens there, it is taken over", path.display()),
        Err(_) => return Ok(true),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

/// Whether a connect to it is refused. A server with a full backlog, or one that does not admit this user, gives another
/// error.
fn is_refused(path: &Path) -> io::Result<bool> {
    let probe = differences::socket(Domain::UNIX, None)?;
    Ok(rustix::net::connect(&probe, &SocketAddrUnix::new(path)?) == Err(Errno::CONNREFUSED))
}
