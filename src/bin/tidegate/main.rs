//! The binary: reads the command line, sets up the log and the descriptor limit, and runs one role.
//!
//! The roles of the daemon are in `daemon/`, the load generator is in `bench/`, `connect/` is a client for standard input and output,
//! `replay/` plays a recorded run, and `inspect/` shows in a terminal what a role does. They use the public API of the library, and
//! of the binary the command line and what is in `process/`.

mod bench;
mod cli;
mod connect;
mod daemon;
mod inspect;
mod inspector;
mod process;
mod replay;

use std::error::Error;
use std::process::ExitCode;

use cli::{Command, LogForm, Role, Tool};
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
    match command {
        Command::Role(role) => {
            let daemon = role.daemon_options();
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
        Command::Tool(Tool::Connect(options)) => level = options.verbosity(),
        Command::Tool(_) => {}
    }
    process::log::install(level, form);
    Ok(())
}

fn run(command: &Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Role(role) => {
            let _flushed = process::outside::FlushAtPanic;
            replay::record(role.daemon_options())?;
            let code = run_role(role);
            process::outside::end();
            code
        }
        Command::Tool(tool) => use_tool(tool),
    }
}

/// Runs a role on the kernel that `outside` has for it.
fn run_role(role: &Role) -> Result<ExitCode, Box<dyn Error>> {
    match role {
        Role::Chat(options) => daemon::chat::run(options),
        Role::Echo(options) => daemon::echo::run(options),
        Role::Sink(options) => daemon::sink::run(options),
        Role::Source(options) => daemon::source::run(options),
        Role::Proxy(options) => daemon::proxy::run(options),
        Role::Hub(options) => daemon::hub::run(options),
    }
}

fn use_tool(tool: &Tool) -> Result<ExitCode, Box<dyn Error>> {
    match tool {
        Tool::Connect(options) => connect::run(options),
        Tool::Man(options) => Ok(cli::write_manual(&options.folder).map(|()| ExitCode::SUCCESS)?),
        Tool::Completions(options) => Ok(cli::print_completions(options.shell).map(|()| ExitCode::SUCCESS)?),
        Tool::Replay(options) => replay::run(options, run_role),
        Tool::Inspect(options) => inspect::run(options),
        Tool::Bench(workload) => bench::run(workload, process::descriptors::max_connections(None, 1)),
    }
}
