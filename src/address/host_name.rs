//! The name of a host, checked.
//!
//! A name that a [`HostName`] holds can be asked of a name server as it is. What cannot be one is an error when it is made, so
//! nothing behind it looks again.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use crate::base::error::Error;

/// The most characters of a name, without the dot at its end (RFC 1035: 255 bytes as they are sent).
const LONGEST: usize = 253;

/// The most characters between two dots.
const LONGEST_LABEL: usize = 63;

/// The name of a host, such as `www.example.org`.
///
/// It has from 1 to 253 characters. Between its dots are from 1 to 63 letters, digits, hyphens and underscores. Upper and lower
/// case are the same; it is shown as it was written. A dot at its end says that it is the whole name, and that no domain of
/// `/etc/resolv.conf` is to be added.
///
/// Names with other letters (IDN) have to be written in the form that is asked for, `xn--...`. A name whose last part is a
/// number is refused: it would be an address to some programs and a name to others.
///
/// ```
/// use tidegate::HostName;
///
/// let name: HostName = "www.Example.org".parse()?;
/// assert_eq!(name, "WWW.example.ORG".parse()?);
/// assert_eq!(name.to_string(), "www.Example.org");
/// assert!("a..b".parse::<HostName>().is_err());
/// assert!("127.1".parse::<HostName>().is_err());
/// # Ok::<(), tidegate::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct HostName {
    /// The bytes after the name are zero.
    text: [u8; LONGEST],
    length: u8,
    /// It has a dot at its end, which is not part of `text`.
    is_whole: bool,
}

impl HostName {
    /// A name from its text.
    ///
    /// # Errors
    /// Text that is no name, with the reason.
    pub fn new(text: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::invalid(format!("bad name '{}': {why}", text.escape_debug()));
        let (name, is_whole) = match text.strip_suffix('.') {
            Some(name) => (name, true),
            None => (text, false),
        };
        if name.is_empty() {
            return Err(wrong("it is empty".to_owned()));
        }
        if name.len() > LONGEST {
            return Err(wrong(format!("it has {} characters, and a name has at most {LONGEST}", name.len())));
        }
        for label in name.split('.') {
            if label.is_empty() {
                return Err(wrong("there is nothing between two dots, or before the first".to_owned()));
            }
            if label.len() > LONGEST_LABEL {
                let length = label.len();
                return Err(wrong(format!("a part of it has {length} characters, and it has at most {LONGEST_LABEL}")));
            }
            if let Some(other) = label.chars().find(|letter| !is_part_of_a_name(*letter)) {
                let other = other.escape_debug();
                return Err(wrong(format!(
                    "it has a '{other}', and a name has letters, digits, hyphens, underscores and dots; other letters are written xn--..."
                )));
            }
        }
        if name.rsplit('.').next().is_some_and(is_number) {
            return Err(wrong("its last part is a number: write an IPv4 address as four numbers".to_owned()));
        }
        Ok(HostName::of(name, is_whole))
    }

    /// From text that was looked at.
    fn of(name: &str, is_whole: bool) -> Self {
        let mut text = [0; LONGEST];
        let length = name.len().min(LONGEST);
        text[..length].copy_from_slice(&name.as_bytes()[..length]);
        HostName { text, length: length as u8, is_whole }
    }

    /// The machine itself.
    pub(crate) fn localhost() -> Self {
        HostName::of("localhost", false)
    }

    /// The name without a dot at its end.
    pub fn as_str(&self) -> &str {
        // It was text.
        std::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }

    /// Whether it was written with a dot at its end.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The number of its dots, without one at its end.
    #[cfg(feature = "names")]
    pub(crate) fn dots(&self) -> usize {
        self.as_str().bytes().filter(|byte| *byte == b'.').count()
    }

    /// The name in a domain, with nothing to be added any more. None if it is too long.
    #[cfg(feature = "names")]
    pub(crate) fn within(&self, domain: &HostName) -> Option<Self> {
        let whole = format!("{}.{}", self.as_str(), domain.as_str());
        (whole.len() <= LONGEST).then(|| HostName::of(&whole, true))
    }

    /// The same with nothing to be added any more.
    #[cfg(feature = "names")]
    pub(crate) fn whole(self) -> Self {
        HostName { is_whole: true, ..self }
    }

    /// Whether it is the machine itself, by RFC 6761: `localhost`, or a name that ends with it.
    pub(crate) fn is_localhost(&self) -> bool {
        self.as_str().rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
    }
}

fn is_part_of_a_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '-' || letter == '_'
}

/// Whether programs may take it for a part of an address: `255`, `0xff`.
fn is_number(label: &str) -> bool {
    let digits = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match digits {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

impl PartialEq for HostName {
    fn eq(&self, other: &Self) -> bool {
        self.is_whole == other.is_whole && self.as_str().eq_ignore_ascii_case(other.as_str())
    }
}

impl Eq for HostName {}

impl Hash for HostName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().bytes().for_each(|byte| state.write_u8(byte.to_ascii_lowercase()));
        self.is_whole.hash(state);
    }
}

impl Ord for HostName {
    fn cmp(&self, other: &Self) -> Ordering {
        fn letters(name: &HostName) -> impl Iterator<Item = u8> {
            name.as_str().bytes().map(|byte| byte.to_ascii_lowercase())
        }
        letters(self).cmp(letters(other)).then(self.is_whole.cmp(&other.is_whole))
    }
}

impl PartialOrd for HostName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        if self.is_whole { f.write_str(".") } else { Ok(()) }
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl FromStr for HostName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        HostName::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let long_label = "x".repeat(64);
        let long_name = ["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(62)].join(".");
        for (text, why) in [
            ("", "it is empty"),
            (".", "it is empty"),
            ("a..b", "nothing between two dots"),
            (".a", "nothing between two dots"),
            ("a b", "it has a ' '"),
            ("b\u{fc}cher.example", "it has a '\u{fc}'"),
            ("a\0b", "it has a '\\0'"),
            (&long_label, "a part of it has 64 characters"),
            (&long_name, "it has 254 characters"),
            ("1.2.3", "its last part is a number"),
            ("127.0x1", "its last part is a number"),
        ] {
            let error = HostName::new(text).expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn the_longest_names_are_names() {
        for text in [["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(61)].join("."), "x".repeat(63)] {
            assert_eq!(HostName::new(&text).unwrap().as_str(), text);
            assert_eq!(HostName::new(&format!("{text}.")).unwrap().to_string(), format!("{text}."));
        }
        assert_eq!(HostName::new("_sip.1st-host.example").unwrap().as_str(), "_sip.1st-host.example");
    }

    #[test]
    fn case_makes_no_difference_and_a_dot_at_the_end_does() {
        let name = |text| HostName::new(text).unwrap();
        assert_eq!(name("Example.ORG"), name("example.org"));
        assert_eq!(name("Example.ORG").cmp(&name("example.org")), Ordering::Equal);
        assert_ne!(name("example.org"), name("example.org."));
    }
}
