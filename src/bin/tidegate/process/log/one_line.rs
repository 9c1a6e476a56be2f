//! The text of a record as one harmless line, so that a peer can neither send escape sequences to the reader of the log nor
//! forge a line.

use std::fmt::{self, Write};

use tidegate::is_harmful;

/// The text as one line of at most `bound` bytes that is safe to show on a terminal.
pub fn one_line(text: fmt::Arguments<'_>, bound: usize) -> String {
    let mut line = OneLine { text: String::new(), room: bound - CUT.len(), is_cut: false };
    // The only error is our own. It stops the formatting of a text that is too long.
    let _ = line.write_fmt(text);
    line.text
}

/// Replaces the rest of a text that is too long.
const CUT: &str = " [cut]";

struct OneLine {
    text: String,
    /// The most bytes of `text` before [`CUT`].
    room: usize,
    is_cut: bool,
}

impl Write for OneLine {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for character in piece.chars() {
            self.write_char(character)?;
        }
        Ok(())
    }

    fn write_char(&mut self, character: char) -> fmt::Result {
        if self.is_cut {
            return Err(fmt::Error);
        }
        let end = self.text.len();
        push_escaped(&mut self.text, character);
        if self.text.len() > self.room {
            self.text.truncate(end);
            self.text.push_str(CUT);
            self.is_cut = true;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

/// Escapes a tab and the characters of [`is_harmful`]. A backslash stays as it is: a reader of the log has no need to turn
/// the line back into bytes.
fn push_escaped(text: &mut String, character: char) {
    match character {
        '\n' | '\r' | '\t' => text.extend(character.escape_default()),
        _ if character.is_ascii_control() => {
            let _ = write!(text, "\\x{:02x}", u32::from(character)); // a String takes everything
        }
        _ if is_harmful(character) => text.extend(character.escape_unicode()),
        _ => text.push(character),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_harmless_line() {
        let line = one_line(format_args!("{}", "a\tb\r\nc\x1b[31m\x7f\u{9b}\u{202e}\u{2028}é\\"), 200);
        assert_eq!(line, "a\\tb\\r\\nc\\x1b[31m\\x7f\\u{9b}\\u{202e}\\u{2028}é\\");
        let harmful: String = ('\0'..=char::MAX).filter(|character| is_harmful(*character)).collect();
        let line = one_line(format_args!("{harmful}"), 10_000);
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
        assert_eq!(line.matches('\\').count(), harmful.chars().count(), "each is one escape");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(one_line(format_args!("{}", "é".repeat(10)), 20), "ééééééé [cut]");
        assert_eq!(one_line(format_args!("{}{}", "\x1b".repeat(3), "abc"), 20), "\\x1b\\x1b\\x1bab [cut]");
        assert_eq!(one_line(format_args!("fits"), 20), "fits");
        for bound in 10..40 {
            assert!(one_line(format_args!("{}", "aé\n\u{202e}".repeat(9)), bound).len() <= bound);
        }
    }
}
