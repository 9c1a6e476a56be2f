//! `--config FILE`: flags that stand in a file.
//!
//! Each setting of the file becomes the words that would be typed for it. It is first parsed alone, so that what is wrong with it is
//! told with its place in the file; then all words are parsed together, those of the file before those that were typed. A flag
//! that was typed takes the place of the file's setting, of a list too, and of those settings that it is in conflict with.
//!
//! | file | |
//! | --- | --- |
//! | `file.rs` | the file: tables, keys, values, and where they stand |
//! | `words.rs` | a setting as it would be typed |
//! | `shown.rs` | `--print-config`: what is in force, and from where |
//! | `source.rs` | the words of a role, and how its file is read again |
//! | `change.rs` | what differs when it was read again |

mod change;
mod file;
mod shown;
mod source;
mod words;

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

pub use self::change::Changed;
pub(super) use self::change::difference;
use self::file::{Place, Table, tables};
pub(super) use self::shown::shown;
pub(super) use self::source::FileOfRole;
pub use self::source::Source;
use self::words::{Typed, typed};

/// The flags that are about the file, and so are not in it.
const NOT_IN_A_FILE: [&str; 4] = ["config", "print-config", "help", "version"];

/// The words of a command line with those of its file, and where each setting of the file stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Joined {
    pub words: Vec<OsString>,
    pub file: PathBuf,
    /// Each setting of the file that is in force.
    pub from: Vec<Stands>,
}

/// A setting, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Stands {
    /// Of the argument.
    pub id: String,
    pub flag: String,
    pub file: String,
    pub line: usize,
}

impl Joined {
    /// Where the flags stand that a message names: what is wrong with several flags together is found when all are parsed.
    pub fn places(&self, message: &str) -> String {
        let named = |stands: &&Stands| {
            let flag = format!("--{}", stands.flag);
            let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '-');
            message.match_indices(&flag).any(|(at, _)| ends(&message[at + flag.len()..]))
        };
        let places: Vec<_> =
            self.from.iter().filter(named).map(|stands| format!("{} in line {}", stands.flag, stands.line)).collect();
        match self.from.first() {
            Some(first) if !places.is_empty() => format!(" ({}: {})", first.file, places.join(", ")),
            _ => String::new(),
        }
    }
}

/// The words of a command line, with those of the file that it names. None if it names none; what is wrong with the words
/// themselves is not found here.
pub(super) fn joined(program: Command, words: &[OsString]) -> Result<Option<Joined>, String> {
    let mut program = loose(program);
    let Ok(matches) = program.try_get_matches_from_mut(words) else { return Ok(None) };
    let Some((role, typed)) = matches.subcommand() else { return Ok(None) };
    let Ok(Some(path)) = typed.try_get_one::<PathBuf>("config") else { return Ok(None) };
    let table = table_of(path, role)?;
    join(&mut program, path, &table, words, Some(typed)).map(Some)
}

/// The words of the only role in a file.
pub(super) fn only_role(program: Command, path: &Path) -> Result<Joined, String> {
    match read(path)?.as_slice() {
        [table] => {
            let words = ["tidegate", table.role.as_str()].map(OsString::from);
            join(&mut loose(program), path, table, &words, None)
        }
        [] => Err(format!("{}: there is no table of a role in it, such as [chat]", path.display())),
        several => {
            let roles: Vec<_> = several.iter().map(|table| format!("[{}]", table.role)).collect();
            let (path, roles) = (path.display(), roles.join(", "));
            Err(format!("{path}: it has {roles}: one is wanted. Use 'tidegate ROLE --config {path}'"))
        }
    }
}

/// Each role of a file, with its words.
pub(super) fn all_roles(program: Command, path: &Path) -> Result<Vec<(String, Joined)>, String> {
    let (mut program, tables) = (loose(program), read(path)?);
    let joined = tables.iter().map(|table| {
        let words = ["tidegate", table.role.as_str()].map(OsString::from);
        Ok((table.role.clone(), join(&mut program, path, table, &words, None)?))
    });
    joined.collect()
}

/// A longer file is none that a person has written, and a device may have no end.
const LONGEST_FILE: u64 = 1 << 20;

fn read(path: &Path) -> Result<Vec<Table>, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_FILE + 1).read_to_string(&mut text));
    read.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    if text.len() as u64 > LONGEST_FILE {
        return Err(format!("{} is longer than 1 MiB: it is no configuration file", path.display()));
    }
    tables(&text).map_err(|wrong| format!("{}, {}: {}", path.display(), wrong.place, wrong.what))
}

fn table_of(path: &Path, role: &str) -> Result<Table, String> {
    let mut tables = read(path)?;
    match tables.iter().position(|table| table.role == role) {
        Some(at) => Ok(tables.swap_remove(at)),
        None => Err(format!("{}: there is no table [{role}] in it", path.display())),
    }
}

/// The words behind the role, with those of the file before them.
fn join(
    program: &mut Command,
    path: &Path,
    table: &Table,
    words: &[OsString],
    given: Option<&ArgMatches>,
) -> Result<Joined, String> {
    let wrong = |place: Place, what: &str| format!("{}, {place}: {what}", path.display());
    let command = program
        .find_subcommand(&table.role)
        .filter(|command| command.get_arguments().any(|arg| arg.get_id() == "config"))
        .ok_or_else(|| wrong(table.place, &format!("there is no role '{}': {}", table.role, roles(program))))?
        .clone();
    let is_given = |id: &str| {
        given.is_some_and(|given| {
            given.try_contains_id(id).unwrap_or(false) && given.value_source(id) == Some(ValueSource::CommandLine)
        })
    };
    let mut joined = Joined { words: words[..2].to_vec(), file: path.to_owned(), from: Vec::new() };
    for setting in &table.settings {
        let Typed { arg, words } = typed(&command, setting).map_err(|(place, what)| wrong(place, &what))?;
        alone(program, &table.role, &words).map_err(|(place, what)| wrong(place, &what))?;
        let gives_way = command.get_arguments().any(|other| {
            is_given(other.get_id().as_str())
                && (other.get_id() == arg.get_id() || are_in_conflict(&command, arg, other))
        });
        if !gives_way {
            joined.words.extend(words.into_iter().map(|(_, word)| OsString::from(word)));
            joined.from.push(Stands {
                id: arg.get_id().to_string(),
                flag: arg.get_long().unwrap_or(&setting.key).to_owned(),
                file: path.display().to_string(),
                line: setting.place.line,
            });
        }
    }
    joined.words.extend_from_slice(&words[2..]);
    Ok(joined)
}

/// Clap knows it at one of the two.
fn are_in_conflict(command: &Command, one: &Arg, other: &Arg) -> bool {
    let names = |one: &Arg, other: &Arg| {
        command.get_arg_conflicts_with(one).iter().any(|conflict| conflict.get_id() == other.get_id())
    };
    names(one, other) || names(other, one)
}

/// What is wrong with the words of one setting, and where. What it needs beside it may stand elsewhere.
fn alone(program: &mut Command, role: &str, words: &[(Place, String)]) -> Result<(), (Place, String)> {
    let mut wrong = |words: &[(Place, String)]| {
        let typed = ["tidegate", role].into_iter().chain(words.iter().map(|(_, word)| word.as_str()));
        let error = program.try_get_matches_from_mut(typed).err()?;
        (error.kind() != ErrorKind::MissingRequiredArgument).then(|| in_one_line(&error))
    };
    // All of a list at once: a list of thousands would take minutes one by one. Only the place of a mistake needs that.
    match wrong(words) {
        None => Ok(()),
        Some(what) => {
            let one = |word: &(Place, String)| Some((word.0, wrong(std::slice::from_ref(word))?));
            let first = words.iter().find_map(one);
            Err(first.unwrap_or_else(|| (words.first().map_or(Place { line: 0, column: 0 }, |word| word.0), what)))
        }
    }
}

/// The message of an error, without the advice to read the help.
pub(super) fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    message.strip_prefix("error: ").map_or(message.clone(), str::to_owned)
}

fn roles(program: &Command) -> String {
    let has_file = |command: &&Command| command.get_arguments().any(|arg| arg.get_id() == "config");
    let roles: Vec<_> = program.get_subcommands().filter(has_file).map(Command::get_name).collect();
    format!("there are {}", roles.join(", "))
}

/// The program without required flags: they may come from the file. It is no copy: all flags of all roles take some 300 KiB, which
/// the process would keep for as long as it runs.
fn loose(program: Command) -> Command {
    let names: Vec<_> = program.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    names.into_iter().fold(program, |program, name| {
        program.mut_subcommand(name, |command| command.mut_args(|arg| arg.required(false)))
    })
}
