//! The flags of the log.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use log::LevelFilter;

#[derive(Clone, Debug, Args)]
pub struct LogOptions {
    /// What a record of the log looks like
    ///
    /// text is for people, logfmt and json are for programs: a record a line,
    /// with its time, its level and its message.
    #[arg(
        long,
        value_name = "FORM",
        value_enum,
        default_value = "text",
        hide_possible_values = true,
        verbatim_doc_comment
    )]
    #[arg(help_heading = "Log")]
    pub log: LogForm,

    /// Write the log to this file instead of standard error
    ///
    /// It is appended to. SIGHUP opens it anew, as a rotation needs it, and
    /// does not stop the role then.
    #[arg(long, value_name = "PATH", verbatim_doc_comment, help_heading = "Log")]
    pub log_file: Option<PathBuf>,
}

/// What is logged with --quiet, or with -v so many times. clap takes only one of the two.
pub fn verbosity(is_quiet: bool, verbose: u8) -> LevelFilter {
    match verbose {
        _ if is_quiet => LevelFilter::Error,
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    Text,
    Logfmt,
    Json,
}
