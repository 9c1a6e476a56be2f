//! Skeleton.
mod endpoint;
mod error;
mod id;

pub use endpoint::{Endpoint, ToEndpoint};
pub use error::{Code, Error, Syscall};
pub use id::{ServerId, SocketId, TimerId};
