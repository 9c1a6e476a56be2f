//! How fast a guest of a chat may talk: what stands behind `--flood`.

use std::ops::RangeInclusive;

use super::number::whole;

/// How fast one peer may talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flood {
    /// [`FloodLimit::DEFAULT`] for peers that are not on this machine, none for those that are.
    #[default]
    Default,
    /// None for anybody.
    Off,
    /// The same for everybody.
    Limit(FloodLimit),
}

impl Flood {
    /// The limit that holds for a peer, who is on this machine or not.
    pub fn limit_for(self, is_local: bool) -> Option<FloodLimit> {
        match self {
            Flood::Default if is_local => None,
            Flood::Default => Some(FloodLimit::DEFAULT),
            Flood::Off => None,
            Flood::Limit(limit) => Some(limit),
        }
    }
}

/// A token bucket of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloodLimit {
    /// Lines at once; at least 1.
    pub burst: u32,
    /// Lines per second after that; at least 1.
    pub rate: u32,
}

impl FloodLimit {
    pub const DEFAULT: FloodLimit = FloodLimit { burst: 20, rate: 10 };
}

pub(super) fn flood(text: &str) -> Result<Flood, String> {
    const BOUNDS: RangeInclusive<u32> = 1..=1_000_000;

    if text == "none" {
        return Ok(Flood::Off);
    }
    let (burst, rate) =
        text.split_once('/').ok_or("write lines at once / lines per second, such as 20/10, or none for no limit")?;
    Ok(Flood::Limit(FloodLimit { burst: whole(burst, BOUNDS)?, rate: whole(rate, BOUNDS)? }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{chat, wrong};
    use super::*;

    #[test]
    fn flood_depends_on_the_peer_unless_it_is_given() {
        let given = FloodLimit { burst: 5, rate: 1 };
        let flood = |text| chat(&["--flood", text]).flood;

        assert_eq!(Flood::Default.limit_for(true), None);
        assert_eq!(Flood::Default.limit_for(false), Some(FloodLimit::DEFAULT));
        for is_local in [true, false] {
            assert_eq!(flood("5/1").limit_for(is_local), Some(given));
            assert_eq!(flood("none").limit_for(is_local), None);
        }
        for text in ["20", "20/", "/10", "0/10", "20/0", "20/10/5", "1000001/1"] {
            assert!(wrong(&["--flood", text]).contains("--flood"), "{text}");
        }
    }
}
