//! What an engine answers: replies of RESP2, from bytes that come in any pieces.
//!
//! An engine is not trusted. What one reply may have is bounded in bytes, in elements and in depth, and each length is compared
//! with what is left of the bound when it is read. So a length that lies costs nothing, and nothing here calls itself.

/// What one reply may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of all its strings, numbers and lines.
    pub bytes: usize,
    /// Of all its arrays, and one for the reply itself.
    pub elements: usize,
    /// How deep arrays stand in arrays.
    pub depth: usize,
}

impl Bounds {
    /// An answer to `XREAD COUNT 500` has 5 levels. It has 500 entries of some 200 bytes, and a list of guests has 30 KB at
    /// most.
    pub const DEFAULT: Bounds = Bounds { bytes: 32 << 20, elements: 1 << 16, depth: 8 };
}

/// A line that begins an element has no more: a number, or the text of an error.
const LONGEST_LINE: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`
    Status(Vec<u8>),
    /// `-ERR …`
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    /// The string or the array that is not there.
    Nil,
    Array(Vec<Reply>),
}

/// It is no reply of RESP2, or one above the bounds. What comes after it means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Nothing begins with this byte.
    Kind(u8),
    Length,
    Integer,
    /// A line or a string does not end with CR LF.
    LineEnd,
    LineTooLong,
    TooManyBytes,
    TooManyElements,
    TooDeep,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Malformed::Kind(byte) => write!(f, "a reply that begins with the byte {byte:#04x}"),
            Malformed::Length => f.write_str("a length that is none"),
            Malformed::Integer => f.write_str("a number that is none"),
            Malformed::LineEnd => f.write_str("a reply that does not end with CR LF"),
            Malformed::LineTooLong => write!(f, "a line of more than {LONGEST_LINE} bytes"),
            Malformed::TooManyBytes => f.write_str("a reply with too many bytes"),
            Malformed::TooManyElements => f.write_str("a reply with too many elements"),
            Malformed::TooDeep => f.write_str("a reply that is too deep"),
        }
    }
}

/// The replies of one connection.
#[derive(Debug)]
pub struct Replies {
    bounds: Bounds,
    /// What has come and is not read yet.
    kept: Vec<u8>,
    /// So much of it is read.
    at: usize,
    /// The line ending of a line that is incomplete is not before this place.
    searched: usize,
    /// The arrays that are not complete, the outermost first.
    open: Vec<Open>,
    /// What the present reply may still have.
    left: Bounds,
    failed: Option<Malformed>,
}

#[derive(Debug)]
struct Open {
    elements: Vec<Reply>,
    missing: usize,
}

/// One step of reading.
enum Element {
    Whole(Reply),
    /// An array that has so many elements begins.
    Begins(usize),
}

impl Replies {
    pub fn new(bounds: Bounds) -> Self {
        Replies { bounds, kept: Vec::new(), at: 0, searched: 0, open: Vec::new(), left: bounds, failed: None }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.kept.drain(..self.at);
            self.searched = self.searched.saturating_sub(self.at);
            self.at = 0;
            self.kept.extend_from_slice(bytes);
        }
    }

    /// The next reply that is complete. None: more has to come.
    ///
    /// # Errors
    /// What has come is no reply. Then it stays so.
    pub fn next(&mut self) -> Result<Option<Reply>, Malformed> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        loop {
            match self.element() {
                Ok(None) => return Ok(None),
                Ok(Some(Element::Begins(missing))) => self.open.push(Open { elements: Vec::new(), missing }),
                Ok(Some(Element::Whole(reply))) => {
                    if let Some(reply) = self.add(reply) {
                        self.left = self.bounds;
                        return Ok(Some(reply));
                    }
                }
                Err(failed) => {
                    *self = Replies { failed: Some(failed), ..Replies::new(self.bounds) };
                    return Err(failed);
                }
            }
        }
    }

    /// Puts an element into the innermost array, and that into the next one if it is complete.
    fn add(&mut self, mut element: Reply) -> Option<Reply> {
        while let Some(array) = self.open.last_mut() {
            array.elements.push(element);
            array.missing -= 1;
            if array.missing > 0 {
                return None;
            }
            element = Reply::Array(self.open.pop()?.elements);
        }
        Some(element)
    }

    /// The next element, if all of it is there.
    fn element(&mut self) -> Result<Option<Element>, Malformed> {
        let Some((kind, line)) = self.line()? else { return Ok(None) };
        let (next, text) = (line.end + 2, self.kept.get(line).unwrap_or_default());
        let whole = |reply| Ok(Some(Element::Whole(reply)));
        let length = text.len();
        match kind {
            b'+' | b'-' => {
                let text = text.to_vec();
                self.take(next, length)?;
                whole(if kind == b'+' { Reply::Status(text) } else { Reply::Error(text) })
            }
            b':' => {
                let number = number(text).ok_or(Malformed::Integer)?;
                self.take(next, length)?;
                whole(Reply::Integer(number))
            }
            b'$' => match self.length(number(text), self.left.bytes, Malformed::TooManyBytes)? {
                None => {
                    self.take(next, 0)?;
                    whole(Reply::Nil)
                }
                Some(length) => {
                    let end = next + length;
                    let Some([first, second]) = self.kept.get(end..end + 2) else { return Ok(None) };
                    if (*first, *second) != (b'\r', b'\n') {
                        return Err(Malformed::LineEnd);
                    }
                    let bytes = self.kept.get(next..end).unwrap_or_default().to_vec();
                    self.take(end + 2, length)?;
                    whole(Reply::Bulk(bytes))
                }
            },
            b'*' => {
                match self.length(number(text), self.left.elements.saturating_sub(1), Malformed::TooManyElements)? {
                    None => {
                        self.take(next, 0)?;
                        whole(Reply::Nil)
                    }
                    Some(0) => {
                        self.take(next, 0)?;
                        whole(Reply::Array(Vec::new()))
                    }
                    Some(_) if self.open.len() == self.bounds.depth => Err(Malformed::TooDeep),
                    Some(length) => {
                        self.take(next, 0)?;
                        Ok(Some(Element::Begins(length)))
                    }
                }
            }
            kind => Err(Malformed::Kind(kind)),
        }
    }

    /// The line that begins the next element, if all of it is there: its first byte, and where the rest stands.
    fn line(&mut self) -> Result<Option<(u8, std::ops::Range<usize>)>, Malformed> {
        let Some(kind) = self.kept.get(self.at).copied() else { return Ok(None) };
        if !b"+-:$*".contains(&kind) {
            return Err(Malformed::Kind(kind));
        }
        let from = self.searched.max(self.at + 1);
        let rest = self.kept.get(from..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.kept.len();
            return if self.kept.len() - self.at > LONGEST_LINE { Err(Malformed::LineTooLong) } else { Ok(None) };
        };
        let end = from + end;
        if end - self.at > LONGEST_LINE {
            return Err(Malformed::LineTooLong);
        }
        match self.kept.get(end - 1) {
            Some(b'\r') if end - 1 > self.at => Ok(Some((kind, self.at + 1..end - 1))),
            _ => Err(Malformed::LineEnd),
        }
    }

    /// A length that is below what is left. None is that of what is not there.
    fn length(&self, length: Option<i64>, most: usize, above: Malformed) -> Result<Option<usize>, Malformed> {
        match length {
            Some(-1) => Ok(None),
            Some(length @ 0..) => match usize::try_from(length) {
                Ok(length) if length <= most => Ok(Some(length)),
                _ => Err(above),
            },
            _ => Err(Malformed::Length),
        }
    }

    /// An element is read, up to here.
    fn take(&mut self, to: usize, bytes: usize) -> Result<(), Malformed> {
        self.left.bytes = self.left.bytes.checked_sub(bytes).ok_or(Malformed::TooManyBytes)?;
        self.left.elements = self.left.elements.checked_sub(1).ok_or(Malformed::TooManyElements)?;
        (self.at, self.searched) = (to, to);
        Ok(())
    }
}

/// As engines write them: digits, and a minus before them.
fn number(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_one = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_one.then(|| str::from_utf8(text).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
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
            Reply::Array(elements) => {
                to.extend(format!("*{}\r\n", elements.len()).bytes());
                elements.iter().for_each(|element| written(element, to));
            }
        }
    }

    fn any_reply() -> impl Strategy<Value = Reply> {
        let line =
            || proptest::collection::vec(any::<u8>().prop_filter("a line", |byte| !b"\r\n".contains(byte)), 0..20);
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
                let (mut replies, mut found) = (Replies::new(Bounds { bytes: 100, elements: 20, depth: 3 }), Vec::new());
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
            ("$33554433\r\n", Malformed::TooManyBytes),
            ("*9223372036854775807\r\n", Malformed::TooManyElements),
            ("*65536\r\n", Malformed::TooManyElements),
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
        replies.push(b"*65535\r\n$33554432\r\n");
        assert_eq!(replies.next(), Ok(None));
        assert!(replies.kept.capacity() < 1000 && replies.open[0].elements.capacity() == 0);
    }

    #[test]
    fn the_bounds_are_those_of_a_reply_and_not_of_a_part_of_it() {
        let bounds = Bounds { bytes: 10, elements: 4, depth: 2 };
        let read = |bytes: &str| {
            let mut replies = Replies::new(bounds);
            replies.push(bytes.as_bytes());
            all(&mut replies).map(|found| found.len())
        };
        assert_eq!(read(&"*3\r\n$5\r\n12345\r\n$5\r\n12345\r\n:1\r\n".replace(":1\r\n", "*0\r\n")), Ok(1));
        assert_eq!(read(&"*2\r\n$5\r\n12345\r\n$5\r\n12345\r\n".repeat(9)), Ok(9), "each has the bounds anew");
        assert_eq!(read("*2\r\n$5\r\n12345\r\n$6\r\n123456\r\n"), Err(Malformed::TooManyBytes));
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
}
