//! The binary: reads the command line, sets up the log and the descriptor limit, and runs one role.
//!
//! Nothing else is here; the daemon's roles are in `daemon/`, the load generator is in `bench/`, and they use the
//! library's public API only.

mod bench;
mod cli;
mod daemon;

use std::process::ExitCode;

use cli::Command;
use log::LevelFilter;

fn main() -> ExitCode {
    let command = cli::parse();
    let common = match &command {
        Command::Chat(options) => Some(&options.common),
        Command::Echo(options) => Some(&options.common),
        Command::Sink(common) => Some(common),
        Command::Source(options) => Some(&options.common),
        Command::Proxy(options) => Some(&options.common),
        Command::Bench(_) => None,
    };
    daemon::log::install(common.map_or(LevelFilter::Info, |common| common.verbosity));
    let descriptors_each = if matches!(command, Command::Proxy(_)) { 2 } else { 1 };
    let max_connections =
        daemon::limits::max_connections(common.and_then(|common| common.max_connections), descriptors_each);
    let ended = match command {
        Command::Chat(options) => daemon::chat::run(&options, max_connections),
        Command::Echo(options) => daemon::echo::run(&options, max_connections),
        Command::Sink(common) => daemon::sink::run(&common, max_connections),
        Command::Source(options) => daemon::source::run(&options, max_connections),
        Command::Proxy(options) => daemon::proxy::run(&options, max_connections),
        Command::Bench(options) => bench::run(&options, max_connections),
    };
    let code = ended.unwrap_or_else(|error| {
        log::error!("{error}");
        ExitCode::FAILURE
    });
    log::logger().flush();
    code
}
