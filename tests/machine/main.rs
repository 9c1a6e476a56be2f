//! What needs the machine for itself: many descriptors, a quiet processor, `strace`, a disk to mount.
//!
//! A test that measures takes the machine for itself: `support/many.rs`. One that measures its own process runs in a child
//! process: `support/isolated.rs`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../support/mod.rs"]
mod support;

/// A large file through two sockets, beside a thousand clients; a disk that fills up.
mod gigabyte;
/// System calls of the daemon fail, by `strace`.
#[cfg(feature = "cli")]
mod inject;
/// What 20,000 connections leave behind: nothing.
#[cfg(feature = "cli")]
mod leaks;
/// Thousands of connections at once, and no descriptor left.
#[cfg(feature = "cli")]
mod load;
