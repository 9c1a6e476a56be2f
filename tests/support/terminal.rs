//! Pseudo-terminals: one side is the terminal of a program, at the other sits its user.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// A new one: the side of its user (the master), and the name of the terminal.
pub fn pseudo_terminal() -> (OwnedFd, String) {
    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&user).unwrap();
    unlockpt(&user).unwrap();
    let name = ptsname(&user, Vec::new()).unwrap().into_string().unwrap();
    (user, name)
}

/// The terminal of this name. It does not become that of this process.
pub fn open_terminal(name: &str) -> File {
    let flags = OFlags::NOCTTY.bits() as i32;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(name).unwrap()
}
