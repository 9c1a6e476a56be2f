//! The other end of a connection.

use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::address::Address;

/// The other end of a connection.
#[derive(Debug, Default)]
pub(in crate::net) enum Remote {
    /// There is none yet.
    #[default]
    Unknown,
    V4(SocketAddrV4),
    /// Apart: it is as large as all the rest of most connections that have one.
    V6(Box<SocketAddrV6>),
    /// It has no address.
    Unix,
    /// There is no other end.
    File,
}

impl From<Address> for Remote {
    fn from(address: Address) -> Self {
        match address.ip() {
            Some(SocketAddr::V4(address)) => Remote::V4(address),
            Some(SocketAddr::V6(address)) => Remote::V6(Box::new(address)),
            None => Remote::Unix,
        }
    }
}

impl Remote {
    pub fn is_unix(&self) -> bool {
        matches!(self, Remote::Unix)
    }

    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Remote::V4(address) => Some((*address).into()),
            Remote::V6(address) => Some((**address).into()),
            Remote::Unknown | Remote::Unix | Remote::File => None,
        }
    }
}
