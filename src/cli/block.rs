//! Who is turned away: what stands behind `--block`.

use std::net::IpAddr;

use tidegate::BlockList;

/// What one `--block` names.
#[derive(Clone, Copy, Debug)]
pub(super) enum Blocked {
    Address(IpAddr),
    Range(IpAddr, IpAddr),
    Subnet(IpAddr, u8),
}

impl Blocked {
    pub fn parse(text: &str) -> Result<Self, String> {
        let address = |text: &str| text.parse().map_err(|_| how());
        let blocked = if let Some((start, end)) = text.split_once('-') {
            Blocked::Range(address(start)?, address(end)?)
        } else if let Some((net, bits)) = text.split_once('/') {
            Blocked::Subnet(address(net)?, bits.parse().map_err(|_| how())?)
        } else {
            Blocked::Address(address(text)?)
        };
        // The list itself knows what is a range and a subnet.
        blocked.add_to(&mut BlockList::new())?;
        Ok(blocked)
    }

    /// None where nothing is blocked.
    pub fn list(all: &[Blocked]) -> Result<Option<BlockList>, String> {
        let mut list = BlockList::new();
        for blocked in all {
            blocked.add_to(&mut list)?;
        }
        Ok(Some(list).filter(|list| !list.is_empty()))
    }

    fn add_to(self, list: &mut BlockList) -> Result<(), String> {
        let added = match self {
            Blocked::Address(address) => {
                list.add_address(address);
                Ok(())
            }
            Blocked::Range(start, end) => list.add_range(start, end),
            Blocked::Subnet(net, bits) => list.add_subnet(net, bits),
        };
        added.map_err(|error| error.to_string())
    }
}

fn how() -> String {
    "write an address such as 192.0.2.1, a range such as 192.0.2.1-192.0.2.9, or a subnet such as 192.0.2.0/24"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{common, wrong};

    #[test]
    fn addresses_ranges_and_subnets_are_blocked() {
        assert_eq!(common(&[]).block_list, None);
        let flags = ["--block", "192.0.2.1", "--deny", "10.0.0.1-10.0.0.9", "--block", "2001:db8::/32"];
        let list = common(&flags).block_list.expect("a list");
        let rules = ["Subnet: IPv6 2001:db8::/32", "Range: IPv4 10.0.0.1-10.0.0.9", "Address: IPv4 192.0.2.1"];
        assert_eq!(list.rules(), rules);
        for (text, says) in [
            ("example.org", "write an address such as"),
            ("10.0.0.0/x", "write an address such as"),
            ("10.0.0.0/33", "the prefix has at most 32 bits"),
            ("10.0.0.9-10.0.0.1", "it starts behind its end"),
            ("10.0.0.1-::1", "of different families"),
            ("", "write an address such as"),
        ] {
            let told = wrong(&["--block", text]);
            assert!(told.contains(says), "{text}: {told}");
        }
    }
}
