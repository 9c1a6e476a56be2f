//! A request and its answer, as they are typed: bytes with escapes, and wildcards in an answer.

use std::str::FromStr;

/// Bytes to send. At least one.
#[derive(Clone, Debug)]
pub struct Text(pub Vec<u8>);

impl FromStr for Text {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = Vec::new();
        for symbol in symbols(text)? {
            match symbol {
                Symbol::Byte(byte) => bytes.push(byte),
                Symbol::Wildcard => return Err("\\* matches any bytes of an answer, so it cannot be sent".to_owned()),
            }
        }
        if bytes.is_empty() { Err("write at least one byte".to_owned()) } else { Ok(Text(bytes)) }
    }
}

/// An answer: literals that follow each other. The last one ends it, so no answer ends with a wildcard.
#[derive(Clone, Debug)]
pub struct Expected(pub Vec<Piece>);

#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// Any bytes may come before the literal.
    pub after_wildcard: bool,
    /// At least one byte.
    pub literal: Vec<u8>,
}

impl FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut last = Piece::default();
        for symbol in symbols(text)? {
            match symbol {
                Symbol::Byte(byte) => last.literal.push(byte),
                Symbol::Wildcard => {
                    let before = std::mem::replace(&mut last, Piece { after_wildcard: true, ..Piece::default() });
                    pieces.extend((!before.literal.is_empty()).then_some(before));
                }
            }
        }
        if last.literal.is_empty() {
            return Err("write the bytes that the answer ends with: nothing else shows where it ends".to_owned());
        }
        pieces.push(last);
        Ok(Expected(pieces))
    }
}

enum Symbol {
    Byte(u8),
    Wildcard,
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
                Some(b'*') => Symbol::Wildcard,
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

    #[test]
    fn escapes_are_bytes() {
        assert_eq!(r"PING\r\n\t\0\\\x7fé".parse::<Text>().unwrap().0, "PING\r\n\t\0\\\x7fé".as_bytes());
        for wrong in [r"\q", r"\", r"\x", r"\x4", r"\xg0"] {
            assert!(wrong.parse::<Text>().unwrap_err().starts_with("the escapes are"), "{wrong}");
        }
        assert!("".parse::<Text>().unwrap_err().contains("one byte"));
        assert!(r"\*".parse::<Text>().unwrap_err().contains("cannot be sent"));
        for wrong in ["", r"\*", r"a\*"] {
            assert!(wrong.parse::<Expected>().unwrap_err().contains("ends with"), "{wrong}");
        }
    }
}
