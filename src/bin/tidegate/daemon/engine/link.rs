//! The two connections: one publishes, and one reads.

use std::time::Duration;

use tidegate::Loop;

use super::{EntryId, EntryRead, Settings};

/// The state of a loop that has a link.
pub trait Linked: Sized + 'static {
    fn link(&mut self) -> &mut Link;

    /// Both connections are ready. Before this nothing is read or published.
    fn connected(on: &mut Loop<'_, Self>);

    /// What stood behind the place. `is_end`: nothing more was there when this was read.
    fn read(on: &mut Loop<'_, Self>, entries: Vec<EntryRead>, is_end: bool);

    /// The engine does not take what is published, in its words. Both connections are gone; it is tried again later.
    fn refused(on: &mut Loop<'_, Self>, why: String);

    /// Both connections are gone. What was not answered may stand in the stream or not. It is tried again later.
    fn lost(on: &mut Loop<'_, Self>, why: String);
}

pub struct Link {
    settings: Settings,
}

/// What an inspector shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub is_connected: bool,
    /// How often it was connected since the start.
    pub connects: u64,
    /// Between a publication and its answer, the last one that was measured.
    pub round_trip: Option<Duration>,
    /// Publications that have no answer yet.
    pub unanswered: u64,
    pub published: u64,
    /// Entries that were read.
    pub read: u64,
    /// As it calls itself: `redis 7.0.15`.
    pub engine: Option<String>,
    /// Why it is not connected.
    pub why: Option<String>,
}

impl Link {
    pub fn new(settings: Settings) -> Self {
        Link { settings }
    }

    pub fn figures(&self) -> Figures {
        Figures::default()
    }
}

/// Connects, and again whenever it is lost.
pub fn start<S: Linked>(on: &mut Loop<'_, S>) {
    let _ = on;
}

/// Adds an entry to the stream. Without a connection nothing happens: whoever publishes keeps what it has not read back.
pub fn publish<S: Linked>(on: &mut Loop<'_, S>, fields: &[(&[u8], &[u8])]) {
    let _ = (on, fields);
}

/// From now on what stands behind this place is read, until the connection is lost. To be called once after `connected`.
pub fn read_from<S: Linked>(on: &mut Loop<'_, S>, after: EntryId) {
    let _ = (on, after);
}

/// Other settings: the history from the next entry on, all others from the next connect on.
pub fn change<S: Linked>(on: &mut Loop<'_, S>, settings: Settings) {
    on.state.link().settings = settings;
}

/// Ends both connections, when what was written is sent. Nothing is called any more.
pub fn stop<S: Linked>(on: &mut Loop<'_, S>) {
    let _ = on;
}
