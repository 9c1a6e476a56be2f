//! How fast a guest of a chat may send lines: `--flood`.

use std::ops::RangeInclusive;

use super::number::{OrNone, or_none, whole};

/// A token bucket of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloodLimit {
    /// Lines at once; at least 1.
    pub burst: u32,
    /// Lines per second after that; at least 1.
    pub rate: u32,
}

impl FloodLimit {
    /// For peers on other machines, if the command line does not say.
    pub const DEFAULT: FloodLimit = FloodLimit { burst: 20, rate: 10 };
}

pub(super) fn flood_or_none(text: &str) -> Result<OrNone<FloodLimit>, String> {
    const BOUNDS: RangeInclusive<u32> = 1..=1_000_000;

    or_none(text, |text| {
        let (burst, rate) = text
            .split_once('/')
            .ok_or("write lines at once / lines per second, such as 20/10, or 'none' for no limit")?;
        Ok(FloodLimit { burst: whole(burst, BOUNDS)?, rate: whole(rate, BOUNDS)? })
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{chat, wrong};
    use super::*;

    #[test]
    fn flood_depends_on_the_peer_unless_it_is_given() {
        let limit = |flags: &[&str], is_local| chat(flags).flood_limit(is_local);

        assert_eq!(limit(&[], true), None);
        assert_eq!(limit(&[], false), Some(FloodLimit::DEFAULT));
        for is_local in [true, false] {
            assert_eq!(limit(&["--flood", "5/1"], is_local), Some(FloodLimit { burst: 5, rate: 1 }));
            assert_eq!(limit(&["--flood", "none"], is_local), None);
        }
        for text in ["20", "20/", "/10", "0/10", "20/0", "20/10/5", "1000001/1"] {
            assert!(wrong(&["--flood", text]).contains("--flood"), "{text}");
        }
    }
}
