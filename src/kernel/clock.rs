//! The clock of the machine's own kernel.

use std::time::Duration;

/// The clock that never goes back: how long ago it was started. std's `Instant` does the same with three times the
/// instructions, and each turn reads it twice.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[derive(Debug)]
pub(super) struct Clock {
    started: Duration,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Clock {
    pub fn start() -> Self {
        Clock { started: since_boot() }
    }

    #[inline]
    pub fn elapsed(&self) -> Duration {
        since_boot().saturating_sub(self.started)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[inline]
fn since_boot() -> Duration {
    use nix::time::{ClockId, clock_gettime};

    // Every Linux has this clock.
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(Duration::ZERO, |time| Duration::new(time.tv_sec() as u64, time.tv_nsec() as u32))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[derive(Debug)]
pub(super) struct Clock(std::time::Instant);

#[cfg(not(any(target_os = "linux", target_os = "android")))]
impl Clock {
    pub fn start() -> Self {
        Clock(std::time::Instant::now())
    }

    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
