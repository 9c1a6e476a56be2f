//! What the others see of a line.
//!
//! It is the line as its writer sees it: without what Backspace has taken away. It is harmless to a terminal (`sanitize`), it is
//! not empty to the eye, and it does not write over the lines above: marks are stacked on one letter without end otherwise.

use std::borrow::Cow;

use memchr::memchr2;
use tidegate::sanitize;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

const BACKSPACE: char = '\x08';
const DELETE: char = '\x7F';

/// Marks on one letter. The scripts that need many have five.
const MOST_MARKS: usize = 8;

/// The line as the others are to see it. None if there is nothing to be seen.
pub fn said(line: &[u8]) -> Option<Cow<'_, str>> {
    let said = match memchr2(BACKSPACE as u8, DELETE as u8, line) {
        None => sanitize(line),
        Some(_) => Cow::Owned(sanitize(erased(line).as_bytes()).into_owned()),
    };
    let said = if said.is_ascii() { said } else { with_few_marks(said) };
    said.chars().any(is_visible).then_some(said)
}

/// Backspace takes away the character before it. At the beginning it takes nothing.
fn erased(line: &[u8]) -> String {
    let mut text = String::with_capacity(line.len());
    for character in String::from_utf8_lossy(line).chars() {
        match character {
            BACKSPACE | DELETE => drop(text.pop()),
            _ => text.push(character),
        }
    }
    text
}

fn with_few_marks(text: Cow<'_, str>) -> Cow<'_, str> {
    let mut marks = 0;
    if text.chars().all(|character| is_kept(character, &mut marks)) {
        return text;
    }
    let mut marks = 0;
    Cow::Owned(text.chars().filter(|character| is_kept(*character, &mut marks)).collect())
}

/// Counts the marks on a letter. A character that is not shown is no letter that could carry marks of its own.
fn is_kept(character: char, marks: &mut usize) -> bool {
    if is_mark(character) {
        *marks += 1;
        return *marks <= MOST_MARKS;
    }
    if !is_ignorable(character) {
        *marks = 0;
    }
    true
}

fn is_mark(character: char) -> bool {
    character.general_category_group() == GeneralCategoryGroup::Mark
}

fn is_visible(character: char) -> bool {
    character.is_ascii_graphic()
        || !(character.is_whitespace() || character.is_control() || character == '\u{2800}' || is_ignorable(character))
}

/// Unicode's Default_Ignorable_Code_Point: what is shown as nothing, among it fillers, joiners and selectors. Added are marks of
/// annotations, and blanks and format characters of scripts that few fonts have.
fn is_ignorable(character: char) -> bool {
    matches!(
        character,
        '\u{AD}'
            | '\u{34F}'
            | '\u{61C}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}'
            | '\u{13430}'..='\u{13442}'
            | '\u{16FE4}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D159}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backspace_takes_away_the_character_before_it() {
        for (typed, meant) in [
            ("helo\x08lo", "hello"),
            ("helo\x7Flo", "hello"),
            ("grü\x08u", "gru"),
            ("5 €\x08$", "5 $"),
            ("😀\x08:)", ":)"),
            ("\x08\x08ok", "ok"),
            ("ab\x08\x08\x08\x08c", "c"),
            ("a\x08\x7Fb\x7F", ""),
            ("e\u{301}\x08", "e"),
            ("a\x1B\x08b", "ab"),
            ("/nuck\x08\x08\x08ick x", "/nick x"),
        ] {
            assert_eq!(said(typed.as_bytes()).unwrap_or_default(), meant, "{typed:?}");
        }
        assert_eq!(said(b"a\xFF\x08b").unwrap(), "ab", "a wrong byte is a character too");
        assert_eq!(said(b"a\xE2\x82\x08b").unwrap(), "ab", "and half a character");
    }

    #[test]
    fn a_line_without_anything_visible_is_empty() {
        for nothing in [
            "",
            " ",
            "\t \t",
            "\u{A0}",
            "\u{3000}\u{2003}",
            "\u{200B}",
            "\u{2060}",
            "\u{AD}",
            "\u{3164}",
            "\u{115F}\u{1160}",
            "\u{FFA0}",
            "\u{2800}",
            "\u{FEFF}",
            "\u{200D}\u{200C}",
            "\u{FE0F}",
            "\u{E0100}",
            "\u{180E}",
            "\u{34F}",
            "\u{1D159}",
            "\u{E0020}",
            "\x1B\x07",
            "\u{202E}",
            "x\x08",
            " \u{200B}\u{AD} ",
        ] {
            assert_eq!(said(nothing.as_bytes()), None, "{nothing:?}");
        }
        for something in
            ["a", ".", " x ", "é", "日", "😀", "\u{FFFD}", "\u{200B}a", "👩\u{200D}👧", "\u{10FFFF}", "ا", "\u{601}"]
        {
            assert_eq!(said(something.as_bytes()).unwrap(), something);
        }
    }

    #[test]
    fn a_letter_carries_eight_marks() {
        let marks = |count| "\u{301}".repeat(count);
        for (typed, meant) in [
            (format!("e{}x", marks(8)), format!("e{}x", marks(8))),
            (format!("e{}x", marks(9)), format!("e{}x", marks(8))),
            (format!("e{}e{}", marks(300), marks(300)), format!("e{0}e{0}", marks(8))),
            (format!("{}x", marks(10)), format!("{}x", marks(8))),
            (format!("e{}\u{200B}{}", marks(8), marks(8)), format!("e{}\u{200B}", marks(8))),
            (format!("e{}\u{20DD}\u{489}\u{903}", marks(7)), format!("e{}\u{20DD}", marks(7))),
        ] {
            assert_eq!(said(typed.as_bytes()).unwrap(), meant);
        }
    }

    #[test]
    fn text_of_all_scripts_passes_uncopied() {
        for text in [
            "plain",
            "naïve façade",
            "שָׁלוֹם",
            "مُحَمَّدٌ",
            "日本語",
            "👩\u{200D}👩\u{200D}👧 🇪🇺 e\u{301}",
            "ที่นี่",
            "བརྒྱད",
            "\u{1112}\u{1161}\u{11AB}",
            "𝄞\u{10FFFF}",
            "🏴\u{200D}☠\u{FE0F}",
        ] {
            assert!(matches!(said(text.as_bytes()), Some(Cow::Borrowed(same)) if same == text), "{text}");
        }
    }
}
