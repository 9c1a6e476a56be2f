//! An entry of the stream, to and from the fields that the engine keeps. What comes from there is checked as if a guest had
//! typed it.

use std::fmt;
use std::rc::Rc;

use super::super::names;
use super::super::said::said;
use super::super::typed::LONGEST_LINE;
use super::EntryId;
use super::list::List;

/// A line whose bytes are all wrong is three times as long when each is replaced.
const LONGEST_TEXT: usize = 3 * LONGEST_LINE;

/// Linux has no longer name of a host.
const LONGEST_LABEL: usize = 64;

/// What a node says to all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What people call the node.
    pub label: Rc<str>,
    /// Which start of the node this is.
    pub boot: u64,
    /// It counts the entries of a boot, from 1 on.
    pub sequence: u64,
    /// So many lines were said by this boot, up to and including this entry.
    pub lines: u64,
    /// The place of the first entry of this boot. Zero as long as the boot does not know it.
    pub born: EntryId,
    pub what: What,
}

/// A guest is a number of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The node is here, its guests have no names, and it asks all nodes for their lists.
    Hello,
    Claim {
        guest: u64,
        name: String,
    },
    /// The others are to know of the guest.
    Join {
        guest: u64,
    },
    Say {
        guest: u64,
        text: String,
    },
    Leave {
        guest: u64,
    },
    Alive,
    List(List),
    /// Nothing was heard of this boot for too long.
    Dead {
        boot: u64,
    },
    Bye,
}

/// Why an entry is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    Missing(&'static str),
    Wrong(&'static str),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Missing(field) => write!(f, "it has no field '{field}'"),
            Malformed::Wrong(field) => write!(f, "its field '{field}' is wrong"),
        }
    }
}

impl Entry {
    /// All entries have the same fields in the same order: then the engine keeps their names once.
    pub fn to_fields(&self) -> Vec<(&'static str, String)> {
        let (what, guest, text) = self.what.to_fields();
        vec![
            ("node", self.label.to_string()),
            ("boot", format!("{:016x}", self.boot)),
            ("sequence", self.sequence.to_string()),
            ("lines", self.lines.to_string()),
            ("born", self.born.to_string()),
            ("what", what.to_owned()),
            ("guest", guest.to_string()),
            ("text", text),
        ]
    }

    pub fn from_fields(fields: &[(Vec<u8>, Vec<u8>)]) -> Result<Entry, Malformed> {
        let fields = Fields(fields);
        let entry = Entry {
            label: checked_label(fields.text("node")?).ok_or(Malformed::Wrong("node"))?,
            boot: fields.boot("boot", fields.text("boot")?)?,
            sequence: fields.parsed("sequence")?,
            lines: fields.parsed("lines")?,
            born: fields.parsed("born")?,
            what: What::from_fields(fields)?,
        };
        let own_lines = u64::from(entry.what.is_line());
        let is_possible = own_lines <= entry.lines && entry.lines < entry.sequence;
        if is_possible { Ok(entry) } else { Err(Malformed::Wrong("lines")) }
    }
}

impl What {
    pub fn is_line(&self) -> bool {
        matches!(self, What::Say { .. })
    }

    fn to_fields(&self) -> (&'static str, u64, String) {
        match self {
            What::Hello => ("hello", 0, String::new()),
            What::Claim { guest, name } => ("claim", *guest, name.clone()),
            What::Join { guest } => ("join", *guest, String::new()),
            What::Say { guest, text } => ("say", *guest, text.clone()),
            What::Leave { guest } => ("leave", *guest, String::new()),
            What::Alive => ("alive", 0, String::new()),
            What::List(list) => ("list", 0, list.to_string()),
            What::Dead { boot } => ("dead", 0, format!("{boot:016x}")),
            What::Bye => ("bye", 0, String::new()),
        }
    }

    fn from_fields(fields: Fields<'_>) -> Result<What, Malformed> {
        let guest = fields.parsed("guest")?;
        let text = fields.text("text")?;
        let wrong = Malformed::Wrong("text");
        Ok(match fields.text("what")? {
            "hello" => What::Hello,
            "claim" => match names::check_name(text) {
                Ok(_) => What::Claim { guest, name: text.to_owned() },
                Err(_) => return Err(wrong),
            },
            "join" => What::Join { guest },
            "say" if text.len() > LONGEST_TEXT => return Err(wrong),
            "say" => What::Say { guest, text: said(text.as_bytes()).ok_or(wrong)?.into_owned() },
            "leave" => What::Leave { guest },
            "alive" => What::Alive,
            "list" => What::List(List::parse(text).ok_or(wrong)?),
            "dead" => What::Dead { boot: fields.boot("text", text)? },
            "bye" => What::Bye,
            _ => return Err(Malformed::Wrong("what")),
        })
    }
}

#[derive(Clone, Copy)]
struct Fields<'f>(&'f [(Vec<u8>, Vec<u8>)]);

impl<'f> Fields<'f> {
    fn text(self, name: &'static str) -> Result<&'f str, Malformed> {
        let found = self.0.iter().find(|(field, _)| field == name.as_bytes());
        let (_, value) = found.ok_or(Malformed::Missing(name))?;
        str::from_utf8(value).map_err(|_| Malformed::Wrong(name))
    }

    fn parsed<T: std::str::FromStr>(self, name: &'static str) -> Result<T, Malformed> {
        self.text(name)?.parse().map_err(|_| Malformed::Wrong(name))
    }

    fn boot(self, name: &'static str, text: &str) -> Result<u64, Malformed> {
        let is_plain = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let boot = is_plain.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        boot.ok_or(Malformed::Wrong(name))
    }
}

/// Letters, digits, `.`, `_` and `-`, as names of hosts have them.
pub fn checked_label(text: &str) -> Option<Rc<str>> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_label = !text.is_empty() && text.len() <= LONGEST_LABEL && text.bytes().all(is_plain);
    is_label.then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::super::list::Listed;
    use super::*;

    fn entry(what: What) -> Entry {
        Entry { label: "web-1.x".into(), boot: 0x3f9a, sequence: 12, lines: 3, born: id(5), what }
    }

    fn id(milliseconds: u64) -> EntryId {
        EntryId { milliseconds, number: 1 }
    }

    fn fields(entry: &Entry) -> Vec<(Vec<u8>, Vec<u8>)> {
        let fields = entry.to_fields().into_iter();
        fields.map(|(name, value)| (name.as_bytes().to_vec(), value.into_bytes())).collect()
    }

    fn with(entry: &Entry, field: &str, value: impl AsRef<[u8]>) -> Result<Entry, Malformed> {
        let mut fields = fields(entry);
        for (_, old) in fields.iter_mut().filter(|(name, _)| name == field.as_bytes()) {
            *old = value.as_ref().to_vec();
        }
        Entry::from_fields(&fields)
    }

    fn listed(guest: u64, name: Option<&str>) -> Listed {
        Listed { guest, name: name.map(str::to_owned), granted: id(guest), is_announced: guest == 2 }
    }

    #[test]
    fn what_is_written_is_read() {
        let list =
            |guests| What::List(List { read: id(9), from: 1, to: u64::MAX, boots: Some(vec![1, u64::MAX]), guests });
        for what in [
            What::Hello,
            What::Claim { guest: 7, name: "guest12".into() },
            What::Join { guest: 7 },
            What::Say { guest: u64::MAX, text: "naïve: façade ".into() },
            What::Leave { guest: 7 },
            What::Alive,
            list(vec![]),
            list(vec![listed(1, None), listed(2, Some("Anna_3")), listed(u64::MAX, Some("x"))]),
            What::Dead { boot: u64::MAX },
            What::Bye,
        ] {
            assert_eq!(Entry::from_fields(&fields(&entry(what.clone()))), Ok(entry(what)));
        }
    }

    #[test]
    fn all_entries_have_the_same_fields() {
        let names = |what| entry(what).to_fields().iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names(What::Alive), ["node", "boot", "sequence", "lines", "born", "what", "guest", "text"]);
        assert_eq!(names(What::Alive), names(What::Say { guest: 1, text: "x".into() }));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let alive = entry(What::Alive);
        for at in 0..8 {
            let mut fields = fields(&alive);
            let (name, _) = fields.remove(at);
            let Err(Malformed::Missing(missing)) = Entry::from_fields(&fields) else { panic!("{at}") };
            assert_eq!(missing.as_bytes(), name);
        }
        for (field, values) in [
            ("node", vec!["", "a b", "ä", &"x".repeat(65), "x@y"]),
            ("boot", vec!["", "3f9a", "+00000000000003f", "00000000000000000"]),
            ("sequence", vec!["", "-1", "x", "18446744073709551616"]),
            ("lines", vec!["", "12", "18446744073709551615"]),
            ("born", vec!["", "7", "1-x"]),
            ("what", vec!["", "SAY", "shout"]),
            ("guest", vec!["", "-1"]),
        ] {
            for value in values {
                assert_eq!(with(&alive, field, value), Err(Malformed::Wrong(field)), "{field} {value:?}");
            }
        }
        assert_eq!(with(&alive, "text", [0xFF]), Err(Malformed::Wrong("text")));
    }

    #[test]
    fn names_and_texts_are_checked_as_if_a_guest_had_typed_them() {
        let claim = entry(What::Claim { guest: 1, name: "anna".into() });
        for name in ["", "a b", "Server", "anna@x", &"n".repeat(33)] {
            assert_eq!(with(&claim, "text", name), Err(Malformed::Wrong("text")), "{name}");
        }
        let say = entry(What::Say { guest: 1, text: "x".into() });
        for text in ["", " ", "\u{200B}", &"x".repeat(LONGEST_TEXT + 1)] {
            assert_eq!(with(&say, "text", text), Err(Malformed::Wrong("text")));
        }
        let What::Say { text, .. } = with(&say, "text", "a\x1B[2Jb\nc").unwrap().what else { panic!() };
        assert!(!text.contains(['\x1B', '\n']), "{text:?}");
    }
}
