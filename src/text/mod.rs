//! Bytes into text, and text into harmless text.
//!
//! Three answers to three questions about bytes that a peer sent:
//!
//! | asked | answer | what is not text | what is not harmless |
//! | --- | --- | --- | --- |
//! | a chunk of a stream, as text? | [`Utf8Decoder`] | U+FFFD, the same wherever the stream was cut | stays |
//! | a line, for the terminals of other people? | [`sanitize`] | U+FFFD | is removed |
//! | some bytes, for the log? | [`Escaped`] | `\xff` | `\x1b`, `\u{202e}` |
//!
//! A terminal obeys what it is shown: ESC and the C1 controls begin sequences that move the cursor, rename the window
//! or type an answer; bidirectional overrides show a text in another order than it has; an LF forges the next record of
//! a log. This module knows those characters. It does not judge meaning: lookalike letters, invisible joiners (scripts
//! and emoji need them) and piles of accents pass, and so does any length, which is the business of `lines.rs`.
//!
//! Nothing in the engine calls this: it is for handlers of `on_data`, and for the daemon's roles and its log.

pub(crate) mod encoding;
pub(crate) mod lines;

use std::ascii;
use std::borrow::Cow;
use std::fmt::{self, Write};

/// Decodes a stream of UTF-8 whose chunks may end inside a character.
///
/// The texts that come out, and [`finish`](Utf8Decoder::finish) behind them, are together what
/// [`String::from_utf8_lossy`] makes of the whole stream, wherever it was cut. They come as early as that allows: at
/// most the 3 bytes of an unfinished character are held. A byte order mark is text like any other.
///
/// [`Lines`](crate::Lines) needs no decoder: an LF is never part of a longer character, so a line is never cut in one.
///
/// ```
/// use tidegate::Utf8Decoder;
///
/// let mut decoder = Utf8Decoder::new();
/// assert_eq!(decoder.decode(b"3 \xE2\x82"), "3 ");
/// assert_eq!(decoder.decode(b"\xAC, \xFF \xF0"), "€, \u{FFFD} ");
/// assert_eq!(decoder.finish(), "\u{FFFD}");
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "StringDecoder")]
#[doc(alias = "setEncoding")]
pub struct Utf8Decoder {
    /// The beginning of a character that is well-formed as far as it goes, and room for the byte that comes next.
    held: [u8; 4],
    /// How many bytes are held, at most 3: with 4 a character is complete or wrong.
    length: usize,
}

impl Utf8Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Self {
        Utf8Decoder::default()
    }

    /// Takes the next chunk of the stream and gives all characters that are complete now.
    ///
    /// The text is borrowed from the chunk when the chunk is valid and the one before ended with a complete character:
    /// the usual case.
    pub fn decode<'c>(&mut self, chunk: &'c [u8]) -> Cow<'c, str> {
        if self.length == 0 {
            return lossy(self.hold_unfinished(chunk));
        }
        let Some((first, rest)) = self.complete(chunk) else {
            return Cow::Borrowed(""); // the whole chunk, if it was not empty, is still inside the character
        };
        let mut text = String::with_capacity(first.len_utf8() + rest.len());
        text.push(first);
        text.push_str(&lossy(self.hold_unfinished(rest)));
        Cow::Owned(text)
    }

    /// Takes the end of the stream: U+FFFD if it is inside a character, else nothing. Afterwards a new stream may
    /// begin.
    pub fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.length) > 0 { "\u{FFFD}" } else { "" }
    }

    /// Goes on with the held character, byte by byte. Gives the character, which is U+FFFD if the next byte cannot
    /// belong to it, and the bytes behind it; nothing if it is still unfinished.
    fn complete<'c>(&mut self, chunk: &'c [u8]) -> Option<(char, &'c [u8])> {
        for (at, byte) in chunk.iter().enumerate() {
            self.held[self.length] = *byte;
            match str::from_utf8(&self.held[..=self.length]) {
                Err(error) if error.error_len().is_none() => self.length += 1,
                Err(_) => {
                    self.length = 0;
                    return Some((char::REPLACEMENT_CHARACTER, &chunk[at..]));
                }
                Ok(text) => {
                    self.length = 0;
                    return text.chars().next().map(|character| (character, &chunk[at + 1..]));
                }
            }
        }
        None
    }

    /// Holds the unfinished character at the end of `bytes`, if there is one, and gives what is before it.
    ///
    /// The end alone decides, because the first byte of a character always begins one, whatever stands before it. Of
    /// the ends that break off inside a character the shortest is nothing but that character.
    fn hold_unfinished<'c>(&mut self, bytes: &'c [u8]) -> &'c [u8] {
        for length in 1..=bytes.len().min(3) {
            let (before, end) = bytes.split_at(bytes.len() - length);
            if str::from_utf8(end).is_err_and(|error| error.error_len().is_none()) {
                self.held[..length].copy_from_slice(end);
                self.length = length;
                return before;
            }
        }
        bytes
    }
}

/// Text from a peer, safe to show on other people's terminals. Borrowed if there is nothing to change.
///
/// - Invalid UTF-8 becomes U+FFFD, so that no 8-bit control survives as a raw byte.
/// - The characters of [`is_harmful`] are removed. LF and CR are among them; tab is not.
///
/// Only single characters are removed, never what follows them: `\x1b[31mred` becomes `[31mred`. So nothing that was
/// kept apart can come together to something harmful, and a line can be given in pieces; one that ends inside a
/// character then shows it as U+FFFD.
///
/// ```
/// use tidegate::sanitize;
///
/// assert_eq!(sanitize("grüße,\t世界".as_bytes()), "grüße,\t世界");
/// assert_eq!(sanitize(b"\x1b]0;owned\x07 \xC2\x9B2J\r"), "]0;owned 2J");
/// assert_eq!(sanitize("\u{202E}nimda: hello\n".as_bytes()), "nimda: hello");
/// ```
pub fn sanitize(bytes: &[u8]) -> Cow<'_, str> {
    let text = lossy(bytes);
    if is_plain(bytes) || !text.contains(is_harmful) { text } else { Cow::Owned(text.replace(is_harmful, "")) }
}

/// As [`String::from_utf8_lossy`], which goes byte by byte even through valid text. Valid is the usual case, and std
/// has a faster way to find that out.
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Nothing but printable ASCII and tabs, which most lines are made of. A fold and not `all`: without a way out in the
/// middle the compiler looks at 16 bytes at a time, and the line is bounded anyway.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, byte| plain & (matches!(byte, b' '..=b'~') | (*byte == b'\t')))
}

/// Whether a character can harm the reader of a terminal, a log or a transcript.
///
/// | characters | what they do |
/// | --- | --- |
/// | the C0 controls without tab, DEL, the C1 controls U+0080 to U+009F | A terminal obeys them: ESC and some C1 controls begin sequences. CR and LF forge a line. |
/// | U+2028, U+2029 | Browsers and editors break the line there, so a second line could pass for another speaker's. |
/// | U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+206F | They show a text in another order or form than it has: bidirectional marks, embeddings, overrides and isolates, and the deprecated format characters. |
/// | the tags, U+E0000 to U+E007F | They are invisible, and one exists for each ASCII character: a text can be hidden in them. |
///
/// Tab is not harmful. Invisible joiners are not either, as scripts and emoji need them; but the flags of England, Scotland
/// and Wales are written with tags.
///
/// ```
/// assert!(['\x1b', '\n', '\u{9b}', '\u{202E}'].into_iter().all(tidegate::is_harmful));
/// assert!(!['\t', 'é', '世', '\u{200D}'].into_iter().any(tidegate::is_harmful));
/// ```
pub fn is_harmful(character: char) -> bool {
    match character {
        '\t' => false,
        '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{206F}' => true,
        '\u{E0000}'..='\u{E007F}' => true,
        _ => character.is_control(), // C0, DEL, C1
    }
}

/// Shows bytes of a peer in a log: what is printable as it is, everything that could harm a log or a terminal escaped.
///
/// Escaped are tab, the characters of [`is_harmful`], bytes that are not UTF-8, and the backslash. An escape is `\t`, `\r`, `\n` or `\\`, `\x1b` for another ASCII control or an invalid
/// byte, `\u{202e}` for another character. No two different byte strings are shown alike in full.
///
/// `{:?}` puts it between quotes, and escapes quotes inside as `\"`: for a record of `key=value` pairs, where a peer
/// must not be able to end the value. `{:.40}` cuts after at most 40 characters, never inside an escape, and puts `…`
/// behind them if anything was left out; quotes are not counted, and a character is at most 4 bytes. Width and fill are
/// not looked at.
///
/// ```
/// use tidegate::Escaped;
///
/// assert_eq!(Escaped(b"caf\xC3\xA9 \x1b[2J\r\n").to_string(), r"café \x1b[2J\r\n");
/// assert_eq!(Escaped(b"\xE2\x80\xAE C:\\ \xFF").to_string(), r"\u{202e} C:\\ \xff");
/// assert_eq!(format!("nick={:?}", Escaped(br#"x" admin="yes"#)), r#"nick="x\" admin=\"yes""#);
/// assert_eq!(format!("{:.6}", Escaped(b"hello\nworld")), "hello…");
/// ```
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        self.write(f, true)?;
        f.write_char('"')
    }
}

impl<'a> Escaped<'a> {
    fn write(&self, f: &mut fmt::Formatter<'_>, quoted: bool) -> fmt::Result {
        let mut room = f.precision().unwrap_or(usize::MAX);
        for unit in self.units(quoted) {
            let Some(left) = room.checked_sub(unit.width()) else {
                return f.write_char('…');
            };
            room = left;
            unit.write(f)?;
        }
        Ok(())
    }

    fn units(&self, quoted: bool) -> impl Iterator<Item = Unit> + use<'a> {
        self.0.utf8_chunks().flat_map(move |chunk| {
            let valid = chunk.valid().chars().map(move |character| Unit::of(character, quoted));
            valid.chain(chunk.invalid().iter().map(|byte| Unit::Byte(*byte)))
        })
    }
}

/// What is written as a whole or not at all.
enum Unit {
    /// As it is.
    Plain(char),
    /// A byte that is not UTF-8, or an ASCII character that is escaped: `\xff`, `\n`, `\\`.
    Byte(u8),
    /// Another character that is escaped: `\u{202e}`.
    Character(char),
}

impl Unit {
    fn of(character: char, quoted: bool) -> Self {
        match character {
            '\\' => Unit::Byte(b'\\'),
            '"' if quoted => Unit::Byte(b'"'),
            '\0'..='\x1F' | '\x7F' => Unit::Byte(character as u8),
            _ if is_harmful(character) => Unit::Character(character),
            _ => Unit::Plain(character),
        }
    }

    fn width(&self) -> usize {
        match self {
            Unit::Plain(_) => 1,
            Unit::Byte(byte) => ascii::escape_default(*byte).len(),
            Unit::Character(character) => character.escape_unicode().len(),
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unit::Plain(character) => f.write_char(*character),
            Unit::Byte(byte) => write!(f, "{}", ascii::escape_default(*byte)),
            Unit::Character(character) => write!(f, "{}", character.escape_unicode()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::text::is_listed;

    #[test]
    fn characters_come_as_early_as_they_are_complete() {
        let text = "a\u{E9}€😀";
        let mut decoder = Utf8Decoder::new();
        let bytes = text.as_bytes();
        let came: Vec<_> = bytes.chunks(1).map(|byte| decoder.decode(byte).into_owned()).collect();
        assert_eq!(came, ["a", "", "\u{E9}", "", "", "€", "", "", "", "😀"]);
        assert_eq!(decoder.finish(), "");
    }

    #[test]
    fn a_wrong_character_is_known_by_its_first_wrong_byte() {
        let mut decoder = Utf8Decoder::new();
        assert_eq!(decoder.decode(b"\xF0\x9F"), "");
        assert_eq!(decoder.decode(b"a"), "\u{FFFD}a");
        assert_eq!(decoder.decode(b"\xED"), "");
        assert_eq!(decoder.decode(b"\xA0"), "\u{FFFD}\u{FFFD}"); // half a surrogate pair
        assert_eq!(decoder.decode(b"\xE2\x82"), "");
        assert_eq!(decoder.decode(b"\xE2"), "\u{FFFD}");
        assert_eq!(decoder.decode(b""), "");
        assert_eq!(decoder.finish(), "\u{FFFD}");
        assert_eq!(decoder.decode(b"new"), "new");
        assert_eq!(decoder.finish(), "");
    }

    #[test]
    fn a_valid_chunk_is_not_copied() {
        let mut decoder = Utf8Decoder::new();
        assert!(matches!(decoder.decode("é€ and so on".as_bytes()), Cow::Borrowed("é€ and so on")));
        assert!(matches!(decoder.decode(b"3 \xE2\x82"), Cow::Borrowed("3 ")));
        assert!(matches!(decoder.decode(b""), Cow::Borrowed("")));
        assert!(matches!(decoder.decode(b"\xAC!"), Cow::Owned(text) if text == "€!"));
        assert!(matches!(decoder.decode(b"again"), Cow::Borrowed("again")));
    }

    #[test]
    fn sanitize_removes_what_is_listed_and_nothing_else() {
        let last = if cfg!(miri) { 0x2100 } else { 0x10_FFFF };
        for character in (0..=last).filter_map(char::from_u32) {
            for text in [format!("<{character}>"), format!("«{character}»")] {
                let clean = sanitize(text.as_bytes());
                if is_listed(character) {
                    assert_eq!(clean, text.replace(character, ""), "{:x}", character as u32);
                } else {
                    assert!(matches!(&clean, Cow::Borrowed(clean) if *clean == text), "{:x}", character as u32);
                }
            }
        }
    }

    #[test]
    fn sanitize_shows_a_raw_8_bit_control_as_the_wrong_byte_that_it_is() {
        for byte in 0x80..=0xFF {
            assert_eq!(sanitize(&[b'<', byte, b'>']), "<\u{FFFD}>");
        }
        assert_eq!(sanitize(b"\x9B31m \xC2"), "\u{FFFD}31m \u{FFFD}");
    }

    #[test]
    fn sanitize_looks_at_every_byte_of_a_long_line() {
        for at in 0..100 {
            let mut line = [b'x'; 100];
            line[at] = 0x1B;
            assert_eq!(sanitize(&line).len(), 99, "ESC at {at}");
        }
    }

    #[test]
    fn an_escape_says_what_was_there() {
        let shown = |bytes: &[u8]| Escaped(bytes).to_string();
        assert_eq!(shown(b"plain ~ 'text' \"here\""), "plain ~ 'text' \"here\"");
        assert_eq!(shown("grüße 世界 😀 \u{FFFD}".as_bytes()), "grüße 世界 😀 \u{FFFD}");
        assert_eq!(shown(b"\0\x07\t\n\r\x1B\x7F"), r"\x00\x07\t\n\r\x1b\x7f");
        assert_eq!(shown("\u{85}\u{9B}\u{2028}\u{202E}\u{2066}".as_bytes()), r"\u{85}\u{9b}\u{2028}\u{202e}\u{2066}");
        assert_eq!(shown(b"\x9B \xE2\x82 \xFF"), r"\x9b \xe2\x82 \xff");
        assert_eq!(shown(br"\n"), r"\\n");
    }

    #[test]
    fn a_quoted_value_cannot_be_ended_from_inside() {
        assert_eq!(format!("{:?}", Escaped(br#"a" b\"#)), r#""a\" b\\""#);
        assert_eq!(format!("{:?}", Escaped(b"")), r#""""#);
    }

    #[test]
    fn a_limit_cuts_between_escapes_and_shows_that_it_did() {
        let bytes = b"ab\x1B\xE2\x82\xACd";
        for (limit, shown) in [(0, "…"), (1, "a…"), (2, "ab…"), (5, "ab…"), (6, r"ab\x1b…"), (8, r"ab\x1b€d")]
        {
            assert_eq!(format!("{:.limit$}", Escaped(bytes)), shown, "limit {limit}");
        }
        assert_eq!(format!("{:.0}", Escaped(b"")), "");
        assert_eq!(format!("{:.2?}", Escaped(b"abc")), r#""ab…""#);
    }
}
