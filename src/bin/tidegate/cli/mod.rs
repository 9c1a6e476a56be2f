//! The command line: what was typed, as checked values.
//!
//! The types are clap's. Each field is a flag, its type or its value parser checks the value, and its comment is what
//! `--help` prints. What takes more than one flag to be wrong is found by `check`. So everything that can be wrong with a
//! command line is found here, and ends the process with exit code 2 before a socket is opened or a line is logged. `main`
//! calls [`parse`] once.
//!
//! This file has the commands. The flags that several commands have are in `daemon.rs`, `output.rs` and `bench.rs`; the
//! other files are the values of one kind. An error of a value parser is the second half of a message: clap puts
//! `invalid value 'X' for '--flag'` before it.

mod address;
mod advice;
mod bench;
mod block;
mod config;
mod daemon;
mod duration;
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
mod recording;
mod template;
mod wrong_address;
mod zone;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tidegate::Endpoint;

use self::advice::advised;
use self::config::Joined;
use self::duration::connect_timeout;
use self::flood::flood_or_none;
use self::number::{OrNone, total_or_none};
use self::output::OutputOptions;

pub use self::address::{DEFAULT_LISTEN, Listen};
pub use self::bench::{Pressure, Workload};
pub use self::daemon::DaemonOptions;
pub use self::explain::{ExplainOptions, Followed};
pub use self::flood::FloodLimit;
pub use self::hub::{Backlog, Frames, HubOptions, Slow};
pub use self::inspect::InspectOptions;
pub use self::inspector::InspectorOptions;
pub use self::logging::LogForm;
pub use self::manual::{CompletionsOptions, ManOptions, print_completions, write_manual};
pub use self::number::counted;
pub use self::place::{Input, Output, Tty};
pub use self::recording::{RecordingOptions, ReplayOptions};
pub use self::template::Expected;
#[cfg(test)]
pub use self::tests::{daemon as daemon_options, hub as hub_options, inspect as inspect_options};

/// The words of this process's command, with those of its configuration file.
static WORDS: OnceLock<Vec<OsString>> = OnceLock::new();

/// The command of this process. What only tells something (`--help`, `--version`, `--print-config`, `check`) and wrong usage print
/// their text and exit.
pub fn parse() -> Command {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let joined = with_its_file(&typed).unwrap_or_else(|wrong| wrong_file(wrong));
    let command = parse_from(&joined.words).unwrap_or_else(|text| text.exit());
    if let Command::Check(FileOptions { file }) = &command {
        check_file(file);
    }
    if command.daemon_options().is_some_and(|daemon| daemon.print_config) {
        print_config(&joined);
    }
    // There is no other call.
    let _ = WORDS.set(joined.words);
    command
}

/// The words that were typed, with those of the file that they name.
fn with_its_file(typed: &[OsString]) -> Result<Joined, String> {
    let program = Program::command();
    match parse_from(typed) {
        Ok(Command::Run(FileOptions { file })) => config::only_role(&program, &file),
        _ => Ok(config::joined(&program, typed)?.unwrap_or_else(|| Joined { words: typed.to_vec(), from: vec![] })),
    }
}

fn wrong_file(wrong: String) -> ! {
    clap::Error::raw(ErrorKind::ValueValidation, wrong + "\n").exit()
}

fn check_file(file: &Path) -> ! {
    let roles = config::all_roles(&Program::command(), file).unwrap_or_else(|wrong| wrong_file(wrong));
    for (role, joined) in &roles {
        if let Err(error) = parse_from(&joined.words) {
            wrong_file(format!("{}, [{role}]: {}", file.display(), config::in_one_line(&error)));
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

/// The command of a recording, whose words are there. What was a command once need not be one of this build.
///
/// # Errors
/// What is wrong with the words.
pub fn parse_recorded(words: &[&str]) -> Result<Command, String> {
    let command = parse_from(["tidegate"].iter().chain(words));
    command.map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
}

/// The words that were typed behind the program's name, as the list of processes has them.
pub fn typed_words() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// The words of this process's command line and of its configuration file, as a recording keeps them.
pub fn recorded_words() -> Vec<String> {
    recorded_of(WORDS.get().map_or(&[], |words| &words[1..]))
}

fn recorded_of<W: AsRef<std::ffi::OsStr>>(words: &[W]) -> Vec<String> {
    let program = Program::command();
    let role = words.first().and_then(|role| program.find_subcommand(role));
    recording::recorded(role, words.iter().map(OsString::from))
}

fn parse_from<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Result<Command, clap::Error> {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let mut program = Program::command();
    let matches = program.try_get_matches_from_mut(&words).map_err(|error| advised(error, &words))?;
    let Program { command } = Program::from_arg_matches(&matches).map_err(|error| error.format(&mut program))?;
    match command.check() {
        Ok(()) => Ok(command),
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
    command: Command,
}

/// What to run.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    #[command(about = "Run a chat room that people join with nc, ncat or telnet", long_about = help::ABOUT_CHAT)]
    #[command(after_long_help = help::AFTER_CHAT_HELP)]
    Chat(ChatOptions),
    #[command(about = "Send every byte back to the client that sent it", long_about = help::ABOUT_ECHO)]
    #[command(after_long_help = help::AFTER_ECHO_HELP)]
    Echo(DaemonOptions),
    #[command(about = "Read everything and discard it", long_about = help::ABOUT_SINK)]
    #[command(after_long_help = help::AFTER_SINK_HELP)]
    Sink(DaemonOptions),
    #[command(about = "Send bytes without end, as fast as they are read", long_about = help::ABOUT_SOURCE)]
    #[command(after_long_help = help::AFTER_SOURCE_HELP)]
    Source(SourceOptions),
    #[command(about = "Pass each connection on to another server", long_about = help::ABOUT_PROXY)]
    #[command(after_long_help = help::AFTER_PROXY_HELP)]
    Proxy(ProxyOptions),
    #[command(about = "Pass on what each source says to all consumers", long_about = help::ABOUT_HUB)]
    #[command(after_long_help = help::AFTER_HUB_HELP)]
    Hub(HubOptions),
    #[command(about = "Run the role of a configuration file", long_about = help::ABOUT_RUN)]
    Run(FileOptions),
    #[command(about = "Look for mistakes in a configuration file", long_about = help::ABOUT_CHECK)]
    Check(FileOptions),
    #[command(about = "Write the manual: a page for each command", long_about = help::ABOUT_MAN)]
    Man(ManOptions),
    #[command(about = "Print what has a shell complete the words", long_about = help::ABOUT_COMPLETIONS)]
    Completions(CompletionsOptions),
    #[command(about = "Play a run that was recorded", long_about = help::ABOUT_REPLAY)]
    #[command(after_long_help = help::AFTER_REPLAY_HELP)]
    Replay(ReplayOptions),
    #[command(about = "Show what a role does, with its connections", long_about = help::ABOUT_INSPECT)]
    #[command(after_long_help = help::AFTER_INSPECT_HELP)]
    Inspect(InspectOptions),
    #[command(about = "Load a server and measure it", long_about = help::ABOUT_BENCH)]
    #[command(after_long_help = help::AFTER_BENCH_HELP)]
    #[command(subcommand, subcommand_value_name = "WORKLOAD", subcommand_help_heading = "Workloads")]
    #[command(arg_required_else_help = true)]
    Bench(Workload),
}

/// A configuration file: TOML with a table for each role.
#[derive(Clone, Debug, Args)]
pub struct FileOptions {
    /// Configuration file
    pub file: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub struct ChatOptions {
    #[command(flatten)]
    pub daemon: DaemonOptions,

    #[command(flatten)]
    pub output: OutputOptions,

    /// Send a line to its author too
    #[arg(long, help_heading = "Room")]
    pub echo: bool,

    /// End each line with CR LF, for terminals that need it
    ///
    /// A guest who comes with telnet has it without this flag.
    #[arg(long, help_heading = "Room")]
    pub crlf: bool,

    /// Most lines from one peer: a burst, and then a rate per second
    ///
    /// A peer that sends more is read more slowly, and nobody else waits.
    /// When it ends its side, what has to wait is read for 5 s more. A peer
    /// that comes again begins with what was left for its address. Both
    /// numbers are from 1 to 1000000. The limit applies to all peers; 'none'
    /// means that no peer has one. Sixteen commands of telnet count as a
    /// line.
    ///
    /// Behind a proxy on this machine all peers seem to be on this machine:
    /// give the limit there.
    ///
    /// [default: 20/10, and none for peers on this machine]
    #[arg(long, value_name = "BURST/RATE|none", value_parser = flood_or_none, verbatim_doc_comment)]
    #[arg(help_heading = "Room")]
    flood: Option<OrNone<FloodLimit>>,
}

impl ChatOptions {
    /// How fast a peer may send lines. A peer on this machine has no limit unless one was typed.
    pub fn flood_limit(&self, is_local: bool) -> Option<FloodLimit> {
        self.flood.unwrap_or((!is_local).then_some(FloodLimit::DEFAULT))
    }
}

#[derive(Clone, Debug, Args)]
pub struct SourceOptions {
    #[command(flatten)]
    pub daemon: DaemonOptions,

    /// Bytes to send on each connection, which then ends
    ///
    /// A SIZE of at most 1048576GiB.
    #[arg(long, value_name = "SIZE|none", default_value = "none", value_parser = total_or_none)]
    pub bytes: OrNone<u64>,
}

#[derive(Clone, Debug, Args)]
pub struct ProxyOptions {
    #[command(flatten)]
    pub daemon: DaemonOptions,

    /// Address of the server that each connection is passed on to
    ///
    /// IP:PORT, with an IPv6 address in brackets; localhost:PORT, which tries
    /// 127.0.0.1 and then ::1; PORT, which is 127.0.0.1:PORT; unix:PATH or
    /// unix:@NAME.
    #[arg(long, value_name = "ADDR", value_parser = address::target, verbatim_doc_comment)]
    pub to: Endpoint,

    /// Longest wait for a connection to that address
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = connect_timeout)]
    pub connect_timeout: Duration,
}

impl Command {
    /// The flags that every role of the daemon has. None of `bench`.
    pub fn daemon_options(&self) -> Option<&DaemonOptions> {
        match self {
            Command::Chat(ChatOptions { daemon, .. })
            | Command::Echo(daemon)
            | Command::Sink(daemon)
            | Command::Source(SourceOptions { daemon, .. })
            | Command::Proxy(ProxyOptions { daemon, .. })
            | Command::Hub(HubOptions { daemon, .. }) => Some(daemon),
            Command::Run(_)
            | Command::Check(_)
            | Command::Man(_)
            | Command::Completions(_)
            | Command::Replay(_)
            | Command::Inspect(_)
            | Command::Bench(_) => None,
        }
    }

    /// Has the role of a recording tell what its loop does, as it is wanted now.
    pub fn explain(&mut self, wanted: &ExplainOptions) {
        if let Command::Chat(ChatOptions { daemon, .. })
        | Command::Echo(daemon)
        | Command::Sink(daemon)
        | Command::Source(SourceOptions { daemon, .. })
        | Command::Proxy(ProxyOptions { daemon, .. })
        | Command::Hub(HubOptions { daemon, .. }) = self
        {
            daemon.explain = wanted.clone();
        }
    }

    /// Finds what takes more than one flag to be wrong.
    fn check(&self) -> Result<(), String> {
        match self {
            Command::Hub(hub) => {
                let with_a_path = "--listen unix:PATH or --out unix:PATH";
                let contents = "what a hub does depends on where frames end";
                hub.daemon.check(&hub.listeners(), with_a_path, Some(contents))?;
            }
            _ => self.daemon_options().map_or(Ok(()), |daemon| {
                let contents = "what a chat does depends on what its guests type";
                let is_chat = matches!(self, Command::Chat(_));
                daemon.check(&daemon.listeners(), "--listen unix:PATH", is_chat.then_some(contents))
            })?,
        }
        match self {
            Command::Hub(hub) => hub.check(),
            Command::Chat(ChatOptions { output, .. }) => output.check(),
            Command::Bench(workload) => workload.check(),
            Command::Echo(_) | Command::Sink(_) | Command::Source(_) | Command::Proxy(_) => Ok(()),
            Command::Run(_)
            | Command::Check(_)
            | Command::Man(_)
            | Command::Completions(_)
            | Command::Replay(_)
            | Command::Inspect(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use log::LevelFilter;
    use tidegate::SoftLimit;

    use super::*;

    pub fn chat(flags: &[&str]) -> ChatOptions {
        match parse_from(["tidegate", "chat"].iter().chain(flags)) {
            Ok(Command::Chat(options)) => options,
            other => panic!("{flags:?} gave {other:?}"),
        }
    }

    pub fn hub(flags: &[&str]) -> HubOptions {
        match parse_from(["tidegate", "hub"].iter().chain(flags)) {
            Ok(Command::Hub(options)) => options,
            other => panic!("{flags:?} gave {other:?}"),
        }
    }

    pub fn daemon(flags: &[&str]) -> DaemonOptions {
        chat(flags).daemon
    }

    /// Or what is printed.
    pub fn inspect(words: &[&str]) -> Result<InspectOptions, String> {
        match parse_from(["tidegate", "inspect"].iter().chain(words)) {
            Ok(Command::Inspect(options)) => Ok(options),
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
        let workloads = ["echo", "request", "sink", "source", "churn", "chat", "idle"].map(|load| vec!["bench", load]);
        let roles = [
            "chat",
            "hub",
            "echo",
            "sink",
            "source",
            "proxy",
            "run",
            "check",
            "man",
            "completions",
            "replay",
            "inspect",
            "bench",
        ]
        .map(|role| vec![role]);
        for command in roles.into_iter().chain(workloads) {
            let words = ["tidegate"].into_iter().chain(command).chain(["--help"]);
            let help = parse_from(words).expect_err("help is no command");
            assert_eq!(help.exit_code(), 0);
            assert!(help.to_string().lines().all(|line| line.len() <= 80), "{help}");
        }
    }

    #[test]
    fn without_flags_the_defaults_hold() {
        let ChatOptions { daemon, output, echo, crlf, flood } = chat(&[]);
        assert_eq!(daemon.listen, []);
        assert_eq!(DEFAULT_LISTEN.to_string(), "127.0.0.1:8080");
        assert_eq!(daemon.max_connections, None);
        assert_eq!(daemon.idle_timeout, None);
        assert_eq!(daemon.keep_alive().unwrap().initial_delay, Duration::from_secs(60));
        assert_eq!(output.limits().hard, Some(1024 * 1024));
        assert_eq!(output.limits().soft, Some(SoftLimit::new(256 * 1024, Duration::from_secs(10))));
        assert_eq!(daemon.drain_timeout, Duration::from_secs(10));
        assert_eq!(daemon.verbosity(), LevelFilter::Info);
        assert!(!echo && !crlf);
        assert_eq!(flood, None);
        assert!(matches!(parse_from(["tidegate", "echo"]), Ok(Command::Echo(_))));
    }

    #[test]
    fn a_proxy_is_told_where_to() {
        let proxy = |flags: &[&str]| parse_from(["tidegate", "proxy"].iter().chain(flags));
        let to = |text| match proxy(&["--to", text]) {
            Ok(Command::Proxy(options)) => options.to.to_string(),
            other => panic!("{text} gave {other:?}"),
        };
        assert_eq!(to("3000"), "127.0.0.1:3000");
        assert_eq!(to("[::1]:3000"), "[::1]:3000");
        assert_eq!(to("unix:/run/x.sock"), "unix:/run/x.sock");
        for (flags, says) in [
            (&[][..], "--to <ADDR>"),
            (&["--to", ":80"], "it has no IP address: write 127.0.0.1:80"),
            (&["--to", "127.0.0.1:0"], "nothing listens on port 0"),
            (&["--to", "example.org:80"], "names are not resolved"),
            (&["--to", "80", "--connect-timeout", "0"], "no time to connect"),
            (&["--to", "80", "--output-hard", "1M"], "--output-hard"),
        ] {
            let error = proxy(flags).expect_err("wrong usage");
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(says), "{flags:?}: {error}");
        }
    }

    #[test]
    fn a_source_has_an_end_if_it_is_told_one() {
        let source = |flags: &[&str]| match parse_from(["tidegate", "source"].iter().chain(flags)) {
            Ok(Command::Source(options)) => Ok(options.bytes),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(source(&[]), Ok(None));
        assert_eq!(source(&["--bytes", "5000000000"]), Ok(Some(5_000_000_000)));
        assert_eq!(source(&["--bytes", "1M"]), Ok(Some(1 << 20)));
        assert_eq!(source(&["--bytes", "1048576G"]), Ok(Some(1 << 50)));
        assert_eq!(source(&["--bytes", "none"]), Ok(None));
        for (text, says) in [
            ("0", "from 1 byte to 1048576GiB"),
            ("1048577G", "from 1 byte to 1048576GiB"),
            ("", "from 1 byte to 1048576GiB"),
            ("1X", "in bytes, or in KiB, MiB or GiB, such as"),
            ("1.5", "in bytes, or in KiB, MiB or GiB, such as"),
        ] {
            assert!(source(&["--bytes", text]).is_err_and(|error| error.contains(says)), "{text}");
        }
    }

    #[test]
    fn no_command_or_an_unknown_flag_is_wrong_usage() {
        for words in [&["tidegate"][..], &["tidegate", "echo", "--echo"], &["tidegate", "chat", "8080"]] {
            assert_eq!(parse_from(words).expect_err("wrong usage").exit_code(), 2, "{words:?}");
        }
    }
}
