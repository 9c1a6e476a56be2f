//! The commands beside the roles of the daemon.

use clap::Subcommand;

use super::{CompletionsOptions, ConnectOptions, InspectOptions, ManOptions, ReplayOptions, Workload, help};

/// A command that does something and ends.
#[derive(Clone, Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "a process has one of it")]
pub enum Tool {
    #[command(about = "Connect standard input and output with a server", long_about = help::ABOUT_CONNECT)]
    #[command(after_long_help = help::AFTER_CONNECT_HELP)]
    Connect(ConnectOptions),
    #[command(about = "Write the manual: a page for each command", long_about = help::ABOUT_MAN)]
    Man(ManOptions),
    #[command(about = "Print what has a shell complete the words", long_about = help::ABOUT_COMPLETIONS)]
    Completions(CompletionsOptions),
    #[command(about = "Play a run that was recorded", long_about = help::ABOUT_REPLAY)]
    #[command(after_long_help = help::AFTER_REPLAY_HELP)]
    Replay(ReplayOptions),
    #[command(about = "Show what a role does, with its connections", long_about = help::ABOUT_INSPECT)]
    #[command(after_long_help = help::AFTER_INSPECT_HELP)]
    Inspect(InspectOptions),
    #[command(about = "Load a server and measure it", long_about = help::ABOUT_BENCH)]
    #[command(after_long_help = help::AFTER_BENCH_HELP)]
    #[command(subcommand, subcommand_value_name = "WORKLOAD", subcommand_help_heading = "Workloads")]
    #[command(arg_required_else_help = true)]
    Bench(Workload),
}

impl Tool {
    /// Finds what takes more than one flag to be wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Tool::Bench(workload) => workload.check(),
            Tool::Connect(options) => options.to().map(|_| ()),
            Tool::Man(_) | Tool::Completions(_) | Tool::Replay(_) | Tool::Inspect(_) => Ok(()),
        }
    }
}
