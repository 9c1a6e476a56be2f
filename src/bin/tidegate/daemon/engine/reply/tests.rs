use proptest::prelude::*;

use super::*;

fn all(replies: &mut Replies) -> Result<Vec<Reply>, Malformed> {
    let mut found = Vec::new();
    while let Some(reply) = replies.next()? {
        found.push(reply);
    }
    Ok(found)
}

fn of(bytes: &[u8]) -> Result<Vec<Reply>, Malformed> {
    let mut replies = Replies::new(Bounds::DEFAULT);
    replies.push(bytes);
    all(&mut replies)
}

fn written(reply: &Reply, to: &mut Vec<u8>) {
    match reply {
        Reply::Status(text) => to.extend([b"+", &text[..], b"\r\n"].concat()),
        Reply::Error(text) => to.extend([b"-", &text[..], b"\r\n"].concat()),
        Reply::Integer(number) => to.extend(format!(":{number}\r\n").bytes()),
        Reply::Bulk(bytes) => {
            to.extend(format!("${}\r\n", bytes.len()).bytes());
            to.extend([bytes, &b"\r\n"[..]].concat());
        }
        Reply::Nil => to.extend(b"*-1\r\n"),
        Reply::Dropped => panic!("nobody writes it"),
        Reply::Array(elements) => {
            to.extend(format!("*{}\r\n", elements.len()).bytes());
            elements.iter().for_each(|element| written(element, to));
        }
    }
}

fn any_reply() -> impl Strategy<Value = Reply> {
    let line = || proptest::collection::vec(any::<u8>().prop_filter("a line", |byte| !b"\r\n".contains(byte)), 0..20);
    let leaf = prop_oneof![
        line().prop_map(Reply::Status),
        line().prop_map(Reply::Error),
        any::<i64>().prop_map(Reply::Integer),
        proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..40).prop_map(Reply::Bulk),
        Just(Reply::Nil),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| proptest::collection::vec(inner, 0..6).prop_map(Reply::Array))
}

proptest! {
    #[test]
    fn any_replies_in_any_pieces_are_read_as_they_were_written(
        sent in proptest::collection::vec(any_reply(), 0..6),
        pieces in proptest::collection::vec(1..30_usize, 1..40),
    ) {
        let mut bytes = Vec::new();
        sent.iter().for_each(|reply| written(reply, &mut bytes));
        let (mut replies, mut found, mut rest) = (Replies::new(Bounds::DEFAULT), Vec::new(), &bytes[..]);
        for length in pieces.iter().cycle().take_while(|_| !bytes.is_empty()) {
            let (piece, behind) = rest.split_at((*length).min(rest.len()));
            replies.push(piece);
            found.extend(all(&mut replies).unwrap());
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(&found, &sent);
        prop_assert_eq!(replies.kept.len(), replies.at, "all is read");
    }

    #[test]
    fn any_bytes_in_any_pieces_give_the_same_replies_and_the_same_error(
        bytes in proptest::collection::vec(
            prop_oneof![4 => proptest::sample::select(&b"*$+-:\r\n0123-"[..]), 1 => any::<u8>()], 0..300),
        length in 1..20_usize,
    ) {
        let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let (mut replies, mut found) = (Replies::new(Bounds { bytes: 100, string: 60, elements: 20, array: 9, depth: 3 }), Vec::new());
            for piece in pieces {
                replies.push(piece);
                loop {
                    match replies.next() {
                        Ok(Some(reply)) => found.push(reply),
                        Ok(None) => break,
                        Err(wrong) => return (found, Some(wrong)),
                    }
                }
            }
            (found, None)
        };
        prop_assert_eq!(read(&mut [&bytes[..]].into_iter()), read(&mut bytes.chunks(length)));
    }
}

#[test]
fn each_kind_of_reply_is_read() {
    let bulk = |text: &str| Reply::Bulk(text.as_bytes().to_vec());
    for (bytes, reply) in [
        ("+OK\r\n", Reply::Status(b"OK".to_vec())),
        ("-ERR no\r\n", Reply::Error(b"ERR no".to_vec())),
        (":-7\r\n", Reply::Integer(-7)),
        ("$0\r\n\r\n", bulk("")),
        ("$4\r\n\r\n\r\n\r\n", bulk("\r\n\r\n")),
        ("$-1\r\n", Reply::Nil),
        ("*-1\r\n", Reply::Nil),
        ("*0\r\n", Reply::Array(vec![])),
        ("*2\r\n$1\r\na\r\n*1\r\n:1\r\n", Reply::Array(vec![bulk("a"), Reply::Array(vec![Reply::Integer(1)])])),
    ] {
        assert_eq!(of(bytes.as_bytes()), Ok(vec![reply]), "{bytes:?}");
        for end in 0..bytes.len() {
            assert_eq!(of(&bytes.as_bytes()[..end]), Ok(vec![]), "{bytes:?} up to {end}");
        }
    }
}

#[test]
fn what_is_no_reply_is_an_error_at_once_and_stays_one() {
    for (bytes, wrong) in [
        ("HTTP/1.1 400 Bad Request\r\n", Malformed::Kind(b'H')),
        ("%1\r\n", Malformed::Kind(b'%')), // a map of RESP3, which was not asked for
        ("+OK\n", Malformed::LineEnd),
        ("*\n", Malformed::LineEnd),
        (":1x\r\n", Malformed::Integer),
        (":\r\n", Malformed::Integer),
        (":+1\r\n", Malformed::Integer),
        (":9223372036854775808\r\n", Malformed::Integer),
        ("$\r\n", Malformed::Length),
        ("$-2\r\n", Malformed::Length),
        ("*-2\r\n", Malformed::Length),
        ("*--1\r\n", Malformed::Length),
        ("*18446744073709551615\r\n", Malformed::Length),
        ("$9223372036854775807\r\n", Malformed::TooManyBytes),
        ("$536870913\r\n", Malformed::TooManyBytes),
        ("*9223372036854775807\r\n", Malformed::TooManyElements),
        ("*4194305\r\n", Malformed::TooManyElements),
        ("$1\r\nab\r", Malformed::LineEnd),
    ] {
        let mut replies = Replies::new(Bounds::DEFAULT);
        replies.push(bytes.as_bytes());
        assert_eq!(replies.next(), Err(wrong), "{bytes:?}");
        replies.push(b"+OK\r\n");
        assert_eq!((replies.next(), replies.kept.capacity()), (Err(wrong), 0), "{bytes:?}");
    }
}

#[test]
fn two_hundred_kilobytes_of_arrays_in_arrays_are_too_deep() {
    assert_eq!(of(&b"*1\r\n".repeat(50_000)), Err(Malformed::TooDeep));
}

#[test]
fn a_length_alone_takes_no_memory() {
    let mut replies = Replies::new(Bounds::DEFAULT);
    replies.push(b"*1000\r\n$65536\r\n");
    assert_eq!(replies.next(), Ok(None));
    assert!(replies.kept.capacity() < 1000 && replies.open[0].elements.capacity() == 0);
}

#[test]
fn the_bounds_are_those_of_a_reply_and_not_of_a_part_of_it() {
    let bounds = Bounds { bytes: 10, string: 10, elements: 4, array: 4, depth: 2 };
    let read = |bytes: &str| {
        let mut replies = Replies::new(bounds);
        replies.push(bytes.as_bytes());
        all(&mut replies).map(|found| found.len())
    };
    assert_eq!(read(&"*3\r\n$5\r\n12345\r\n$5\r\n12345\r\n:1\r\n".replace(":1\r\n", "*0\r\n")), Ok(1));
    assert_eq!(read(&"*2\r\n$5\r\n12345\r\n$5\r\n12345\r\n".repeat(9)), Ok(9), "each has the bounds anew");
    assert_eq!(read("*2\r\n+12345\r\n-123456\r\n"), Err(Malformed::TooManyBytes));
    assert_eq!(read("*2\r\n*1\r\n:1\r\n:1\r\n"), Ok(1));
    assert_eq!(read("*2\r\n*1\r\n:1\r\n*1\r\n:1\r\n"), Err(Malformed::TooManyElements));
    assert_eq!(read("*1\r\n*1\r\n*0\r\n"), Ok(1));
    assert_eq!(read("*1\r\n*1\r\n*1\r\n"), Err(Malformed::TooDeep));
}

#[test]
fn a_line_that_does_not_end_is_too_long() {
    let line = |length: usize| [b"-", &b"x".repeat(length)[..]].concat();
    assert_eq!(of(&line(LONGEST_LINE)), Err(Malformed::LineTooLong));
    assert_eq!(of(&line(LONGEST_LINE - 1)), Ok(vec![]));
    assert_eq!(of(&[&line(LONGEST_LINE), &b"\r\n"[..]].concat()), Err(Malformed::LineTooLong));
}

fn bulk(text: &str) -> Vec<u8> {
    format!("${}\r\n{text}\r\n", text.len()).into_bytes()
}

/// In pieces of this length.
fn in_pieces(bounds: Bounds, bytes: &[u8], length: usize) -> Result<Vec<Reply>, Malformed> {
    let (mut replies, mut found) = (Replies::new(bounds), Vec::new());
    for piece in bytes.chunks(length) {
        replies.push(piece);
        found.extend(all(&mut replies)?);
        assert!(replies.kept.len() <= length + bounds.string + 70, "{}", replies.kept.len());
    }
    Ok(found)
}

#[test]
fn a_string_that_is_too_long_is_passed_over() {
    let bounds = Bounds { bytes: 200, string: 100, elements: 20, array: 9, depth: 3 };
    let kept = |length: usize| Reply::Bulk(vec![b'x'; length]);
    let sent = [&b"*4\r\n"[..], &bulk(&"x".repeat(100)), &bulk(&"x".repeat(5000)), &bulk(""), &bulk("id")].concat();
    let read = Reply::Array(vec![kept(100), Reply::Dropped, kept(0), Reply::Bulk(b"id".to_vec())]);
    for length in [1, 7, 105, 6000] {
        assert_eq!(in_pieces(bounds, &sent, length), Ok(vec![read.clone()]));
    }
    // Of what is above the bound of all bytes, what is short is kept.
    let sent = [&b"*4\r\n"[..], &bulk(&"x".repeat(100)), &bulk(&"x".repeat(100)), &bulk(&"x".repeat(49)), &bulk("id")]
        .concat();
    let read = Reply::Array(vec![kept(100), kept(100), Reply::Dropped, Reply::Bulk(b"id".to_vec())]);
    assert_eq!(of_with(bounds, &sent), Ok(vec![read]));
    assert_eq!(of_with(bounds, &bulk(&"x".repeat(101))), Ok(vec![Reply::Dropped]));
}

#[test]
fn an_array_that_is_too_long_is_passed_over() {
    let bounds = Bounds { bytes: 200, string: 100, elements: 9, array: 3, depth: 3 };
    let long = [&b"*40\r\n"[..], &bulk("x").repeat(30), &b"*2\r\n:1\r\n*0\r\n".repeat(8), b"*-1\r\n+OK\r\n"].concat();
    let sent = [&b"*3\r\n:1\r\n"[..], &long, b":2\r\n"].concat();
    let read = Reply::Array(vec![Reply::Integer(1), Reply::Dropped, Reply::Integer(2)]);
    for length in [1, 7, 6000] {
        assert_eq!(in_pieces(bounds, &sent, length), Ok(vec![read.clone()]));
    }
}

fn of_with(bounds: Bounds, bytes: &[u8]) -> Result<Vec<Reply>, Malformed> {
    in_pieces(bounds, bytes, bytes.len())
}
