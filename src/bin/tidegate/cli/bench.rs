//! The command line of `tidegate bench`: made as that of the daemons is (`mod.rs`), and apart from it because it shares
//! the forms of values with them and nothing else.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use tidegate::Endpoint;

use super::duration::{duration, not_zero};
use super::help;
use super::listen::{DEFAULT_LISTEN, endpoint};
use super::number::{Size, connections, size, whole};
use crate::bench::template::{Expected, Text};

/// What to load, with what, for how long, and how to tell of it.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    pub to: Endpoint,
    pub workload: Workload,
    /// At least 1; of a chat: those who only listen.
    pub connections: usize,
    /// Zero measures from the first message on.
    pub warmup: Duration,
    /// Not zero.
    pub duration: Duration,
    pub json: bool,
    pub plot: Option<PathBuf>,
}

impl BenchOptions {
    /// With those who speak in a chat.
    pub fn all_connections(&self) -> usize {
        match &self.workload {
            Workload::Chat { senders, .. } => self.connections.saturating_add(*senders),
            _ => self.connections,
        }
    }
}

/// What the connections do.
#[derive(Clone, Debug, PartialEq)]
pub enum Workload {
    Echo { size: usize, pressure: Pressure },
    Request { send: Vec<u8>, expect: Expected, pressure: Pressure },
    Sink { size: usize },
    Source,
    Churn { size: usize },
    Chat { senders: usize, size: usize, pressure: Pressure },
    Idle,
}

impl Workload {
    /// As it is typed.
    pub fn name(&self) -> &'static str {
        match self {
            Workload::Echo { .. } => "echo",
            Workload::Request { .. } => "request",
            Workload::Sink { .. } => "sink",
            Workload::Source => "source",
            Workload::Churn { .. } => "churn",
            Workload::Chat { .. } => "chat",
            Workload::Idle => "idle",
        }
    }

    /// None where nothing is answered.
    pub fn pressure(&self) -> Option<Pressure> {
        match self {
            Workload::Echo { pressure, .. } | Workload::Request { pressure, .. } | Workload::Chat { pressure, .. } => {
                Some(*pressure)
            }
            Workload::Sink { .. } | Workload::Source | Workload::Churn { .. } | Workload::Idle => None,
        }
    }
}

/// How hard the server is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// The most messages under way: on one connection, or in a whole chat. At least 1.
    pub depth: usize,
    /// Messages per second of all connections together. None: the next one goes out when an answer has come.
    pub rate: Option<u32>,
}

/// The most bytes that connections, depth and size may make at once: they are queued here if the server does not read.
const MOST_UNDER_WAY: usize = 1 << 30;

/// What a line of a chat needs to be known again.
const SHORTEST_LINE: usize = 32;

/// `Lines` of a room are bounded, and nobody has longer ones to say.
const LONGEST_LINE: usize = 64 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum TypedBench {
    /// Send messages that come back, and compare them
    ///
    /// On each connection up to --depth messages are under way; the next one goes
    /// out when one has come back.
    #[command(verbatim_doc_comment, after_long_help = help::BENCH_VALUES)]
    Echo(TypedEcho),
    /// Send a request of yours, and compare the answer
    ///
    /// For any protocol in which a request has an answer of known form and the
    /// connection stays open: Redis, memcached, HTTP with keep-alive.
    #[command(verbatim_doc_comment, after_long_help = help::BENCH_VALUES)]
    Request(TypedRequest),
    /// Send as fast as the server reads
    #[command(after_long_help = help::BENCH_VALUES)]
    Sink(TypedSink),
    /// Read as fast as the server sends
    #[command(after_long_help = help::BENCH_VALUES)]
    Source(TypedSource),
    /// Connect, send one message that comes back, close, and again
    ///
    /// The latency is that of the whole, from the connect to the close by both.
    #[command(verbatim_doc_comment, after_long_help = help::BENCH_VALUES)]
    Churn(TypedChurn),
    /// Speak in a chat in which every line goes to everybody else
    ///
    /// --senders speak, --connections listen. What counts is a delivery: one line
    /// at one connection. What the server puts in front of a line, and lines of
    /// its own, are passed over.
    #[command(verbatim_doc_comment, after_long_help = help::BENCH_VALUES)]
    Chat(TypedChat),
    /// Open connections, hold them, and count those that stay
    ///
    /// The latency is that of a connect.
    #[command(verbatim_doc_comment, after_long_help = help::BENCH_VALUES)]
    Idle(TypedIdle),
}

#[derive(Debug, Args)]
struct TypedPlace {
    /// Address of the server
    ///
    /// IP:PORT, with an IPv6 address in brackets; localhost:PORT, PORT or
    /// :PORT, which are this machine; or unix:PATH and unix:@NAME.
    #[arg(value_name = "ADDR", default_value_t = DEFAULT_LISTEN, value_parser = endpoint, verbatim_doc_comment)]
    to: Endpoint,
}

#[derive(Debug, Args)]
struct TypedReport {
    /// How long to measure
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = some_time)]
    duration: Duration,

    /// Print one JSON object instead of a summary
    #[arg(long)]
    json: bool,

    /// Draw the latency and the throughput into this SVG file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct TypedWarmup {
    /// How long to load without measuring, before that
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    warmup: Duration,
}

#[derive(Debug, Args)]
struct TypedPressure {
    /// Messages under way on each connection, from 1 to 65536
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = depth)]
    depth: usize,

    /// Messages per second of all connections together, from 1 to 10000000
    ///
    /// They are due at even times, whether the server keeps up or not, and
    /// the latency counts from the time when a message was due: waiting for a
    /// place among the --depth ones is a part of it.
    ///
    /// [default: as fast as answers come]
    #[arg(long, value_name = "N", value_parser = rate, verbatim_doc_comment)]
    rate: Option<u32>,
}

#[derive(Debug, Args)]
pub(super) struct TypedEcho {
    #[command(flatten)]
    place: TypedPlace,

    /// Connections, from 1 to what the descriptor limit allows
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = connections)]
    connections: usize,

    /// Bytes of a message
    #[arg(short, long, value_name = "SIZE", default_value = "64", value_parser = size)]
    size: Size,

    #[command(flatten)]
    pressure: TypedPressure,

    #[command(flatten)]
    warmup: TypedWarmup,

    #[command(flatten)]
    report: TypedReport,
}

#[derive(Debug, Args)]
pub(super) struct TypedRequest {
    #[command(flatten)]
    place: TypedPlace,

    /// The request, with \r, \n, \t, \0, \\ and \xHH for other bytes
    #[arg(long, value_name = "TEXT", value_parser = Text::parse)]
    send: Text,

    /// The whole answer, with the same escapes, and \* for any bytes
    ///
    /// \* stands for as few bytes as will do, up to what follows it:
    /// 'HTTP/1.1 200 OK\r\n\*\r\n\r\nhello' is an answer with any headers.
    #[arg(long, value_name = "TEXT", value_parser = Expected::parse, verbatim_doc_comment)]
    expect: Expected,

    /// Connections, from 1 to what the descriptor limit allows
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = connections)]
    connections: usize,

    #[command(flatten)]
    pressure: TypedPressure,

    #[command(flatten)]
    warmup: TypedWarmup,

    #[command(flatten)]
    report: TypedReport,
}

#[derive(Debug, Args)]
pub(super) struct TypedSink {
    #[command(flatten)]
    place: TypedPlace,

    /// Connections, from 1 to what the descriptor limit allows
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = connections)]
    connections: usize,

    /// Bytes of one write
    #[arg(short, long, value_name = "SIZE", default_value = "64KiB", value_parser = size)]
    size: Size,

    #[command(flatten)]
    warmup: TypedWarmup,

    #[command(flatten)]
    report: TypedReport,
}

#[derive(Debug, Args)]
pub(super) struct TypedSource {
    #[command(flatten)]
    place: TypedPlace,

    /// Connections, from 1 to what the descriptor limit allows
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = connections)]
    connections: usize,

    #[command(flatten)]
    warmup: TypedWarmup,

    #[command(flatten)]
    report: TypedReport,
}

#[derive(Debug, Args)]
pub(super) struct TypedChurn {
    #[command(flatten)]
    place: TypedPlace,

    /// Connections at a time, from 1 to what the descriptor limit allows
    #[arg(short, long, value_name = "N", default_value_t = 64, value_parser = connections)]
    connections: usize,

    /// Bytes of the message
    #[arg(short, long, value_name = "SIZE", default_value = "64", value_parser = size)]
    size: Size,

    #[command(flatten)]
    warmup: TypedWarmup,

    #[command(flatten)]
    report: TypedReport,
}

#[derive(Debug, Args)]
pub(super) struct TypedChat {
    #[command(flatten)]
    place: TypedPlace,

    /// Connections that only listen, from 1 to what descriptors allow
    #[arg(short, long, value_name = "N", default_value_t = 100, value_parser = connections)]
    connections: usize,

    /// Connections that speak, and listen too, from 1 to 100
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = senders)]
    senders: usize,

    /// Bytes of a line with its end, from 32 to 64KiB
    #[arg(short, long, value_name = "SIZE", default_value = "64", value_parser = line_size)]
    size: Size,

    /// Lines under way in all, from 1 to 65536
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = depth)]
    depth: usize,

    /// Lines per second in all, from 1 to 10000000
    ///
    /// They are due at even times, and the latency counts from then.
    ///
    /// [default: as fast as lines are delivered]
    #[arg(long, value_name = "N", value_parser = rate, verbatim_doc_comment)]
    rate: Option<u32>,

    #[command(flatten)]
    warmup: TypedWarmup,

    #[command(flatten)]
    report: TypedReport,
}

#[derive(Debug, Args)]
pub(super) struct TypedIdle {
    #[command(flatten)]
    place: TypedPlace,

    /// Connections, from 1 to what the descriptor limit allows
    #[arg(short, long, value_name = "N", default_value_t = 1000, value_parser = connections)]
    connections: usize,

    #[command(flatten)]
    report: TypedReport,
}

impl TypedBench {
    pub(super) fn meaning(self) -> Result<BenchOptions, String> {
        match self {
            TypedBench::Echo(TypedEcho { place, connections, size, pressure, warmup, report }) => {
                bound_what_is_under_way(connections, pressure.depth, &size)?;
                let workload = Workload::Echo { size: size.bytes, pressure: pressure.meaning() };
                Ok(report.meaning(place, workload, connections, Some(warmup)))
            }
            TypedBench::Request(TypedRequest { place, send, expect, connections, pressure, warmup, report }) => {
                bound_what_is_under_way(connections, pressure.depth, &Size::from(send.0.len()))?;
                let workload = Workload::Request { send: send.0, expect, pressure: pressure.meaning() };
                Ok(report.meaning(place, workload, connections, Some(warmup)))
            }
            TypedBench::Sink(TypedSink { place, connections, size, warmup, report }) => {
                bound_what_is_under_way(connections, 1, &size)?;
                Ok(report.meaning(place, Workload::Sink { size: size.bytes }, connections, Some(warmup)))
            }
            TypedBench::Source(TypedSource { place, connections, warmup, report }) => {
                Ok(report.meaning(place, Workload::Source, connections, Some(warmup)))
            }
            TypedBench::Churn(TypedChurn { place, connections, size, warmup, report }) => {
                bound_what_is_under_way(connections, 1, &size)?;
                Ok(report.meaning(place, Workload::Churn { size: size.bytes }, connections, Some(warmup)))
            }
            TypedBench::Chat(TypedChat { place, connections, senders, size, depth, rate, warmup, report }) => {
                bound_what_is_under_way(1, depth, &size)?;
                let workload = Workload::Chat { senders, size: size.bytes, pressure: Pressure { depth, rate } };
                Ok(report.meaning(place, workload, connections, Some(warmup)))
            }
            TypedBench::Idle(TypedIdle { place, connections, report }) => {
                Ok(report.meaning(place, Workload::Idle, connections, None))
            }
        }
    }
}

impl TypedPressure {
    fn meaning(self) -> Pressure {
        Pressure { depth: self.depth, rate: self.rate }
    }
}

impl TypedReport {
    fn meaning(
        self,
        place: TypedPlace,
        workload: Workload,
        connections: usize,
        warmup: Option<TypedWarmup>,
    ) -> BenchOptions {
        let warmup = warmup.map_or(Duration::ZERO, |it| it.warmup);
        let TypedReport { duration, json, plot } = self;
        BenchOptions { to: place.to, workload, connections, warmup, duration, json, plot }
    }
}

/// The product is what waits here if the server does not read.
fn bound_what_is_under_way(connections: usize, depth: usize, size: &Size) -> Result<(), String> {
    let bytes = connections.checked_mul(depth).and_then(|messages| messages.checked_mul(size.bytes));
    if bytes.is_some_and(|bytes| bytes <= MOST_UNDER_WAY) {
        return Ok(());
    }
    Err(format!(
        "{connections} connections with {depth} messages of {size} under way on each are more than 1GiB, which \
         may have to be queued: lower one of the three"
    ))
}

fn some_time(text: &str) -> Result<Duration, String> {
    not_zero(text, "in 0 there is nothing to measure: write at least 1ms")
}

fn depth(text: &str) -> Result<usize, String> {
    whole(text, 1..=65_536).map(|depth| depth as usize)
}

fn senders(text: &str) -> Result<usize, String> {
    whole(text, 1..=100).map(|senders| senders as usize)
}

fn rate(text: &str) -> Result<u32, String> {
    whole(text, 1..=10_000_000)
}

fn line_size(text: &str) -> Result<Size, String> {
    match size(text)? {
        size if (SHORTEST_LINE..=LONGEST_LINE).contains(&size.bytes) => Ok(size),
        _ => Err("a line has from 32 bytes, which it needs to be known again, to 64KiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, parse_from};
    use super::*;

    fn bench(flags: &[&str]) -> BenchOptions {
        match parse_from(["tidegate", "bench"].iter().chain(flags)) {
            Ok(Command::Bench(options)) => options,
            other => panic!("{flags:?} gave {other:?}"),
        }
    }

    fn wrong(flags: &[&str]) -> String {
        let error = parse_from(["tidegate", "bench"].iter().chain(flags)).expect_err("wrong usage");
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string().lines().next().unwrap().to_owned()
    }

    #[test]
    fn without_flags_the_defaults_hold() {
        let options = bench(&["echo"]);
        assert_eq!(options.to, DEFAULT_LISTEN);
        assert_eq!(options.connections, 64);
        assert_eq!((options.warmup, options.duration), (Duration::from_secs(1), Duration::from_secs(10)));
        let pressure = Pressure { depth: 1, rate: None };
        assert_eq!(options.workload, Workload::Echo { size: 64, pressure });
        assert_eq!(bench(&["sink"]).workload, Workload::Sink { size: 65_536 });
        let pressure = Pressure { depth: 10, rate: None };
        assert_eq!(bench(&["chat"]).workload, Workload::Chat { senders: 10, size: 64, pressure });
        assert_eq!(bench(&["idle", "unix:/run/x.sock"]).to.to_string(), "unix:/run/x.sock");
    }

    #[test]
    fn each_workload_has_its_own_flags_alone() {
        assert!(wrong(&["sink", "--rate", "5"]).contains("--rate"));
        assert!(wrong(&["idle", "--warmup", "1s"]).contains("--warmup"));
        assert!(wrong(&["echo", "--senders", "1"]).contains("--senders"));
        assert!(wrong(&["request", "--send", "x"]).contains("required"));
    }

    #[test]
    fn numbers_have_bounds_and_say_so() {
        assert!(wrong(&["echo", "--duration", "0"]).contains("nothing to measure"));
        assert!(wrong(&["echo", "--depth", "0"]).contains("from 1 to 65536"));
        assert!(wrong(&["echo", "--rate", "0"]).contains("from 1 to 10000000"));
        assert!(wrong(&["echo", "--connections", "0"]).contains("not a whole number"));
        assert!(wrong(&["chat", "--size", "31"]).contains("32 bytes"));
        let wrong = wrong(&["echo", "--size", "1M", "--depth", "1024"]);
        assert!(wrong.contains("1024 messages of 1M under way on each are more than 1GiB"), "{wrong}");
        assert_eq!(bench(&["echo", "-s", "1M", "--depth", "16"]).connections, 64);
    }
}
