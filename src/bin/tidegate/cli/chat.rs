//! The flags of `tidegate chat`.

use clap::Args;

use super::flood::{FloodLimit, flood_or_none};
use super::number::OrNone;
use super::output::OutputOptions;
use super::{BusOptions, DaemonOptions};

#[derive(Clone, Debug, Args)]
pub struct ChatOptions {
    #[command(flatten)]
    pub daemon: DaemonOptions,

    #[command(flatten)]
    pub output: OutputOptions,

    #[command(flatten)]
    pub bus: BusOptions,

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

#[cfg(test)]
impl ChatOptions {
    /// Those of a command line.
    pub fn of(flags: &[&str]) -> Self {
        super::tests::chat(flags)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use log::LevelFilter;
    use tidegate::SoftLimit;

    use super::super::tests::chat;
    use super::super::{DEFAULT_LISTEN, Role, Typed, parse_from};
    use super::*;

    #[test]
    fn without_flags_the_defaults_hold() {
        let ChatOptions { daemon, output, bus, echo, crlf, flood } = chat(&[]);
        assert_eq!(daemon.listen, []);
        assert_eq!(DEFAULT_LISTEN.to_string(), "127.0.0.1:8080");
        assert_eq!(daemon.max_connections, None);
        assert_eq!(daemon.idle_timeout, None);
        assert_eq!(daemon.keep_alive().unwrap().initial_delay, Duration::from_secs(60));
        assert_eq!(output.limits().hard, Some(1024 * 1024));
        assert_eq!(output.limits().soft, Some(SoftLimit::new(256 * 1024, Duration::from_secs(10))));
        assert_eq!(daemon.drain_timeout, Duration::from_secs(10));
        assert_eq!(daemon.verbosity(), LevelFilter::Info);
        assert!(!echo && !crlf && bus.engine().is_none());
        assert_eq!(flood, None);
        assert!(matches!(parse_from(["tidegate", "echo"]), Ok(Typed::Role(Role::Echo(_)))));
    }
}
