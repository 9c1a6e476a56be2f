//! `tidegate bench`: loads a server and measures it, on the same loop that the servers are built on.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `course.rs` | the course of a measurement, whatever is loaded: read it first |
//! | `exchange.rs` | `echo` and `request`: messages that have answers |
//! | `stream.rs` | `sink`, `source` and `idle`: bytes in one direction, or none |
//! | `churn.rs` | connections that come and go |
//! | `chat.rs`, `form.rs` | lines that go to everybody else, and how they look |
//! | `pattern.rs`, `template.rs` | bytes that are known again: made here, or typed |
//! | `pace.rs` | the schedule of an open loop |
//! | `measuring.rs` | counts, latencies and this process's CPU time |
//! | `progress.rs`, `report.rs`, `plot.rs` | what is told of it: on the way, at the end, as a picture |

mod chat;
mod churn;
mod course;
mod exchange;
mod form;
mod measuring;
mod pace;
mod pattern;
mod plot;
mod progress;
mod report;
mod stream;
pub mod template;

use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use self::course::{Course, Load};
use self::report::Report;
use crate::cli::{BenchOptions, Workload};
use crate::daemon::CannotStart;

/// Measures, and tells of it.
pub fn run(options: &BenchOptions, most_connections: usize) -> Result<ExitCode, CannotStart> {
    reject_too_many(options, most_connections)?;
    if let Some(path) = &options.plot {
        plot::try_out(path).map_err(|error| cannot_write(path, error))?;
    }
    let course = match &options.workload {
        Workload::Echo { size, pressure } => measure(exchange::Exchange::echo(options, *size, *pressure)),
        Workload::Request { send, expect, pressure } => {
            measure(exchange::Exchange::request(options, send, expect, *pressure))
        }
        Workload::Sink { size } => measure(stream::Sink::new(options, *size)),
        Workload::Source => measure(stream::Source::new(options)),
        Workload::Idle => measure(stream::Idle::new(options)),
        Workload::Churn { size } => measure(churn::Churn::new(options, *size)),
        Workload::Chat { senders, size, pressure } => measure(chat::Chat::new(options, *senders, *size, *pressure)),
    }?;
    if course.connecting.opened == 0
        && let Some(error) = &course.connecting.why
    {
        return Err(CannotStart(format!("cannot load {}: {error}", options.to)));
    }
    let report = Report::new(options, &course);
    tell(options, &course, &report)?;
    Ok(if report.problems().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn measure(load: impl Load) -> Result<Course, CannotStart> {
    Ok(course::run(load)?.into_course())
}

fn tell(options: &BenchOptions, course: &Course, report: &Report<'_>) -> Result<(), CannotStart> {
    let text = if options.json { format!("{:#}\n", report.json()) } else { report.text() };
    let told = std::io::stdout().write_all(text.as_bytes());
    told.map_err(|error| CannotStart(format!("cannot write the report: {error}")))?;
    if let Some(path) = &options.plot {
        let drawn = plot::draw(options, course).map_err(|error| error.to_string());
        let written = drawn.and_then(|svg| std::fs::write(path, svg).map_err(|error| error.to_string()));
        written.map_err(|error| cannot_write(path, error))?;
    }
    Ok(())
}

fn cannot_write(path: &Path, error: impl Display) -> CannotStart {
    CannotStart(format!("cannot write {}: {error}", path.display()))
}

fn reject_too_many(options: &BenchOptions, most: usize) -> Result<(), CannotStart> {
    let wanted = options.all_connections();
    if wanted <= most {
        return Ok(());
    }
    Err(CannotStart(format!(
        "{wanted} connections are more than the descriptor limit has room for ({most}): take fewer, or raise it with \
         'ulimit -Hn' or LimitNOFILE"
    )))
}
