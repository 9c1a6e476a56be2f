//! A rate limit for warnings.

use std::fmt;
use std::time::Duration;

/// Passes on at most one warning per second, so that a flood of connections does not become a flood of log lines. The
/// others are logged at `-v`, and counted in the next warning.
#[derive(Default)]
pub struct Throttle {
    last: Option<Duration>,
    held_back: u64,
}

impl Throttle {
    pub fn warn(&mut self, now: Duration, what: &dyn fmt::Display) {
        if self.last.is_some_and(|last| now < last + Duration::from_secs(1)) {
            self.held_back += 1;
            return log::debug!("{what}");
        }
        self.last = Some(now);
        match std::mem::take(&mut self.held_back) {
            0 => log::warn!("{what}"),
            others => log::warn!("{what}, and {others} others before it"),
        }
    }
}
