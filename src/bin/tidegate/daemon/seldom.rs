//! Warnings that come seldom, however often there is a reason for one.

use std::fmt;
use std::time::Duration;

/// Who reads the log does not care where these are counted.
const TARGET: &str = "tidegate::daemon";

/// Warns of a thing no more than once a second: a flood of connections must not become a flood of log lines. What is not
/// warned of is said at `-v`.
#[derive(Default)]
pub struct Seldom {
    said: Option<Duration>,
    unsaid: u64,
}

impl Seldom {
    pub fn warn(&mut self, now: Duration, what: &dyn fmt::Display) {
        if self.said.is_some_and(|said| now < said + Duration::from_secs(1)) {
            self.unsaid += 1;
            return log::debug!(target: TARGET, "{what}");
        }
        self.said = Some(now);
        match std::mem::take(&mut self.unsaid) {
            0 => log::warn!(target: TARGET, "{what}"),
            others => log::warn!(target: TARGET, "{what}, and {others} others before it"),
        }
    }
}
