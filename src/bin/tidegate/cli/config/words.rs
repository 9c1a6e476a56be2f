//! A setting as it would be typed.

use clap::{Arg, ArgAction, Command};

use super::NOT_IN_A_FILE;
use super::file::{Place, Setting, Value};

/// The flag that a setting is for, and its words.
#[derive(Debug)]
pub struct Typed<'c> {
    pub arg: &'c Arg,
    /// Each with its place.
    pub words: Vec<(Place, String)>,
}

/// # Errors
/// What is wrong, and where: no such flag; a value of the wrong kind.
pub fn typed<'c>(command: &'c Command, setting: &Setting) -> Result<Typed<'c>, (Place, String)> {
    let arg = flag(command, &setting.key).map_err(|what| (setting.place, what))?;
    Ok(Typed { arg, words: words(arg, setting)? })
}

fn flag<'c>(command: &'c Command, key: &str) -> Result<&'c Arg, String> {
    let named =
        |arg: &&Arg| arg.get_long() == Some(key) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&key));
    match command.get_arguments().find(named) {
        Some(_) if NOT_IN_A_FILE.contains(&key) => Err(format!("'{key}' is for the command line alone")),
        Some(arg) => Ok(arg),
        None => {
            let role = command.get_name();
            let like = command.get_arguments().filter_map(Arg::get_long).filter(|flag| !NOT_IN_A_FILE.contains(flag));
            let like = like.map(|flag| (strsim::jaro_winkler(key.trim_start_matches('-'), flag), flag));
            let like = like.filter(|(likeness, _)| *likeness > 0.8).max_by(|one, other| one.0.total_cmp(&other.0));
            let hint = like.map_or_else(String::new, |(_, flag)| format!(": did you mean '{flag}'?"));
            Err(format!("{role} has no flag '{key}'{hint}"))
        }
    }
}

fn words(arg: &Arg, setting: &Setting) -> Result<Vec<(Place, String)>, (Place, String)> {
    let (key, place) = (setting.key.as_str(), setting.value_place);
    let wrong = |what: String| Err((place, what));
    let flag = format!("--{}", arg.get_long().unwrap_or(key));
    let takes_none = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
    match (arg.get_action(), &setting.value) {
        (ArgAction::SetTrue, Value::Yes) => Ok(vec![(place, flag)]),
        (ArgAction::SetTrue, Value::No) => Ok(vec![]),
        (ArgAction::SetTrue, _) => wrong(format!("'{key}' is true or false")),
        (ArgAction::Count, Value::Number(number)) => match number.parse::<usize>() {
            Ok(times @ 0..=9) => Ok(vec![(place, flag); times]),
            _ => wrong(format!("'{key}' is a number from 0 to 9: how often it would be typed")),
        },
        (ArgAction::Count, _) => wrong(format!("'{key}' is a number: how often it would be typed")),
        (_, Value::Yes) if takes_none => Ok(vec![(place, flag)]),
        (_, Value::No) if takes_none => Ok(vec![]),
        (ArgAction::Append, Value::List(values)) => {
            let typed = |(place, value): &(Place, Value)| match one(key, value) {
                Ok(value) => Ok((*place, format!("{flag}={value}"))),
                Err(what) => Err((*place, what)),
            };
            values.iter().map(typed).collect()
        }
        (_, Value::List(_)) => wrong(format!("'{key}' has one value, not a list")),
        (_, value) => match one(key, value) {
            Ok(value) => Ok(vec![(place, format!("{flag}={value}"))]),
            Err(what) => wrong(what),
        },
    }
}

fn one<'v>(key: &str, value: &'v Value) -> Result<&'v str, String> {
    match value {
        Value::Text(text) | Value::Number(text) => Ok(text),
        Value::Yes | Value::No => Err(format!("'{key}' is not true or false: write it as on the command line")),
        Value::List(_) => Err(format!("'{key}' has a list within its list")),
        Value::Other(kind) => Err(format!("'{key}' is {kind}: write it in quotes, as on the command line")),
    }
}
