//! `/etc/hosts`: names that have their addresses there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Families, Family};
use crate::address::host_name::HostName;

/// The most addresses of one name that are used.
const MOST_ADDRESSES: usize = 64;

/// What the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    by_name: BTreeMap<HostName, Vec<IpAddr>>,
}

impl Hosts {
    /// Reads it line by line: an address, and its names. What is neither is left out, as in glibc.
    pub fn read(text: &[u8]) -> Self {
        let mut hosts = Hosts::default();
        for line in text.split(|byte| *byte == b'\n') {
            let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let mut words = line.split_ascii_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words.filter_map(|word| HostName::new(word).ok()) {
                let addresses = hosts.by_name.entry(name).or_default();
                if addresses.len() < MOST_ADDRESSES && !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        hosts
    }

    /// The addresses of a name, of these families. Empty if it has none here.
    pub fn addresses(&self, name: &HostName, families: Families) -> Vec<IpAddr> {
        let is_wanted = |ip: &IpAddr| families.each().iter().any(|family: &Family| family.is_of(*ip));
        self.by_name.get(name).into_iter().flatten().copied().filter(is_wanted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_all_addresses_of_their_lines() {
        let hosts = Hosts::read(
            b"127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # both\n192.0.2.1 Alpha alpha.example\n\
              192.0.2.2 alpha\n192.0.2.1 alpha\n2001:db8::1 alpha\n# 192.0.2.9 alpha\nnonsense alpha\n\xff alpha\n\
              192.0.2.3 a..b beta\n192.0.2.4",
        );
        let of = |name: &str, families| {
            let found = hosts.addresses(&HostName::new(name).unwrap(), families);
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("ALPHA", Families::Both), "192.0.2.1 192.0.2.2 2001:db8::1");
        assert_eq!(of("alpha", Families::V4), "192.0.2.1 192.0.2.2");
        assert_eq!(of("alpha", Families::V6), "2001:db8::1");
        assert_eq!(of("alpha.example", Families::V6), "");
        assert_eq!(of("beta", Families::Both), "192.0.2.3");
        assert_eq!(of("ip6-localhost", Families::Both), "::1");
        assert_eq!(of("gamma", Families::Both), "");
    }
}
