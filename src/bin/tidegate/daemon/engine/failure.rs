//! Why a link has lost its engine: in words for the log, and how soon it tries again.

use std::fmt;

use tidegate::sanitize;

/// The longest text of an engine in the log.
const LONGEST: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Without control characters and without the password.
    pub why: String,
    pub lasts: Lasts,
}

/// Whether it may be over soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// The engine was restarted, loads its data, is full, or is a replica for now.
    AWhile,
    /// Somebody has to change something: a password, a right, a key.
    UntilChanged,
}

impl Failure {
    /// A connection has ended, or something was answered that means nothing.
    pub fn lost(why: impl fmt::Display) -> Self {
        Failure { why: why.to_string(), lasts: Lasts::AWhile }
    }

    /// It is of no use to ask.
    pub fn to_be_changed(why: impl fmt::Display) -> Self {
        Failure { why: why.to_string(), lasts: Lasts::UntilChanged }
    }

    /// The engine has answered with an error. `password`: some engines repeat what they were sent.
    pub fn answered(error: &[u8], password: Option<&[u8]>) -> Self {
        let code = error.split(|byte| *byte == b' ').next().unwrap_or_default();
        let lasts = match code {
            b"LOADING" | b"BUSY" | b"OOM" | b"READONLY" | b"MASTERDOWN" | b"MISCONF" | b"NOREPLICAS"
            | b"CLUSTERDOWN" | b"TRYAGAIN" | b"UNBLOCKED" => Lasts::AWhile,
            _ => Lasts::UntilChanged,
        };
        let hidden = match password {
            Some(password) if !password.is_empty() => without(error, password),
            _ => error.to_vec(),
        };
        Failure { why: advised(code, shown(&hidden)), lasts }
    }
}

/// What an engine says of itself, so that nobody's terminal is harmed.
pub fn shown(bytes: &[u8]) -> String {
    let words = sanitize(bytes);
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", words.get(..end).unwrap_or_default()),
        None => words.into_owned(),
    }
}

/// With what people would look for else.
fn advised(code: &[u8], words: String) -> String {
    let advice = match code {
        b"NOAUTH" => "give a password with --bus-password-file",
        b"WRONGPASS" => "look at the user of --bus and at the password",
        b"NOPERM" if words.contains("'select'") => "a database other than 0 needs +select",
        b"NOPERM" => "the user needs ~tidegate:* +xadd +xread +hello +auth",
        b"ERR" if words.contains("unknown command") && words.contains("HELLO") => {
            "it has to be Redis 6 or newer, or Valkey"
        }
        b"WRONGTYPE" => "the key of the room is no stream: use another --bus-room",
        _ => return words,
    };
    format!("{words} ({advice})")
}

fn without(text: &[u8], hidden: &[u8]) -> Vec<u8> {
    let (mut shown, mut rest) = (Vec::new(), text);
    while let Some((first, behind)) = rest.split_first() {
        match rest.strip_prefix(hidden) {
            Some(after) => {
                shown.extend(b"***");
                rest = after;
            }
            None => {
                shown.push(*first);
                rest = behind;
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(error: &str) -> String {
        Failure::answered(error.as_bytes(), Some(b"secret")).why
    }

    #[test]
    fn no_word_of_an_engine_harms_a_terminal_or_tells_a_password() {
        assert_eq!(words("ERR \x1b[31mred\r"), "ERR [31mred");
        assert_eq!(
            words("ERR unknown command `AUTH`, with args: `secret`, "),
            "ERR unknown command `AUTH`, with args: `***`, "
        );
        assert_eq!(words("secretsecret sec"), "****** sec");
        assert_eq!(words(&"ü".repeat(300)), "ü".repeat(200) + "...");
        assert_eq!(Failure::answered(b"ERR no", Some(b"")).why, "ERR no");
        assert_eq!(Failure::answered(b"", None).why, "");
    }

    #[test]
    fn a_right_that_lacks_is_named() {
        let select = words("NOPERM this user has no permissions to run the 'select' command");
        assert!(select.ends_with("(a database other than 0 needs +select)"), "{select}");
        let xadd = words("NOPERM this user has no permissions to run the 'xadd' command");
        assert!(xadd.ends_with("(the user needs ~tidegate:* +xadd +xread +hello +auth)"), "{xadd}");
    }

    #[test]
    fn what_somebody_has_to_change_is_told_apart_from_what_goes_over() {
        for error in
            ["LOADING Redis is loading", "READONLY You can't write", "OOM command not allowed", "MASTERDOWN Link"]
        {
            assert_eq!(Failure::answered(error.as_bytes(), None).lasts, Lasts::AWhile, "{error}");
        }
        for error in
            ["WRONGPASS invalid", "NOAUTH", "NOPERM this user", "WRONGTYPE Operation", "ERR unknown command `HELLO`"]
        {
            let Failure { why, lasts } = Failure::answered(error.as_bytes(), None);
            assert!(lasts == Lasts::UntilChanged && why.ends_with(')'), "{why}");
        }
    }
}
