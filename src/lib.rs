//! Node's `net` in Rust: a single-threaded event loop on mio that owns a slab of connections.
//!
//! A **connection** is a pure state machine: it is told what happened and asked what to do next; it knows no socket and
//! no clock. The **net** is the engine: it owns the kernel's side, carries out what connections ask, and *returns* events
//! one at a time; it never calls anyone. The **event loop** takes each event and runs the closure that waits for it,
//! with the net and the application's own state lent side by side.
//!
//! It never starts a thread, contains no `unsafe`, and has a bound for whatever a peer could make grow:
//! most are on from the start, those of what a peer does not read ([`OutputLimits`]) are off, as in Node.
//!
//! ```no_run
//! use tidegate::EventLoop;
//!
//! let mut echo = EventLoop::new()?;
//! echo.listen("127.0.0.1:7000", |socket| {
//!     let itself = socket.id();
//!     socket.pipe(itself).expect("the socket is there");
//! })?;
//! echo.run()?;
//! # Ok::<(), tidegate::Error>(())
//! ```
//!
//! New here? [`guide`] is a tutorial.
//!
//! # Three ways in
//!
//! - [`EventLoop`] with closures: [`EventLoop::listen`], [`Socket::on_data`], [`Socket::write`]. Most users need no more.
//! - [`Net`] alone: pull [`Event`]s with [`Net::next_event`] and match. For those who want no closures.
//! - [`EventLoop::turn`] inside another loop: see there.
//!
//! # Features
//!
//! | feature | by default | what it is |
//! | --- | --- | --- |
//! | `names` | with `cli` | names of hosts: `connect("www.example.org:80")`, by a resolver on the loop |
//! | `signals` | with `cli` | [`Loop::on_signal`]: a signal is an event of the loop |
//! | `cli` | on | the binary `tidegate`, with the crates for its arguments, its log and its bench; nothing of the library |
//!
//! A program that uses the library turns `cli` off, so that it does not compile what it has no use for:
//! `default-features = false, features = ["names", "signals"]`.
//!
//! # The house
//!
//! Folders are floors, and imports point down only.
//!
//! ```text
//!  binary   bin/tidegate/    the public API only
//!  loop     event_loop/      closures; generic in S, the application's state
//!  engine   net/             events out, commands in; calls nobody
//!  kernel   kernel/  sim/    the only door to the operating system; a simulated one
//!  logic    connection/  names/  text/  no I/O and no clock
//!  names    base/  address/             ids, errors, addresses, and small tools
//! ```
//!
//! Whoever knows no event loop begins with `docs/ladder/README.md`. Then `docs/explain.md`, `docs/turn.md`, the walks in
//! `docs/architecture.md`, `docs/connection.md`, and the code in the reading order of `docs/architecture.md`.
//!
//! The shortest way through the code is from the heart outwards: `net/turn.rs` (a turn of the loop, as a table of contents),
//! `connection/mod.rs` (the diagram on top is what the code does), `net/conn/read.rs` and `net/conn/write.rs` (a byte in, a
//! byte out), `net/conn/tasks.rs` (what happens between), `kernel/mod.rs` (what an operating system has to offer), and then
//! `event_loop/dispatch.rs` (how your closure gets called).

mod address;
mod base;
mod connection;
mod event_loop;
pub mod guide;
pub mod kernel;
#[cfg(feature = "names")]
mod names;
mod net;
#[cfg(any(test, fuzzing))]
pub mod properties;
#[cfg(unix)]
pub mod sim;
mod text;

pub use address::block_list::BlockList;
pub use address::endpoint::Endpoint;
pub use address::families::Families;
pub use address::hints::Hints;
pub use address::host_name::HostName;
pub use address::{Address, UnixAddress};
pub use base::error::{Error, Syscall};
pub use base::error_kind::ErrorKind;
pub use base::id::{ServerId, SocketId, TimerId};
pub use base::signal;
pub use connection::race::ConnectAttempts;
pub use connection::{CallbackId, CloseReason, ReadyState};
pub use event_loop::server::Server;
pub use event_loop::socket::Socket;
pub use event_loop::{EndOrder, EventLoop, Loop, ShutDownOptions, ShutDownReport};
pub use kernel::{KeepAlive, OpenMode, PeerCred, SocketPermissions, Stdio, TcpOptions};
#[cfg(feature = "names")]
pub use names::NamesOptions;
pub use net::{
    Chunk, Closed, ConnectionInfo, ConnectionKind, Counters, Dropped, Event, Explainer, Figure, FigureKind,
    FigureValue, FileOptions, Histogram, LongestTurn, Lookup, LookupAsker, LookupId, LookupRequest, Net, OutputLimits,
    OutputPolicy, PausedBy, ServerOptions, SocketOptions, SoftLimit, Statistics, TraceLine, TraceSink, Waker,
};
pub use text::encoding::Encoding;
pub use text::line::Line;
pub use text::lines::{Lines, Pushed};
pub use text::{Escaped, Utf8Decoder, is_harmful, sanitize};

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So do those for users of Node.
#[cfg(doctest)]
#[doc = include_str!("../docs/node.md")]
struct ForUsersOfNode;

/// And those for names.
#[cfg(all(doctest, feature = "names"))]
#[doc = include_str!("../docs/names.md")]
struct Names;
