//! The command line: what was typed, as checked values.
//!
//! The types are clap's. Each field is a flag, its type or its value parser checks the value, and its comment is what
//! `--help` prints. What takes more than one flag to be wrong is found by `check`. So everything that can be wrong with a
//! command line is found here, and ends the process with exit code 2 before a socket is opened or a line is logged. `main`
//! calls [`parse`] once.
//!
//! The commands are those of `role.rs` and `tool.rs`, and two that are about a configuration file. The flags of a command are in
//! a file with its name, and those that several commands have in `daemon.rs`, `output.rs` and `bench.rs`; the other files are
//! the values of one kind. An error of a value parser is the second half of a message: clap puts
//! `invalid value 'X' for '--flag'` before it.

mod address;
mod advice;
mod bench;
mod block;
mod bus;
mod change;
mod chat;
mod config;
mod connect;
mod daemon;
mod duration;
mod engine_address;
mod explain;
mod flood;
mod gap_line;
mod help;
mod hub;
mod inspect;
mod inspector;
mod logging;
mod manual;
mod number;
mod output;
mod permissions;
mod place;
mod proxy;
mod recording;
mod role;
mod sort;
mod source;
mod template;
mod tool;
mod wrong_address;
mod zone;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::advice::advised;
use self::config::{FileOfRole, Joined};

pub use self::address::{DEFAULT_LISTEN, Listen};
pub use self::bench::{Pressure, Workload};
pub use self::bus::BusOptions;
pub use self::change::Change;
pub use self::chat::ChatOptions;
pub use self::config::Source;
pub use self::connect::ConnectOptions;
pub use self::daemon::DaemonOptions;
pub use self::engine_address::EngineAddress;
pub use self::explain::{ExplainOptions, Followed};
pub use self::flood::FloodLimit;
pub use self::hub::{Backlog, Frames, HubOptions, Slow};
pub use self::inspect::InspectOptions;
pub use self::inspector::InspectorOptions;
pub use self::logging::LogForm;
pub use self::manual::{CompletionsOptions, ManOptions, print_completions, write_manual};
pub use self::number::counted;
pub use self::place::{Input, Output, Tty};
pub use self::proxy::ProxyOptions;
pub use self::recording::ReplayOptions;
pub use self::role::Role;
pub use self::sort::Sort;
pub use self::source::SourceOptions;
pub use self::template::Expected;
#[cfg(test)]
pub use self::tests::{daemon as daemon_options, hub as hub_options, inspect as inspect_options};
pub use self::tool::Tool;

/// What this process is to run. What only tells something (`--help`, `--version`, `--print-config`, `check`) and wrong usage
/// print their text and exit.
pub fn parse() -> Command {
    let typed: Vec<OsString> = std::env::args_os().collect();
    match parse_from(&typed) {
        Ok(Typed::Tool(tool)) => return Command::Tool(tool),
        Ok(Typed::Check(FileOptions { file })) => check_file(&file),
        // Flags that are required may stand in a file.
        Ok(Typed::Role(_) | Typed::Run(_)) | Err(_) => {}
    }
    let joined = with_its_file(&typed).unwrap_or_else(|wrong| wrong_file(wrong));
    Command::Role(begin_role(&typed, joined))
}

/// The words that were typed, with those of the file that they name. None if they name none.
fn with_its_file(typed: &[OsString]) -> Result<Option<Joined>, String> {
    match parse_from(typed) {
        Ok(Typed::Run(FileOptions { file })) => config::only_role(Program::command(), &file).map(Some),
        _ => config::joined(Program::command(), typed),
    }
}

fn begin_role(typed: &[OsString], joined: Option<Joined>) -> Role {
    let file = joined.as_ref().map(|joined| joined.file.clone());
    let joined = joined.unwrap_or_else(|| Joined { words: typed.to_vec(), ..Joined::default() });
    let source = Source::new(&joined.words, file.map(|file| FileOfRole { typed: typed.to_vec(), file }));
    let role = parse_role(source).unwrap_or_else(|error| match joined.places(&error.to_string()) {
        none if none.is_empty() => error.exit(),
        places => wrong_file(config::in_one_line(&error) + &places),
    });
    if role.daemon_options().print_config {
        print_config(&joined);
    }
    role
}

fn wrong_file(wrong: String) -> ! {
    clap::Error::raw(ErrorKind::ValueValidation, wrong + "\n").exit()
}

fn check_file(file: &Path) -> ! {
    let roles = config::all_roles(Program::command(), file).unwrap_or_else(|wrong| wrong_file(wrong));
    for (role, joined) in &roles {
        if let Err(error) = role_from(&joined.words) {
            let wrong = config::in_one_line(&error);
            wrong_file(format!("{}, [{role}]: {wrong}{}", file.display(), joined.places(&wrong)));
        }
    }
    match roles.iter().map(|(role, _)| format!("[{role}]")).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => {
            wrong_file(format!("{}: there is no table of a role in it, such as [chat]", file.display()))
        }
        names => print_and_exit(&format!("{}: no mistake in {names}\n", file.display())),
    }
}

fn print_config(joined: &Joined) -> ! {
    let mut program = Program::command();
    let matches = program.try_get_matches_from_mut(&joined.words).unwrap_or_else(|error| error.exit());
    let Some((_, role)) = matches.subcommand() else { wrong_file("no role".to_owned()) };
    print_and_exit(&config::shown(&innermost(&program, &matches), role, joined))
}

/// That nobody reads it is no error.
fn print_and_exit(text: &str) -> ! {
    let _ = std::io::stdout().write_all(text.as_bytes());
    std::process::exit(0)
}

/// The role of a recording, whose words are there. What was a role once need not be one of this build.
///
/// # Errors
/// What is wrong with the words.
pub fn parse_recorded(words: &[&str]) -> Result<Role, String> {
    let words: Vec<_> = ["tidegate"].iter().chain(words).map(OsString::from).collect();
    let role = parse_role(Source::new(&words, None));
    role.map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

/// The words that were typed behind the program's name, as the list of processes has them.
pub fn typed_words() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// The words of a role and of its configuration file, as a recording keeps them.
pub fn recorded_words(daemon: &DaemonOptions) -> Vec<String> {
    recorded_of(daemon.source.words().get(1..).unwrap_or_default())
}

fn recorded_of<W: AsRef<std::ffi::OsStr>>(words: &[W]) -> Vec<String> {
    let program = Program::command();
    let role = words.first().and_then(|role| program.find_subcommand(role));
    recording::recorded(role, words.iter().map(OsString::from))
}

/// The role of these words.
fn parse_role(source: Source) -> Result<Role, clap::Error> {
    let mut role = role_from(source.words())?;
    role.came_from(source);
    Ok(role)
}

fn role_from<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Result<Role, clap::Error> {
    match parse_from(words)? {
        Typed::Role(role) => Ok(role),
        Typed::Run(_) | Typed::Check(_) | Typed::Tool(_) => {
            Err(clap::Error::raw(ErrorKind::InvalidSubcommand, "it is no role of the daemon\n"))
        }
    }
}

fn parse_from<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Result<Typed, clap::Error> {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let mut program = Program::command();
    let matches = program.try_get_matches_from_mut(&words).map_err(|error| advised(error, &words))?;
    let Program { typed } = Program::from_arg_matches(&matches).map_err(|error| error.format(&mut program))?;
    match typed.check() {
        Ok(()) => Ok(typed),
        Err(wrong) => Err(innermost(&program, &matches).error(ErrorKind::ValueValidation, wrong)),
    }
}

/// The subcommand that was asked for: an error shows how that is used.
fn innermost(command: &clap::Command, matches: &ArgMatches) -> clap::Command {
    match matches.subcommand().and_then(|(name, inner)| Some((command.find_subcommand(name)?, inner))) {
        Some((subcommand, inner)) => innermost(subcommand, inner),
        None => command.clone(),
    }
}

/// Tidegate: a chat room, a hub, an echo, a sink, a source, a proxy and a load generator, in one thread.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Try 'tidegate chat --help' for all flags, with examples.", after_long_help = help::AFTER_HELP)]
struct Program {
    #[command(subcommand)]
    typed: Typed,
}

/// What was typed.
#[derive(Clone, Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "a process has one of it")]
enum Typed {
    #[command(flatten)]
    Role(Role),
    #[command(about = "Run the role of a configuration file", long_about = help::ABOUT_RUN)]
    Run(FileOptions),
    #[command(about = "Look for mistakes in a configuration file", long_about = help::ABOUT_CHECK)]
    Check(FileOptions),
    #[command(flatten)]
    Tool(Tool),
}

/// A configuration file: TOML with a table for each role.
#[derive(Clone, Debug, Args)]
struct FileOptions {
    /// Configuration file
    file: PathBuf,
}

impl Typed {
    /// Finds what takes more than one flag to be wrong.
    fn check(&self) -> Result<(), String> {
        match self {
            Typed::Role(role) => role.check(),
            Typed::Tool(tool) => tool.check(),
            Typed::Run(_) | Typed::Check(_) => Ok(()),
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a process has one of it")]
pub enum Command {
    Role(Role),
    Tool(Tool),
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn chat(flags: &[&str]) -> ChatOptions {
        match parse_from(["tidegate", "chat"].iter().chain(flags)) {
            Ok(Typed::Role(Role::Chat(options))) => options,
            other => panic!("{flags:?} gave {other:?}"),
        }
    }

    pub fn hub(flags: &[&str]) -> HubOptions {
        match parse_from(["tidegate", "hub"].iter().chain(flags)) {
            Ok(Typed::Role(Role::Hub(options))) => options,
            other => panic!("{flags:?} gave {other:?}"),
        }
    }

    pub fn daemon(flags: &[&str]) -> DaemonOptions {
        chat(flags).daemon
    }

    /// Or what is printed.
    pub fn inspect(words: &[&str]) -> Result<InspectOptions, String> {
        match parse_from(["tidegate", "inspect"].iter().chain(words)) {
            Ok(Typed::Tool(Tool::Inspect(options))) => Ok(options),
            Ok(other) => panic!("{words:?} gave {other:?}"),
            Err(error) => {
                assert_eq!(error.exit_code(), 2);
                Err(error.to_string())
            }
        }
    }

    /// The first line of what is printed; the others say where the help is.
    pub fn wrong(flags: &[&str]) -> String {
        wrong_for("chat", flags)
    }

    pub fn wrong_for(role: &str, flags: &[&str]) -> String {
        let error = parse_from(["tidegate", role].iter().chain(flags)).expect_err("wrong usage");
        assert_eq!(error.exit_code(), 2);
        error.to_string().lines().next().unwrap().to_owned()
    }

    #[test]
    fn clap_finds_no_fault_with_the_flags() {
        Program::command().debug_assert();
    }

    #[test]
    fn the_help_fits_a_terminal() {
        fn look(words: &[&str], command: &clap::Command) -> usize {
            let inner = command.get_subcommands().map(|inner| {
                let words = [words, &[inner.get_name()]].concat();
                let help = parse_from(words.iter().chain(&["--help"])).expect_err("help is no command");
                assert_eq!(help.exit_code(), 0);
                assert!(help.to_string().lines().all(|line| line.len() <= 80), "{help}");
                1 + look(&words, inner)
            });
            inner.sum()
        }
        assert!(look(&["tidegate"], &Program::command()) >= 20, "the roles, the tools, and the workloads of bench");
    }

    #[test]
    fn no_command_or_an_unknown_flag_is_wrong_usage() {
        for words in [&["tidegate"][..], &["tidegate", "echo", "--echo"], &["tidegate", "chat", "8080"]] {
            assert_eq!(parse_from(words).expect_err("wrong usage").exit_code(), 2, "{words:?}");
        }
    }
}
