//! What tests share, in one or several programs.
//!
//! Every wait is for a condition and at most [`PATIENCE`] long. Only the condition ends it early, so a slow machine
//! makes a test slow and not wrong. Time is only ever asserted from below.

#![allow(dead_code, unused_imports, reason = "no program uses all of it")]

/// Addresses of this machine.
mod addresses;
/// Tests that have the machine to themselves.
pub mod alone;
/// Chromium without a window.
#[cfg(all(feature = "cli", unix))]
pub mod browser;
/// One connection to a server, which speaks and hears lines or bytes.
#[cfg(unix)]
mod client;
/// A running `tidegate`.
#[cfg(all(feature = "cli", unix))]
mod daemon;
/// A Valkey or Redis of a test's own.
#[cfg(all(feature = "cli", unix))]
pub mod engine;
/// The compiled examples.
pub mod examples;
/// A folder of a test's own.
pub mod folder;
/// As much of HTTP as `--inspect` speaks.
pub mod http;
/// The inspector of a role.
#[cfg(all(feature = "cli", unix))]
pub mod inspector;
/// A test in a process of its own.
pub mod isolated;
/// What the kernel knows of the sockets of this machine.
#[cfg(target_os = "linux")]
pub mod kernel_table;
/// An event loop, and a log of what its actors saw.
pub mod loops;
/// Many connections.
#[cfg(target_os = "linux")]
pub mod many;
/// A name server of a test.
#[cfg(all(feature = "names", unix))]
pub mod name_server;
/// What the system knows of a process.
#[cfg(target_os = "linux")]
pub mod process;
/// Numbers that look random.
mod random;
/// The blocks of a recording.
pub mod recording;
/// A daemon some of whose system calls fail.
#[cfg(all(feature = "cli", target_os = "linux"))]
pub mod strace;
/// Pseudo-terminals.
#[cfg(unix)]
pub mod terminal;
/// What a child process writes into a pipe.
mod transcript;
/// Waiting for what nobody announces.
mod waiting;

pub use addresses::{free_address, free_port, has_ipv6};
#[cfg(unix)]
pub use client::Client;
#[cfg(all(feature = "cli", unix))]
pub use daemon::*;
#[cfg(target_os = "linux")]
pub use kernel_table::stuff;
pub use random::Random;
pub use transcript::Transcript;
pub use waiting::{PATIENCE, exit_of, wait_for, wait_until};
