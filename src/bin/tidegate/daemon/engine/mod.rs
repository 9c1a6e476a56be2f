//! The connection to an engine: a stream in Valkey or Redis, which gives one order to what all nodes of a room say.
//!
//! ```text
//!   publish ──▶ link ──XADD──▶ connection 1 ──▶ engine       an answer: it stands in the stream
//!      read ◀── link ◀─XREAD── connection 2 ◀── engine       entries, in the order of the stream
//! ```
//!
//! `link/` has the two connections and their state, and `greeting.rs` what each says first. What is pure: `command.rs` and
//! `reply.rs` (the protocol), `entries.rs` (what was read, checked), `failure.rs` (why there is no engine, for the log).

mod command;
mod entries;
mod failure;
mod greeting;
mod id;
mod link;
mod reply;
mod settings;
#[cfg(test)]
pub(super) mod simulated;
#[cfg(test)]
mod tests;

pub use self::id::EntryId;
pub use self::link::{Figures, Link, Linked, change, go_on, hold, publish, read_from, start, stop};
#[cfg(test)]
pub use self::settings::Password;
pub use self::settings::Settings;

/// An entry of the stream, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRead {
    pub id: EntryId,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}
