//! The place of an entry in a stream.

use std::fmt;
use std::str::FromStr;

/// As the engine gives it: the time of its clock, and a number within the millisecond. Those of a stream rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    pub milliseconds: u64,
    pub number: u64,
}

impl EntryId {
    /// Before all entries.
    pub const ZERO: EntryId = EntryId { milliseconds: 0, number: 0 };

    /// What is read after this place begins with the entry itself, if it is still there.
    pub fn before(self) -> EntryId {
        match (self.milliseconds, self.number) {
            (0, 0) => EntryId::ZERO,
            (milliseconds, 0) => EntryId { milliseconds: milliseconds - 1, number: u64::MAX },
            (milliseconds, number) => EntryId { milliseconds, number: number - 1 },
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.number)
    }
}

/// It is no `ms-n` of two numbers of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoId;

impl FromStr for EntryId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let (milliseconds, number) = text.split_once('-').ok_or(NoId)?;
        Ok(EntryId { milliseconds: digits(milliseconds)?, number: digits(number)? })
    }
}

/// What `u64::from_str` takes beside digits, a plus sign, no engine writes.
fn digits(text: &str) -> Result<u64, NoId> {
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().map_err(|_| NoId),
        false => Err(NoId),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_it_is_read_and_ordered_by_time_and_then_by_number() {
        let id = |text: &str| text.parse::<EntryId>();
        for text in ["0-0", "1700000000000-7", "18446744073709551615-18446744073709551615"] {
            assert_eq!(id(text).unwrap().to_string(), text);
        }
        for (text, before) in [("7-3", "7-2"), ("7-0", "6-18446744073709551615"), ("0-1", "0-0"), ("0-0", "0-0")] {
            assert_eq!(id(text).unwrap().before(), id(before).unwrap());
        }
        let ordered = ["0-0", "0-1", "9-0", "9-10", "10-2"].map(|text| id(text).unwrap());
        assert!(ordered.is_sorted() && ordered[0] == EntryId::ZERO);
        for text in ["", "-", "1", "1-", "-1", "1-2-3", "+1-2", "1-+2", " 1-2", "1-2 ", "18446744073709551616-0", "x-y"]
        {
            assert_eq!(id(text), Err(NoId), "{text}");
        }
    }
}
