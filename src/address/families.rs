//! Which families of addresses a name is looked up for.

use std::net::IpAddr;

/// Which addresses of a name are asked for: Node's `family`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Families {
    /// Those of both families.
    #[default]
    Both,
    /// Those of IPv4 alone.
    V4,
    /// Those of IPv6 alone.
    V6,
}

impl Families {
    /// Whether an address is of one of them.
    pub fn contain(self, ip: IpAddr) -> bool {
        match self {
            Families::Both => true,
            Families::V4 => ip.is_ipv4(),
            Families::V6 => ip.is_ipv6(),
        }
    }
}
