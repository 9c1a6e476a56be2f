//! A request and its answer as they are typed: bytes with escapes, and in an answer gaps for any bytes.
//!
//! It knows no socket: the command line makes them, and a [`Matcher`] is given a stream chunk by chunk.

use std::rc::Rc;

/// Bytes, written with escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub Vec<u8>);

impl Text {
    /// # Errors
    /// An escape that is none; no bytes at all.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut bytes = Vec::new();
        for symbol in symbols(text)? {
            match symbol {
                Symbol::Byte(byte) => bytes.push(byte),
                Symbol::Gap => return Err("\\* stands for any bytes, which can be expected and not sent".to_owned()),
            }
        }
        if bytes.is_empty() { Err("write at least one byte".to_owned()) } else { Ok(Text(bytes)) }
    }
}

/// An answer: pieces that must come one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Piece {
    /// Any bytes may come before it.
    after_gap: bool,
    /// Not empty.
    literal: Vec<u8>,
    /// For each beginning of the literal, the length of the longest shorter one that it ends with: where a search goes
    /// on when the next byte is another (Knuth, Morris and Pratt). Empty without a gap.
    shorter: Vec<usize>,
}

impl Expected {
    /// # Errors
    /// An escape that is none; no bytes at all; a gap at the end, where nothing would tell that the answer is over.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = vec![Piece::default()];
        for symbol in symbols(text)? {
            match (symbol, pieces.last_mut()) {
                (Symbol::Byte(byte), Some(piece)) => piece.literal.push(byte),
                (Symbol::Gap, Some(piece)) if piece.literal.is_empty() => piece.after_gap = true,
                (Symbol::Gap, _) => pieces.push(Piece { after_gap: true, ..Piece::default() }),
                (Symbol::Byte(_), None) => {}
            }
        }
        if pieces.iter().any(|piece| piece.literal.is_empty()) {
            return Err("write the bytes that an answer ends with: nothing else tells that it is over".to_owned());
        }
        for piece in pieces.iter_mut().filter(|piece| piece.after_gap) {
            piece.shorter = shorter_beginnings(&piece.literal);
        }
        Ok(Expected { pieces })
    }
}

fn shorter_beginnings(literal: &[u8]) -> Vec<usize> {
    let mut shorter = vec![0; literal.len()];
    let mut length = 0;
    for end in 1..literal.len() {
        while length > 0 && literal[length] != literal[end] {
            length = shorter[length - 1];
        }
        length += usize::from(literal[length] == literal[end]);
        shorter[end] = length;
    }
    shorter
}

/// Finds the ends of answers in a stream.
#[derive(Clone, Debug)]
pub struct Matcher {
    expected: Rc<Expected>,
    /// Which piece is under way, and how much of it has come.
    piece: usize,
    matched: usize,
}

impl Matcher {
    pub fn new(expected: Expected) -> Self {
        Matcher { expected: Rc::new(expected), piece: 0, matched: 0 }
    }

    /// Takes what came, and gives how many answers end in it.
    ///
    /// # Errors
    /// The place of the first byte that is wrong. What comes after that has no meaning.
    pub fn take(&mut self, chunk: &[u8]) -> Result<usize, usize> {
        let mut answers = 0;
        let mut at = 0;
        while at < chunk.len() {
            let piece = &self.expected.pieces[self.piece];
            at += if piece.after_gap {
                search(piece, &mut self.matched, &chunk[at..])
            } else {
                compare(piece, &mut self.matched, &chunk[at..]).map_err(|wrong| at + wrong)?
            };
            if self.matched == piece.literal.len() {
                self.matched = 0;
                self.piece += 1;
                if self.piece == self.expected.pieces.len() {
                    self.piece = 0;
                    answers += 1;
                }
            }
        }
        Ok(answers)
    }
}

/// Goes to the end of the piece or of the bytes, and gives how far that is.
fn search(piece: &Piece, matched: &mut usize, bytes: &[u8]) -> usize {
    for (at, byte) in bytes.iter().enumerate() {
        while *matched > 0 && piece.literal[*matched] != *byte {
            *matched = piece.shorter[*matched - 1];
        }
        *matched += usize::from(piece.literal[*matched] == *byte);
        if *matched == piece.literal.len() {
            return at + 1;
        }
    }
    bytes.len()
}

fn compare(piece: &Piece, matched: &mut usize, bytes: &[u8]) -> Result<usize, usize> {
    let wanted = &piece.literal[*matched..];
    let length = wanted.len().min(bytes.len());
    match first_difference(&wanted[..length], &bytes[..length]) {
        None => {
            *matched += length;
            Ok(length)
        }
        Some(wrong) => Err(wrong),
    }
}

/// Of two slices of one length.
pub fn first_difference(wanted: &[u8], came: &[u8]) -> Option<usize> {
    if wanted == came {
        return None; // the usual case, and the fast one
    }
    wanted.iter().zip(came).position(|(wanted, came)| wanted != came)
}

enum Symbol {
    Byte(u8),
    Gap,
}

fn symbols(text: &str) -> Result<Vec<Symbol>, String> {
    const FORM: &str =
        "the escapes are \\r, \\n, \\t, \\0, \\\\, \\xHH with two hexadecimal digits, and in an answer \\*";

    let mut symbols = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        symbols.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'r') => Symbol::Byte(b'\r'),
                Some(b'n') => Symbol::Byte(b'\n'),
                Some(b't') => Symbol::Byte(b'\t'),
                Some(b'0') => Symbol::Byte(0),
                Some(b'\\') => Symbol::Byte(b'\\'),
                Some(b'*') => Symbol::Gap,
                Some(b'x') => match (hex(bytes.next()), hex(bytes.next())) {
                    (Some(high), Some(low)) => Symbol::Byte(high << 4 | low),
                    _ => return Err(FORM.to_owned()),
                },
                _ => return Err(FORM.to_owned()),
            },
            byte => Symbol::Byte(byte),
        });
    }
    Ok(symbols)
}

fn hex(digit: Option<u8>) -> Option<u8> {
    char::from(digit?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(expected: &str) -> Matcher {
        Matcher::new(Expected::parse(expected).unwrap())
    }

    #[test]
    fn escapes_are_bytes() {
        assert_eq!(Text::parse(r"PING\r\n\t\0\\\x7fé").unwrap().0, "PING\r\n\t\0\\\x7fé".as_bytes());
        for wrong in [r"\q", r"\", r"\x", r"\x4", r"\xg0"] {
            assert!(Text::parse(wrong).unwrap_err().starts_with("the escapes are"), "{wrong}");
        }
        assert!(Text::parse("").unwrap_err().contains("one byte"));
        assert!(Text::parse(r"\*").unwrap_err().contains("not sent"));
        for wrong in ["", r"\*", r"a\*"] {
            assert!(Expected::parse(wrong).unwrap_err().contains("ends with"), "{wrong}");
        }
    }

    #[test]
    fn answers_are_counted_over_all_borders() {
        let stream = b"+PONG\r\n".repeat(5);
        for size in 1..=stream.len() {
            let mut pong = matcher(r"+PONG\r\n");
            let answers: usize = stream.chunks(size).map(|chunk| pong.take(chunk).unwrap()).sum();
            assert_eq!(answers, 5, "in chunks of {size}");
        }
    }

    #[test]
    fn a_wrong_byte_is_found_where_it_is() {
        let mut pong = matcher(r"+PONG\r\n");
        assert_eq!(pong.take(b"+PONG\r\n+PO"), Ok(1));
        assert_eq!(pong.take(b"NK\r\n"), Err(1));
        assert_eq!(matcher("ab").take(b"abc"), Err(2));
    }

    #[test]
    fn a_gap_takes_as_few_bytes_as_will_do() {
        let stream = b"200 OK\r\nA: 1\r\r\n\r\n\r\nhi200 OK\r\nB\r\n\r\nhi";
        for size in 1..=stream.len() {
            let mut http = matcher(r"200 OK\r\n\*\r\n\r\n\*hi");
            let answers: usize = stream.chunks(size).map(|chunk| http.take(chunk).unwrap()).sum();
            assert_eq!(answers, 2, "in chunks of {size}");
        }
        let mut line = matcher(r"\*aab\n");
        assert_eq!(line.take(b"aaab\naab\nxaaaaab\n"), Ok(3));
    }
}
