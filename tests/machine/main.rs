//! What needs the machine for itself: exact pauses, many descriptors, a quiet processor, `strace`, a disk to mount.
//!
//! A test that measures takes the machine for itself: `support/alone.rs`. One that measures its own process runs in a
//! child process: `support/isolated.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../support/mod.rs"]
mod support;

/// Node's own traces of 182 scenarios.
mod conformance;
/// A large file through two sockets, beside a thousand clients; a disk that fills up.
#[cfg(target_os = "linux")]
mod gigabyte;
/// System calls of the daemon fail, by `strace`.
#[cfg(all(feature = "cli", target_os = "linux"))]
mod inject;
/// The page of an inspector with 15,000 connections under load, in a browser.
#[cfg(all(feature = "cli", target_os = "linux"))]
mod inspected;
/// 20,000 connections leave nothing.
#[cfg(all(feature = "cli", target_os = "linux"))]
mod leaks;
/// Thousands of connections at once, and no descriptor left.
#[cfg(all(feature = "cli", target_os = "linux"))]
mod load;
