//! What the process needs, whatever it runs: its log, its descriptors, its session.

pub mod descriptors;
pub mod log;
#[cfg(unix)]
pub mod session;
