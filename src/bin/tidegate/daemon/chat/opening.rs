//! The first bytes of a connection: a byte order mark, or those of a protocol that has no lines.
//!
//! They are judged before the first line is complete: TLS waits for an answer to its first record, and a later line end in it
//! would be an accident.

use super::stranger::Stranger;
use super::telnet::IAC;

/// With different first bytes.
static SIGNATURES: [(&[u8], Opened); 3] = [
    (b"\xEF\xBB\xBF", Opened::Text(b"")),
    (b"\x16\x03", Opened::Stranger(Stranger::Tls)),
    (b"\r\n\r\n\0\r\nQUIT\n", Opened::Stranger(Stranger::Proxy)),
];

/// How many bytes of a signature have come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opening {
    signature: &'static [u8],
    came: usize,
}

/// What a connection has begun with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Text that begins with these bytes, which were looked at already. A byte order mark is not among them.
    Text(&'static [u8]),
    Stranger(Stranger),
}

impl Opening {
    /// Takes a signature off `rest`. None as long as more bytes have to come, and before a command of telnet, which may come
    /// first.
    pub fn read(&mut self, rest: &mut &[u8]) -> Option<Opened> {
        while let Some((byte, after)) = rest.split_first().filter(|(byte, _)| **byte != IAC) {
            let signature = SIGNATURES
                .iter()
                .find(|(signature, _)| signature.starts_with(self.came()) && signature.get(self.came) == Some(byte));
            let Some((signature, opened)) = signature else { return Some(Opened::Text(self.came())) };
            *rest = after;
            *self = Opening { signature, came: self.came + 1 };
            if self.came == signature.len() {
                return Some(*opened);
            }
        }
        None
    }

    /// The bytes that have come.
    pub fn came(&self) -> &'static [u8] {
        &self.signature[..self.came]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the connection has begun with, and what is left, with the stream cut in two at each place.
    #[track_caller]
    fn opens(stream: &[u8], expected: Option<(Opened, &[u8])>) {
        for at in 0..=stream.len() {
            let mut opening = Opening::default();
            let (mut first, mut second) = stream.split_at(at);
            let opened = opening.read(&mut first).or_else(|| opening.read(&mut second));
            let rest = &[first, second].concat();
            let opened = opened.map(|opened| (opened, &rest[..]));
            assert_eq!(opened, expected, "{stream:x?} cut at {at}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        opens(b"\xEF\xBB\xBFhello", Some((Opened::Text(b""), b"hello")));
        opens(b"\xEF\xBB\xBF", Some((Opened::Text(b""), b"")));
        opens(b"\xEF\xBB\xBE", Some((Opened::Text(b"\xEF\xBB"), b"\xBE")));
        opens(b"\xEF\xBB", None);
        opens(b"\xEF\xBB\xFF", None);
    }

    #[test]
    fn tls_and_the_proxy_protocol_are_known_by_their_first_bytes() {
        opens(b"\x16\x03\x01", Some((Opened::Stranger(Stranger::Tls), b"\x01")));
        opens(b"\x16\x04", Some((Opened::Text(b"\x16"), b"\x04")));
        opens(b"\r\n\r\n\0\r\nQUIT\n\x21", Some((Opened::Stranger(Stranger::Proxy), b"\x21")));
        opens(b"\r\n\r\nhello", Some((Opened::Text(b"\r\n\r\n"), b"hello")));
        opens(b"\r\n\r\n\0\r\nQUIT\r\n", Some((Opened::Text(b"\r\n\r\n\0\r\nQUIT"), b"\r\n")));
    }

    #[test]
    fn all_else_is_text() {
        opens(b"hello", Some((Opened::Text(b""), b"hello")));
        opens(b"\n", Some((Opened::Text(b""), b"\n")));
        opens(b"", None);
    }
}
