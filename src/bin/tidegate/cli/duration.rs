//! Durations, as they are typed: `1h30m`.

use std::time::Duration;

use super::number::{OrNone, count, or_none};

/// Of a timer of the library, which reaches no further than 2^31 - 1 ms.
const LONGEST_TIMER: Duration = Duration::from_secs(24 * 86_400);

pub(super) fn connect_timeout(text: &str) -> Result<Duration, String> {
    match not_zero(text, "0 leaves no time to connect")? {
        time if time > LONGEST_TIMER => Err("the longest time to connect is 24d".to_owned()),
        time => Ok(time),
    }
}

pub(super) fn idle_timeout(text: &str) -> Result<OrNone<Duration>, String> {
    or_none(text, |text| not_zero(text, "0 would close every connection at once; for no timeout, use none"))
}

/// How long a connection is silent before it is probed.
pub(super) fn keep_alive(text: &str) -> Result<OrNone<Duration>, String> {
    or_none(text, |text| match duration(text)? {
        silence if silence.subsec_nanos() == 0 && (1..=32_767).contains(&silence.as_secs()) => Ok(silence),
        _ => Err("the kernel counts whole seconds, from 1s to 32767s; for no probes, use none".to_owned()),
    })
}

pub(super) fn grace(text: &str) -> Result<Duration, String> {
    not_zero(text, "--output-hard is the limit without a grace period: lower that instead")
}

/// How long a consumer of a hub may take nothing.
pub(super) fn grace_or_none(text: &str) -> Result<OrNone<Duration>, String> {
    or_none(text, |text| timer(not_zero(text, "0 would disconnect every consumer at once; for no bound, use none")?))
}

/// How long an address may send nothing.
pub(super) fn quiet_or_none(text: &str) -> Result<OrNone<Duration>, String> {
    or_none(text, |text| timer(not_zero(text, "0 would lose every connection at once; for no timeout, use none")?))
}

pub(super) fn timer(time: Duration) -> Result<Duration, String> {
    if time > LONGEST_TIMER { Err("the longest time is 24d".to_owned()) } else { Ok(time) }
}

pub(super) fn not_zero(text: &str, why: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err(why.to_owned()),
        time => Ok(time),
    }
}

/// Numbers with units, from large to small: `1h30m`. At most a year, which can be added to any clock.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    const LONGEST: u64 = 365 * 86_400_000;
    const FORM: &str = "write a number with a unit, such as 500ms, 30s, 5m, 1h30m or 2d";
    const TOO_LONG: &str = "the longest duration is 365d";

    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut smaller_units = UNITS.iter(); // each is taken at most once, and none after a smaller one
    let mut milliseconds: u64 = 0;
    let mut rest = text;
    loop {
        let (number, unit);
        (number, rest) = rest.split_at(count(rest, |byte| byte.is_ascii_digit()));
        (unit, rest) = rest.split_at(count(rest, |byte| byte.is_ascii_alphabetic()));
        let (_, factor) = smaller_units.find(|(name, _)| *name == unit).ok_or(FORM)?;
        if number.is_empty() {
            return Err(FORM.to_owned());
        }
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
        milliseconds =
            part.and_then(|part| milliseconds.checked_add(part)).filter(|sum| *sum <= LONGEST).ok_or(TOO_LONG)?;
        if rest.is_empty() {
            return Ok(Duration::from_millis(milliseconds));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{daemon, wrong};
    use super::*;

    #[test]
    fn durations_have_units() {
        let milliseconds = |text| duration(text).map(|duration| duration.as_millis());
        for (text, expected) in [("0", 0), ("0s", 0), ("500ms", 500), ("30s", 30_000), ("5m", 300_000)] {
            assert_eq!(milliseconds(text), Ok(expected), "{text}");
        }
        for (text, expected) in [("1h30m", 5_400_000), ("1d1ms", 86_400_001), ("365d", 31_536_000_000)] {
            assert_eq!(milliseconds(text), Ok(expected), "{text}");
        }
        for text in ["", "30", "s", "1.5s", "-1s", "1s1m", "1s1s", "1 s", "1h30", "1S", "30sé", "é", "none"] {
            assert!(milliseconds(text).is_err_and(|error| error.contains("with a unit")), "{text}");
        }
        for text in ["366d", "365d1ms", "99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(milliseconds(text), Err("the longest duration is 365d".to_owned()), "{text}");
        }
    }

    #[test]
    fn a_timeout_of_0_is_wrong_where_it_would_act_at_once() {
        assert_eq!(daemon(&["--idle-timeout", "5m"]).idle_timeout, Some(Duration::from_secs(300)));
        assert_eq!(daemon(&["--idle-timeout", "none"]).idle_timeout, None);
        assert!(wrong(&["--idle-timeout", "0"]).ends_with("for no timeout, use none"));
        for text in ["0", "1500ms", "32768s", "500ms"] {
            assert!(wrong(&["--keep-alive", text]).ends_with("from 1s to 32767s; for no probes, use none"));
        }
        assert!(wrong(&["--output-grace", "0s"]).contains("--output-hard"));
        assert_eq!(daemon(&["--drain-timeout", "0"]).drain_timeout, Duration::ZERO);
    }
}
