//! A list of addresses that are blocked: Node's `net.BlockList`.
//!
//! The net asks it about each client that it accepts, and before each connect. A check looks at every rule, as Node's does.
//! For some hundred rules that costs nothing beside an accept; a list of a hundred thousand belongs into a firewall.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::base::error::Error;

/// Addresses, ranges and subnets.
///
/// An IPv4 address and the IPv6 address mapped from it are the same: a rule for `127.0.0.1` also matches
/// `::ffff:127.0.0.1`, and the other way round. A clone costs nothing, and is a list of its own: to change the list of a
/// server, give it another with [`Server::set_block_list`](crate::Server::set_block_list).
///
/// ```
/// use tidegate::BlockList;
///
/// let mut list = BlockList::new();
/// list.add_address("192.0.2.1".parse().unwrap());
/// list.add_range("192.0.2.10".parse().unwrap(), "192.0.2.20".parse().unwrap())?;
/// list.add_subnet("2001:db8::".parse().unwrap(), 32)?;
/// assert!(list.check("192.0.2.15".parse().unwrap()));
/// assert!(!list.check("192.0.2.21".parse().unwrap()));
/// assert_eq!(
///     list.rules(),
///     ["Subnet: IPv6 2001:db8::/32", "Range: IPv4 192.0.2.10-192.0.2.20", "Address: IPv4 192.0.2.1"]
/// );
/// assert_eq!(BlockList::from_rules(list.rules())?, list);
/// # Ok::<(), tidegate::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockList {
    /// The oldest rule first.
    rules: Arc<Vec<Rule>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Address(IpAddr),
    /// Start and end, of one family; both belong to it.
    Range(IpAddr, IpAddr),
    Subnet(IpNet),
}

impl BlockList {
    /// An empty list.
    pub fn new() -> Self {
        BlockList::default()
    }

    /// Adds one address.
    #[doc(alias = "addAddress")]
    pub fn add_address(&mut self, address: IpAddr) {
        self.add(Rule::Address(address));
    }

    /// Adds all addresses from `start` to `end`, both included.
    ///
    /// # Errors
    /// A start after the end, or of another family.
    #[doc(alias = "addRange")]
    pub fn add_range(&mut self, start: IpAddr, end: IpAddr) -> Result<(), Error> {
        self.add(Rule::range(start, end)?);
        Ok(())
    }

    /// Adds all addresses that begin with the same `prefix` bits as `net`.
    ///
    /// # Errors
    /// A prefix of more than 32 bits for IPv4, 128 for IPv6.
    #[doc(alias = "addSubnet")]
    pub fn add_subnet(&mut self, net: IpAddr, prefix: u8) -> Result<(), Error> {
        let bits = if net.is_ipv4() { 32 } else { 128 };
        let subnet = IpNet::new(net, prefix)
            .map_err(|_| Error::invalid(format!("subnet {net}/{prefix}: the prefix has at most {bits} bits")))?;
        self.add(Rule::Subnet(subnet));
        Ok(())
    }

    /// As [`BlockList::add_subnet`], from text such as `10.0.0.0/8`.
    ///
    /// # Errors
    /// Text that is not an address, `/` and a number of bits.
    #[doc(alias = "addCIDR")]
    pub fn add_cidr(&mut self, text: &str) -> Result<(), Error> {
        self.add(Rule::Subnet(subnet(text)?));
        Ok(())
    }

    /// Adds all rules of another list.
    ///
    /// ```
    /// use tidegate::BlockList;
    ///
    /// let mut list = BlockList::new();
    /// list.add_cidr("10.0.0.0/8")?;
    /// let mut more = BlockList::new();
    /// more.add_cidr("192.168.0.0/16")?;
    /// list.extend(&more);
    /// assert_eq!(list.rules(), ["Subnet: IPv4 192.168.0.0/16", "Subnet: IPv4 10.0.0.0/8"]);
    /// # Ok::<(), tidegate::Error>(())
    /// ```
    pub fn extend(&mut self, other: &BlockList) {
        Arc::make_mut(&mut self.rules).extend_from_slice(&other.rules);
    }

    /// Whether a rule matches this address.
    pub fn check(&self, address: IpAddr) -> bool {
        let forms = Forms::of(address);
        self.rules.iter().any(|rule| rule.has(&forms))
    }

    /// The rules as text, as Node writes them, the newest first. Node's `toJSON` gives an array of them.
    #[doc(alias = "toJSON")]
    pub fn rules(&self) -> Vec<String> {
        self.rules.iter().rev().map(Rule::to_string).collect()
    }

    /// The list with these [`rules`](BlockList::rules), the newest first. Node's `fromJSON`.
    ///
    /// # Errors
    /// Text that is not a rule.
    #[doc(alias = "fromJSON")]
    pub fn from_rules<T: AsRef<str>>(rules: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        let mut rules = rules.into_iter().map(|text| Rule::parse(text.as_ref())).collect::<Result<Vec<_>, _>>()?;
        rules.reverse();
        Ok(BlockList { rules: Arc::new(rules) })
    }

    /// Removes the rule for this one address. False if there is none. Ranges and subnets that contain it stay.
    #[doc(alias = "removeAddress")]
    pub fn remove_address(&mut self, address: IpAddr) -> bool {
        self.remove(Rule::Address(address))
    }

    /// Removes the rule for exactly this range. False if there is none.
    #[doc(alias = "removeRange")]
    pub fn remove_range(&mut self, start: IpAddr, end: IpAddr) -> bool {
        self.remove(Rule::Range(start, end))
    }

    /// Removes the rule for exactly this subnet. False if there is none.
    #[doc(alias = "removeSubnet")]
    pub fn remove_subnet(&mut self, net: IpAddr, prefix: u8) -> bool {
        IpNet::new(net, prefix).is_ok_and(|subnet| self.remove(Rule::Subnet(subnet)))
    }

    /// How many rules there are.
    #[doc(alias = "size")]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Removes all rules.
    pub fn clear(&mut self) {
        self.rules = Arc::default();
    }

    fn add(&mut self, rule: Rule) {
        Arc::make_mut(&mut self.rules).push(rule);
    }

    fn remove(&mut self, rule: Rule) -> bool {
        let before = self.rules.len();
        Arc::make_mut(&mut self.rules).retain(|other| *other != rule);
        self.rules.len() < before
    }
}

/// An address in each family in which it exists.
struct Forms {
    v4: Option<IpAddr>,
    v6: IpAddr,
}

impl Forms {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Forms { v4: Some(v4.into()), v6: v4.to_ipv6_mapped().into() },
            v6 => Forms { v4: None, v6 },
        }
    }
}

impl Rule {
    fn has(&self, forms: &Forms) -> bool {
        let Some(address) = (if self.is_ipv4() { forms.v4 } else { Some(forms.v6) }) else { return false };
        match self {
            Rule::Address(own) => address == *own,
            Rule::Range(start, end) => (*start..=*end).contains(&address),
            Rule::Subnet(subnet) => subnet.contains(&address),
        }
    }

    fn is_ipv4(&self) -> bool {
        match self {
            Rule::Address(address) | Rule::Range(address, _) => address.is_ipv4(),
            Rule::Subnet(subnet) => subnet.addr().is_ipv4(),
        }
    }

    fn family(&self) -> &'static str {
        if self.is_ipv4() { "IPv4" } else { "IPv6" }
    }

    fn range(start: IpAddr, end: IpAddr) -> Result<Self, Error> {
        if start.is_ipv4() != end.is_ipv4() {
            return Err(Error::invalid(format!("range {start}-{end}: one end is IPv4, the other is IPv6")));
        }
        if start > end {
            return Err(Error::invalid(format!("range {start}-{end}: its start is after its end")));
        }
        Ok(Rule::Range(start, end))
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::invalid(format!(
                "'{text}' is not a rule: write 'Address: IPv4 ADDRESS', 'Range: IPv4 START-END' or 'Subnet: IPv4 ADDRESS/BITS'"
            ))
        };
        let address = |text: &str| text.parse::<IpAddr>().map_err(|_| wrong());
        let (kind, rest) = text.split_once(": ").ok_or_else(wrong)?;
        let (family, rest) = rest.split_once(' ').ok_or_else(wrong)?;
        let rule = match kind {
            "Address" => Rule::Address(address(rest)?),
            "Range" => {
                let (start, end) = rest.split_once('-').ok_or_else(wrong)?;
                Rule::range(address(start)?, address(end)?).map_err(|_| wrong())?
            }
            "Subnet" => Rule::Subnet(subnet(rest)?),
            _ => return Err(wrong()),
        };
        if family == rule.family() { Ok(rule) } else { Err(wrong()) }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = self.family();
        match self {
            Rule::Address(address) => write!(f, "Address: {family} {address}"),
            Rule::Range(start, end) => write!(f, "Range: {family} {start}-{end}"),
            Rule::Subnet(subnet) => write!(f, "Subnet: {family} {subnet}"),
        }
    }
}

fn subnet(text: &str) -> Result<IpNet, Error> {
    text.parse()
        .map_err(|_| Error::invalid(format!("'{text}' is not a subnet: write ADDRESS/BITS, such as 10.0.0.0/8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn both_ends_of_a_range_are_in_it_and_all_of_a_subnet() {
        let mut list = BlockList::new();
        list.add_range(ip("10.0.0.5"), ip("10.0.0.7")).expect("a range");
        list.add_subnet(ip("192.168.4.200"), 22).expect("a subnet");
        list.add_cidr("fe80::/10").expect("a subnet");
        for blocked in ["10.0.0.5", "10.0.0.6", "10.0.0.7", "192.168.4.0", "192.168.7.255", "fe80::1", "febf::"] {
            assert!(list.check(ip(blocked)), "{blocked}");
        }
        for free in ["10.0.0.4", "10.0.0.8", "192.168.3.255", "192.168.8.0", "fec0::", "::1"] {
            assert!(!list.check(ip(free)), "{free}");
        }
    }

    #[test]
    fn ipv4_and_what_is_mapped_from_it_are_one() {
        let mut of_v4 = BlockList::new();
        of_v4.add_address(ip("1.2.3.4"));
        of_v4.add_cidr("5.0.0.0/8").expect("a subnet");
        let mut of_v6 = BlockList::new();
        of_v6.add_address(ip("::ffff:1.2.3.4"));
        of_v6.add_range(ip("::ffff:5.0.0.0"), ip("::ffff:5.255.255.255")).expect("a range");
        for list in [of_v4, of_v6] {
            for blocked in ["1.2.3.4", "::ffff:1.2.3.4", "5.1.2.3", "::ffff:5.1.2.3"] {
                assert!(list.check(ip(blocked)), "{list:?} {blocked}");
            }
            assert!(!list.check(ip("::1.2.3.4")) && !list.check(ip("6.0.0.0")));
        }
        let mut all = BlockList::new();
        all.add_cidr("::ffff:0:0/96").expect("a subnet");
        assert!(all.check(ip("8.8.8.8")) && !all.check(ip("::1")));
    }

    #[test]
    fn what_is_no_rule_is_an_error() {
        let mut list = BlockList::new();
        assert!(list.add_range(ip("10.0.0.2"), ip("10.0.0.1")).is_err());
        assert!(list.add_range(ip("10.0.0.2"), ip("::1")).is_err());
        assert!(list.add_subnet(ip("10.0.0.0"), 33).is_err());
        for text in ["10.0.0.0", "10.0.0.0/33", "::/129", "x/8", ""] {
            assert!(list.add_cidr(text).is_err(), "{text}");
        }
        for text in ["", "Address: IPv4", "Address: IPv6 1.2.3.4", "Range: IPv4 2.0.0.0-1.0.0.0", "Net: IPv4 1.2.3.4"] {
            assert!(BlockList::from_rules([text]).is_err(), "{text}");
        }
        assert!(list.is_empty());
    }

    #[test]
    fn a_rule_that_is_removed_leaves_the_others_and_clones_alone() {
        let mut list = BlockList::new();
        list.add_address(ip("1.2.3.4"));
        list.add_cidr("1.2.3.0/24").expect("a subnet");
        let whole = list.clone();
        assert!(!list.remove_address(ip("1.2.3.5")) && list.remove_address(ip("1.2.3.4")));
        assert_eq!(list.rules(), ["Subnet: IPv4 1.2.3.0/24"]);
        assert!(list.check(ip("1.2.3.4")), "the subnet has it still");
        assert!(list.remove_subnet(ip("1.2.3.0"), 24) && list.is_empty());
        assert_eq!(whole.len(), 2);
    }

    #[test]
    fn a_list_is_extended_by_another_or_by_itself() {
        let mut list = BlockList::new();
        list.add_address(ip("1.2.3.4"));
        let mut other = BlockList::new();
        other.add_address(ip("5.6.7.8"));
        other.extend(&list);
        assert!(other.check(ip("1.2.3.4")) && other.check(ip("5.6.7.8")) && !list.check(ip("5.6.7.8")));
        other.extend(&BlockList::new());
        assert_eq!(other.rules(), ["Address: IPv4 1.2.3.4", "Address: IPv4 5.6.7.8"]);
        let same = list.clone();
        list.extend(&same);
        assert_eq!(list.len(), 2);
    }
}
