//! What a configuration changes that was read again while its role runs.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::NOT_IN_A_FILE;

/// The flags that change while a role runs. Any other needs a restart: what is made with it once cannot be made again without
/// an end of connections, or of what they wait for.
const AT_ONCE: [&str; 32] = [
    "listen",
    "mode",
    "owner",
    "max-connections",
    "block",
    "allow",
    "max-per-address",
    "idle-timeout",
    "keep-alive",
    "memory",
    "drain-timeout",
    "verbose",
    "quiet",
    // of a chat
    "echo",
    "crlf",
    "flood",
    "output-hard",
    "output-soft",
    "output-grace",
    "bus-password-file",
    "bus-patience",
    "catch-up",
    "bus-history",
    // of a source, and of a proxy
    "bytes",
    "to",
    "connect-timeout",
    // of a hub
    "slow",
    "grace",
    "gap-line",
    "backlog",
    "quiet-timeout",
    "preamble",
];

/// A flag that has another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub flag: String,
    pub before: String,
    pub now: String,
}

/// What differs, and the words that are in force from now on: those of the flags that need a restart are as before.
#[derive(Debug, Default)]
pub struct Difference {
    pub at_once: Vec<Changed>,
    pub left: Vec<Changed>,
    pub words: Vec<OsString>,
}

/// Of two command lines of one role.
pub fn difference(role: &Command, before: &ArgMatches, now: &ArgMatches) -> Difference {
    let mut difference = Difference { words: vec!["tidegate".into(), role.get_name().into()], ..Difference::default() };
    for arg in role.get_arguments() {
        let Some(flag) = arg.get_long().filter(|flag| !["help", "version"].contains(flag)) else { continue };
        let (old, new) = (value(arg, before), value(arg, now));
        let mut kept = now;
        if old != new && !NOT_IN_A_FILE.contains(&flag) {
            let changed = Changed { flag: flag.to_owned(), before: old, now: new };
            if AT_ONCE.contains(&flag) {
                difference.at_once.push(changed);
            } else {
                kept = before;
                difference.left.push(changed);
            }
        }
        difference.words.extend(words(arg, flag, kept));
    }
    difference
}

/// As a person would say it.
fn value(arg: &Arg, matches: &ArgMatches) -> String {
    let id = arg.get_id().as_str();
    match arg.get_action() {
        ArgAction::SetTrue => (if matches.get_flag(id) { "on" } else { "off" }).to_owned(),
        ArgAction::Count => matches.get_count(id).to_string(),
        _ => match matches.get_raw(id) {
            Some(values) => {
                let values: Vec<_> = values.map(|value| format!("'{}'", value.to_string_lossy())).collect();
                values.join(", ")
            }
            None => "the default".to_owned(),
        },
    }
}

/// As they would be typed.
fn words(arg: &Arg, flag: &str, matches: &ArgMatches) -> Vec<OsString> {
    let id = arg.get_id().as_str();
    if matches.value_source(id) != Some(ValueSource::CommandLine) {
        return vec![];
    }
    let alone = OsString::from(format!("--{flag}"));
    match arg.get_action() {
        ArgAction::SetTrue => vec![alone],
        ArgAction::Count => vec![alone; matches.get_count(id).into()],
        _ => {
            let with = |value: &std::ffi::OsStr| {
                let mut word = alone.clone();
                word.push("=");
                word.push(value);
                word
            };
            matches.get_raw(id).into_iter().flatten().map(with).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::Program;

    const PAGE: &str = include_str!("../../../../../docs/configuration.md");

    /// The flags of the rows of the page whose effect is such.
    fn flags_of_the_page(is_meant: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
        let rows = rows.filter(|(_, effect)| is_meant(effect));
        rows.flat_map(|(flags, _)| flags.split(", ").map(|flag| flag.trim_matches('`').to_owned())).collect()
    }

    #[test]
    fn the_page_says_of_each_flag_of_each_role_what_it_does() {
        let needs_a_restart = |effect: &str| effect.contains("nothing");
        let (at_once, restart) =
            (flags_of_the_page(|effect| !needs_a_restart(effect)), flags_of_the_page(needs_a_restart));
        assert_eq!(at_once, AT_ONCE.iter().map(|flag| (*flag).to_owned()).collect());
        let program = Program::command();
        let has_file = |role: &&Command| role.get_arguments().any(|arg| arg.get_id() == "config");
        let flags = program.get_subcommands().filter(has_file).flat_map(|role| role.get_arguments());
        let flags = flags.filter_map(Arg::get_long).filter(|flag| !NOT_IN_A_FILE.contains(flag));
        let all: BTreeSet<String> = flags.map(str::to_owned).collect();
        assert_eq!(all, at_once.union(&restart).cloned().collect());
    }
}
