//! The flags of `tidegate bench`: one subcommand for each workload.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use tidegate::Endpoint;

use super::address::{DEFAULT_LISTEN, endpoint};
use super::duration::{connect_timeout, duration, not_zero};
use super::help;
use super::inspector::InspectorOptions;
use super::number::{Size, connections, size, whole};
use super::template::{Expected, Text};

/// The most bytes that connections, depth and size may make: they are queued here if the server does not read.
const MAX_IN_FLIGHT: usize = 1 << 30;

/// A line of a chat has a mark and two numbers, by which it is recognized.
const SHORTEST_LINE: usize = 32;

const LONGEST_LINE: usize = 64 * 1024;

/// What the connections do.
#[derive(Clone, Debug, Subcommand)]
pub enum Workload {
    /// Send messages that come back, and compare them
    ///
    /// On each connection up to --depth messages are in flight. When one has come
    /// back, the next one is sent.
    #[command(verbatim_doc_comment, after_long_help = help::BENCH_VALUES)]
    Echo {
        #[command(flatten)]
        options: BenchOptions,

        /// Bytes of a message
        #[arg(short, long, value_name = "SIZE", default_value = "64", value_parser = size)]
        size: Size,

        #[command(flatten)]
        pressure: Pressure,
    },
    /// Send a request that you write, and compare the answer
    ///
    /// For any protocol in which the answer to a request has a known form and the
    /// connection stays open: Redis, memcached, HTTP with keep-alive.
    #[command(verbatim_doc_comment, after_long_help = help::BENCH_VALUES)]
    Request {
        #[command(flatten)]
        options: BenchOptions,

        /// The request, with \r, \n, \t, \0, \\ and \xHH for other bytes
        #[arg(long, value_name = "TEXT")]
        send: Text,

        /// The whole answer, with the same escapes, and \* for any bytes
        ///
        /// \* matches as few bytes as possible, up to what follows it:
        /// 'HTTP/1.1 200 OK\r\n\*\r\n\r\nhello' is an answer with any headers.
        #[arg(long, value_name = "TEXT", verbatim_doc_comment)]
        expect: Expected,

        #[command(flatten)]
        pressure: Pressure,
    },
    /// Send as fast as the server reads
    #[command(after_long_help = help::BENCH_VALUES, mut_arg("connections", |it| it.default_value("4")))]
    Sink {
        #[command(flatten)]
        options: BenchOptions,

        /// Bytes of one write
        #[arg(short, long, value_name = "SIZE", default_value = "64KiB", value_parser = size)]
        size: Size,
    },
    /// Read as fast as the server sends
    #[command(after_long_help = help::BENCH_VALUES, mut_arg("connections", |it| it.default_value("4")))]
    #[command(mut_arg("number", |it| it.hide(true)))]
    Source {
        #[command(flatten)]
        options: BenchOptions,
    },
    /// Connect, send one message that comes back, close, and again
    ///
    /// The latency is that of the whole, from the connect until both sides have
    /// closed.
    #[command(verbatim_doc_comment, after_long_help = help::BENCH_VALUES)]
    Churn {
        #[command(flatten)]
        options: BenchOptions,

        /// Bytes of the message
        #[arg(short, long, value_name = "SIZE", default_value = "64", value_parser = size)]
        size: Size,
    },
    /// Send lines to a chat that passes every line on to everybody else
    ///
    /// --senders connections send and receive, and --connections receive only.
    /// What is counted is a delivery: one line on one connection. The server may
    /// put a name before a line and send lines of its own; they are skipped.
    #[command(verbatim_doc_comment, after_long_help = help::BENCH_VALUES)]
    #[command(mut_arg("connections", |it| it.default_value("100").help(help::RECEIVERS)))]
    Chat {
        #[command(flatten)]
        options: BenchOptions,

        /// Connections that send, and receive too, from 1 to 100
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = senders)]
        senders: usize,

        /// Bytes of a line including its end, from 32 to 64KiB
        #[arg(short, long, value_name = "SIZE", default_value = "64", value_parser = line_size)]
        size: Size,

        /// Lines in flight in the whole chat, from 1 to 65536
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = depth)]
        depth: usize,

        /// Lines per second in the whole chat, from 1 to 10000000
        ///
        /// They are due at even intervals, and the latency counts from the time
        /// when a line was due.
        ///
        /// [default: as fast as lines are delivered]
        #[arg(long, value_name = "N", value_parser = rate, verbatim_doc_comment)]
        rate: Option<u32>,
    },
    /// Open connections, hold them, and count those that stay open
    ///
    /// The latency is that of a connect.
    #[command(verbatim_doc_comment, after_long_help = help::BENCH_VALUES)]
    #[command(mut_arg("connections", |it| it.default_value("1000")), mut_arg("warmup", |it| it.hide(true)))]
    #[command(mut_arg("number", |it| it.hide(true)))]
    Idle {
        #[command(flatten)]
        options: BenchOptions,
    },
}

/// The flags that every workload has. In the help they are after those of the workload.
#[derive(Clone, Debug, Args)]
pub struct BenchOptions {
    /// Address of the server
    ///
    /// IP:PORT, with an IPv6 address in brackets; localhost:PORT, PORT or
    /// :PORT, which are this machine; or unix:PATH and unix:@NAME.
    #[arg(value_name = "ADDR", default_value_t = DEFAULT_LISTEN, value_parser = endpoint, verbatim_doc_comment)]
    pub to: Endpoint,

    /// Connections, from 1 to what the descriptor limit allows
    #[arg(short, long, value_name = "N", default_value = "64", value_parser = connections)]
    pub connections: usize,

    /// Longest wait for each connection
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = connect_timeout, display_order = 99)]
    pub connect_timeout: Duration,

    /// How long to load the server before the measurement [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = duration, display_order = 100)]
    warmup: Option<Duration>,

    /// How long to measure [default: 10s; with -n, until all has come]
    #[arg(long, value_name = "DURATION", value_parser = measured, display_order = 101)]
    duration: Option<Duration>,

    /// Measure so many messages and end, from 1 to 4294967295
    ///
    /// They are messages, requests, the connections of churn, the lines of a
    /// chat, or the writes of a sink. With --duration the run ends at what
    /// comes first. Without it, a server that answers nothing for 10 s is
    /// given up. There is no warm-up unless --warmup is given.
    #[arg(short, long, value_name = "N", value_parser = number, display_order = 101, verbatim_doc_comment)]
    number: Option<u64>,

    /// Print one JSON object instead of a summary
    #[arg(long, display_order = 102)]
    pub json: bool,

    /// Draw the latency and the throughput into this SVG file
    #[arg(long, value_name = "FILE.svg", display_order = 103)]
    pub plot: Option<PathBuf>,

    #[command(flatten)]
    pub inspector: InspectorOptions,
}

/// How hard the server is pressed.
#[derive(Clone, Copy, Debug, Args)]
pub struct Pressure {
    /// Messages in flight on each connection, from 1 to 65536
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = depth)]
    pub depth: usize,

    /// Messages per second on all connections together, from 1 to 10000000
    ///
    /// They are due at even intervals, whether the server keeps up or not.
    /// Latency counts from the time when a message was due, so it includes
    /// the wait while --depth messages are in flight. That corrects it for
    /// coordinated omission.
    ///
    /// [default: as fast as answers come]
    #[arg(long, value_name = "N", value_parser = rate, verbatim_doc_comment)]
    pub rate: Option<u32>,
}

impl Workload {
    pub fn options(&self) -> &BenchOptions {
        match self {
            Workload::Echo { options, .. }
            | Workload::Request { options, .. }
            | Workload::Sink { options, .. }
            | Workload::Source { options }
            | Workload::Churn { options, .. }
            | Workload::Chat { options, .. }
            | Workload::Idle { options } => options,
        }
    }

    /// As it is typed.
    pub fn name(&self) -> &'static str {
        match self {
            Workload::Echo { .. } => "echo",
            Workload::Request { .. } => "request",
            Workload::Sink { .. } => "sink",
            Workload::Source { .. } => "source",
            Workload::Churn { .. } => "churn",
            Workload::Chat { .. } => "chat",
            Workload::Idle { .. } => "idle",
        }
    }

    /// With the senders of a chat.
    pub fn all_connections(&self) -> usize {
        self.options().connections.saturating_add(self.senders().unwrap_or(0))
    }

    pub fn senders(&self) -> Option<usize> {
        match self {
            Workload::Chat { senders, .. } => Some(*senders),
            _ => None,
        }
    }

    /// Bytes of a message. None if this side sends none.
    pub fn size(&self) -> Option<usize> {
        match self {
            Workload::Echo { size, .. }
            | Workload::Sink { size, .. }
            | Workload::Churn { size, .. }
            | Workload::Chat { size, .. } => Some(size.bytes),
            Workload::Request { send, .. } => Some(send.0.len()),
            Workload::Source { .. } | Workload::Idle { .. } => None,
        }
    }

    /// The depth is per connection, or that of a whole chat. None if there are no answers.
    pub fn pressure(&self) -> Option<Pressure> {
        match self {
            Workload::Echo { pressure, .. } | Workload::Request { pressure, .. } => Some(*pressure),
            Workload::Chat { depth, rate, .. } => Some(Pressure { depth: *depth, rate: *rate }),
            Workload::Sink { .. } | Workload::Source { .. } | Workload::Churn { .. } | Workload::Idle { .. } => None,
        }
    }

    /// How many messages to measure. None if only the time ends the run.
    pub fn number(&self) -> Option<u64> {
        self.options().number
    }

    /// None if only the number ends the run.
    pub fn duration(&self) -> Option<Duration> {
        self.options().duration.or_else(|| self.number().is_none().then_some(Duration::from_secs(10)))
    }

    /// Zero: the first message is measured.
    pub fn warmup(&self) -> Duration {
        match self {
            Workload::Idle { .. } => Duration::ZERO,
            _ if self.number().is_some() => self.options().warmup.unwrap_or_default(),
            _ => self.options().warmup.unwrap_or(Duration::from_secs(1)),
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let connections = self.options().connections;
        match self {
            Workload::Source { .. } if self.number().is_some() => {
                Err("-n is for other workloads: a source has no messages; write --duration".to_owned())
            }
            Workload::Idle { .. } if self.number().is_some() => {
                Err("-n is for other workloads: of idle, -c is how many connections are opened and held".to_owned())
            }
            Workload::Echo { size, pressure, .. } => check_in_flight(connections, pressure.depth, size),
            Workload::Request { send, pressure, .. } => {
                check_in_flight(connections, pressure.depth, &Size::from(send.0.len()))
            }
            Workload::Sink { size, .. } | Workload::Churn { size, .. } => check_in_flight(connections, 1, size),
            Workload::Chat { depth, size, .. } => check_in_flight(1, *depth, size),
            Workload::Idle { options } if options.warmup.is_some() => {
                Err("--warmup is for other workloads: idle measures the connects themselves".to_owned())
            }
            Workload::Source { .. } | Workload::Idle { .. } => Ok(()),
        }
    }
}

fn check_in_flight(connections: usize, depth: usize, size: &Size) -> Result<(), String> {
    let bytes = connections.checked_mul(depth).and_then(|messages| messages.checked_mul(size.bytes));
    if bytes.is_some_and(|bytes| bytes <= MAX_IN_FLIGHT) {
        return Ok(());
    }
    Err(format!(
        "{connections} connections with {depth} messages of {size} in flight on each are more than 1GiB, which may \
         have to be queued: lower one of the three"
    ))
}

fn measured(text: &str) -> Result<Duration, String> {
    not_zero(text, "in 0 there is nothing to measure: write at least 1ms")
}

fn depth(text: &str) -> Result<usize, String> {
    whole(text, 1..=65_536).map(|depth| depth as usize)
}

fn number(text: &str) -> Result<u64, String> {
    whole(text, 1..=u32::MAX).map(u64::from)
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
        _ => Err("a line has from 32 bytes, by which it is recognized, to 64KiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Tool, Typed, parse_from};
    use super::*;

    fn bench(flags: &[&str]) -> Workload {
        match parse_from(["tidegate", "bench"].iter().chain(flags)) {
            Ok(Typed::Tool(Tool::Bench(workload))) => workload,
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
        let second = Duration::from_secs(1);
        for (name, connections, size, depth, warmup) in [
            ("echo", 64, Some(64), Some(1), second),
            ("sink", 4, Some(65_536), None, second),
            ("source", 4, None, None, second),
            ("churn", 64, Some(64), None, second),
            ("chat", 100, Some(64), Some(10), second),
            ("idle", 1000, None, None, Duration::ZERO),
        ] {
            let workload = bench(&[name]);
            assert_eq!((workload.name(), workload.options().to), (name, DEFAULT_LISTEN));
            assert_eq!((workload.options().connections, workload.size()), (connections, size), "{name}");
            assert_eq!(workload.pressure().map(|pressure| pressure.depth), depth, "{name}");
            assert_eq!((workload.warmup(), workload.duration()), (warmup, Some(10 * second)), "{name}");
        }
        assert_eq!((bench(&["chat"]).senders(), bench(&["chat"]).all_connections()), (Some(10), 110));
        assert_eq!(bench(&["idle", "unix:/run/x.sock"]).options().to.to_string(), "unix:/run/x.sock");
    }

    #[test]
    fn a_number_ends_a_run_without_a_time_and_without_a_warm_up() {
        for name in ["echo", "sink", "churn", "chat"] {
            let workload = bench(&[name, "-n", "1000"]);
            assert_eq!((workload.number(), workload.duration(), workload.warmup()), (Some(1000), None, Duration::ZERO));
        }
        let second = Duration::from_secs(1);
        let workload = bench(&["echo", "--number", "5", "--duration", "1s", "--warmup", "2s"]);
        assert_eq!((workload.number(), workload.duration(), workload.warmup()), (Some(5), Some(second), 2 * second));
        assert!(wrong(&["source", "-n", "5"]).contains("a source has no messages; write --duration"));
        assert!(wrong(&["idle", "-n", "5"]).contains("-c is how many connections"));
        assert!(wrong(&["echo", "-n", "0"]).contains("from 1 to 4294967295"));
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
        assert!(wrong.contains("1024 messages of 1M in flight on each are more than 1GiB"), "{wrong}");
        assert_eq!(bench(&["echo", "-s", "1M", "--depth", "16"]).options().connections, 64);
    }
}
