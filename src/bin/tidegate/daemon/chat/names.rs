//! Which names a guest may have, and which of them look alike.
//!
//! Two names are the same if they are so after one folding: without regard to case, to `_` and `-`, to `l` and `1`, or to `O`
//! and `0`. So nobody can pass for another guest, or for one of the reserved names, by a letter that looks like it.

use std::fmt;

/// The longest name.
const LONGEST_NAME: usize = 32;

/// Names that a reader would take for the room's own, or for somebody with power over it.
const RESERVED: [&str; 8] = ["server", "system", "admin", "root", "operator", "moderator", "announce", "tidegate"];

/// What `/help` and a refusal say of names.
pub const RULE: &str = "letters, digits, _ and -, at most 32, and not only _ and -";

/// A name in the form in which names are compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Folded(String);

/// Why a guest cannot have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is no name at all.
    Malformed,
    Reserved,
    /// It is the name of the guest with another number, or would be.
    Numbered,
}

impl Refused {
    pub fn reason(self) -> &'static str {
        match self {
            Refused::Malformed => RULE,
            Refused::Reserved => "it is reserved",
            Refused::Numbered => "guest with a number is for the guest of that number",
        }
    }
}

impl fmt::Display for Folded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Folded {
    pub fn of(name: &str) -> Self {
        let kept = name.chars().filter(|letter| !matches!(letter, '_' | '-'));
        Folded(
            kept.map(|letter| match letter.to_ascii_lowercase() {
                'l' => '1',
                'o' => '0',
                other => other,
            })
            .collect(),
        )
    }

    /// Of `guest7`: 7. None if it has zeros before it, which no name has that the room gives.
    pub fn number(&self) -> Option<u64> {
        self.guest_number().filter(|digits| !digits.starts_with('0'))?.parse().ok()
    }

    /// Of `guest7`: `7`.
    fn guest_number(&self) -> Option<&str> {
        let digits = self.0.strip_prefix("guest")?;
        (!digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())).then_some(digits)
    }
}

/// Whether the guest with this number may have this name.
pub fn check(name: &str, number: u64) -> Result<Folded, Refused> {
    let folded = check_name(name)?;
    match folded.guest_number() {
        Some(digits) if *digits != number.to_string() => Err(Refused::Numbered),
        _ => Ok(folded),
    }
}

/// Whether some guest may have this name.
pub fn check_name(name: &str) -> Result<Folded, Refused> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let folded = Folded::of(name);
    if folded.0.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_plain) {
        return Err(Refused::Malformed);
    }
    if RESERVED.iter().any(|reserved| Folded::of(reserved) == folded) {
        return Err(Refused::Reserved);
    }
    Ok(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in
            ["a", "Anna_3-x", "7", "_x", "guest", "guestX", "guests", "xguest1", "guest1x", "rooty", &"n".repeat(32)]
        {
            assert!(check(good, 7).is_ok(), "{good}");
        }
        for bad in [
            "",
            "_",
            "-",
            "-_-",
            "a b",
            "ä",
            "a\u{202e}",
            "x!",
            "x\u{200b}",
            "guest１",
            "gu\u{435}st1",
            &"n".repeat(33),
        ] {
            assert_eq!(check(bad, 7), Err(Refused::Malformed), "{bad}");
        }
    }

    #[test]
    fn the_names_that_the_room_gives_are_those_of_their_guests() {
        for own in ["guest17", "GUEST17", "guestl7", "guest-17", "g_uest1_7"] {
            assert!(check(own, 17).is_ok(), "{own}");
        }
        for other in
            ["guest8", "Guest70", "guest017", "guest0", "guestO", "guestl", "GUESTL", "guest_1", "guest-1", "guestlo"]
        {
            assert_eq!(check(other, 17), Err(Refused::Numbered), "{other}");
        }
    }

    #[test]
    fn reserved_names_are_reserved_in_all_their_forms() {
        for name in RESERVED {
            for form in [
                name.to_owned(),
                name.to_uppercase(),
                format!("_{name}-"),
                name.replace('o', "0"),
                name.replace('o', "O"),
            ] {
                assert_eq!(check(&form, 1), Err(Refused::Reserved), "{form}");
            }
        }
        for form in ["Sys-tem", "r00t", "R0OT", "mod_erator"] {
            assert_eq!(check(form, 1), Err(Refused::Reserved), "{form}");
        }
    }

    #[test]
    fn names_that_look_alike_are_the_same() {
        let alike = |one, other| Folded::of(one) == Folded::of(other);
        for (one, other) in [("anna", "ANNA"), ("anna", "an-na"), ("Bill", "bi11"), ("Otto", "0tt0"), ("al", "a1_")] {
            assert!(alike(one, other), "{one} and {other}");
        }
        assert!(!alike("anna", "anne") && !alike("b", "8"));
    }
}
