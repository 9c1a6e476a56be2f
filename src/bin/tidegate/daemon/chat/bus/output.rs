//! What a node wants done. See [`Node`](super::Node).

use super::EntryId;
use super::entry::Entry;
use super::notice::Notice;

/// To be done in this order, each when it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Add it to the stream. Nothing comes of it if there is no connection.
    Publish(Entry),
    /// Read what stands behind this place, from now on. What was read for an earlier one and has not been handed over is to be
    /// dropped. It comes once after each connect, and after each batch that was not the end: see `node/reading.rs`.
    ReadFrom(EntryId),

    /// To a guest: it is called so. `is_first`: it had no name.
    Named {
        guest: u64,
        name: String,
        is_first: bool,
    },
    /// To a guest: it does not get the name that it wanted, which is that of another, or looks like it.
    Refused {
        guest: u64,
        wanted: String,
        taken_by: String,
    },

    /// To all guests here but the one who has said it, if it is one of these.
    Said {
        by: Option<u64>,
        name: String,
        text: String,
    },
    /// To all guests here but itself. `online`: those that the others know of, at all nodes.
    Joined {
        by: Option<u64>,
        name: String,
        online: u64,
    },
    Left {
        name: String,
        online: u64,
    },
    /// To all guests here.
    Renamed {
        by: Option<u64>,
        from: String,
        to: String,
    },
    /// To all guests here.
    Notice(Notice),
}
