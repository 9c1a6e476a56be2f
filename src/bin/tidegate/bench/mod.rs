//! `tidegate bench`: loads a server and measures it, on the same event loop as the servers.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `run.rs`, `run_state.rs` | how a run goes, whatever the workload is, and what it has come to: read them first |
//! | `exchange.rs` | `echo` and `request`: messages that have answers |
//! | `stream.rs` | `sink`, `source` and `idle`: bytes in one direction, or none |
//! | `churn.rs` | connections that open and close |
//! | `chat.rs`, `line_format.rs`, `held_back.rs` | lines that go to everybody else, the form of a line, and whether the room has a limit for senders |
//! | `pattern.rs`, `matcher.rs`, `excerpt.rs` | what is expected to come back: bytes that were made here, or an answer as it was typed; and how it is shown |
//! | `clock.rs` | the clock, which stands still while this process is suspended |
//! | `schedule.rs` | when messages are due if there is a rate |
//! | `measurement.rs`, `cpu.rs` | counts, latencies, and how busy this process and the machine were |
//! | `progress.rs`, `report.rs`, `plot.rs`, `plot_file.rs` | what is shown during the run and at its end |

mod chat;
mod churn;
mod clock;
mod cpu;
mod excerpt;
mod exchange;
mod held_back;
mod line_format;
mod matcher;
mod measurement;
mod pattern;
mod plot;
mod plot_file;
mod progress;
mod report;
mod run;
mod run_state;
mod schedule;
mod stream;

use std::error::Error;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use self::report::Report;
use self::run::run as measure;
use self::run_state::RunState;
use crate::cli::Workload;

/// Measures, and shows the report.
pub fn run(workload: &Workload, max_connections: usize) -> Result<ExitCode, Box<dyn Error>> {
    check_descriptors(workload, max_connections)?;
    if let Some(path) = &workload.options().plot {
        plot_file::check(path).map_err(|error| cannot_write(path, error))?;
    }
    let run = match workload {
        Workload::Echo { size, pressure, .. } => measure(workload, exchange::echo(workload, size.bytes, *pressure)),
        Workload::Request { send, expect, pressure, .. } => {
            measure(workload, exchange::request(workload, &send.0, expect, *pressure))
        }
        Workload::Sink { size, .. } => measure(workload, stream::Sink::new(size.bytes)),
        Workload::Source { .. } => measure(workload, stream::Source),
        Workload::Idle { .. } => measure(workload, stream::Idle),
        Workload::Churn { size, .. } => measure(workload, churn::Churn::new(workload, size.bytes)),
        Workload::Chat { senders, size, depth, .. } => {
            measure(workload, chat::Chat::new(workload, *senders, size.bytes, *depth))
        }
    }?;
    if run.connections.opened == 0 && !run.interrupted {
        let why = run.connections.first_failure.clone();
        let why = why.unwrap_or_else(|| format!("no connection within {}", report::seconds(run.now())));
        return Err(format!("cannot load {}: {why}", run.plan.to).into());
    }
    let report = Report::new(workload, &run);
    show(workload, &run, &report)?;
    Ok(if report.problems().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(workload: &Workload, run: &RunState, report: &Report<'_>) -> Result<(), String> {
    let text = if workload.options().json { format!("{:#}\n", report.json()) } else { report.text() };
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("cannot write the report: {error}"))?;
    if let Some(path) = &workload.options().plot {
        let svg = plot::draw(report, run).map_err(|error| cannot_write(path, error))?;
        plot_file::write(path, &svg).map_err(|error| cannot_write(path, error))?;
    }
    Ok(())
}

fn cannot_write(path: &Path, error: impl Display) -> String {
    format!("cannot write {}: {error}", path.display())
}

fn check_descriptors(workload: &Workload, max: usize) -> Result<(), String> {
    match workload.all_connections() {
        wanted if wanted <= max => Ok(()),
        wanted => Err(format!(
            "{wanted} connections are more than the descriptor limit has room for ({max}): use fewer, or raise the limit \
             with 'ulimit -Hn' or LimitNOFILE"
        )),
    }
}
