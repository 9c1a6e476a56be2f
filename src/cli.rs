//! The command line: what was typed, and what it means.
//!
//! Two families of types. The `Typed` ones are clap's, a field for each flag, and their comments are the manual that
//! `--help` prints. The `Options` are what a role is given: checked, with the defaults filled in, and free of clap. All
//! that can be wrong with a command line is found here and ends the process with exit code 2, before a socket is opened
//! or a line is logged. `main` calls [`parse`] once.

mod bench;

use std::collections::HashSet;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};
use log::LevelFilter;
use tidegate::{Address, Endpoint, OutputLimits, OutputPolicy, SocketAccess, SoftLimit};

pub use self::bench::{BenchOptions, Pressure, Workload};

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

/// What every role is given.
#[derive(Clone, Debug)]
pub struct Common {
    /// None of them twice. Without any: what systemd has passed, and if it has passed nothing, [`DEFAULT_LISTEN`].
    pub listen: Vec<Listen>,
    /// For the paths among them.
    pub access: SocketAccess,
    /// None leaves it to the descriptor limit, which is not a matter of the command line.
    pub max_connections: Option<usize>,
    pub idle_timeout: Option<Duration>,
    /// Zero waits for nothing.
    pub drain_timeout: Duration,
    pub verbosity: LevelFilter,
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    At(Endpoint),
    /// On the sockets that systemd has passed.
    Systemd,
}

/// Where a role listens that is told nothing.
pub const DEFAULT_LISTEN: Endpoint = Endpoint::Ip(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080));

/// How fast one peer may talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flood {
    /// [`FloodLimit::DEFAULT`] for peers that are not on this machine, none for those that are.
    #[default]
    Default,
    /// None for anybody.
    Off,
    /// The same for everybody.
    Limit(FloodLimit),
}

impl Flood {
    /// The limit that holds for a peer, who is on this machine or not.
    pub fn limit_for(self, is_local: bool) -> Option<FloodLimit> {
        match self {
            Flood::Default if is_local => None,
            Flood::Default => Some(FloodLimit::DEFAULT),
            Flood::Off => None,
            Flood::Limit(limit) => Some(limit),
        }
    }
}

/// A token bucket of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloodLimit {
    /// Lines at once; at least 1.
    pub burst: u32,
    /// Lines per second after that; at least 1.
    pub rate: u32,
}

impl FloodLimit {
    pub const DEFAULT: FloodLimit = FloodLimit { burst: 20, rate: 10 };
}

// What is typed.

fn parse_from<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>) -> Result<Command, clap::Error> {
    let typed = Typed::try_parse_from(words)?;
    typed.meaning().map_err(|wrong| Typed::command().error(ErrorKind::ValueValidation, wrong))
}

/// Tidegate: a chat room, an echo, a sink, a source, a proxy and a load generator, in one thread.
#[derive(Debug, Parser)]
#[command(version, subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Try 'tidegate chat --help' for all flags, with examples.", after_long_help = AFTER_HELP)]
struct Typed {
    #[command(subcommand)]
    command: TypedCommand,
}

#[derive(Debug, Subcommand)]
enum TypedCommand {
    #[command(about = "Run a chat room that people join with nc, ncat or telnet", long_about = ABOUT_CHAT)]
    #[command(after_long_help = AFTER_CHAT_HELP)]
    Chat(TypedChat),
    #[command(about = "Send every byte back to where it came from", long_about = ABOUT_ECHO)]
    #[command(after_long_help = AFTER_ECHO_HELP)]
    Echo(TypedEcho),
    #[command(about = "Read everything and throw it away", long_about = ABOUT_SINK)]
    #[command(after_long_help = AFTER_SINK_HELP)]
    Sink(TypedSink),
    #[command(about = "Send bytes without end, as fast as they are read", long_about = ABOUT_SOURCE)]
    #[command(after_long_help = AFTER_SOURCE_HELP)]
    Source(TypedSource),
    #[command(about = "Pass each connection on to another server", long_about = ABOUT_PROXY)]
    #[command(after_long_help = AFTER_PROXY_HELP)]
    Proxy(TypedProxy),
    #[command(about = "Load a server and measure it", long_about = bench::ABOUT, after_long_help = bench::AFTER_HELP)]
    #[command(subcommand, subcommand_value_name = "WORKLOAD", subcommand_help_heading = "Workloads")]
    #[command(arg_required_else_help = true, disable_help_subcommand = true)]
    Bench(bench::TypedBench),
}

const ABOUT_CHAT: &str = "\
Run a chat room that people join with nc, ncat or telnet.

One line is one message: it goes to everybody else in the room. In the room,
/nick NAME changes the name, /who tells who is there, /quit leaves, and /help
lists these. A line from the room itself starts with '* '.";

const ABOUT_ECHO: &str = "\
Send every byte back to where it came from, in order, and the end too.

A peer that sends without reading is not read until it does: it holds up
itself alone.";

const ABOUT_SINK: &str = "\
Read everything and throw it away (RFC 863, discard).

When the peer ends, so does this.";

const ABOUT_SOURCE: &str = "\
Send bytes without end, as fast as each peer reads them (RFC 864, chargen).

The byte at place N of a connection is N modulo 251, so that a reader can check
them. What the peer sends is thrown away; it goes on until the peer closes.";

const ABOUT_PROXY: &str = "\
Pass each connection on to another server, both ways.

Each direction ends by itself, and who is slow slows the other side and nobody
else. A side that breaks breaks the other.";

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
    #[arg(long, value_name = "N|none", default_value = "none", value_parser = bytes_or_none)]
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

#[derive(Debug, Args)]
struct TypedCommon {
    /// Address to listen on; may be repeated
    ///
    /// IP:PORT, with an IPv6 address in brackets; localhost:PORT, which is
    /// both 127.0.0.1 and ::1; PORT, which is 127.0.0.1:PORT; or :PORT, which
    /// is every address of this machine. Port 0 lets the system choose one,
    /// and the log says which.
    ///
    /// unix:PATH is a Unix socket, unix:@NAME one of Linux's abstract names.
    /// A path that a server has left is taken over, if nobody listens there.
    ///
    /// systemd is the sockets of the unit's .socket file.
    ///
    /// [default: systemd where it has passed any, else 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", value_parser = listen, verbatim_doc_comment)]
    listen: Vec<Listen>,

    /// Mode of the Unix sockets, in octal: who may connect, such as 660
    ///
    /// Set before anybody can connect.
    ///
    /// [default: what the umask leaves of 777]
    #[arg(long, value_name = "MODE", value_parser = mode, verbatim_doc_comment)]
    mode: Option<u32>,

    /// Owner of the Unix sockets by number: UID, UID:GID or :GID
    #[arg(long, value_name = "OWNER", value_parser = owner)]
    owner: Option<Owner>,

    /// Most connections at once, from 1 to 4294967295
    ///
    /// [default: the descriptor limit ('ulimit -Hn'), less 64]
    #[arg(long, value_name = "N", value_parser = connections, verbatim_doc_comment)]
    max_connections: Option<usize>,

    /// Close a connection after this long without a byte either way
    #[arg(long, value_name = "DURATION|none", default_value = "none", value_parser = idle_timeout)]
    idle_timeout: OrNone<Duration>,

    /// Longest wait, once stopped, for peers to take what is queued
    ///
    /// What is left after that is thrown away, and the exit code is 1. With 0
    /// nothing is waited for.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, verbatim_doc_comment)]
    drain_timeout: Duration,

    /// Log more: -v for debug, -vv for trace
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,

    /// Log errors only
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Debug, Args)]
struct TypedLimits {
    /// Most bytes that may wait to be sent to one peer
    ///
    /// A peer for which more waits is disconnected at once.
    #[arg(long, value_name = "SIZE|none", default_value = "1MiB", value_parser = size_or_none, verbatim_doc_comment)]
    output_hard: OrNone<usize>,

    /// Most bytes that may wait for longer than --output-grace
    ///
    /// A peer for which more waits that long is disconnected. It must not be
    /// above --output-hard; the default gives way to a lower one.
    ///
    /// [default: 256KiB]
    #[arg(long, value_name = "SIZE|none", value_parser = size_or_none, verbatim_doc_comment)]
    output_soft: Option<OrNone<usize>>,

    /// Longest time above --output-soft
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = grace)]
    output_grace: Duration,
}

/// The soft limit where none is typed.
const OUTPUT_SOFT: usize = 256 * 1024;

const AFTER_HELP: &str = "\
Examples:
  tidegate chat                      a room on 127.0.0.1:8080
  nc 127.0.0.1 8080                  join it, from another terminal

Try 'tidegate chat --help', or that of another command, for its flags, with
examples, the forms of values, and the exit codes.";

/// What the `--help` of either command ends with. A macro, as only `concat!` joins text before the program runs.
macro_rules! manual {
    ($examples:literal) => {
        concat!(
            $examples,
            "

Values:
  A DURATION is 0 or has units, from large to small: 500ms, 30s, 5m, 1h30m, 2d.
  The longest is 365d.
  A SIZE is in bytes, or in K, M or G (also KiB, MiB, GiB; 1K is 1024): 65536,
  64KiB, 1M. The largest is 1GiB; 'none' is no limit.

Stopping:
  SIGINT (Ctrl-C) or SIGTERM closes the listeners, sends what is queued, and
  ends each connection when its peer does or has been silent for 1 s. A second
  signal exits at once.

Exit codes:
  0    stopped by a signal, and nothing that was queued was thrown away
  1    cannot start, or stopped with queued bytes thrown away
  2    wrong usage
  130  stopped at once by a second SIGINT
  143  stopped at once by a second SIGTERM"
        )
    };
}

const AFTER_CHAT_HELP: &str = manual!(
    "\
Examples:
  tidegate chat                      a room on 127.0.0.1:8080
  nc 127.0.0.1 8080                  join it, from another terminal
  tidegate chat --listen :7000       a room that other machines can join
  tidegate chat --listen 7000 --listen [::1]:7000 --idle-timeout 30m -v
  tidegate chat --listen unix:/run/chat.sock --mode 660 --owner :27
  nc -U /run/chat.sock               join that one"
);

const AFTER_ECHO_HELP: &str = manual!(
    "\
Examples:
  tidegate echo                      an echo on 127.0.0.1:8080
  nc 127.0.0.1 8080                  talk to it, from another terminal
  tidegate echo --listen :7000 --max-connections 1000 --idle-timeout 5m"
);

const AFTER_SINK_HELP: &str = manual!(
    "\
Examples:
  tidegate sink --listen 7000        a sink on 127.0.0.1:7000
  nc -N 127.0.0.1 7000 < file        send it something"
);

const AFTER_SOURCE_HELP: &str = manual!(
    "\
Examples:
  tidegate source --listen 7000      a source on 127.0.0.1:7000
  nc 127.0.0.1 7000 | pv > /dev/null see how fast it is
  tidegate source --bytes 1000000    a million bytes for each connection"
);

const AFTER_PROXY_HELP: &str = manual!(
    "\
Examples:
  tidegate proxy --listen :8080 --to 127.0.0.1:3000
  tidegate proxy --listen 5432 --to unix:/run/postgresql/.s.PGSQL.5432
  tidegate proxy --listen unix:/run/web.sock --mode 660 --to localhost:3000"
);

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

impl TypedCommon {
    fn meaning(self) -> Result<Common, String> {
        reject_doubles(&self.listen)?;
        Ok(Common {
            access: self.access()?,
            verbosity: self.verbosity(),
            listen: self.listen,
            max_connections: self.max_connections,
            idle_timeout: self.idle_timeout.0,
            drain_timeout: self.drain_timeout,
        })
    }

    fn access(&self) -> Result<SocketAccess, String> {
        let is_path = |it: &Listen| matches!(it, Listen::At(Endpoint::Unix(at)) if at.as_abstract_name().is_none());
        let owner = self.owner.unwrap_or_default();
        let access = SocketAccess { mode: self.mode, owner: owner.user, group: owner.group };
        if access != SocketAccess::default() && (self.listen.is_empty() || !self.listen.iter().all(is_path)) {
            return Err(
                "--mode and --owner are for the paths of Unix sockets: --listen nothing but unix:PATH with them, \
                        as nothing else has a file"
                    .to_owned(),
            );
        }
        Ok(access)
    }

    fn verbosity(&self) -> LevelFilter {
        match self.verbose {
            _ if self.quiet => LevelFilter::Error,
            0 => LevelFilter::Info,
            1 => LevelFilter::Debug,
            _ => LevelFilter::Trace,
        }
    }
}

impl TypedLimits {
    fn meaning(&self) -> Result<OutputLimits, String> {
        let hard = self.output_hard.0;
        let soft = match (self.output_soft, hard) {
            (Some(OrNone(Some(soft))), Some(hard)) if soft > hard => {
                return Err(format!(
                    "--output-soft of {soft} bytes is above --output-hard of {hard} bytes and would never act: \
                     lower it, or raise --output-hard (or set it to none)"
                ));
            }
            (Some(OrNone(soft)), _) => soft,
            (None, hard) => Some(hard.map_or(OUTPUT_SOFT, |hard| hard.min(OUTPUT_SOFT))),
        };
        let soft = soft.map(|bytes| SoftLimit { bytes, grace: self.output_grace });
        Ok(OutputLimits { hard, soft, policy: OutputPolicy::Disconnect })
    }
}

fn reject_doubles(places: &[Listen]) -> Result<(), String> {
    let mut taken = HashSet::new();
    let mut systemd = false;
    for place in places {
        let doubled = match place {
            Listen::Systemd => std::mem::replace(&mut systemd, true).then(|| "systemd".to_owned()),
            // A plain loop and no `any`: all of them are taken.
            Listen::At(endpoint) => {
                let fresh = addresses_of(*endpoint).into_iter().filter(|address| !taken.insert(*address)).count() == 0;
                (!fresh).then(|| endpoint.to_string())
            }
        };
        if let Some(doubled) = doubled {
            return Err(format!("--listen {doubled} is given twice: leave one out, or take another port"));
        }
    }
    Ok(())
}

/// What a server binds: two ways to write one address are one address. Port 0 is another port each time, and none here.
fn addresses_of(endpoint: Endpoint) -> Vec<Address> {
    let ip = |ip: IpAddr, port| Address::Ip(SocketAddr::new(ip, port));
    match endpoint {
        Endpoint::Unix(address) => vec![address.into()],
        _ if endpoint.port() == 0 => vec![],
        Endpoint::Ip(address) => vec![address.into()],
        Endpoint::Port(port) => vec![ip(Ipv6Addr::UNSPECIFIED.into(), port)],
        Endpoint::Localhost(port) => {
            vec![ip(Ipv4Addr::LOCALHOST.into(), port), ip(Ipv6Addr::LOCALHOST.into(), port)]
        }
    }
}

// The values. clap puts `invalid value 'X' for '--flag'` in front of what these say.

/// A value, or the word `none`. A type of its own, as clap reads a bare `Option` as a flag that may be missing.
#[derive(Clone, Copy, Debug)]
struct OrNone<T>(Option<T>);

fn or_none<T>(text: &str, value: impl FnOnce(&str) -> Result<T, String>) -> Result<OrNone<T>, String> {
    match text {
        "none" => Ok(OrNone(None)),
        _ => value(text).map(|value| OrNone(Some(value))),
    }
}

fn listen(text: &str) -> Result<Listen, String> {
    match text {
        "systemd" => Ok(Listen::Systemd),
        _ => endpoint(text).map(Listen::At),
    }
}

/// The library's endpoint but for a port alone, which a daemon must not take for an invitation to open itself to all.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Err(format!("it has no port: write {}", SocketAddr::new(ip, 8080)));
    }
    match text.parse::<Endpoint>() {
        Ok(Endpoint::Port(port)) if !text.starts_with(':') => Ok(Endpoint::from((Ipv4Addr::LOCALHOST, port))),
        Err(_) if text == "localhost" => Err("it has no port: write localhost:8080".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

/// Where a proxy connects to. Not to every address, and not to whatever port the system chooses.
fn target(text: &str) -> Result<Endpoint, String> {
    match endpoint(text)? {
        Endpoint::Port(port) => Err(format!("it has no address: write 127.0.0.1:{port}")),
        endpoint @ (Endpoint::Ip(_) | Endpoint::Localhost(_)) if endpoint.port() == 0 => {
            Err("nobody listens on port 0".to_owned())
        }
        endpoint => Ok(endpoint),
    }
}

fn bytes_or_none(text: &str) -> Result<OrNone<u64>, String> {
    or_none(text, |text| match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err("write a whole number of bytes, at least 1; 'none' is no end".to_owned()),
    })
}

fn connect_timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("0 leaves no time to connect".to_owned()),
        timeout => Ok(timeout),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(mode),
        _ => Err("write it in octal, from 0 to 777, such as 660".to_owned()),
    }
}

/// Who a file is to belong to.
#[derive(Clone, Copy, Debug, Default)]
struct Owner {
    user: Option<u32>,
    group: Option<u32>,
}

fn owner(text: &str) -> Result<Owner, String> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let number = |text: &str| match text {
        "" => Ok(None),
        // The last number means "nobody in particular" to chown(2).
        _ => whole(text, 0..=u32::MAX - 1).map(Some),
    };
    match (number(user)?, number(group)?) {
        (None, None) => {
            Err("write a user's number, a user's and a group's such as 0:27, or :27 for a group".to_owned())
        }
        (user, group) => Ok(Owner { user, group }),
    }
}

fn connections(text: &str) -> Result<usize, String> {
    let number = whole(text, 1..=u32::MAX)?;
    usize::try_from(number).map_err(|error| error.to_string())
}

fn flood(text: &str) -> Result<Flood, String> {
    const BOUNDS: RangeInclusive<u32> = 1..=1_000_000;

    if text == "none" {
        return Ok(Flood::Off);
    }
    let (burst, rate) =
        text.split_once('/').ok_or("write lines at once / lines per second, such as 20/10, or none for no limit")?;
    Ok(Flood::Limit(FloodLimit { burst: whole(burst, BOUNDS)?, rate: whole(rate, BOUNDS)? }))
}

fn whole(text: &str, bounds: RangeInclusive<u32>) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if bounds.contains(&number) => Ok(number),
        _ => Err(format!("'{text}' is not a whole number from {} to {}", bounds.start(), bounds.end())),
    }
}

fn idle_timeout(text: &str) -> Result<OrNone<Duration>, String> {
    match or_none(text, duration)? {
        OrNone(Some(Duration::ZERO)) => Err("0 leaves no time to say anything: for no timeout, use none".to_owned()),
        timeout => Ok(timeout),
    }
}

fn grace(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("a limit without grace is what --output-hard is: lower that".to_owned()),
        grace => Ok(grace),
    }
}

/// Numbers with units, from large to small: `1h30m`. No more than a year, as an end further off is as good as none, and
/// can be added to any clock.
fn duration(text: &str) -> Result<Duration, String> {
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

fn size_or_none(text: &str) -> Result<OrNone<usize>, String> {
    or_none(text, size)
}

/// Bytes, or 1024 of them to the power of a unit. No more than a GiB, which fits every machine's `usize`.
fn size(text: &str) -> Result<usize, String> {
    const LARGEST: usize = 1 << 30;

    let (number, unit) = text.split_at(count(text, |byte| byte.is_ascii_digit()));
    let factor: usize = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err("write a size in bytes, or in KiB, MiB or GiB, such as 65536, 64KiB or 1M".to_owned()),
    };
    match number.parse::<usize>().ok().and_then(|number| number.checked_mul(factor)) {
        Some(bytes @ 1..=LARGEST) => Ok(bytes),
        _ => Err("a size is from 1 byte to 1GiB; 'none' is no limit".to_owned()),
    }
}

/// How many bytes at the start are of this kind.
fn count(text: &str, kind: impl Fn(&u8) -> bool) -> usize {
    text.bytes().take_while(kind).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(flags: &[&str]) -> ChatOptions {
        match parse_from(["tidegate", "chat"].iter().chain(flags)) {
            Ok(Command::Chat(options)) => options,
            other => panic!("{flags:?} gave {other:?}"),
        }
    }

    fn common(flags: &[&str]) -> Common {
        chat(flags).common
    }

    /// The first line of what is printed; the others say where the help is.
    fn wrong(flags: &[&str]) -> String {
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
        assert_eq!(limits.hard, Some(1024 * 1024));
        assert_eq!(limits.soft, Some(SoftLimit { bytes: 256 * 1024, grace: Duration::from_secs(10) }));
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
        for text in ["0", "1K", "1.5", ""] {
            assert!(source(&["--bytes", text]).is_err_and(|error| error.contains("at least 1")), "{text}");
        }
    }

    #[test]
    fn no_command_or_an_unknown_flag_is_wrong_usage() {
        for words in [&["tidegate"][..], &["tidegate", "echo", "--echo"], &["tidegate", "chat", "8080"]] {
            assert_eq!(parse_from(words).expect_err("wrong usage").exit_code(), 2, "{words:?}");
        }
    }

    #[test]
    fn an_address_is_taken_in_each_of_its_forms() {
        let listen = |text| common(&["--listen", text]).listen[0];
        let ip = |text: &str| Listen::At(Endpoint::Ip(text.parse().unwrap()));
        assert_eq!(listen("7000"), ip("127.0.0.1:7000"));
        assert_eq!(listen("0"), ip("127.0.0.1:0"));
        assert_eq!(listen(":7000"), Listen::At(Endpoint::Port(7000)));
        assert_eq!(listen("localhost:7000"), Listen::At(Endpoint::Localhost(7000)));
        assert_eq!(listen("systemd"), Listen::Systemd);
        assert_eq!(listen("10.0.0.1:7000"), ip("10.0.0.1:7000"));
        assert_eq!(listen("[::1]:7000"), ip("[::1]:7000"));
        assert_eq!(common(&["--listen", "70", "--listen", "71"]).listen, [ip("127.0.0.1:70"), ip("127.0.0.1:71")]);
    }

    #[test]
    fn a_unix_socket_has_a_path_or_a_name_and_a_path_has_a_mode_and_an_owner() {
        let path = "unix:/run/x.sock";
        for text in [path, "unix:@x"] {
            assert_eq!(common(&["--listen", text]).listen, [Listen::At(text.parse().unwrap())]);
        }
        assert!(wrong(&["--listen", path, "--listen", path]).contains("is given twice"));
        assert!(wrong(&["--listen", "unix:"]).contains("is empty"));
        assert!(wrong(&["--listen", &format!("unix:/{}", "x".repeat(200))]).contains("has at most"));

        let access = |flags: &[&str]| common(&[&["--listen", path], flags].concat()).access;
        let expected = SocketAccess { mode: Some(0o660), owner: None, group: Some(27) };
        assert_eq!(access(&["--mode", "660", "--owner", ":27"]), expected);
        assert_eq!(access(&["--owner", "1:2"]), SocketAccess { mode: None, owner: Some(1), group: Some(2) });
        assert_eq!(access(&[]), SocketAccess::default());
        for text in ["888", "1777", "rw", "", "+7"] {
            assert!(wrong(&["--listen", path, "--mode", text]).contains("such as 660"), "{text}");
        }
        assert!(wrong(&["--listen", path, "--owner", ":"]).contains("a user's number"));
        assert!(wrong(&["--listen", path, "--owner", "root"]).contains("not a whole number"));
        assert!(wrong(&["--mode", "660"]).contains("nothing else has a file"));
        assert!(wrong(&["--listen", "unix:@x", "--mode", "660"]).contains("nothing else has a file"));
    }

    #[test]
    fn a_wrong_address_says_what_would_do() {
        let says = |text, way_out| {
            let wrong = wrong(&["--listen", text]);
            assert!(wrong.ends_with(way_out), "{wrong}");
        };
        says("127.0.0.1", "it has no port: write 127.0.0.1:8080");
        says("::1", "it has no port: write [::1]:8080");
        says("localhost", "it has no port: write localhost:8080");
        says("70000", "a port is a number from 0 to 65535");
        says("example.org:80", "only addresses and 'localhost' are taken, names are not resolved");
    }

    #[test]
    fn an_address_given_twice_is_wrong_but_port_0_is_another_each_time() {
        let twice = |first, second| parse_from(["tidegate", "chat", "--listen", first, "--listen", second]);
        assert!(twice("8080", "127.0.0.1:8080").is_err());
        assert!(twice("localhost:8080", "8080").is_err());
        assert!(twice("[::1]:8080", "localhost:8080").is_err());
        assert!(twice("systemd", "systemd").is_err());
        assert!(twice("systemd", "8080").is_ok());
        assert!(twice("localhost:0", "localhost:0").is_ok());
        assert!(twice(":8080", "[::]:8080").is_err());
        assert!(twice("8080", "[::1]:8080").is_ok());
        assert!(twice("0", "0").is_ok());
        assert_eq!(
            wrong(&["--listen", "80", "--listen", "80"]),
            "error: --listen 127.0.0.1:80 is given twice: leave one out, or take another port"
        );
    }

    #[test]
    fn connections_are_bounded() {
        assert_eq!(common(&["--max-connections", "1"]).max_connections, Some(1));
        for number in ["0", "4294967296", "many", ""] {
            assert!(wrong(&["--max-connections", number]).contains("not a whole number from 1 to 4294967295"));
        }
    }

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
        assert_eq!(common(&["--idle-timeout", "5m"]).idle_timeout, Some(Duration::from_secs(300)));
        assert_eq!(common(&["--idle-timeout", "none"]).idle_timeout, None);
        assert!(wrong(&["--idle-timeout", "0"]).ends_with("for no timeout, use none"));
        assert!(wrong(&["--output-grace", "0s"]).contains("--output-hard"));
        assert_eq!(common(&["--drain-timeout", "0"]).drain_timeout, Duration::ZERO);
    }

    #[test]
    fn sizes_count_in_1024() {
        for (text, expected) in [("1", 1), ("65536", 65536), ("64KiB", 65536), ("64k", 65536), ("1M", 1 << 20)] {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        assert_eq!(size("1GiB"), Ok(1 << 30));
        for text in ["1KB", "1 M", "1.5M", "-1", "1é", "none"] {
            assert!(size(text).is_err_and(|error| error.starts_with("write a size in bytes")), "{text}");
        }
        for text in ["", "KiB", "0", "2G", "1073741825", "99999999999999999999", "18446744073709551615k"] {
            assert!(size(text).is_err_and(|error| error.contains("from 1 byte to 1GiB")), "{text}");
        }
    }

    #[test]
    fn the_soft_limit_is_not_above_the_hard_one() {
        let limits = |flags: &[&str]| {
            let OutputLimits { hard, soft, .. } = chat(flags).limits;
            (hard, soft.map(|soft| soft.bytes))
        };
        assert_eq!(limits(&["--output-hard", "none", "--output-soft", "none"]), (None, None));
        assert_eq!(limits(&["--output-hard", "none"]), (None, Some(OUTPUT_SOFT)));
        assert_eq!(limits(&["--output-hard", "none", "--output-soft", "8M"]), (None, Some(8 << 20)));
        assert_eq!(limits(&["--output-hard", "64K"]), (Some(65536), Some(65536)), "the default gives way");
        assert_eq!(limits(&["--output-hard", "64K", "--output-soft", "64K"]), (Some(65536), Some(65536)));
        assert_eq!(
            chat(&["--output-soft", "4K", "--output-grace", "1s500ms"]).limits.soft,
            Some(SoftLimit { bytes: 4096, grace: Duration::from_millis(1500) })
        );
        assert_eq!(
            wrong(&["--output-soft", "2M"]),
            "error: --output-soft of 2097152 bytes is above --output-hard of 1048576 bytes and would never act: \
             lower it, or raise --output-hard (or set it to none)"
        );
    }

    #[test]
    fn flood_depends_on_the_peer_unless_it_is_given() {
        let given = FloodLimit { burst: 5, rate: 1 };
        let flood = |text| chat(&["--flood", text]).flood;

        assert_eq!(Flood::Default.limit_for(true), None);
        assert_eq!(Flood::Default.limit_for(false), Some(FloodLimit::DEFAULT));
        for is_local in [true, false] {
            assert_eq!(flood("5/1").limit_for(is_local), Some(given));
            assert_eq!(flood("none").limit_for(is_local), None);
        }
        for text in ["20", "20/", "/10", "0/10", "20/0", "20/10/5", "1000001/1"] {
            assert!(wrong(&["--flood", text]).contains("--flood"), "{text}");
        }
    }

    #[test]
    fn verbosity_goes_up_or_down_but_not_both() {
        for (flag, level) in [("-q", LevelFilter::Error), ("-v", LevelFilter::Debug), ("-vv", LevelFilter::Trace)] {
            assert_eq!(common(&[flag]).verbosity, level);
        }
        assert_eq!(common(&["-v", "--verbose", "-v"]).verbosity, LevelFilter::Trace);
        assert!(wrong(&["-q", "-v"]).contains("cannot be used with"));
    }
}
