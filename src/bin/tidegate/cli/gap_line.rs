//! What stands in the place of frames that were skipped: `--gap-line`.

use std::str::FromStr;

/// A text with places for two numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapLine(String);

const FRAMES: &str = "{frames}";
const BYTES: &str = "{bytes}";

impl FromStr for GapLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const LONGEST: usize = 1024;

        let rest = text.replace(FRAMES, "").replace(BYTES, "");
        let word = rest.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        if word.is_some_and(|(word, _)| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
            return Err(format!("{FRAMES} and {BYTES} stand for numbers, and no other word in braces"));
        }
        if text.contains('\n') {
            return Err("it is one line: leave out the LF, which it gets".to_owned());
        }
        match text.len() {
            0 => Err("write at least one character".to_owned()),
            1..=LONGEST => Ok(GapLine(text.to_owned())),
            _ => Err(format!("it has at most {LONGEST} bytes")),
        }
    }
}

impl GapLine {
    /// The text, without an end.
    pub fn of(&self, frames: u64, bytes: u64) -> String {
        self.0.replace(FRAMES, &frames.to_string()).replace(BYTES, &bytes.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_in_their_places() {
        let line: GapLine = "# {frames} frames ({bytes} bytes) skipped".parse().unwrap();
        assert_eq!(line.of(3, 99), "# 3 frames (99 bytes) skipped");
        assert_eq!("{{\"gap\": {frames}}}".parse::<GapLine>().unwrap().of(7, 1), "{{\"gap\": 7}}");
        for (text, says) in [("{frame}", "no other word"), ("", "at least one"), ("a\nb", "one line")] {
            assert!(text.parse::<GapLine>().unwrap_err().contains(says), "{text}");
        }
    }
}
