//! Whether this machine has a way to the addresses of a family: what the hint ADDRCONFIG asks.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::cx::Cx;
use super::lookup::{Wanted, nothing};
use crate::address::families::Families;
use crate::base::error::Error;
use crate::base::error_kind::ErrorKind;

/// Addresses of documentation, to which only a default route leads (RFC 5737, RFC 3849).
const SOMEWHERE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SOMEWHERE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// The port counts for nothing: it is that of discard.
const PORT: u16 = 9;

impl Cx {
    /// The families of which addresses can be used. As in glibc, a machine without any route has both of them.
    ///
    /// # Errors
    /// The one that is wanted is not there.
    pub fn usable_families(&mut self, wanted: &Wanted) -> Result<Families, Error> {
        if !wanted.hints.address_config {
            return Ok(wanted.families);
        }
        let no_route = |family| {
            nothing(&wanted.host, &format!(": this machine has no route for {family}, and a hint asks for one"))
        };
        match wanted.families {
            Families::V4 if self.leads_to(SOMEWHERE_V4) => Ok(Families::V4),
            Families::V4 => Err(no_route("IPv4")),
            Families::V6 if self.leads_to(SOMEWHERE_V6) => Ok(Families::V6),
            Families::V6 => Err(no_route("IPv6")),
            Families::Both => Ok(match (self.leads_to(SOMEWHERE_V4), self.leads_to(SOMEWHERE_V6)) {
                (true, false) => Families::V4,
                (false, true) => Families::V6,
                (true, true) | (false, false) => Families::Both,
            }),
        }
    }

    /// Whether there is a route: connect(2) of a socket for datagrams looks for one and sends nothing. What says something else,
    /// a lack of descriptors for example, leaves no address out.
    fn leads_to(&mut self, ip: IpAddr) -> bool {
        match self.kernel.datagrams(SocketAddr::new(ip, PORT), None) {
            Ok(handle) => {
                self.kernel.close(handle);
                true
            }
            Err(error) => !says_no_route(&error),
        }
    }
}

/// Also of a system without that family, or with no address of it to send from.
fn says_no_route(error: &io::Error) -> bool {
    let is_the_systems = error.raw_os_error().is_some();
    let kinds = [
        ErrorKind::NetworkUnreachable,
        ErrorKind::HostUnreachable,
        ErrorKind::AddressNotAvailable,
        ErrorKind::Unsupported,
    ];
    is_the_systems && kinds.contains(&ErrorKind::of(error))
}
