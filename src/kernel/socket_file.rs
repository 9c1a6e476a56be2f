//! The file of a listening Unix socket: bound, made accessible to those who may connect, removed at the end.
//!
//! A path outlives its socket, so a server that was killed leaves one behind. It is taken over, and only if it is a
//! socket on which nobody listens: a connect to it is refused. Whatever else is there is never touched. What is removed
//! at the end is the file that was made, known by device and inode, and not one that has come in its place.
//!
//! The order is bind, owner, mode, listen. The file is there from bind(2) on, with the mode that the umask leaves; but
//! until listen(2) every connect is refused, so that nobody slips in before the mode is set. Setting the umask instead
//! would be for the whole process, which is not a library's to do.
//!
//! Two servers that start on one path at the same time may both find it stale, and one may remove what the other has
//! just bound. So who has come to listen looks whether the file is still its own, and gives up if it is not.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::SocketAccess;

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
    /// Binds a socket to a path, and gives the file its owner and mode.
    pub fn bind(socket: &Socket, path: &Path, access: SocketAccess) -> io::Result<Self> {
        let address = SockAddr::unix(path)?;
        match socket.bind(&address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && remove_stale(path)? => socket.bind(&address)?,
            bound => bound?,
        }
        let identity = Identity::of(&fs::symlink_metadata(path)?);
        let file = SocketFile { path: path.to_owned(), identity };
        if access.owner.is_some() || access.group.is_some() {
            std::os::unix::fs::chown(path, access.owner, access.group)?;
        }
        if let Some(mode) = access.mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        }
        Ok(file)
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
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    Ok(probe.connect(&SockAddr::unix(path)?).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused))
}
