//! Numbers, sizes, and the word `none`, as they are typed.

use std::ops::RangeInclusive;

/// A value, or the word `none`. A type of its own, as clap reads a bare `Option` as a flag that may be missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct OrNone<T>(pub Option<T>);

pub(super) fn or_none<T>(text: &str, value: impl FnOnce(&str) -> Result<T, String>) -> Result<OrNone<T>, String> {
    match text {
        "none" => Ok(OrNone(None)),
        _ => value(text).map(|value| OrNone(Some(value))),
    }
}

pub(super) fn whole(text: &str, bounds: RangeInclusive<u32>) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if bounds.contains(&number) => Ok(number),
        _ => Err(format!("'{text}' is not a whole number from {} to {}", bounds.start(), bounds.end())),
    }
}

pub(super) fn connections(text: &str) -> Result<usize, String> {
    let number = whole(text, 1..=u32::MAX)?;
    usize::try_from(number).map_err(|error| error.to_string())
}

pub(super) fn bytes_or_none(text: &str) -> Result<OrNone<u64>, String> {
    or_none(text, |text| match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err("write a whole number of bytes, at least 1; 'none' is no end".to_owned()),
    })
}

pub(super) fn size_or_none(text: &str) -> Result<OrNone<usize>, String> {
    or_none(text, size)
}

/// Bytes, or 1024 of them to the power of a unit. No more than a GiB, which fits every machine's `usize`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    const LARGEST: usize = 1 << 30;

    let (number, unit) = text.split_at(count(text, |byte| byte.is_ascii_digit()));
    let factor: usize = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err("write a size in bytes, or in KiB, MiB or GiB, such as 65536, 64KiB or 1M".to_owned()),
    };
    match number.parse::<usize>().ok().and_then(|number| number.checked_mul(factor)) {
        Some(bytes @ 1..=LARGEST) => Ok(bytes),
        _ => Err("a size is from 1 byte to 1GiB; 'none' is no limit".to_owned()),
    }
}

/// How many bytes at the start are of this kind.
pub(super) fn count(text: &str, kind: impl Fn(&u8) -> bool) -> usize {
    text.bytes().take_while(kind).count()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{common, wrong};
    use super::*;

    #[test]
    fn connections_are_bounded() {
        assert_eq!(common(&["--max-connections", "1"]).max_connections, Some(1));
        for number in ["0", "4294967296", "many", ""] {
            assert!(wrong(&["--max-connections", number]).contains("not a whole number from 1 to 4294967295"));
        }
    }

    #[test]
    fn sizes_count_in_1024() {
        for (text, expected) in [("1", 1), ("65536", 65536), ("64KiB", 65536), ("64k", 65536), ("1M", 1 << 20)] {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        assert_eq!(size("1GiB"), Ok(1 << 30));
        for text in ["1KB", "1 M", "1.5M", "-1", "1é", "none"] {
            assert!(size(text).is_err_and(|error| error.starts_with("write a size in bytes")), "{text}");
        }
        for text in ["", "KiB", "0", "2G", "1073741825", "99999999999999999999", "18446744073709551615k"] {
            assert!(size(text).is_err_and(|error| error.contains("from 1 byte to 1GiB")), "{text}");
        }
    }
}
