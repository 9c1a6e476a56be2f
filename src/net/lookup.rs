//! A look-up of a name: who was asked, and what the program is told if it is to answer itself.

use std::net::IpAddr;

use crate::address::families::Families;
use crate::address::hints::Hints;
use crate::address::host_name::HostName;
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;
use crate::base::id::{ServerId, SocketId};
#[cfg(feature = "names")]
use crate::names::Ticket;

/// A name of which the program is to give the addresses, by [`Net::answer_lookup`](crate::Net::answer_lookup).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookupRequest {
    /// What an answer has to have.
    pub id: LookupId,
    /// The name.
    pub host: HostName,
    /// Which addresses are wanted. Those of another family in an answer are left out.
    pub families: Families,
    /// What [`SocketOptions::hints`](field@crate::SocketOptions::hints) says, for the program to follow: an answer stays as it is.
    pub hints: Hints,
}

impl LookupRequest {
    /// The error that says that there is no such host. It has what Node's has: the code ENOTFOUND, the call getaddrinfo and the
    /// name of the host.
    pub fn not_found(&self) -> Error {
        Error::of_lookup(ErrorKind::HostNotFound, self.host.as_str(), "")
    }
}

/// The number of a look-up that the program does itself. It can be copied and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookupId {
    asker: LookupAsker,
    pub(super) number: u64,
}

impl LookupId {
    /// Who waits for the answer.
    pub fn asker(self) -> LookupAsker {
        self.asker
    }
}

/// Who wants to know the addresses of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LookupAsker {
    /// A socket that connects to it.
    Socket(SocketId),
    /// A server that is to listen on it.
    Server(ServerId),
}

/// Of which name which addresses are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub host: HostName,
    pub families: Families,
    pub hints: Hints,
}

/// Who was asked for the addresses of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// The resolver of the loop.
    Resolver(Ticket),
    /// The program. No two of its look-ups have the same number.
    Program(u64),
}

/// There is no resolver in this build.
#[cfg(not(feature = "names"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ticket {}

/// What was found.
pub(super) type Found = Result<Vec<IpAddr>, Error>;

impl Awaited {
    pub fn is_program(self) -> bool {
        matches!(self, Awaited::Program(_))
    }

    /// What the program is asked.
    pub fn request(self, asker: LookupAsker, wanted: Wanted) -> Option<LookupRequest> {
        let Wanted { host, families, hints } = wanted;
        match self {
            Awaited::Program(number) => Some(LookupRequest { id: LookupId { asker, number }, host, families, hints }),
            Awaited::Resolver(_) => None,
        }
    }
}

/// The addresses of an answer that can be used.
pub(super) fn suitable(found: Found, host: &HostName, families: Families) -> Found {
    let addresses = found?;
    let suitable: Vec<IpAddr> = addresses.iter().copied().filter(|ip| families.contain(*ip)).collect();
    match (suitable.is_empty(), addresses.first()) {
        (false, _) => Ok(suitable),
        (true, None) => Err(nothing(host, ": the look-up has given no address")),
        (true, Some(other)) => {
            Err(nothing(host, &format!(": the look-up has given {other}, which is of another family")))
        }
    }
}

/// There is no address that can be used.
pub(super) fn nothing(host: &HostName, why: &str) -> Error {
    Error::of_lookup(ErrorKind::HostNotFound, host.as_str(), why)
}
