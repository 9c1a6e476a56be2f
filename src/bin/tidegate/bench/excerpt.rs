//! Bytes in a message, with the escapes of `--expect`: what was expected, and what came.

use std::fmt::Write;

/// So many bytes are shown.
pub const SHOWN: usize = 16;

/// Both begin with the first byte that differs.
pub fn difference(expected: &[u8], came: &[u8]) -> String {
    format!("expected {}, but {} came", excerpt(expected), excerpt(came))
}

/// The first bytes, in quotes.
pub fn excerpt(bytes: &[u8]) -> String {
    let mut text = "'".to_owned();
    for byte in bytes.iter().take(SHOWN) {
        let _ = match byte {
            b'\r' => write!(text, "\\r"),
            b'\n' => write!(text, "\\n"),
            b'\t' => write!(text, "\\t"),
            b'\0' => write!(text, "\\0"),
            b'\\' => write!(text, "\\\\"),
            b' '..=b'~' => write!(text, "{}", char::from(*byte)),
            _ => write!(text, "\\x{byte:02x}"),
        };
    }
    text + if bytes.len() > SHOWN { "...'" } else { "'" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_shown_and_none_reaches_the_terminal() {
        assert_eq!(difference(b"OK\r\n", b"\x1b]0;\xff"), r"expected 'OK\r\n', but '\x1b]0;\xff' came");
        assert_eq!(excerpt(b"\\\t\0"), r"'\\\t\0'");
        assert_eq!(excerpt(b"0123456789abcdef"), "'0123456789abcdef'");
        assert_eq!(excerpt(b"0123456789abcdefg"), "'0123456789abcdef...'");
    }
}
