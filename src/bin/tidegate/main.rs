//! The binary: reads the command line, sets up the log and the descriptor limit, and runs one role.
//!
//! The roles of the daemon are in `daemon/`, the load generator is in `bench/`, `replay/` plays a recorded run, and `inspect/` shows
//! in a terminal what one of them does. They use the public API of the library, and
//! of the binary the command line only.

mod bench;
mod cli;
mod daemon;
mod inspect;
mod inspector;
mod process;
mod replay;

use std::error::Error;
use std::process::ExitCode;

use cli::{Command, LogForm};
use log::LevelFilter;
use process::log::Form;

fn main() -> ExitCode {
    let command = cli::parse();
    if let Err(error) = begin_the_log(&command) {
        process::log::install(LevelFilter::Info, Form::Text);
        log::error!("{error}");
        return ExitCode::FAILURE;
    }
    let code = run(&command).unwrap_or_else(|error| {
        log::error!("{error}");
        ExitCode::FAILURE
    });
    log::logger().flush();
    code
}

fn begin_the_log(command: &Command) -> Result<(), String> {
    let (mut level, mut form) = (LevelFilter::Info, Form::Text);
    if let Some(daemon) = command.daemon_options() {
        if let Some(path) = &daemon.log.log_file {
            let cannot = |error| format!("cannot write the log to {}: {error}", path.display());
            process::log::file::write_to(path).map_err(cannot)?;
        }
        level = daemon.verbosity();
        form = match daemon.log.log {
            LogForm::Text => Form::Text,
            LogForm::Logfmt => Form::Logfmt,
            LogForm::Json => Form::Json,
        };
    }
    process::log::install(level, form);
    Ok(())
}

fn run(command: &Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Bench(workload) => bench::run(workload, max_connections(command)),
        Command::Replay(options) => replay::run(options, run_role),
        Command::Inspect(options) => inspect::run(options),
        Command::Man(options) => Ok(cli::write_manual(&options.folder).map(|()| ExitCode::SUCCESS)?),
        Command::Completions(options) => Ok(cli::print_completions(options.shell).map(|()| ExitCode::SUCCESS)?),
        role => {
            let _flushed = process::outside::FlushAtPanic;
            if let Some(daemon) = role.daemon_options() {
                replay::record(&daemon.recording)?;
            }
            let code = run_role(role);
            process::outside::end();
            code
        }
    }
}

/// Runs a role on the kernel that `outside` has for it.
fn run_role(command: &Command) -> Result<ExitCode, Box<dyn Error>> {
    let max_connections = max_connections(command);
    match command {
        Command::Chat(options) => daemon::chat::run(options, max_connections),
        Command::Echo(options) => daemon::echo::run(options, max_connections),
        Command::Sink(options) => daemon::sink::run(options, max_connections),
        Command::Source(options) => daemon::source::run(options, max_connections),
        Command::Proxy(options) => daemon::proxy::run(options, max_connections),
        Command::Hub(options) => daemon::hub::run(options, max_connections),
        Command::Run(_)
        | Command::Check(_)
        | Command::Man(_)
        | Command::Completions(_)
        | Command::Replay(_)
        | Command::Inspect(_)
        | Command::Bench(_) => Err("this is no role of the daemon".into()),
    }
}

fn max_connections(command: &Command) -> usize {
    let wanted = command.daemon_options().and_then(|options| options.max_connections);
    let descriptors_each = if matches!(command, Command::Proxy(_)) { 2 } else { 1 };
    process::descriptors::max_connections(wanted, descriptors_each)
}
