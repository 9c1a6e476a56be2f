//! Names and small tools: what all other floors stand on. No I/O, no clock.

pub(crate) mod arena;
pub(crate) mod bits;
pub(crate) mod error;
pub(crate) mod error_kind;
pub(crate) mod few;
pub(crate) mod id;
pub(crate) mod round;
pub mod signal;
pub(crate) mod timers;
