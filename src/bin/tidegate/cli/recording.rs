//! The flags of a recording, and those of `tidegate replay`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use log::LevelFilter;

use super::explain::ExplainOptions;
use super::number::{OrNone, Size, size_or_none};
use super::zone;

/// A recording that is smaller has no room for what a role does before its first client.
const LEAST_LIMIT: usize = 64 << 10;

/// The flags that are not recorded: those of the recording itself, and those that tell what the loop does, which are given anew
/// when it is played.
const NOT_RECORDED: [&str; 9] = [
    "config",
    "print-config",
    "log",
    "log-file",
    "record",
    "record-limit",
    "record-contents",
    "explain",
    "slow-motion",
];

#[derive(Clone, Debug, Args)]
pub struct RecordingOptions {
    /// Record the run to this file, for 'tidegate replay'
    ///
    /// It has all that peers send, so it is for its owner alone (mode 600). A
    /// file that is there is kept as FILE.1.
    #[arg(long, value_name = "FILE", help_heading = "Recording", verbatim_doc_comment)]
    pub record: Option<PathBuf>,

    /// Most bytes of the recording, from 64KiB; the run goes on without it
    #[arg(long, value_name = "SIZE|none", default_value = "64MiB", value_parser = size_or_none)]
    #[arg(help_heading = "Recording")]
    record_limit: OrNone<Size>,

    /// Whether the recording has what peers send, or its length only
    ///
    /// A chat cannot be played without it.
    #[arg(long, value_name = "yes|no", default_value = "yes", hide_possible_values = true, verbatim_doc_comment)]
    #[arg(help_heading = "Recording")]
    record_contents: YesNo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum YesNo {
    Yes,
    No,
}

impl RecordingOptions {
    /// `needs_contents`: on what of that which peers send it depends what the role does.
    pub(super) fn check(&self, needs_contents: Option<&str>) -> Result<(), String> {
        if let Some(why) = needs_contents.filter(|_| !self.has_contents()) {
            return Err(format!("--record-contents no: {why}, so without that its recording cannot be played"));
        }
        match &self.record_limit {
            Some(limit) if limit.bytes < LEAST_LIMIT => Err(format!(
                "--record-limit of {limit} is below 64KiB: there would be little more than the start in it"
            )),
            _ => Ok(()),
        }
    }

    pub fn limit(&self) -> Option<u64> {
        self.record_limit.as_ref().map(|size| size.bytes as u64)
    }

    pub fn has_contents(&self) -> bool {
        self.record_contents == YesNo::Yes
    }
}

/// The words of a command line as a recording keeps them: without the flags that concern the recording, and with the number of an
/// interface for its name, which may be another one where the recording is played. `role` knows which flags have a value: that
/// may look like a flag.
pub(super) fn recorded(role: Option<&clap::Command>, words: impl Iterator<Item = OsString>) -> Vec<String> {
    let mut recorded = Vec::new();
    let mut words = words.map(|word| word.to_string_lossy().into_owned());
    while let Some(word) = words.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let known = role.and_then(|role| role.get_arguments().find(|argument| is_flag(argument, flag)));
        let has_next = value.is_none()
            && known.is_some_and(|argument| argument.get_action().takes_values() && !argument.is_require_equals_set());
        let next = if has_next { words.next() } else { None };
        if flag.strip_prefix("--").is_some_and(|name| NOT_RECORDED.contains(&name)) {
            continue;
        }
        recorded.push(value.map_or_else(|| word.clone(), |value| format!("{flag}={}", by_number(value))));
        recorded.extend(next.map(by_number));
    }
    recorded
}

fn is_flag(argument: &clap::Arg, flag: &str) -> bool {
    let name = flag.strip_prefix("--");
    name.is_some_and(|name| {
        argument.get_long() == Some(name) || argument.get_all_aliases().is_some_and(|others| others.contains(&name))
    })
}

fn by_number(value: String) -> String {
    zone::by_number(&value).unwrap_or(value)
}

#[derive(Clone, Debug, Args)]
pub struct ReplayOptions {
    /// File that a role has made with --record
    pub file: PathBuf,

    /// Last turn to play
    #[arg(long, value_name = "TURN")]
    pub until: Option<u64>,

    /// How much faster than then: 1 is as fast as then, 0.1 is slow
    #[arg(long, value_name = "N|max", default_value = "max", value_parser = speed)]
    pub speed: Speed,

    #[command(flatten)]
    pub explain: ExplainOptions,

    /// Show the log of the role: -v as it was, -vv for debug, -vvv for trace
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

impl ReplayOptions {
    /// None: the role logs nothing.
    pub fn verbosity(&self) -> Option<LevelFilter> {
        match self.verbose {
            0 => None,
            1 => Some(LevelFilter::Info),
            2 => Some(LevelFilter::Debug),
            _ => Some(LevelFilter::Trace),
        }
    }
}

/// None: as fast as it goes. The alias hides the `Option` from clap.
pub type Speed = Option<f64>;

fn speed(text: &str) -> Result<Speed, String> {
    match text.parse::<f64>() {
        _ if text == "max" => Ok(None),
        Ok(speed) if speed.is_finite() && (0.001..=1_000_000.0).contains(&speed) => Ok(Some(speed)),
        _ => Err("write a number from 0.001 to 1000000, or 'max'".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{daemon, wrong};
    use super::super::{Tool, Typed, parse_from};
    use super::*;

    #[test]
    fn a_recording_has_a_limit_and_a_chat_needs_contents() {
        let recording = daemon(&[]).recording;
        assert_eq!((recording.record.as_deref(), recording.limit()), (None, Some(64 << 20)));
        assert!(recording.has_contents());
        assert_eq!(daemon(&["--record-limit", "none"]).recording.limit(), None);
        assert!(wrong(&["--record-limit", "10"]).contains("--record-limit of 10 bytes is below 64KiB"));
        assert!(wrong(&["--record-contents", "no"]).contains("depends on what its guests type"));
        assert!(wrong(&["--record-contents", "perhaps"]).contains("invalid value 'perhaps'"));
        assert!(parse_from(["tidegate", "echo", "--record-contents", "no"]).is_ok());
    }

    #[test]
    fn the_words_that_concern_the_recording_are_left_out() {
        let words = [
            "echo",
            "--record",
            "a b",
            "--listen",
            "7000",
            "--record-limit=1M",
            "-v",
            "--explain=#5",
            "--slow-motion",
            "1s",
            "--explain",
            "--record-contents",
            "no",
        ];
        assert_eq!(super::super::recorded_of(&words), ["echo", "--listen", "7000", "-v"]);
    }

    #[test]
    fn the_value_of_another_flag_stays_whatever_it_looks_like() {
        let words =
            ["hub", "--in", "--record", "--out=--explain", "--port", "1", "--in", "--record-limit", "--out", "-"];
        assert_eq!(super::super::recorded_of(&words), words);
        let recorded = super::super::recorded_of(&["hub", "--record", "--in", "--in", "-"]);
        assert_eq!(recorded, ["hub", "--in", "-"], "the name of the file is --in");
    }

    #[test]
    fn a_replay_has_a_speed_and_an_end() {
        let replay = |flags: &[&str]| match parse_from(["tidegate", "replay", "file"].iter().chain(flags)) {
            Ok(Typed::Tool(Tool::Replay(options))) => Ok((options.until, options.speed, options.verbosity())),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(replay(&[]), Ok((None, None, None)));
        assert_eq!(replay(&["--until", "12", "-v"]), Ok((Some(12), None, Some(LevelFilter::Info))));
        assert_eq!(replay(&["--speed", "0.5", "-vv"]), Ok((None, Some(0.5), Some(LevelFilter::Debug))));
        assert_eq!(replay(&["--speed", "max"]), Ok((None, None, None)));
        for speed in ["0", "-1", "fast", "inf", "NaN", ""] {
            let flag = format!("--speed={speed}");
            assert!(replay(&[&flag]).is_err_and(|error| error.contains("from 0.001 to 1000000")), "{speed}");
        }
    }
}
