//! What stderr is, and whether it can take a record without a wait.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Atomic because the log is `Sync`.
static WAITS: AtomicBool = AtomicBool::new(false);

/// From now on a record waits until its reader has taken those before it: nobody waits for this process.
pub fn wait_for_the_reader() {
    WAITS.store(true, Relaxed);
}

/// Whether a record can be written without waiting. If the other end of a pipe is closed it cannot, and the question costs
/// less than a panic.
#[cfg(unix)]
pub fn can_take_a_record() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let stderr = std::io::stderr();
    let mut asked = [PollFd::new(&stderr, PollFlags::OUT)];
    let longest_wait = if WAITS.load(Relaxed) { None } else { Some(&Timespec::default()) };
    poll(&mut asked, longest_wait).is_ok() && asked[0].revents() == PollFlags::OUT && !is_a_terminal_of_others()
}

/// Elsewhere there is no way to ask.
#[cfg(not(unix))]
pub fn can_take_a_record() -> bool {
    true
}

/// After `stty tostop` a terminal stops a process in the background that writes to it, with SIGTTOU. A log must not stop what
/// it is about.
#[cfg(unix)]
fn is_a_terminal_of_others() -> bool {
    use crate::process::session::Membership;
    use rustix::process::Pid;
    use rustix::termios::{LocalModes, tcgetattr, tcgetpgrp};

    let stderr = std::io::stderr();
    let Ok(terminal) = tcgetattr(&stderr) else { return false };
    let Some(this) = Membership::of_this_process() else { return false };
    terminal.local_modes.contains(LocalModes::TOSTOP)
        && tcgetpgrp(&stderr).is_ok_and(|foreground| Pid::as_raw(Some(foreground)) != this.group())
}

/// A terminal is writable if it has room for one byte, so a record could wait for a terminal that does not read, such as a
/// hung remote session. So a terminal is opened again as non-blocking. Set on the inherited description, the flag would
/// apply to the shell as well. A terminal that cannot be opened stays as it is.
#[cfg(target_os = "linux")]
pub fn never_wait_for_a_terminal() {
    use rustix::fs::{Mode, OFlags, open};
    use std::io::IsTerminal;

    if std::io::stderr().is_terminal() {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let _ = open("/proc/self/fd/2", flags, Mode::empty()).and_then(rustix::stdio::dup2_stderr);
    }
}

/// Elsewhere there is no path that opens the file of a descriptor again.
#[cfg(not(target_os = "linux"))]
pub fn never_wait_for_a_terminal() {}

/// Whether stderr is the stream that `JOURNAL_STREAM` names, `DEVICE:INODE`: systemd.exec(5). A stderr that was redirected is
/// not.
#[cfg(target_os = "linux")]
pub fn is_the_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stderr()).is_ok_and(|stderr| named == format!("{}:{}", stderr.st_dev, stderr.st_ino))
}

#[cfg(not(target_os = "linux"))]
pub fn is_the_journal() -> bool {
    false
}
