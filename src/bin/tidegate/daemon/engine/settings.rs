//! What a link needs to know.

use std::path::PathBuf;

use crate::cli::EngineAddress;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub engine: EngineAddress,
    pub password: Password,
    /// The key of the stream: `tidegate:ROOM`.
    pub stream: String,
    /// What people call this node.
    pub label: String,
    /// How many entries the stream keeps, about.
    pub history: u64,
    /// The most bytes of the outbox. An engine that leaves much more unread is lost.
    pub outbox: usize,
}

/// Where the password is. It is looked for at each connect, so that another one needs no restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    None,
    Environment,
    File(PathBuf),
}
