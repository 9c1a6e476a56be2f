//! Text out of bytes that a peer has sent.
//!
//! | for | use | invalid UTF-8 | harmful characters |
//! | --- | --- | --- | --- |
//! | the chunks of a stream | [`Utf8Decoder`] | become U+FFFD, wherever the stream was cut | stay |
//! | a line that other people's terminals show | [`sanitize`] | becomes U+FFFD | are removed |
//! | bytes in a log | [`Escaped`] | `\xff` | `\x1b`, `\u{202e}` |
//!
//! A terminal obeys what it shows. ESC and the C1 controls begin sequences that move the cursor, rename the window or type an
//! answer. Bidirectional overrides show a text in another order than it has. An LF forges the next record of a log. These
//! characters are known here. Lookalike letters, invisible joiners (scripts and emoji need them) and piles of accents are
//! not harmful. How long a text may be is decided in `lines.rs`.
//!
//! The engine does not use this module. Handlers do, and the daemon and its log.

pub(crate) mod encoding;
pub(crate) mod line;
pub(crate) mod lines;

use std::ascii;
use std::borrow::Cow;
use std::fmt::{self, Write};

/// Decodes a stream of UTF-8 whose chunks may end inside a character.
///
/// All texts that it gives, and that of [`finish`](Utf8Decoder::finish) after them, are together what
/// [`String::from_utf8_lossy`] makes of the whole stream, wherever it was cut. It holds no more than the 3 bytes of an
/// unfinished character. A byte order mark is text like any other.
///
/// [`Lines`](crate::Lines) needs no decoder: an LF is never part of a longer character, so no line is cut inside one.
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
    /// The first bytes of a character that is valid so far, and room for the next byte.
    held: [u8; 4],
    /// How many bytes are held. At most 3: with 4 bytes a character is complete or wrong.
    length: usize,
}

impl Utf8Decoder {
    /// A decoder for a new stream.
    pub fn new() -> Self {
        Utf8Decoder::default()
    }

    /// Takes the next chunk of the stream and gives all characters that are complete now.
    ///
    /// In the usual case nothing is copied: the chunk is valid, and the one before ended with a complete character.
    pub fn decode<'c>(&mut self, chunk: &'c [u8]) -> Cow<'c, str> {
        if self.length == 0 {
            return lossy(self.hold_unfinished(chunk));
        }
        let Some((first, rest)) = self.complete(chunk) else {
            return Cow::Borrowed(""); // the whole chunk is inside the character
        };
        let mut text = String::with_capacity(first.len_utf8() + rest.len());
        text.push(first);
        text.push_str(&lossy(self.hold_unfinished(rest)));
        Cow::Owned(text)
    }

    /// Takes the end of the stream. Gives U+FFFD if it is inside a character, else nothing. Then a new stream can begin.
    pub fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.length) > 0 { "\u{FFFD}" } else { "" }
    }

    /// Adds bytes to the held character. Gives the character and the bytes after it, or nothing if it is still unfinished. It
    /// is U+FFFD if the next byte does not belong to it.
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
    /// The last bytes decide, because the first byte of a character begins one wherever it is. The shortest end that is
    /// unfinished is that character and nothing else.
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
/// Only these characters are removed, and not what follows them: `\x1b[31mred` becomes `[31mred`. So a removal cannot join
/// two parts to something harmful, and a line can be given in pieces. A piece that ends inside a character shows it as
/// U+FFFD.
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

/// As [`String::from_utf8_lossy`], and faster for valid text, which is the usual case: that function reads byte by byte.
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Whether there is nothing but printable ASCII and tabs, as in most lines. A `fold` does not stop in the middle, as `all`
/// does, so the compiler can test 16 bytes at a time.
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

/// Bytes of a peer, shown in a log. What is printable is shown as it is. What could harm a log or a terminal is escaped.
///
/// Tab, the characters of [`is_harmful`], bytes that are not UTF-8 and the backslash are escaped: as `\t`, `\r`, `\n` or
/// `\\`, as `\x1b` for any other ASCII control and for an invalid byte, and as `\u{202e}` for any other character. Two
/// different byte strings never look the same, if they are shown in full.
///
/// `{:?}` puts the text between quotes, and escapes quotes in it as `\"`. In a record of `key=value` pairs, a peer cannot end
/// the value then. `{:.40}` shows 40 characters at most, and then `…` if anything is left out. It does not cut inside an
/// escape, and the quotes do not count. A character has at most 4 bytes. Width and fill have no effect.
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

/// A part of the text that is shown as a whole or not at all.
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
