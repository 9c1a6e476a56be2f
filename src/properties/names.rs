//! What anybody may send as an answer of a name server: whatever it is, it is no panic, and it is believed only if it has the
//! number and the question.

use std::net::IpAddr;

use crate::address::host_name::HostName;
use crate::names::message::{Reply, query, reply};
use crate::names::{Answer, Family, Question};

fn question() -> Question {
    Question { name: HostName::new("www.example").unwrap(), family: Family::V4 }
}

/// All that is promised of `bytes` that come as an answer to the question with the number `id`.
pub fn check(bytes: &[u8], id: u16) {
    let question = question();
    check_reply(bytes, id, &question);
    // As an answer to the question: with its header and the question itself before it.
    let mut answer = query(id, &question, false).unwrap();
    answer[2] |= 0x80;
    let counts = 6..12;
    let given = bytes.len().min(counts.len());
    answer[counts.start..counts.start + given].copy_from_slice(&bytes[..given]);
    answer.extend(bytes);
    check_reply(&answer, id, &question);
    answer[0] ^= 1;
    assert_eq!(reply(&answer, id, &question), None, "another number");
}

fn check_reply(bytes: &[u8], id: u16, question: &Question) {
    let Some(found) = reply(bytes, id, question) else { return };
    assert_eq!(bytes[..2], id.to_be_bytes(), "it has the number");
    assert!(bytes[2] & 0x80 != 0, "it is an answer");
    if let Reply::Answer(Answer::Addresses(addresses), _) = found {
        assert!((1..=64).contains(&addresses.len()), "{}", addresses.len());
        assert!(addresses.iter().all(IpAddr::is_ipv4), "{addresses:?}");
        let of_four = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => bytes.windows(4).any(|window| window == ip.octets()),
            IpAddr::V6(_) => false,
        };
        assert!(addresses.iter().all(of_four), "{addresses:?} stand in it");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::check;

    /// Pieces that answers are made of, and bytes that are none.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(vec![0, 1, 0, 0, 0, 0]),
            Just(vec![0, 2, 0, 1, 0, 0]),
            Just(vec![0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1]),
            Just(vec![0xc0, 0x0c, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 0x0c]),
            Just(vec![0xc0, 0x0c, 0, 28, 0, 1, 0, 0, 0, 60, 0, 4]),
            Just(vec![0xc0, 0x0c]),
            Just(vec![0xc0, 0xff]),
            Just(vec![3, b'w', b'w', b'w', 7, b'e', b'x', b'a', b'm', b'p', b'l', b'e', 0]),
            proptest::collection::vec(any::<u8>(), 0..24),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(super::super::some(1000))]

        #[test]
        fn of_names(bytes in bytes(), id: u16) {
            check(&bytes, id);
        }
    }

    #[test]
    fn an_answer_of_these_pieces_is_one() {
        use super::{Answer, Reply, query, question, reply};

        let mut answer = query(7, &question(), false).unwrap();
        answer[2] |= 0x80;
        answer[7] = 1;
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1]);
        let sixty = std::time::Duration::from_secs(60);
        let expected = Reply::Answer(Answer::Addresses(vec![[10, 0, 0, 1].into()]), Some(sixty));
        assert_eq!(reply(&answer, 7, &question()), Some(expected));
    }
}
