//! The library as its users call it, on the kernel of the machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../support/mod.rs"]
mod support;

/// What is an address, and what is none.
mod addresses;
/// Arguments out of their range.
mod arguments;
/// Block lists: who may connect, and where to.
mod block_list;
/// One message to many sockets.
mod broadcast;
/// Connecting: to what, and what becomes of writes meanwhile.
mod connecting;
/// The counters of bytes.
mod counting;
/// What the system has besides files, and can be read and written like one: each of Linux's kinds.
#[cfg(target_os = "linux")]
mod descriptor_kinds;
/// Sockets that were made elsewhere.
mod descriptors;
/// Destroying and resetting.
mod destroying;
/// The two ends of a connection.
mod ends;
/// Errors: their codes and their order.
mod errors;
/// Each call in each state.
mod every_call;
/// The signals that come with the error of a write.
#[cfg(target_os = "linux")]
mod file_signals;
/// Files on the disk of the machine.
mod files;
/// Peers that are gone while nothing is read from them.
#[cfg(unix)]
mod gone_peers;
/// Output limits: what happens when the other side does not read.
mod limits;
/// Names, with a name server of the system, in a network of their own.
#[cfg(all(target_os = "linux", feature = "names"))]
mod names;
/// What Node's tests look at: how connections end.
mod node_ends;
/// What Node's tests look at: reading, writing and pausing.
mod node_flow;
/// What Node's tests look at: pipes.
mod node_pipes;
/// What random programs have shown.
mod node_programs;
/// What Node's tests look at: servers.
mod node_servers;
/// Options, looked at from outside.
mod options;
/// A loop inside another loop, or with one around its turns.
#[cfg(unix)]
mod outer_loops;
/// Pipes between sockets.
mod pipes;
/// Reading, pausing, catching up.
mod reading;
/// A socket that connects again.
mod reconnecting;
/// A run that is recorded, and played again.
#[cfg(unix)]
mod recording;
/// What went wrong once.
mod regressions;
/// Listening, accepting, closing.
mod servers;
/// Signals, and what they do when nobody listens any more.
#[cfg(target_os = "linux")]
mod signals;
/// Options of a socket, before and after it is connected.
mod socket_options;
/// Pipes of the system, terminals, and the streams of the process.
mod standard_streams;
/// What only the machine's kernel shows of the statistics.
#[cfg(unix)]
mod statistics;
/// A loop that is shut down, and files.
#[cfg(unix)]
mod stopping;
/// Text and lines.
mod text;
/// Timers, timeouts, signals and what is put off.
mod time;
/// Unix domain sockets.
mod unix;
/// Other threads wake the loop.
#[cfg(unix)]
mod waker;
/// Writing, and when its callbacks come.
mod writing;
