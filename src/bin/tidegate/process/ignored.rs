//! The signals that were ignored when this process began: what is ignored stays so.
//!
//! A shell has a command in the background ignore SIGINT and SIGQUIT, so that Ctrl-C for another command does not end it, and
//! `nohup` has it ignore SIGHUP.

use super::outside;

/// A set of signals. Bit 0 is signal 1.
#[derive(Clone, Copy)]
pub struct Ignored(u64);

impl Ignored {
    pub fn at_start() -> Self {
        let ignored = outside::fact("ignored signals", || Some(ignored().to_string()));
        Ignored(ignored.and_then(|mask| mask.parse().ok()).unwrap_or(0))
    }

    pub fn contains(self, signal: i32) -> bool {
        self.0 & (1 << (signal - 1)) != 0
    }
}

/// SigIgn of proc(5). Without /proc nothing is known to be ignored.
#[cfg(target_os = "linux")]
fn ignored() -> u64 {
    let mask = || {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    mask().unwrap_or(0)
}

/// Elsewhere only unsafe code can ask. SIGHUP keeps its action: it ends this process, or is ignored.
#[cfg(all(unix, not(target_os = "linux")))]
fn ignored() -> u64 {
    1 << (tidegate::signal::HANGUP - 1)
}

/// Other systems have no such signals.
#[cfg(not(unix))]
fn ignored() -> u64 {
    0
}
