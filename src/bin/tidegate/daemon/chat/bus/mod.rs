//! One room over several nodes: the logic of it, without a socket, a clock or randomness.
//!
//! A node publishes what its guests do in a stream, and tells it when it reads it there, so all nodes tell the same order.
//!
//! ```text
//!   arrives, joins, says, renames, leaves ──▶ ┌──────┐ ──▶ Publish, ReadFrom: for the engine
//!                  connected, read, lost ──▶ │ Node │ ──▶ Named, Refused: for one guest
//!                                 expire ──▶ └──────┘ ──▶ Said, Joined, Left, Renamed, Notice: for all guests here
//! ```
//!
//! | file | what is in it |
//! | --- | --- |
//! | `node/` | the node: read it first |
//! | `entry.rs`, `list.rs` | what nodes say to each other, and how it stands in the stream |
//! | `outbox.rs` | what was not read back yet |
//! | `seen.rs` | what comes twice, and what does not come |
//! | `roster/` | who is in the room at a place of the stream, and whether that is known |
//! | `here.rs` | the guests of this node |
//! | `absence.rs` | what is kept while the node is away |
//! | `notice.rs`, `output.rs` | what comes of it |

mod absence;
#[cfg(test)]
pub mod checks;
mod entry;
mod here;
mod list;
mod node;
mod notice;
mod outbox;
mod output;
mod roster;
mod seen;
#[cfg(test)]
pub mod tests;

use super::super::engine::EntryId;

pub use entry::Entry;
#[cfg(test)]
pub use entry::What;
pub use node::{Figures, Node, Settings, Standing};
pub use notice::Notice;
pub use output::Output;
