//! What the process needs, whatever it runs: its log, its descriptors, its session, what it uses, and the world outside of it.

pub mod descriptors;
pub mod log;
pub mod outside;
#[cfg(unix)]
pub mod session;
pub mod usage;
