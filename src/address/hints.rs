//! Hints for the look-up of a name, as getaddrinfo(3) has them.

use std::net::IpAddr;

use super::families::Families;

/// Which addresses a look-up leaves out, and which it adds: Node's `hints`. They mean what `dns.ADDRCONFIG`, `dns.V4MAPPED` and
/// `dns.ALL` mean in its documentation of `dns.lookup`, and that is what getaddrinfo(3) says. None is on by default, as in Node.
///
/// ```
/// use tidegate::{Families, Hints, SocketOptions};
///
/// let hints = Hints::new().v4_mapped(true).all(true);
/// let options = SocketOptions::new().families(Families::V6).hints(hints);
/// assert!(options.hints.v4_mapped && !options.hints.address_config);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Hints {
    /// AI_ADDRCONFIG: addresses of a family to which this machine has no route are left out, those of `localhost` and of
    /// `/etc/hosts` too. If it has a route for neither family, none is left out. If it has none for the one family that is wanted,
    /// the error is ENOTFOUND.
    ///
    /// The system is asked at each look-up whether it has a route to 192.0.2.1 and to 2001:db8::1, which are addresses for
    /// documentation, and nothing is sent. glibc looks for an address of the family that is not of the loopback instead. So a machine
    /// that has addresses of a family, and no route beyond its own network, has that family for glibc and not for this.
    #[doc(alias = "ADDRCONFIG")]
    pub address_config: bool,
    /// AI_V4MAPPED: with [`Families::V6`], a name without an IPv6 address has its IPv4 addresses as `::ffff:a.b.c.d`. Of other
    /// families it changes nothing.
    #[doc(alias = "V4MAPPED")]
    pub v4_mapped: bool,
    /// AI_ALL: with [`Hints::v4_mapped`](field@Self::v4_mapped), the IPv4 addresses are behind those of IPv6 in any case. Without
    /// it, nothing changes.
    #[doc(alias = "ALL")]
    pub all: bool,
}

/// When a look-up of IPv6 addresses has those of IPv4 too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mapped {
    /// If the name has none of IPv6.
    IfNone,
    Always,
}

impl Hints {
    pub(crate) const NONE: Hints = Hints { address_config: false, v4_mapped: false, all: false };

    /// None.
    #[must_use]
    pub fn new() -> Self {
        Hints::NONE
    }

    /// Sets [`address_config`](field@Self::address_config).
    #[must_use]
    pub fn address_config(mut self, address_config: bool) -> Self {
        self.address_config = address_config;
        self
    }

    /// Sets [`v4_mapped`](field@Self::v4_mapped).
    #[must_use]
    pub fn v4_mapped(mut self, v4_mapped: bool) -> Self {
        self.v4_mapped = v4_mapped;
        self
    }

    /// Sets [`all`](field@Self::all).
    #[must_use]
    pub fn all(mut self, all: bool) -> Self {
        self.all = all;
        self
    }

    /// When IPv4 addresses are wanted as addresses of IPv6, if ever.
    pub(crate) fn mapped(self, families: Families) -> Option<Mapped> {
        match (families, self.v4_mapped, self.all) {
            (Families::V6, true, true) => Some(Mapped::Always),
            (Families::V6, true, false) => Some(Mapped::IfNone),
            _ => None,
        }
    }

    /// Those that are wanted, of all addresses of a name.
    pub(crate) fn choose(self, families: Families, all: Vec<IpAddr>) -> Vec<IpAddr> {
        let (wanted, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|ip| families.contain(*ip));
        match self.mapped(families) {
            Some(mapped) if mapped == Mapped::Always || wanted.is_empty() => {
                wanted.into_iter().chain(others.into_iter().map(as_v6)).collect()
            }
            _ => wanted,
        }
    }
}

/// An IPv4 address as one of IPv6.
pub(crate) fn as_v6(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().into(),
        IpAddr::V6(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_look_up_of_ipv6_has_mapped_addresses_and_those_of_ipv6_are_first() {
        let [v4, v6, mapped] = ["10.0.0.1", "fd00::1", "::ffff:10.0.0.1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let (if_none, always) = (Hints::new().v4_mapped(true), Hints::new().v4_mapped(true).all(true));
        for hints in [Hints::NONE, Hints::new().all(true), if_none, always] {
            assert_eq!(hints.choose(Families::Both, vec![v4, v6]), [v4, v6], "{hints:?}");
            assert_eq!(hints.choose(Families::V4, vec![v4, v6]), [v4], "{hints:?}");
        }
        for hints in [Hints::NONE, Hints::new().all(true)] {
            assert_eq!(hints.choose(Families::V6, vec![v4, v6]), [v6], "{hints:?}");
            assert_eq!(hints.choose(Families::V6, vec![v4]), [] as [IpAddr; 0], "{hints:?}");
        }
        assert_eq!(if_none.choose(Families::V6, vec![v4, v6]), [v6]);
        assert_eq!(if_none.choose(Families::V6, vec![v4]), [mapped]);
        assert_eq!(always.choose(Families::V6, vec![v4, v6]), [v6, mapped]);
    }
}
