//! `--print-config`: what is in force, and from where, as a file that could be used.

use std::fmt::Write;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{Joined, NOT_IN_A_FILE};

pub fn shown(command: &Command, matches: &ArgMatches, joined: &Joined) -> String {
    let mut text = format!("[{}]\n", command.get_name());
    for arg in command.get_arguments() {
        let (id, Some(flag)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
        if NOT_IN_A_FILE.contains(&flag) {
            continue;
        }
        let file = joined.from.iter().find(|stands| stands.id == id);
        let source = match (matches.value_source(id), file) {
            (Some(ValueSource::CommandLine), Some(stands)) => format!("{}, line {}", stands.file, stands.line),
            (Some(ValueSource::CommandLine), None) => "the command line".to_owned(),
            _ => "default".to_owned(),
        };
        // A text takes everything, so there is no error.
        let _ = match value(arg, matches) {
            Some(value) => writeln!(text, "{flag} = {value}  # {source}"),
            None => writeln!(text, "# {flag} is not given"),
        };
    }
    text
}

fn value(arg: &Arg, matches: &ArgMatches) -> Option<String> {
    let id = arg.get_id().as_str();
    match arg.get_action() {
        ArgAction::SetTrue => Some(matches.get_flag(id).to_string()),
        ArgAction::Count => Some(matches.get_count(id).to_string()),
        action => {
            let values = matches.get_raw(id)?.map(|value| quoted(&value.to_string_lossy()));
            let values: Vec<_> = values.collect();
            match action {
                ArgAction::Append => Some(format!("[{}]", values.join(", "))),
                _ => values.first().cloned(),
            }
        }
    }
}

/// A text of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}
