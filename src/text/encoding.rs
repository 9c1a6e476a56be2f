//! The encodings of `set_encoding`. A character may be split between two chunks.
//!
//! The decoder for UTF-8 is [`Utf8Decoder`], in `mod.rs`. Here are the two other encodings, and the choice among them. Node's
//! ASCII, base64 and hex are not here: see `docs/node.md`.

use std::borrow::Cow;

use crate::text::Utf8Decoder;

/// How bytes are read as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// UTF-8. Invalid bytes become U+FFFD.
    #[default]
    Utf8,
    /// UTF-16, with the lower byte first. Half a surrogate pair becomes U+FFFD, and so does half a unit at the end. A byte
    /// order mark is text like any other.
    #[doc(alias = "utf16le")]
    #[doc(alias = "ucs2")]
    Utf16Le,
    /// ISO 8859-1: each byte is the character with its number. No byte is invalid.
    #[doc(alias = "latin1")]
    #[doc(alias = "binary")]
    Latin1,
}

/// Decodes a stream in one of the encodings.
#[derive(Clone, Debug)]
pub(crate) enum Decoder {
    Utf8(Utf8Decoder),
    Utf16Le(Utf16Decoder),
    Latin1,
}

impl Decoder {
    pub fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Utf8 => Decoder::Utf8(Utf8Decoder::new()),
            Encoding::Utf16Le => Decoder::Utf16Le(Utf16Decoder::default()),
            Encoding::Latin1 => Decoder::Latin1,
        }
    }

    /// Takes the next chunk of the stream and gives all characters that are complete now.
    pub fn decode<'c>(&mut self, chunk: &'c [u8]) -> Cow<'c, str> {
        match self {
            Decoder::Utf8(decoder) => decoder.decode(chunk),
            Decoder::Utf16Le(decoder) => Cow::Owned(decoder.decode(chunk)),
            // ASCII is the same in both.
            Decoder::Latin1 => match str::from_utf8(chunk) {
                Ok(text) if chunk.is_ascii() => Cow::Borrowed(text),
                _ => Cow::Owned(chunk.iter().copied().map(char::from).collect()),
            },
        }
    }

    /// Takes the end of the stream. Gives U+FFFD if it is inside a character. Then a new stream can begin.
    pub fn finish(&mut self) -> &'static str {
        match self {
            Decoder::Utf8(decoder) => decoder.finish(),
            Decoder::Utf16Le(decoder) => decoder.finish(),
            Decoder::Latin1 => "",
        }
    }
}

/// UTF-16, whose chunks may end inside a unit or between the halves of a pair.
#[derive(Clone, Debug, Default)]
pub(crate) struct Utf16Decoder {
    /// The lower byte of a unit.
    byte: Option<u8>,
    /// The first half of a pair.
    half: Option<u16>,
}

impl Utf16Decoder {
    fn decode(&mut self, chunk: &[u8]) -> String {
        let bytes = self.byte.take().into_iter().chain(chunk.iter().copied());
        let mut units = Vec::with_capacity(chunk.len() / 2 + 2);
        units.extend(self.half.take());
        for byte in bytes {
            match self.byte.take() {
                None => self.byte = Some(byte),
                Some(lower) => units.push(u16::from_le_bytes([lower, byte])),
            }
        }
        self.half = units.pop_if(|last| (0xD800..0xDC00).contains(last));
        char::decode_utf16(units).map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    }

    fn finish(&mut self) -> &'static str {
        match (self.half.take(), self.byte.take()) {
            (None, None) => "",
            (Some(_), Some(_)) => "\u{FFFD}\u{FFFD}",
            _ => "\u{FFFD}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `bytes` cut after each byte whose bit is set in `cuts`.
    fn decode_cut(encoding: Encoding, bytes: &[u8], cuts: u32) -> String {
        let mut decoder = Decoder::new(encoding);
        let (mut text, mut start) = (String::new(), 0);
        for end in 1..=bytes.len() {
            if end == bytes.len() || cuts >> (end - 1) & 1 == 1 {
                text.push_str(&decoder.decode(&bytes[start..end]));
                start = end;
            }
        }
        text + decoder.finish()
    }

    #[test]
    fn utf16_decodes_alike_however_it_is_cut() {
        let units = [0x61, 0x20AC, 0xD83D, 0xDE00, 0xD83D, 0x62, 0xDE00]; // a pair, and a half of each kind alone
        let whole: Vec<u8> = units.iter().flat_map(|unit: &u16| unit.to_le_bytes()).collect();
        let expected = "a€😀\u{FFFD}b\u{FFFD}";
        for cuts in 0..1 << (whole.len() - 1) {
            assert_eq!(decode_cut(Encoding::Utf16Le, &whole, cuts), expected, "cut {cuts:b}");
        }
    }

    #[test]
    fn utf16_that_ends_inside_a_character_says_so_once_for_each_unit() {
        for (bytes, expected) in
            [(&b"a\0b"[..], "a\u{FFFD}"), (b"a\0\x3D\xD8", "a\u{FFFD}"), (b"\x3D\xD8\0", "\u{FFFD}\u{FFFD}"), (b"", "")]
        {
            for cuts in 0..8 {
                assert_eq!(decode_cut(Encoding::Utf16Le, bytes, cuts), expected, "{bytes:x?}");
            }
        }
    }

    #[test]
    fn the_first_half_of_a_pair_is_held_back() {
        let mut decoder = Decoder::new(Encoding::Utf16Le);
        let came: Vec<_> = b"\x3D\xD8\x00\xDEa\0".chunks(1).map(|byte| decoder.decode(byte).into_owned()).collect();
        assert_eq!(came, ["", "", "", "😀", "", "a"]);
    }

    #[test]
    fn each_byte_is_a_character_of_latin1() {
        let all: Vec<u8> = (0..=255).collect();
        let mut decoder = Decoder::new(Encoding::Latin1);
        let text: String = all.chunks(3).map(|chunk| decoder.decode(chunk).into_owned()).collect();
        assert!(text.chars().map(u32::from).eq(0..256));
        assert!(matches!(Decoder::new(Encoding::Latin1).decode(b"plain"), Cow::Borrowed("plain")));
    }
}
