//! What the process needs, whatever it runs: its log and its descriptors.

pub mod descriptors;
pub mod log;
