//! A list of guests: what a node repeats for those who have not read all.

use std::fmt;

use super::super::names;
use super::EntryId;

/// How many boots are known at most.
pub const MOST_BOOTS: usize = 1000;

/// How many guests a list has at most.
pub const MOST_LISTED: usize = 500;

/// The guests of a node whose numbers are within a range, as they are when the node says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// How far the node has read. Names that were decided later are not in it.
    pub read: EntryId,
    pub from: u64,
    /// Inclusive.
    pub to: u64,
    /// The boots that are there, if the node knows that these are all. The first part of a list has them.
    pub boots: Option<Vec<u64>>,
    pub guests: Vec<Listed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub guest: u64,
    /// None if it is not decided, or not known.
    pub name: Option<String>,
    /// Where it was decided.
    pub granted: EntryId,
    pub is_announced: bool,
}

/// `READ FROM TO BOOT,BOOT`, or `-` without boots, and for each guest `NUMBER:NAME:GRANTED:ANNOUNCED`.
impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.read, self.from, self.to)?;
        match &self.boots {
            None => f.write_str("-")?,
            Some(boots) => {
                let boots: Vec<String> = boots.iter().map(|boot| format!("{boot:x}")).collect();
                f.write_str(&boots.join(","))?;
            }
        }
        for Listed { guest, name, granted, is_announced } in &self.guests {
            let name = name.as_deref().unwrap_or_default();
            write!(f, " {guest}:{name}:{granted}:{}", u8::from(*is_announced))?;
        }
        Ok(())
    }
}

impl List {
    pub fn parse(text: &str) -> Option<List> {
        let mut words = text.split(' ');
        let mut list = List {
            read: words.next()?.parse().ok()?,
            from: words.next()?.parse().ok()?,
            to: words.next()?.parse().ok()?,
            boots: parse_boots(words.next()?)?,
            guests: Vec::new(),
        };
        if list.to < list.from {
            return None;
        }
        let mut from = list.from;
        for word in words {
            let listed = Listed::parse(word)?;
            if listed.guest < from || listed.guest > list.to || list.guests.len() == MOST_LISTED {
                return None;
            }
            from = listed.guest.saturating_add(1);
            list.guests.push(listed);
        }
        Some(list)
    }
}

fn parse_boots(text: &str) -> Option<Option<Vec<u64>>> {
    if text == "-" {
        return Some(None);
    }
    let boots: Result<Vec<u64>, _> =
        text.split(',').take(MOST_BOOTS + 1).map(|boot| u64::from_str_radix(boot, 16)).collect();
    boots.ok().filter(|boots| boots.len() <= MOST_BOOTS).map(Some)
}

impl Listed {
    fn parse(word: &str) -> Option<Listed> {
        let mut parts = word.split(':');
        let guest = parts.next()?.parse().ok()?;
        let name = parts.next()?;
        let listed = Listed {
            guest,
            name: (!name.is_empty()).then(|| name.to_owned()),
            granted: parts.next()?.parse().ok()?,
            is_announced: match parts.next()? {
                "0" => false,
                "1" => true,
                _ => return None,
            },
        };
        let is_name = listed.name.as_deref().is_none_or(|name| names::check_name(name).is_ok());
        (is_name && parts.next().is_none()).then_some(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_in_order_within_its_range_and_bounded() {
        let many = |count| (0..count).map(|guest| format!(" {guest}::0-0:0")).collect::<String>();
        assert!(List::parse(&format!("1-1 0 9999 -{}", many(MOST_LISTED))).is_some());
        for text in [
            "",
            "1-1 3",
            "1-1 3 2 -",
            "1-1 3 9",
            "1-1 3 9 ",
            "1-1 3 9 x",
            "1-1 3 9 1,",
            "1-1 3 9 - 2:a:1-1:0",
            "1-1 3 9 - 10:a:1-1:0",
            "1-1 3 9 - 4:a:1-1:0 4:b:1-1:0",
            "1-1 3 9 - 4:a:1-1",
            "1-1 3 9 - 4:a:1-1:2",
            "1-1 3 9 - 4:a:1-1:0:0",
            "1-1 3 9 - 4:root:1-1:0",
            "1-1 3 9 - ",
            &format!("1-1 0 9999 -{}", many(MOST_LISTED + 1)),
        ] {
            assert_eq!(List::parse(text), None, "{text}");
        }
    }
}
