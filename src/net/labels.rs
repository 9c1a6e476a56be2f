//! What users call their connections: shown wherever a connection is named.

use std::collections::BTreeMap;

use crate::base::id::SocketId;

/// Apart from the connections: most have no label, and an idle one is to stay small.
#[derive(Debug, Default)]
pub(super) struct Labels(BTreeMap<SocketId, Box<str>>);

impl Labels {
    pub fn get(&self, id: SocketId) -> Option<&str> {
        self.0.get(&id).map(|label| &**label)
    }

    /// An empty label is none.
    pub fn set(&mut self, id: SocketId, label: &str) {
        match label {
            "" => self.0.remove(&id),
            label => self.0.insert(id, label.into()),
        };
    }

    pub fn remove(&mut self, id: SocketId) {
        self.0.remove(&id);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}
