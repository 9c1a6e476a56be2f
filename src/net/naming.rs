//! What a server has that is to listen on a name. `listen_on_name.rs` says what happens.

use super::lookup::{Awaited, Found};
use crate::address::host_name::HostName;

/// A name to listen on.
#[derive(Debug)]
pub(super) struct Naming {
    pub host: HostName,
    pub port: u16,
    pub stage: Stage,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Its turn has not come yet.
    Fresh,
    LookingUp(Awaited),
    Found(Found),
}
