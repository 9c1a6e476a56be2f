//! The decoder, the sanitizer and the escapes, each against its definition.

use crate::text::{Escaped, Utf8Decoder, sanitize};

/// All that is promised of `bytes`, which the decoder gets in pieces of these lengths, and what is left as one.
pub fn check(bytes: &[u8], pieces: &[usize], limit: usize) {
    let whole = String::from_utf8_lossy(bytes);
    assert_eq!(decoded(bytes, pieces), whole, "{bytes:x?} in pieces of {pieces:?}");
    check_sanitized(bytes, &whole);
    check_escaped(bytes, limit);
}

/// The text of a stream that arrives in pieces of these lengths, and what is left as one.
fn decoded(bytes: &[u8], pieces: &[usize]) -> String {
    let mut decoder = Utf8Decoder::new();
    let (mut text, mut rest) = (String::new(), bytes);
    for length in pieces {
        let (piece, behind) = rest.split_at(rest.len().min(*length));
        text.push_str(&decoder.decode(piece));
        rest = behind;
    }
    text.push_str(&decoder.decode(rest));
    text + decoder.finish()
}

/// What a terminal obeys: the list, written down once more and without cleverness.
pub fn is_listed(character: char) -> bool {
    let code = u32::from(character);
    (code < 0x20 && code != 9)
        || (0x7F..=0x9F).contains(&code)
        || [0x061C, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202B, 0x202C, 0x202D, 0x202E].contains(&code)
        || (0x2066..=0x206F).contains(&code)
        || (0xE0000..=0xE007F).contains(&code)
}

fn check_sanitized(bytes: &[u8], whole: &str) {
    let clean = sanitize(bytes);
    assert!(!clean.contains(is_listed), "{bytes:x?} became {clean:?}");
    assert_eq!(clean, whole.replace(is_listed, ""), "{bytes:x?}: it removes what is listed and nothing else");
    assert_eq!(sanitize(clean.as_bytes()), clean, "{bytes:x?}: twice is once");
}

fn check_escaped(bytes: &[u8], limit: usize) {
    let shown = Escaped(bytes).to_string();
    assert!(!shown.contains(|character| is_listed(character) || character == '\t'), "{bytes:x?} is shown as {shown:?}");
    assert_eq!(unescaped(&shown), bytes, "{shown}");

    let quoted = format!("{:?}", Escaped(bytes));
    assert_eq!(quoted, format!("\"{}\"", shown.replace('"', "\\\"")), "{bytes:x?}");

    let (mut fits, mut room) = (String::new(), limit);
    let mut units = units(&shown).peekable();
    while let Some(unit) = units.next_if(|unit| unit.chars().count() <= room) {
        room -= unit.chars().count();
        fits.push_str(unit);
    }
    if units.peek().is_some() {
        fits.push('…');
    }
    assert_eq!(format!("{:.limit$}", Escaped(bytes)), fits, "{bytes:x?} cut at {limit}");
}

/// The characters and escapes of a text that [`Escaped`] has made. It writes `}` behind each `\u{`, and hexadecimal digits
/// in every escape: an `unwrap` here or in [`unescaped`] that fails has found a fault of it.
fn units(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut characters = rest.chars();
        let length = match characters.next()? {
            '\\' => match characters.next() {
                Some('x') => 4,
                Some('u') => rest.find('}').unwrap() + 1,
                _ => 2,
            },
            character => character.len_utf8(),
        };
        let (unit, behind) = rest.split_at(length);
        rest = behind;
        Some(unit)
    })
}

/// Takes the escapes back.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for unit in units(text) {
        match unit {
            r"\\" => bytes.push(b'\\'),
            r"\t" => bytes.push(b'\t'),
            r"\r" => bytes.push(b'\r'),
            r"\n" => bytes.push(b'\n'),
            byte if byte.starts_with(r"\x") => bytes.push(u8::from_str_radix(&byte[2..], 16).unwrap()),
            code if code.starts_with(r"\u{") => {
                let code = u32::from_str_radix(&code[3..code.len() - 1], 16).unwrap();
                bytes.extend(char::from_u32(code).unwrap().to_string().bytes());
            }
            plain => bytes.extend(plain.bytes()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of these, random strings have every kind of right and wrong UTF-8 in them: lead bytes of 2, 3 and 4, those whose
    /// second byte is restricted, those that never occur, and second bytes on both sides of each restriction.
    const EDGES: [u8; 18] =
        [b'a', b'~', 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xE2, 0xED, 0xF0, 0xF1, 0xF4, 0xF5, 0xFF];

    /// Of these, what looks like an escape and is none, and the other way round.
    const TEXTS: [&str; 16] = [
        "a", "é", "世", "😀", "\\", "\"", "x1b", "u{9b}", "n", "\n", "\t", "\r", "\x1B", "\u{9B}", "\u{202E}",
        "\u{FFFD}",
    ];

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let some = prop_oneof![
            3 => prop::sample::select(&EDGES[..]).prop_map(|byte| vec![byte]),
            2 => prop::sample::select(&TEXTS[..]).prop_map(|text| text.as_bytes().to_vec()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ];
        prop::collection::vec(some, 0..60).prop_map(|some| some.concat())
    }

    proptest! {
        #![proptest_config(super::super::some(20_000))]

        #[test]
        fn text_is_what_its_definition_says_however_it_arrives(
            bytes in bytes(),
            pieces in prop::collection::vec(0..8usize, 0..40),
            limit in 0..60usize,
        ) {
            check(&bytes, &pieces, limit);
        }
    }

    #[test]
    fn all_short_streams_decode_alike_however_they_are_cut() {
        let longest = if cfg!(miri) { 2 } else { 4 };
        for length in 0..=longest {
            for number in 0..EDGES.len().pow(length) {
                let digit = |place| EDGES[number / EDGES.len().pow(place) % EDGES.len()];
                let bytes: Vec<u8> = (0..length).map(digit).collect();
                for cuts in 0..1u64 << length.saturating_sub(1) {
                    let pieces = pieces(length, cuts);
                    assert_eq!(decoded(&bytes, &pieces), String::from_utf8_lossy(&bytes), "{bytes:x?} in {pieces:?}");
                }
            }
        }
    }

    /// The lengths of the pieces when so many bytes are cut behind each one whose bit is set.
    fn pieces(length: u32, cuts: u64) -> Vec<usize> {
        let mut pieces = vec![0];
        for at in 0..length {
            *pieces.last_mut().unwrap() += 1;
            if cuts >> at & 1 == 1 {
                pieces.push(0);
            }
        }
        pieces
    }
}
