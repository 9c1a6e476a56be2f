//! An answer of HTTP, as it comes in: a head, and a body that ends with the connection.
//!
//! Whatever listens at the address that was typed may answer. So the head is checked as soon as it is there, and nothing grows
//! without a bound.

/// The longest head. An inspector's has some 500 bytes.
const LONGEST_HEAD: usize = 16 << 10;

/// The most header fields. An inspector's head has some ten.
const MOST_FIELDS: usize = 64;

#[derive(Debug, Default)]
pub struct Answer {
    /// The longest body.
    most: usize,
    /// The head until it is whole, and then the body.
    bytes: Vec<u8>,
    head: Option<Head>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    /// Of the body, if it is said.
    length: Option<usize>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// What came is no answer of HTTP.
    NoHttp,
    /// It is longer than an answer may be.
    TooLong,
    /// It ended before its end.
    Cut,
    /// Another status than 200, and the sentence with it.
    Status(u16, String),
}

impl Answer {
    /// One whose body has so many bytes or fewer.
    pub fn at_most(most: usize) -> Self {
        Answer { most, ..Answer::default() }
    }

    /// The next piece.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), Wrong> {
        self.bytes.extend_from_slice(piece);
        if self.head.is_none() {
            self.read_head()?;
        }
        if self.head.is_some() && self.bytes.len() > self.most { Err(Wrong::TooLong) } else { Ok(()) }
    }

    fn read_head(&mut self) -> Result<(), Wrong> {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut response = httparse::Response::new(&mut fields);
        match response.parse(&self.bytes) {
            Ok(httparse::Status::Complete(end)) => {
                let is_length = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case("content-length");
                let length = response.headers.iter().find(is_length).map(|field| {
                    let text = std::str::from_utf8(field.value).unwrap_or_default();
                    text.trim().parse::<usize>().map_err(|_| Wrong::NoHttp)
                });
                let status = response.code.ok_or(Wrong::NoHttp)?;
                self.head = Some(Head { status, length: length.transpose()? });
                self.bytes.drain(..end);
                Ok(())
            }
            Ok(httparse::Status::Partial) if self.bytes.len() <= LONGEST_HEAD => Ok(()),
            _ => Err(Wrong::NoHttp),
        }
    }

    /// The connection has ended: the body.
    pub fn end(self) -> Result<String, Wrong> {
        let Some(head) = self.head else {
            return Err(if self.bytes.is_empty() { Wrong::Cut } else { Wrong::NoHttp });
        };
        if head.length.is_some_and(|length| self.bytes.len() < length) {
            return Err(Wrong::Cut);
        }
        let body = String::from_utf8(self.bytes).map_err(|_| Wrong::NoHttp)?;
        if head.status == 200 { Ok(body) } else { Err(Wrong::Status(head.status, body)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<String, Wrong> {
        let mut answer = Answer::at_most(1000);
        pieces.iter().try_for_each(|piece| answer.take(piece))?;
        answer.end()
    }

    #[test]
    fn an_answer_may_come_in_any_pieces() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello";
        assert_eq!(read(&[answer]), Ok("hello".to_owned()));
        for cut in 1..answer.len() {
            assert_eq!(read(&[&answer[..cut], &answer[cut..]]), Ok("hello".to_owned()), "{cut}");
        }
        assert_eq!(read(&[b"HTTP/1.0 200 OK\r\n\r\n", b"until", b" the end"]), Ok("until the end".to_owned()));
    }

    #[test]
    fn a_refusal_has_its_sentence() {
        let refused = read(&[b"HTTP/1.1 403 Forbidden\r\n\r\nno\n"]);
        assert_eq!(refused, Err(Wrong::Status(403, "no\n".to_owned())));
    }

    #[test]
    fn what_is_cut_or_no_answer_is_none() {
        assert_eq!(read(&[]), Err(Wrong::Cut));
        assert_eq!(read(&[b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"]), Err(Wrong::Cut));
        assert_eq!(read(&[b"HTTP/1.1 200 OK\r\nContent-Le"]), Err(Wrong::NoHttp));
        assert_eq!(read(&[b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"]), Err(Wrong::NoHttp));
        assert_eq!(read(&[b"HTTP/1.1 200 OK\r\n\r\n\xff"]), Err(Wrong::NoHttp));
        // A room, an echo, and a source.
        for other in [&b"* you are guest1; 1 online\n"[..], b"GET /statistics HTTP/1.0\r\n", b"\x00\x01\x02\x03"] {
            assert_eq!(read(&[other]), Err(Wrong::NoHttp));
        }
    }

    #[test]
    fn nothing_grows_without_a_bound() {
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(LONGEST_HEAD));
        assert_eq!(read(&[endless.as_bytes()]), Err(Wrong::NoHttp));
        let mut answer = Answer::at_most(20 << 20);
        assert_eq!(answer.take(b"HTTP/1.1 200 OK\r\n\r\n"), Ok(()));
        let megabyte = vec![b' '; 1 << 20];
        let taken = (0..1000).take_while(|_| answer.take(&megabyte).is_ok()).count();
        assert_eq!(taken, 20);
        assert_eq!(answer.take(b"x"), Err(Wrong::TooLong));
    }
}
