//! The library on the simulated kernel, where delays and failures come on demand and time costs nothing.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../support/mod.rs"]
mod support;

/// A server that stands apart.
mod apart;
/// How long a connect may take.
mod connect_timeouts;
/// What the table of connections says, and why one is not read from.
mod connections;
/// Peers that are gone while nothing is read from them.
mod gone_peers;
/// Hints for a look-up.
#[cfg(feature = "names")]
mod hints;
/// Names that the program looks up itself, and servers that listen on a name.
mod lookups;
/// What a loop holds in memory, and the limit for it.
mod memory;
/// Names that are looked up, and hosts with several addresses.
#[cfg(feature = "names")]
mod names;
/// A handler panics, and the loop goes on.
mod panics;
/// A loop that is shut down.
mod shut_down;
/// Files on a disk that is full, damaged or slow.
mod simulated_disk;
/// Random calls under random conditions, 2,000 seeds.
mod simulation;
/// What the simulator itself promises.
mod simulator;
/// What a loop counts of itself.
mod statistics;
/// A loop that is shut down or stopped, and handlers that work against it.
mod stubborn_handlers;
/// Each kernel call fails with each error.
mod torture;
/// What the trace tells.
mod tracing;
/// The budget of time of a turn, and clocks that are late.
mod turn_time;
