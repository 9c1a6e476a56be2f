//! What the process needs, whatever it runs: its log, its descriptors, its session, what it uses, its manager, and the world outside of it.

pub mod descriptors;
pub mod ignored;
pub mod log;
pub mod notify;
pub mod outside;
#[cfg(unix)]
pub mod session;
pub mod usage;
