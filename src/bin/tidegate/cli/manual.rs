//! `tidegate man` and `tidegate completions`: what the command line knows of itself, for the system around it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Program;

#[derive(Clone, Debug, Args)]
pub struct ManOptions {
    /// Folder for the pages; it is made if it is not there
    pub folder: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub struct CompletionsOptions {
    /// Shell that completes the words
    pub shell: Shell,
}

/// A page for the program and one for each of its commands: `tidegate.1`, `tidegate-chat.1`, `tidegate-bench-echo.1`.
///
/// # Errors
/// Those of the file system, with the folder.
pub fn write_manual(folder: &Path) -> Result<(), String> {
    let write = || {
        fs::create_dir_all(folder)?;
        // `help` is no command of its own in a manual.
        clap_mangen::generate_to(Program::command().disable_help_subcommand(true), folder)
    };
    write().map_err(|error| format!("cannot write the manual to {}: {error}", folder.display()))
}

/// The script that has a shell complete the words of this program.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Program::command(), "tidegate", &mut script);
    script
}

/// Prints it. That nobody reads it to its end is no error.
///
/// # Errors
/// Those of standard output.
pub fn print_completions(shell: Shell) -> Result<(), String> {
    match io::Write::write_all(&mut io::stdout(), &completions(shell)) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write the completions: {error}"))
        }
        _ => Ok(()),
    }
}
