//! The library as its users call it, on the kernel of the machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../support/mod.rs"]
mod support;

/// Who may connect, and where to.
mod block_list;
/// One message to many sockets.
mod broadcast;
/// Node's own traces of 182 scenarios.
mod conformance;
/// Where to, and from which state.
mod connecting;
/// Bytes: what is counted, and when.
mod counting;
/// Sockets that somebody else made.
mod descriptors;
/// Text whose characters are cut by chunks.
mod encodings;
/// The order of events, and what may be called inside them.
mod events;
/// Each call in each state, and each argument out of its range.
mod every_call;
/// Files on the disk of the machine.
mod files;
/// Output limits: what happens when the other side does not read.
mod limits;
/// The local end of a connection.
mod local_ends;
/// What Node's tests look at: how connections end.
mod node_ends;
/// What Node's tests look at: reading, writing and pausing.
mod node_flow;
/// What Node's tests look at: pipes.
mod node_pipes;
/// What Node's tests look at: servers.
mod node_servers;
/// Options, looked at from outside.
mod options;
/// Pipes between sockets.
mod pipes;
/// What went wrong once.
mod regressions;
/// Both sides end, one is destroyed, one is reset.
mod resets;
/// Listening, accepting, closing.
mod servers;
/// Options of a socket, before and after it is connected.
mod socket_options;
/// Pipes of the system, terminals, and the streams of the process.
mod standard_streams;
/// Timers, timeouts and what is put off.
mod time;
/// Unix domain sockets.
mod unix;
