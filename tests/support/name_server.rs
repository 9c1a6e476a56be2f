//! A name server of a test: what it says of each name, as bytes. It does not share a line with the library's own messages.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub const A: u16 = 1;
pub const AAAA: u16 = 28;
const CNAME: u16 = 5;
const SOA: u16 = 6;

pub const NO_SUCH_NAME: u8 = 3;
pub const SERVER_FAILURE: u8 = 2;
pub const REFUSED: u8 = 5;
pub const FORMAT_ERROR: u8 = 1;

/// A question as it has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub id: u16,
    pub name: String,
    pub kind: u16,
    /// It has EDNS.
    pub extensions: bool,
}

impl Asked {
    pub fn read(query: &[u8]) -> Self {
        let id = u16::from_be_bytes([query[0], query[1]]);
        assert_eq!(query[2..6], [1, 0, 0, 1], "a query that wants recursion, with one question");
        let (mut labels, mut at) = (Vec::new(), 12);
        while query[at] != 0 {
            let length = usize::from(query[at]);
            labels.push(String::from_utf8(query[at + 1..at + 1 + length].to_vec()).unwrap());
            at += 1 + length;
        }
        let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
        assert_eq!(query[at + 3..at + 5], [0, 1], "class IN");
        Asked { id, name: labels.join("."), kind, extensions: query[11] == 1 }
    }

    /// The letter of a trace: `A www.example`.
    pub fn words(&self) -> String {
        format!("{} {}", if self.kind == A { "A" } else { "AAAA" }, self.name)
    }
}

/// An answer that is being made.
#[derive(Clone, Debug)]
pub struct Answer {
    asked: Asked,
    flags: u16,
    code: u8,
    records: Vec<Vec<u8>>,
    authority: Vec<Vec<u8>>,
}

impl Answer {
    pub fn to(asked: &Asked) -> Self {
        Answer { asked: asked.clone(), flags: 0x8180, code: 0, records: Vec::new(), authority: Vec::new() }
    }

    pub fn id(mut self, id: u16) -> Self {
        self.asked.id = id;
        self
    }

    pub fn question(mut self, name: &str, kind: u16) -> Self {
        (self.asked.name, self.asked.kind) = (name.to_owned(), kind);
        self
    }

    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    pub fn truncated(mut self) -> Self {
        self.flags |= 0x0200;
        self
    }

    /// The address, if it is of the kind that was asked for.
    pub fn address(mut self, name: &str, ttl: u32, ip: IpAddr) -> Self {
        let (kind, data) = match ip {
            IpAddr::V4(ip) => (A, ip.octets().to_vec()),
            IpAddr::V6(ip) => (AAAA, ip.octets().to_vec()),
        };
        if kind == self.asked.kind {
            self.records.push(record(name, kind, ttl, &data));
        }
        self
    }

    pub fn alias(mut self, name: &str, ttl: u32, to: &str) -> Self {
        self.records.push(record(name, CNAME, ttl, &wire(to)));
        self
    }

    /// It is known for so long that there is nothing.
    pub fn nothing_for(mut self, ttl: u32) -> Self {
        let mut data = [wire("ns.test"), wire("admin.test")].concat();
        [1, 1, 1, 1, ttl].iter().for_each(|number: &u32| data.extend(number.to_be_bytes()));
        self.authority.push(record("test", SOA, ttl, &data));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let flags = self.flags | u16::from(self.code);
        let counts = [1, self.records.len() as u16, self.authority.len() as u16, 0];
        let mut bytes = [self.asked.id.to_be_bytes(), flags.to_be_bytes()].concat();
        counts.iter().for_each(|count: &u16| bytes.extend(count.to_be_bytes()));
        bytes.extend(wire(&self.asked.name));
        bytes.extend(self.asked.kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(self.records.iter().chain(&self.authority).flatten());
        bytes
    }
}

fn record(name: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = wire(name);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes.extend(ttl.to_be_bytes());
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes
}

/// Names with their addresses, as a server has them.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    addresses: BTreeMap<String, Vec<IpAddr>>,
    pub ttl: u32,
}

impl Zone {
    pub fn new(ttl: u32) -> Self {
        Zone { addresses: BTreeMap::new(), ttl }
    }

    pub fn with(mut self, name: &str, addresses: &[&str]) -> Self {
        self.addresses.insert(name.to_owned(), addresses.iter().map(|ip| ip.parse().unwrap()).collect());
        self
    }

    pub fn answer(&self, asked: &Asked) -> Answer {
        let Some(addresses) = self.addresses.get(&asked.name.to_lowercase()) else {
            return Answer::to(asked).code(NO_SUCH_NAME).nothing_for(self.ttl);
        };
        let answer = addresses.iter().fold(Answer::to(asked), |answer, ip| answer.address(&asked.name, self.ttl, *ip));
        if answer.records.is_empty() { answer.nothing_for(self.ttl) } else { answer }
    }
}

/// The numbers of an address, for lists in tests.
pub fn ip(text: &str) -> IpAddr {
    text.parse::<Ipv4Addr>().map(IpAddr::from).or_else(|_| text.parse::<Ipv6Addr>().map(IpAddr::from)).unwrap()
}
