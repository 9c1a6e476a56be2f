//! A log file in place of standard error: the descriptor is replaced, so that whatever is written there goes into the file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

static FILE: OnceLock<PathBuf> = OnceLock::new();

/// From now on the log is written to this file. It is appended to, and made for its owner and group alone.
///
/// # Errors
/// Those of the file system.
pub fn write_to(path: &Path) -> io::Result<()> {
    take(path)?;
    // There is no other call.
    let _ = FILE.set(path.to_owned());
    Ok(())
}

/// Whether there is one.
pub fn is_there() -> bool {
    FILE.get().is_some()
}

/// Opens it by its name again: the old one may have been renamed. Without a log file nothing happens.
pub fn open_anew() {
    let Some(path) = FILE.get() else { return };
    match take(path) {
        Ok(()) => log::info!("the log file is opened anew"),
        Err(error) => log::error!("the log goes on in the old file, as {} cannot be opened: {error}", path.display()),
    }
}

#[cfg(unix)]
fn take(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;

    // One that nobody reads, such as a FIFO, must hold nobody up.
    let flags = (rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY).bits().cast_signed();
    let file = std::fs::OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path)?;
    rustix::stdio::dup2_stderr(file)?;
    Ok(())
}

#[cfg(not(unix))]
fn take(_: &Path) -> io::Result<()> {
    Err(io::Error::other("--log-file is not there on this system: redirect standard error"))
}
