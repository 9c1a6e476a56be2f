//! `--record` and `tidegate replay`: a run of a role that is recorded, and played again.
//!
//! A recording's header has the version, the role with its words, and the platform. What else a role is told of the machine is
//! in the recording itself, as facts: `process/outside.rs`.

use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::process::ExitCode;

use tidegate::kernel::{Header, Playback, RecorderOptions, Replay, RunEnd};

use crate::cli::{self, DaemonOptions, ReplayOptions, Role, counted};
use crate::process::{log as process_log, outside};

const PLATFORM: [&str; 2] = [std::env::consts::OS, std::env::consts::ARCH];

/// Begins the recording of a role, if one is asked for.
///
/// # Errors
/// The file cannot be made.
pub fn record(daemon: &DaemonOptions) -> Result<(), String> {
    let options = &daemon.recording;
    let Some(file) = &options.record else { return Ok(()) };
    let mut header = Header::new().with("version", env!("CARGO_PKG_VERSION")).with("platform", PLATFORM.join(" "));
    for word in cli::recorded_words(daemon) {
        header = header.with("word", word);
    }
    let recorder = RecorderOptions::new().limit(options.limit()).contents(options.has_contents());
    outside::record(file, &header, recorder)
}

/// Plays a recording: `run_role` runs the role as if it were typed.
pub fn run(
    options: &ReplayOptions,
    run_role: impl FnOnce(&Role) -> Result<ExitCode, Box<dyn Error>>,
) -> Result<ExitCode, Box<dyn Error>> {
    let name = options.file.display();
    let cannot = |error: &dyn std::fmt::Display| format!("cannot play {name}: {error}");
    let file = File::open(&options.file).map_err(|error| cannot(&error))?;
    let played = tidegate::kernel::ReplayOptions::new().until(options.until).speed(options.speed);
    let replay = Replay::new(BufReader::new(file), played).map_err(|error| cannot(&error))?;
    let playback = replay.playback();
    let header = playback.header();
    let words: Vec<&str> = header.all("word").collect();
    if words.is_empty() {
        return Err(cannot(&"it is the recording of another program").into());
    }
    let mut role = cli::parse_recorded(&words)
        .map_err(|error| cannot(&format!("this build does not know its command line: {error}")))?;
    role.explain(&options.explain);
    if let Some(platform) = header.get("platform").filter(|platform| *platform != PLATFORM.join(" ")) {
        log::warn!("it was recorded on {platform}, where the numbers of errors and signals may be others");
    }
    process_log::wait_for_the_reader();
    match options.verbosity() {
        Some(level) => log::set_max_level(level),
        None => process_log::mute(),
    }
    outside::play(replay, tell);
    // How the role has ended is part of the run: it is compared, and not the outcome of this command.
    let outcome = run_role(&role);
    playback.finish();
    if let (Err(error), RunEnd::Ended) = (outcome, playback.report().end) {
        log::error!("{error}");
    }
    outside::end();
    Ok(if outside::fails(&playback.report()) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What was played. That nobody reads it is no error.
fn tell(playback: &Playback) {
    let (report, header) = (playback.report(), playback.header());
    let words = header.all("word").collect::<Vec<_>>().join(" ");
    let version = header.get("version").unwrap_or("of an unknown version");
    let counts = [(report.turns, "turn"), (report.calls, "call"), (report.connections, "connection")];
    let counts = counts.map(|(count, what)| counted(count, what)).join(", ");
    let (read, written) = (counted(report.bytes_read, "byte"), counted(report.bytes_written, "byte"));
    let has_nothing = report.turns == 0 && matches!(report.end, RunEnd::NoMore(_) | RunEnd::Damaged(_));
    let nothing = if has_nothing { "; no turn of it could be played" } else { "" };
    outside::say(&format!(
        "tidegate {version}: {words}\n{counts}, {read} in, {written} out, in {:.3} s\n{}{nothing}\nfingerprint {:016x}\n",
        report.time.as_secs_f64(),
        report.end,
        report.fingerprint
    ));
}
