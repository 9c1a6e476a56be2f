//! What tests of more than one program share.

#![allow(dead_code, unused_imports, reason = "no program uses all of it")]

#[cfg(all(feature = "cli", unix))]
mod daemon;
#[cfg(all(feature = "cli", unix))]
pub mod examples;
pub mod folder;
pub mod isolated;
pub mod loops;
#[cfg(target_os = "linux")]
pub mod many;
#[cfg(all(feature = "cli", target_os = "linux"))]
pub mod strace;

#[cfg(all(feature = "cli", unix))]
pub use daemon::*;
