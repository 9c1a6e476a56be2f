//! Which clients are refused: `--block` and `--allow`.

use std::net::IpAddr;

use tidegate::{BlockList, Error};

/// One `--block`: a list of one rule.
pub(super) fn block(text: &str) -> Result<BlockList, String> {
    const HOW: &str =
        "write an address such as 192.0.2.1, a range such as 192.0.2.1-192.0.2.9, or a subnet such as 192.0.2.0/24";

    let address = |text: &str| text.parse::<IpAddr>().map_err(|_| HOW);
    let mut list = BlockList::new();
    let added = if let Some((start, end)) = text.split_once('-') {
        list.add_range(address(start)?, address(end)?)
    } else if let Some((net, bits)) = text.split_once('/') {
        list.add_subnet(address(net)?, bits.parse().map_err(|_| HOW)?)
    } else {
        list.add_address(address(text)?);
        Ok(())
    };
    added.map(|()| list).map_err(|error| error.to_string())
}

/// All of them as one. None if nothing is blocked.
pub(super) fn joined(lists: &[BlockList]) -> Result<Option<BlockList>, Error> {
    let list = BlockList::from_rules(lists.iter().rev().flat_map(BlockList::rules))?;
    Ok(Some(list).filter(|list| !list.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{daemon, wrong};

    #[test]
    fn addresses_ranges_and_subnets_are_blocked() {
        assert_eq!(daemon(&[]).block_list().unwrap(), None);
        let flags = ["--block", "192.0.2.1", "--deny", "10.0.0.1-10.0.0.9", "--block", "2001:db8::/32"];
        let list = daemon(&flags).block_list().unwrap().expect("a list");
        let rules = ["Subnet: IPv6 2001:db8::/32", "Range: IPv4 10.0.0.1-10.0.0.9", "Address: IPv4 192.0.2.1"];
        assert_eq!(list.rules(), rules);
        for (text, says) in [
            ("example.org", "write an address such as"),
            ("10.0.0.0/x", "write an address such as"),
            ("10.0.0.0/33", "the prefix has at most 32 bits"),
            ("10.0.0.9-10.0.0.1", "its start is after its end"),
            ("10.0.0.1-::1", "one end is IPv4, the other is IPv6"),
            ("", "write an address such as"),
        ] {
            let message = wrong(&["--block", text]);
            assert!(message.contains(says), "{text}: {message}");
        }
    }
}
