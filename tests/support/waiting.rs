//! Waiting for what nobody announces: a process, a file, a port.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How long any one condition is waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Looks again and again until `look` finds something. After [`PATIENCE`] it panics with `what`.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until a condition holds. After [`PATIENCE`] it panics with `what`.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

/// Waits until a child process has ended.
#[track_caller]
pub fn exit_of(child: &mut Child) -> ExitStatus {
    wait_for("it exits", || child.try_wait().unwrap())
}
