//! Skeleton.

mod arena;
mod connection;
mod endpoint;
mod error;
mod event_loop;
mod id;
pub mod kernel;
mod lines;
pub mod net;
mod server;
mod socket;
mod text;
mod timers;

pub use connection::{CloseReason, ReadyState};
pub use endpoint::{Endpoint, ToEndpoint};
pub use error::{Code, Error, Syscall};
pub use event_loop::{EventLoop, Loop};
pub use id::{ServerId, SocketId, TimerId};
pub use kernel::KeepAlive;
pub use lines::{Line, Lines, Pushed};
pub use net::{
    Chunk, Closed, Counters, Dropped, Event, Net, OutputLimits, OutputPolicy, ServerOptions, SocketOptions, SoftLimit,
};
pub use server::Server;
pub use socket::Socket;
pub use text::{Escaped, Utf8Decoder, sanitize};

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
