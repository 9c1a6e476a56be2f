//! Who has a place: not too many clients altogether, not too many from one address, none that is blocked, and where there is a
//! list of those who may come, nobody else.
//!
//! A role asks [`Admission::enter`] for each client, and does in its own way what it does with one that is refused. The log has
//! the first one that is refused, and a line for each minute in which there were more.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tidegate::{BlockList, Error, Socket};

use super::Peer;
use super::in_force::InForce;
use crate::cli::{DaemonOptions, counted};

/// How often the log tells how many were refused.
const SUMMARY: Duration = Duration::from_secs(60);

/// One for a role, whatever the number of its listeners. A clone is the same.
#[derive(Clone)]
pub struct Admission(Rc<RefCell<Doors>>);

struct Doors {
    most: usize,
    in_force: InForce,
    lists: Lists,
    /// How many are here from each address that has a limit.
    from: HashMap<IpAddr, usize>,
    refused: Refusals,
}

/// Who may come.
#[derive(Debug)]
pub struct Lists {
    blocked: Option<BlockList>,
    allowed: Option<BlockList>,
}

/// Why a client has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Full(usize),
    /// So many from its address are here.
    FullForAddress(usize),
    Blocked,
    /// There is a list of those who may come, and it is not among them.
    NotAllowed,
}

/// A place of an address that has a limit. It is free again when this is dropped.
pub struct Place {
    admission: Admission,
    address: IpAddr,
}

/// Those who were refused since the log told of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Refusals {
    full: u64,
    address: u64,
    blocked: u64,
    not_allowed: u64,
}

impl Admission {
    /// # Errors
    /// Rules that the command line has let pass, which cannot be.
    pub fn new(in_force: &InForce, most: usize) -> Result<Self, Error> {
        let lists = Lists::of(&in_force.get())?;
        Ok(Admission(Rc::new(RefCell::new(Doors {
            most,
            lists,
            in_force: in_force.clone(),
            from: HashMap::new(),
            refused: Refusals::default(),
        }))))
    }

    /// How many clients have a place altogether.
    pub fn most(&self) -> usize {
        self.0.borrow().most
    }

    /// Those who have a place keep it.
    pub fn set_most(&self, most: usize) {
        self.0.borrow_mut().most = most;
    }

    pub fn set_lists(&self, lists: Lists) {
        self.0.borrow_mut().lists = lists;
    }

    /// Whether the lists would not let it in, whatever room there is.
    pub fn is_unwanted(&self, remote: Option<SocketAddr>) -> bool {
        self.0.borrow().lists.refuse(remote).is_some()
    }

    /// The --idle-timeout that is in force.
    pub fn idle_timeout(&self) -> Option<Duration> {
        self.0.borrow().in_force.get().idle_timeout
    }

    /// Whether there is a place for a client, beside so many that are `here`. What is given back has to be kept as long as the
    /// client is. It is `None` where its address has no limit.
    pub fn enter(&self, remote: Option<SocketAddr>, here: usize) -> Result<Option<Place>, Refused> {
        let mut doors = self.0.borrow_mut();
        if let Some(refused) = doors.lists.refuse(remote) {
            return Err(refused);
        }
        if here >= doors.most {
            return Err(Refused::Full(doors.most));
        }
        let Some(address) = remote.map(|remote| remote.ip().to_canonical()) else { return Ok(None) };
        let most = doors.in_force.get().max_per_address(address.is_loopback());
        let Some(most) = most else { return Ok(None) };
        let address = counted_as(address);
        let here = doors.from.entry(address).or_default();
        if *here >= most {
            return Err(Refused::FullForAddress(most));
        }
        *here += 1;
        Ok(Some(Place { admission: self.clone(), address }))
    }

    /// The log tells of a client that was refused: of the first one of a minute at once, unless it is blocked, and of all of the
    /// minute in one line.
    pub fn log_refusal<S: 'static>(&self, socket: &mut Socket<'_, S>, why: Refused) {
        let peer = Peer::of(socket);
        let refused = &mut self.0.borrow_mut().refused;
        let is_first = refused.count(why);
        match why {
            Refused::Full(_) | Refused::FullForAddress(_) if is_first => log::warn!("{why}: {peer} was disconnected"),
            _ => log::debug!("{why}: {peer} was disconnected"),
        }
        if refused.count_all() == 1 {
            let admission = self.clone();
            let timer = socket.event_loop().after(SUMMARY, move |_| admission.sum_up());
            socket.event_loop().set_ref(timer, false);
        }
    }

    /// Tells the log how many were refused: when a minute is over, and at the stop.
    pub fn sum_up(&self) {
        let refused = std::mem::take(&mut self.0.borrow_mut().refused);
        if refused.count_all() > 0 {
            log::info!("{refused}");
        }
    }
}

impl Lists {
    /// # Errors
    /// Rules that the command line has let pass, which cannot be.
    pub fn of(options: &DaemonOptions) -> Result<Self, Error> {
        Ok(Lists { blocked: options.block_list()?, allowed: options.allow_list()? })
    }

    /// On a Unix socket a client has no address, and the mode of the file says who may come.
    fn refuse(&self, remote: Option<SocketAddr>) -> Option<Refused> {
        let address = remote?.ip().to_canonical();
        let is_in = |list: &Option<BlockList>| list.as_ref().map(|list| list.check(address));
        match (is_in(&self.blocked), is_in(&self.allowed)) {
            (Some(true), _) => Some(Refused::Blocked),
            (_, Some(false)) => Some(Refused::NotAllowed),
            _ => None,
        }
    }
}

/// A network gives each of its machines, and each machine itself, any number of addresses of one /64: RFC 4291, RFC 8981.
pub fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        ip => ip,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut doors = self.admission.0.borrow_mut();
        if let Some(here) = doors.from.get_mut(&self.address) {
            *here -= 1;
            if *here == 0 {
                doors.from.remove(&self.address);
            }
        }
    }
}

impl Refusals {
    /// Whether it is the first one for this reason.
    fn count(&mut self, why: Refused) -> bool {
        let count = match why {
            Refused::Full(_) => &mut self.full,
            Refused::FullForAddress(_) => &mut self.address,
            Refused::Blocked => &mut self.blocked,
            Refused::NotAllowed => &mut self.not_allowed,
        };
        *count += 1;
        *count == 1
    }

    fn count_all(&self) -> u64 {
        self.full + self.address + self.blocked + self.not_allowed
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Full(most) => write!(f, "too many connections, --max-connections is {most}"),
            Refused::FullForAddress(most) => {
                write!(f, "too many connections from its address, --max-per-address is {most}")
            }
            Refused::Blocked => f.write_str("its address is blocked"),
            Refused::NotAllowed => f.write_str("its address is not among those of --allow"),
        }
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = counted(self.count_all(), "client");
        write!(f, "turned away in the last minute: {clients},")?;
        let reasons = [
            (self.full, "too many altogether"),
            (self.address, "too many from one address"),
            (self.blocked, "blocked"),
            (self.not_allowed, "not allowed"),
        ];
        let mut separator = " ";
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {reason}")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::daemon_options;

    fn admission(flags: &[&str], most: usize) -> Admission {
        Admission::new(&InForce::new(&daemon_options(flags)), most).unwrap()
    }

    fn at(address: &str) -> Option<SocketAddr> {
        Some(SocketAddr::new(address.parse().unwrap(), 1))
    }

    #[test]
    fn a_place_of_an_address_is_free_again_when_its_client_has_gone() {
        let admission = admission(&["--max-per-address", "2"], 100);
        let enter = |address| admission.enter(at(address), 0);
        let first = enter("10.0.0.1").unwrap();
        let second = enter("::ffff:10.0.0.1").unwrap();
        assert_eq!(enter("10.0.0.1").err(), Some(Refused::FullForAddress(2)));
        assert!(enter("10.0.0.2").is_ok());
        drop(first);
        let third = enter("10.0.0.1").unwrap();
        assert_eq!(enter("10.0.0.1").err(), Some(Refused::FullForAddress(2)));
        drop((second, third));
        assert!(admission.0.borrow().from.is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let admission = admission(&["--max-per-address", "1"], 100);
        let _first = admission.enter(at("2001:db8::1"), 0).unwrap();
        assert!(admission.enter(at("2001:db8::ffff:1"), 0).is_err());
        assert!(admission.enter(at("2001:db8:0:1::1"), 0).is_ok());
    }

    #[test]
    fn loopback_has_a_limit_only_if_one_is_given_and_a_unix_socket_has_none() {
        let by_default = admission(&[], 1000);
        let keep: Vec<_> = (0..100).map(|_| by_default.enter(at("127.0.0.1"), 0).unwrap()).collect();
        assert!(keep.iter().all(Option::is_none));
        let keep: Vec<_> = (0..64).map(|_| by_default.enter(at("10.0.0.1"), 0).unwrap()).collect();
        assert_eq!(by_default.enter(at("10.0.0.1"), 0).err(), Some(Refused::FullForAddress(64)));
        drop(keep);
        let given = admission(&["--max-per-address", "1"], 1000);
        let _first = given.enter(at("127.0.0.1"), 0).unwrap();
        assert!(given.enter(at("127.0.0.1"), 0).is_err());
        assert!(given.enter(None, 0).unwrap().is_none() && given.enter(None, 0).unwrap().is_none());
        assert!(admission(&["--max-per-address", "none"], 9).enter(at("10.0.0.1"), 0).unwrap().is_none());
    }

    #[test]
    fn a_blocked_address_and_a_full_role_refuse() {
        let admission = admission(&["--block", "192.0.2.1"], 2);
        assert!(admission.enter(at("192.0.2.2"), 1).is_ok());
        assert_eq!(admission.enter(at("192.0.2.2"), 2).err(), Some(Refused::Full(2)));
        assert_eq!(admission.enter(at("192.0.2.1"), 1).err(), Some(Refused::Blocked));
        assert_eq!(admission.enter(at("::ffff:192.0.2.1"), 1).err(), Some(Refused::Blocked));
        assert!(admission.enter(None, 1).is_ok(), "a client on a Unix socket has no address");
    }

    #[test]
    fn with_a_list_of_those_who_may_come_nobody_else_may_and_a_block_is_stronger() {
        let admission = admission(&["--allow", "10.0.0.0/8", "--allow", "::1", "--block", "10.0.0.9"], 9);
        for (address, comes_in) in [("10.1.2.3", true), ("::1", true), ("127.0.0.1", false), ("10.0.0.9", false)] {
            assert_eq!(admission.enter(at(address), 0).is_ok(), comes_in, "{address}");
        }
        assert!(admission.enter(None, 0).is_ok(), "a client on a Unix socket has no address");
    }

    #[test]
    fn a_summary_has_each_reason_that_there_was() {
        let mut refused = Refusals::default();
        assert!(refused.count(Refused::Full(9)));
        assert_eq!(refused.to_string(), "turned away in the last minute: 1 client, 1 too many altogether");
        assert!(refused.count(Refused::Blocked) && !refused.count(Refused::Blocked));
        assert_eq!(refused.to_string(), "turned away in the last minute: 3 clients, 1 too many altogether, 2 blocked");
    }
}
