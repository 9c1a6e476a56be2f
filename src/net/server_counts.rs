//! How many connections each server has: what a connection that is destroyed changes of its server, which it cannot reach.

use crate::base::id::{Id, ServerId};

/// The counts of all servers, by their slots. A server is forgotten only when it has no connections, so a slot that is used
/// again begins at none.
#[derive(Debug, Default)]
pub(super) struct ServerCounts {
    by_slot: Vec<ServerCount>,
}

#[derive(Clone, Copy, Debug, Default)]
struct ServerCount {
    /// Sockets accepted and not yet destroyed.
    connections: usize,
    is_listening: bool,
}

impl ServerCounts {
    pub fn connections(&self, id: ServerId) -> usize {
        self.get(id).connections
    }

    /// Whether it neither listens nor has connections.
    pub fn is_over(&self, id: ServerId) -> bool {
        matches!(self.get(id), ServerCount { connections: 0, is_listening: false })
    }

    pub fn set_listening(&mut self, id: ServerId, is_listening: bool) {
        self.get_mut(id).is_listening = is_listening;
    }

    pub fn connection_came(&mut self, id: ServerId) {
        self.get_mut(id).connections += 1;
    }

    pub fn connection_went(&mut self, id: ServerId) {
        let count = self.get_mut(id);
        count.connections = count.connections.saturating_sub(1);
    }

    fn get(&self, id: ServerId) -> ServerCount {
        self.by_slot.get(id.key().slot as usize).copied().unwrap_or_default()
    }

    fn get_mut(&mut self, id: ServerId) -> &mut ServerCount {
        let slot = id.key().slot as usize;
        if self.by_slot.len() <= slot {
            self.by_slot.resize(slot + 1, ServerCount::default());
        }
        &mut self.by_slot[slot]
    }
}
