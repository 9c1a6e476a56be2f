//! The daemon: reads the command line, sets up the log and the descriptor limit, and runs one role.
//!
//! Nothing else is here; the roles are in `daemon/`, and they use the library's public API only.

mod cli;
mod daemon;

use std::process::ExitCode;

use cli::{Command, Common};

fn main() -> ExitCode {
    let command = cli::parse();
    let common = match &command {
        Command::Chat(options) => &options.common,
        Command::Echo(options) => &options.common,
        Command::Sink(common) => common,
        Command::Source(options) => &options.common,
        Command::Proxy(options) => &options.common,
    };
    daemon::log::install(common.verbosity);
    let descriptors_each = if matches!(command, Command::Proxy(_)) { 2 } else { 1 };
    let max_connections = max_connections(common, descriptors_each);
    let ended = match command {
        Command::Chat(options) => daemon::chat::run(&options, max_connections),
        Command::Echo(options) => daemon::echo::run(&options, max_connections),
        Command::Sink(common) => daemon::sink::run(&common, max_connections),
        Command::Source(options) => daemon::source::run(&options, max_connections),
        Command::Proxy(options) => daemon::proxy::run(&options, max_connections),
    };
    let code = ended.unwrap_or_else(|error| {
        log::error!("{error}");
        ExitCode::FAILURE
    });
    log::logger().flush();
    code
}

/// The descriptor limit is raised whatever was asked for: a number that was typed needs its descriptors too.
fn max_connections(common: &Common, descriptors_each: usize) -> usize {
    let descriptors = daemon::limits::default_max_connections(daemon::limits::raise_descriptor_limit());
    let room = (descriptors / descriptors_each).max(1);
    match common.max_connections {
        Some(asked) if asked > room => {
            log::warn!("--max-connections {asked} is more than the descriptor limit has room for ({room})");
            asked
        }
        Some(asked) => asked,
        None => room,
    }
}
