//! Numbers, sizes, and the word `none`, as they are typed; and numbers as they are shown.

use std::fmt;
use std::ops::RangeInclusive;

/// A value or the word `none`. The alias hides the `Option` from clap, to which that is a flag that may be missing.
pub type OrNone<T> = Option<T>;

pub(super) fn or_none<T>(text: &str, value: impl FnOnce(&str) -> Result<T, String>) -> Result<OrNone<T>, String> {
    match text {
        "none" => Ok(None),
        "off" | "no" | "never" | "unlimited" | "infinite" | "disabled" | "-1" => {
            Err("write 'none' for that".to_owned())
        }
        _ => value(text).map(Some),
    }
}

pub(super) fn whole(text: &str, bounds: RangeInclusive<u32>) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if bounds.contains(&number) => Ok(number),
        _ => Err(format!("'{text}' is not a whole number from {} to {}", bounds.start(), bounds.end())),
    }
}

pub(super) fn connections(text: &str) -> Result<usize, String> {
    whole(text, 1..=u32::MAX).map(|connections| connections as usize)
}

pub(super) fn connections_or_none(text: &str) -> Result<OrNone<usize>, String> {
    or_none(text, connections)
}

const GIB: u64 = 1 << 30;

/// A size. It is shown as it was typed.
#[derive(Clone, Debug)]
pub struct Size {
    pub bytes: usize,
    typed: String,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.typed.bytes().all(|byte| byte.is_ascii_digit()) { " bytes" } else { "" };
        write!(f, "{}{unit}", self.typed)
    }
}

impl From<usize> for Size {
    fn from(bytes: usize) -> Self {
        Size { bytes, typed: bytes.to_string() }
    }
}

/// At most a GiB, which fits the `usize` of every machine.
pub(super) fn size(text: &str) -> Result<Size, String> {
    Ok(Size { bytes: bytes(text, GIB)? as usize, typed: text.to_owned() })
}

pub(super) fn size_or_none(text: &str) -> Result<OrNone<Size>, String> {
    or_none(text, |text| size(text).map_err(or_no_limit))
}

/// How many bytes one connection gets.
pub(super) fn total_or_none(text: &str) -> Result<OrNone<u64>, String> {
    or_none(text, |text| bytes(text, GIB << 20).map_err(or_no_limit))
}

fn or_no_limit(wrong: String) -> String {
    format!("{wrong}, or 'none' for no limit")
}

/// Bytes, or 1024 of them to the power of a unit. `largest` is a whole number of GiB.
fn bytes(text: &str, largest: u64) -> Result<u64, String> {
    let (number, unit) = text.split_at(count(text, |byte| byte.is_ascii_digit()));
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err("write a size in bytes, or in KiB, MiB or GiB, such as 65536, 64KiB or 1M".to_owned()),
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)) {
        Some(bytes) if (1..=largest).contains(&bytes) => Ok(bytes),
        _ => Err(format!("a size is from 1 byte to {}GiB", largest / GIB)),
    }
}

/// `1 socket`, `2 sockets`, `3 deliveries`.
pub fn counted(count: u64, what: &str) -> String {
    match what.strip_suffix('y') {
        _ if count == 1 => format!("1 {what}"),
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {what}s"),
    }
}

/// How many bytes at the start are of this kind.
pub(super) fn count(text: &str, kind: impl Fn(&u8) -> bool) -> usize {
    text.bytes().take_while(kind).count()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{daemon, wrong};
    use super::*;

    #[test]
    fn connections_are_bounded() {
        assert_eq!(daemon(&["--max-connections", "1"]).max_connections, Some(1));
        for number in ["0", "4294967296", "many", ""] {
            assert!(wrong(&["--max-connections", number]).contains("not a whole number from 1 to 4294967295"));
        }
    }

    #[test]
    fn sizes_count_in_1024() {
        for (text, expected) in [("1", 1), ("65536", 65536), ("64KiB", 65536), ("64k", 65536), ("1M", 1 << 20)] {
            assert_eq!(size(text).unwrap().bytes, expected, "{text}");
        }
        assert_eq!(size("1GiB").unwrap().bytes, 1 << 30);
        assert_eq!(size("1M").unwrap().to_string(), "1M");
        assert_eq!(size("64").unwrap().to_string(), "64 bytes");
        for text in ["1KB", "1 M", "1.5M", "-1", "1é", "none"] {
            assert!(size(text).is_err_and(|error| error.starts_with("write a size in bytes")), "{text}");
        }
        for text in ["", "KiB", "0", "2G", "1073741825", "99999999999999999999", "18446744073709551615k"] {
            assert!(size(text).is_err_and(|error| error.contains("from 1 byte to 1GiB")), "{text}");
        }
    }
}
