//! The command line: what was typed, and what it means.
//!
//! Two families of types. The `Typed` ones are clap's, a field for each flag, and their comments are the manual that
//! `--help` prints. The `Options` are what a role is given: checked, with the defaults filled in, and free of clap. All
//! that can be wrong with a command line is found here and ends the process with exit code 2, before a socket is opened
//! or a line is logged. `main` calls [`parse`] once.
//!
//! Here are the roles, and which flags each has; a file beside this one has the values of one kind, and the flags that
//! more than one role has. What the functions of values say is an error's second half: clap puts
//! `invalid value 'X' for '--flag'` in front of it.

mod advice;
mod bench;
mod block;
mod common;
mod duration;
mod flood;
mod help;
mod limits;
mod listen;
mod number;
mod permissions;

use std::ffi::OsString;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use tidegate::{Endpoint, OutputLimits};

use self::advice::advised;
use self::common::TypedCommon;
use self::duration::connect_timeout;
use self::flood::flood;
use self::limits::TypedLimits;
use self::listen::target;
use self::number::{OrNone, total_or_none};

pub use self::bench::{BenchOptions, Pressure, Workload};
pub use self::common::Common;
pub use self::flood::{Flood, FloodLimit};
pub use self::listen::{DEFAULT_LISTEN, Listen};

/// The command of this process. `--help`, `--version` and wrong usage print their text and exit.
pub fn parse() -> Command {
    match parse_from(std::env::args_os()) {
        Ok(command) => command,
        Err(text) => text.exit(),
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub enum Command {
    Chat(ChatOptions),
    Echo(EchoOptions),
    Sink(Common),
    Source(SourceOptions),
    Proxy(ProxyOptions),
    Bench(BenchOptions),
}

#[derive(Clone, Debug)]
pub struct ChatOptions {
    pub common: Common,
    pub limits: OutputLimits,
    /// A line goes to its speaker too.
    pub echo: bool,
    pub flood: Flood,
}

#[derive(Clone, Debug)]
pub struct EchoOptions {
    pub common: Common,
    pub limits: OutputLimits,
}

#[derive(Clone, Debug)]
pub struct SourceOptions {
    pub common: Common,
    /// For each connection. None: without end.
    pub bytes: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct ProxyOptions {
    pub common: Common,
    pub to: Endpoint,
    pub connect_timeout: Duration,
}

// What is typed.

fn parse_from<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Result<Command, clap::Error> {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let mut command = Typed::command();
    let matches = command.try_get_matches_from_mut(&words).map_err(|error| advised(error, &words))?;
    let typed = Typed::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    typed.meaning().map_err(|wrong| used(&command, &matches).error(ErrorKind::ValueValidation, wrong))
}

/// The role, or the workload, that was asked for: an error tells how that is used.
fn used(command: &clap::Command, matches: &ArgMatches) -> clap::Command {
    match matches.subcommand().and_then(|(name, inner)| Some((command.find_subcommand(name)?, inner))) {
        Some((subcommand, inner)) => used(subcommand, inner),
        None => command.clone(),
    }
}

/// Tidegate: a chat room, an echo, a sink, a source, a proxy and a load generator, in one thread.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Try 'tidegate chat --help' for all flags, with examples.", after_long_help = help::AFTER_HELP)]
struct Typed {
    #[command(subcommand)]
    command: TypedCommand,
}

#[derive(Debug, Subcommand)]
enum TypedCommand {
    #[command(about = "Run a chat room that people join with nc, ncat or telnet", long_about = help::ABOUT_CHAT)]
    #[command(after_long_help = help::AFTER_CHAT_HELP)]
    Chat(TypedChat),
    #[command(about = "Send every byte back to where it came from", long_about = help::ABOUT_ECHO)]
    #[command(after_long_help = help::AFTER_ECHO_HELP)]
    Echo(TypedEcho),
    #[command(about = "Read everything and throw it away", long_about = help::ABOUT_SINK)]
    #[command(after_long_help = help::AFTER_SINK_HELP)]
    Sink(TypedSink),
    #[command(about = "Send bytes without end, as fast as they are read", long_about = help::ABOUT_SOURCE)]
    #[command(after_long_help = help::AFTER_SOURCE_HELP)]
    Source(TypedSource),
    #[command(about = "Pass each connection on to another server", long_about = help::ABOUT_PROXY)]
    #[command(after_long_help = help::AFTER_PROXY_HELP)]
    Proxy(TypedProxy),
    #[command(about = "Load a server and measure it", long_about = help::ABOUT_BENCH)]
    #[command(after_long_help = help::AFTER_BENCH_HELP)]
    #[command(subcommand, subcommand_value_name = "WORKLOAD", subcommand_help_heading = "Workloads")]
    #[command(arg_required_else_help = true)]
    Bench(bench::TypedBench),
}

#[derive(Debug, Args)]
struct TypedChat {
    #[command(flatten)]
    common: TypedCommon,

    #[command(flatten)]
    limits: TypedLimits,

    /// Send a line to its speaker too
    #[arg(long, help_heading = "Room")]
    echo: bool,

    /// Most lines from one peer: at once, and per second after that
    ///
    /// A peer that sends more is read more slowly: nothing it says is lost,
    /// and nobody else waits. Both numbers are from 1 to 1000000. Once given,
    /// it holds for all peers; 'none' is no limit for any.
    ///
    /// [default: 20/10, and none for peers on this machine]
    #[arg(long, value_name = "BURST/RATE|none", value_parser = flood, verbatim_doc_comment, help_heading = "Room")]
    flood: Option<Flood>,
}

#[derive(Debug, Args)]
struct TypedEcho {
    #[command(flatten)]
    common: TypedCommon,

    #[command(flatten)]
    limits: TypedLimits,
}

#[derive(Debug, Args)]
struct TypedSink {
    #[command(flatten)]
    common: TypedCommon,
}

#[derive(Debug, Args)]
struct TypedSource {
    #[command(flatten)]
    common: TypedCommon,

    /// Bytes for each connection, which ends after them
    ///
    /// A SIZE, but up to 1048576GiB.
    #[arg(long, value_name = "SIZE|none", default_value = "none", value_parser = total_or_none)]
    bytes: OrNone<u64>,
}

#[derive(Debug, Args)]
struct TypedProxy {
    #[command(flatten)]
    common: TypedCommon,

    /// Address to connect each connection to
    ///
    /// IP:PORT, with an IPv6 address in brackets; localhost:PORT, which tries
    /// 127.0.0.1 and then ::1; PORT, which is 127.0.0.1:PORT; unix:PATH or
    /// unix:@NAME.
    #[arg(long, value_name = "ADDR", value_parser = target, verbatim_doc_comment)]
    to: Endpoint,

    /// Longest wait for that address to answer
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = connect_timeout)]
    connect_timeout: Duration,
}

// What it means. An error here is one that takes more than one flag to make.

impl Typed {
    fn meaning(self) -> Result<Command, String> {
        Ok(match self.command {
            TypedCommand::Chat(TypedChat { common, limits, echo, flood }) => Command::Chat(ChatOptions {
                common: common.meaning()?,
                limits: limits.meaning()?,
                echo,
                flood: flood.unwrap_or_default(),
            }),
            TypedCommand::Echo(TypedEcho { common, limits }) => {
                Command::Echo(EchoOptions { common: common.meaning()?, limits: limits.meaning()? })
            }
            TypedCommand::Sink(TypedSink { common }) => Command::Sink(common.meaning()?),
            TypedCommand::Source(TypedSource { common, bytes }) => {
                Command::Source(SourceOptions { common: common.meaning()?, bytes: bytes.0 })
            }
            TypedCommand::Proxy(TypedProxy { common, to, connect_timeout }) => {
                Command::Proxy(ProxyOptions { common: common.meaning()?, to, connect_timeout })
            }
            TypedCommand::Bench(bench) => Command::Bench(bench.meaning()?),
        })
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

    pub fn common(flags: &[&str]) -> Common {
        chat(flags).common
    }

    /// The first line of what is printed; the others say where the help is.
    pub fn wrong(flags: &[&str]) -> String {
        let error = parse_from(["tidegate", "chat"].iter().chain(flags)).expect_err("wrong usage");
        assert_eq!(error.exit_code(), 2);
        error.to_string().lines().next().unwrap().to_owned()
    }

    #[test]
    fn clap_finds_no_fault_with_the_flags() {
        Typed::command().debug_assert();
    }

    #[test]
    fn the_help_fits_a_terminal() {
        let workloads = ["echo", "request", "sink", "source", "churn", "chat", "idle"].map(|load| vec!["bench", load]);
        let roles = ["chat", "echo", "sink", "source", "proxy", "bench"].map(|role| vec![role]);
        for command in roles.into_iter().chain(workloads) {
            let words = ["tidegate"].into_iter().chain(command).chain(["--help"]);
            let help = parse_from(words).expect_err("help is no command");
            assert_eq!(help.exit_code(), 0);
            assert!(help.to_string().lines().all(|line| line.len() <= 80), "{help}");
        }
    }

    #[test]
    fn without_flags_the_defaults_hold() {
        let ChatOptions { common, limits, echo, flood } = chat(&[]);
        assert_eq!(common.listen, []);
        assert_eq!(DEFAULT_LISTEN.to_string(), "127.0.0.1:8080");
        assert_eq!(common.max_connections, None);
        assert_eq!(common.idle_timeout, None);
        assert_eq!(common.keep_alive.unwrap().initial_delay, Duration::from_secs(60));
        assert_eq!(limits.hard, Some(1024 * 1024));
        assert_eq!(limits.soft, Some(SoftLimit::new(256 * 1024, Duration::from_secs(10))));
        assert_eq!(common.drain_timeout, Duration::from_secs(10));
        assert_eq!(common.verbosity, LevelFilter::Info);
        assert!(!echo);
        assert_eq!(flood, Flood::Default);
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
            (&["--to", ":80"], "it has no address: write 127.0.0.1:80"),
            (&["--to", "127.0.0.1:0"], "nobody listens on port 0"),
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
