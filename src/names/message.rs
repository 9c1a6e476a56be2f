//! Messages of name servers, as bytes. The only file that knows simple-dns, whose interface changes often.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};

use super::{Answer, Family, Question};

/// The largest answer by a datagram that is asked for (EDNS): what a path without fragments carries (DNS flag day 2020).
pub(crate) const LARGEST_DATAGRAM: u16 = 1232;

/// The most aliases that are followed, one after the other. Longer chains are loops, or as good as one.
const MOST_ALIASES: usize = 16;

/// The most addresses of one answer that are used.
const MOST_ADDRESSES: usize = 64;

/// The most records of an answer that are gone through. A name has a handful, and an answer by TCP has room for thousands.
const MOST_RECORDS: usize = 512;

/// A record has at least its name of a byte, a type, a class, a time and a length.
const SHORTEST_RECORD: usize = 11;

const HEADER: usize = 12;

/// What a name server has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// An answer that counts. It is good for so long; without a time, it is not to be kept.
    Answer(Answer, Option<Duration>),
    /// It did not fit into a datagram: TCP is to be used.
    Truncated,
    /// The server does not know EDNS.
    NoExtensions,
    /// The server cannot answer: SERVFAIL.
    Failed,
    /// The server does not want to answer, or its answer is of no use: REFUSED and others, a loop.
    Refused,
}

/// A question as it is sent.
pub(crate) fn query(id: u16, question: &Question, extensions: bool) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(question.name.as_str()).ok()?;
    packet.questions.push(simple_dns::Question::new(name, type_of(question.family), QCLASS::CLASS(CLASS::IN), false));
    if extensions {
        *packet.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size: LARGEST_DATAGRAM, version: 0 });
    }
    packet.build_bytes_vec().ok()
}

/// Reads an answer. None: it is no answer to this question, or damaged. It changes nothing then, since anybody may have sent it.
pub(crate) fn reply(bytes: &[u8], id: u16, question: &Question) -> Option<Reply> {
    // Most of what others send ends here, before it costs anything.
    if !bytes.starts_with(&id.to_be_bytes()) || claims_more_than_it_has(bytes) {
        return None;
    }
    let packet = Packet::parse(bytes).ok()?;
    let is_reply = packet.has_flags(PacketFlag::RESPONSE) && packet.opcode() == OPCODE::StandardQuery;
    if !is_reply {
        return None;
    }
    match packet.questions.as_slice() {
        [asked] if is_same(asked, question) => {}
        // Some servers that do not know EDNS do not even repeat the question.
        [] if packet.rcode() == RCODE::FormatError => return Some(Reply::NoExtensions),
        _ => return None,
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Some(Reply::Truncated);
    }
    Some(match packet.rcode() {
        RCODE::NoError => found(&packet, question),
        RCODE::NameError => Reply::Answer(Answer::NoSuchName, missing_for(&packet)),
        RCODE::FormatError | RCODE::NotImplemented | RCODE::BADVERS => Reply::NoExtensions,
        RCODE::ServerFailure => Reply::Failed,
        _ => Reply::Refused,
    })
}

/// A header may say that 65,535 records follow, and the parser would make room for them.
fn claims_more_than_it_has(bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return true };
    let counts = header[6..].chunks_exact(2).map(|count| usize::from(count[0]) << 8 | usize::from(count[1]));
    let questions = usize::from(header[4]) << 8 | usize::from(header[5]);
    questions > 1 || counts.sum::<usize>() > rest.len() / SHORTEST_RECORD
}

fn type_of(family: Family) -> QTYPE {
    QTYPE::TYPE(match family {
        Family::V4 => TYPE::A,
        Family::V6 => TYPE::AAAA,
    })
}

fn is_same(asked: &simple_dns::Question<'_>, question: &Question) -> bool {
    asked.qtype == type_of(question.family)
        && asked.qclass == QCLASS::CLASS(CLASS::IN)
        && asked.qname.to_string().eq_ignore_ascii_case(question.name.as_str())
}

/// The addresses at the end of the chain of aliases.
fn found(packet: &Packet<'_>, question: &Question) -> Reply {
    if packet.answers.len() > MOST_RECORDS {
        return Reply::Refused;
    }
    // Each name is written out once: a long one has a hundred labels, and each alias goes through all records.
    let named = |record: &ResourceRecord<'_>| record.name.to_string();
    let records: Vec<(String, &ResourceRecord<'_>)> = packet
        .answers
        .iter()
        .filter(|record| record.class == CLASS::IN)
        .map(|record| (named(record), record))
        .collect();
    let mut name = question.name.as_str().to_owned();
    let mut shortest = u32::MAX;
    for _ in 0..=MOST_ALIASES {
        let records = || records.iter().filter(|(of, _)| of.eq_ignore_ascii_case(&name)).map(|(_, record)| *record);
        let addresses = records().filter_map(|record| Some((address_of(record, question.family)?, record.ttl)));
        let addresses: Vec<(IpAddr, u32)> = addresses.take(MOST_ADDRESSES).collect();
        if !addresses.is_empty() {
            let shortest = addresses.iter().map(|(_, ttl)| *ttl).fold(shortest, u32::min);
            let mut all: Vec<IpAddr> = Vec::with_capacity(addresses.len());
            for (ip, _) in addresses {
                if !all.contains(&ip) {
                    all.push(ip);
                }
            }
            return Reply::Answer(Answer::Addresses(all), Some(seconds(shortest)));
        }
        let alias = records().find_map(|record| match &record.rdata {
            RData::CNAME(to) => Some((to.0.to_string(), record.ttl)),
            _ => None,
        });
        match alias {
            Some((to, ttl)) => (name, shortest) = (to, shortest.min(ttl)),
            // What the alias says is good for its own time.
            None => {
                return Reply::Answer(
                    Answer::NoAddress,
                    missing_for(packet).map(|time| time.min(Duration::from_secs(shortest.into()))),
                );
            }
        }
    }
    // A loop.
    Reply::Refused
}

fn address_of(record: &ResourceRecord<'_>, family: Family) -> Option<IpAddr> {
    match (&record.rdata, family) {
        (RData::A(a), Family::V4) => Some(Ipv4Addr::from(a.address).into()),
        (RData::AAAA(aaaa), Family::V6) => Some(Ipv6Addr::from(aaaa.address).into()),
        _ => None,
    }
}

/// How long it is known that there is nothing (RFC 2308). Without the record that says so, it is not to be kept.
fn missing_for(packet: &Packet<'_>) -> Option<Duration> {
    packet.name_servers.iter().find_map(|record| match &record.rdata {
        RData::SOA(soa) => Some(seconds(record.ttl.min(soa.minimum))),
        _ => None,
    })
}

/// A time above 2^31 - 1 counts as none (RFC 2181).
fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(if ttl > i32::MAX as u32 { 0 } else { ttl.into() })
}
