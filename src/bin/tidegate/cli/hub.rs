//! The flags of `tidegate hub`: where frames come from, where they go, and what becomes of consumers that are slow.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::DaemonOptions;
use super::address::{Listen, Named};
use super::duration::{grace_or_none, quiet_or_none};
use super::gap_line::GapLine;
use super::number::{OrNone, Size, size, whole};
use super::place::{Input, Output};
use super::template::Text;

#[derive(Clone, Debug, Args)]
pub struct HubOptions {
    #[command(flatten)]
    pub daemon: DaemonOptions,

    /// Where frames come from; may be repeated
    ///
    /// ADDR is connected to, and again when it is lost, after 0.5s at first
    /// and up to 30s later. listen:ADDR is listened on, for producers that
    /// connect. '-' is standard input.
    ///
    /// file:PATH is a file, which is read to its end, or a FIFO, which never
    /// ends. tty:PATH or tty:PATH,BAUD is a serial device. It is opened again
    /// when it has vanished, and made raw: no byte is changed.
    #[arg(long = "in", value_name = "SOURCE", allow_hyphen_values = true, verbatim_doc_comment)]
    pub inputs: Vec<Input>,

    /// Where frames go; may be repeated
    ///
    /// ADDR is listened on, for consumers that connect. dial:ADDR is
    /// connected to, and again when it is lost; it goes on where it was. '-'
    /// is standard output.
    ///
    /// file:PATH is a file that is appended to. When the disk is full it is
    /// tried again, and at SIGHUP it is opened anew.
    #[arg(long = "out", value_name = "TARGET", allow_hyphen_values = true, verbatim_doc_comment)]
    pub outputs: Vec<Output>,

    /// Pass on what consumers on --out say, to the inputs that can be written
    ///
    /// Those are the serial devices and the addresses that are connected to.
    /// The other consumers do not hear it.
    #[arg(long, help_heading = "Hub", verbatim_doc_comment)]
    pub two_way: bool,

    /// What is passed on whole
    #[arg(long, value_name = "KIND", value_enum, default_value = "lines", help_heading = "Hub")]
    pub frames: Frames,

    /// Longest frame, without its LF or its length
    ///
    /// A longer line is left out. After a longer message of u32 the producer
    /// is disconnected, as nobody knows where the next one begins.
    ///
    /// [default: 64KiB, or --queue if that is less]
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Hub", verbatim_doc_comment)]
    max_frame: Option<Size>,

    /// What happens to a consumer that is further behind than --queue
    ///
    /// [default: drop-oldest, and disconnect for --frames bytes]
    #[arg(long, value_name = "RULE", value_enum, help_heading = "Hub", verbatim_doc_comment)]
    slow: Option<Slow>,

    /// How far behind a consumer may be
    ///
    /// All consumers share one queue of this size.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = size, help_heading = "Hub")]
    queue: Size,

    /// Disconnect a consumer for which frames wait and that takes nothing
    ///
    /// [default: 10s with disconnect and pause, else none]
    #[arg(long, value_name = "DURATION|none", value_parser = grace_or_none, help_heading = "Hub", verbatim_doc_comment)]
    grace: Option<OrNone<Duration>>,

    /// A line in the place of frames that a consumer does not get
    ///
    /// {frames} and {bytes} stand for how many were skipped, such as
    /// '# {frames} frames ({bytes} bytes) skipped'. With --frames u32 it is a
    /// message.
    #[arg(long, value_name = "TEXT", help_heading = "Hub", verbatim_doc_comment)]
    pub gap_line: Option<GapLine>,

    /// What a consumer that joins hears first: 100, 64KiB or last
    ///
    /// So many of the newest frames, so many bytes of them, or the last one.
    /// It is not above --queue.
    #[arg(long, value_name = "N|SIZE|last", help_heading = "Hub", verbatim_doc_comment)]
    pub backlog: Option<Backlog>,

    /// Read the inputs only while there is a consumer
    #[arg(long, help_heading = "Hub")]
    pub hold: bool,

    /// Connect again if an address of --in has sent nothing for this long
    #[arg(long, value_name = "DURATION|none", default_value = "none", value_parser = quiet_or_none)]
    #[arg(help_heading = "Hub")]
    pub quiet_timeout: OrNone<Duration>,

    /// Send this to an address of --in whenever it is connected
    ///
    /// The escapes are \r, \n, \t, \0, \\ and \xHH.
    #[arg(long, value_name = "TEXT", help_heading = "Hub", verbatim_doc_comment)]
    preamble: Option<Text>,
}

/// What is passed on whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Frames {
    /// Lines, byte for byte: a CR before the LF is one of them
    Lines,
    /// Bytes as they come
    Bytes,
    /// Messages after their length in four bytes, big-endian
    U32,
}

/// What happens to a consumer that is too far behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Slow {
    /// It goes on with the newest frames that fit --queue
    DropOldest,
    /// It reads what it was given, and goes on with what comes
    DropNewest,
    /// It is disconnected
    Disconnect,
    /// The inputs are not read until it has caught up
    Pause,
}

/// What a consumer that joins hears first.
#[derive(Clone, Debug)]
pub enum Backlog {
    Frames(u32),
    Bytes(Size),
}

impl HubOptions {
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_places()?;
        self.check_flags()
    }

    /// All addresses that are listened on, as they were typed.
    pub(super) fn listeners(&self) -> Vec<Named> {
        let named = |flag, place: &Listen| Named { flag, place: *place };
        let inputs = self.inputs.iter().filter_map(|input| match input {
            Input::Listen(place) => Some(named("--in listen:", place)),
            _ => None,
        });
        let outputs = self.outputs.iter().filter_map(|output| match output {
            Output::Listen(place) => Some(named("--out ", place)),
            _ => None,
        });
        self.daemon.listen.iter().map(|place| named("--listen ", place)).chain(inputs).chain(outputs).collect()
    }

    /// Whether the hub is for those who connect to `--listen`, whatever else there is.
    pub fn has_members(&self) -> bool {
        !self.daemon.listen.is_empty() || self.inputs.is_empty() && self.outputs.is_empty()
    }

    fn check_places(&self) -> Result<(), String> {
        let has_members = self.has_members();
        if self.outputs.is_empty() && !has_members {
            return Err("nobody would hear the inputs: add --out ADDR for consumers".to_owned());
        }
        if self.inputs.is_empty() && !has_members {
            return Err("there would be nothing to hear: add --in ADDR, or --in - for standard input".to_owned());
        }
        for (index, input) in self.inputs.iter().enumerate() {
            if self.inputs[..index].iter().any(|other| other.is(input)) {
                return Err(format!("--in {input} is given twice: leave one out"));
            }
        }
        for (index, output) in self.outputs.iter().enumerate() {
            if self.outputs[..index].contains(output) && !matches!(output, Output::Listen(_)) {
                return Err(format!("--out {output} is given twice: leave one out"));
            }
        }
        Ok(())
    }

    fn check_flags(&self) -> Result<(), String> {
        let dials = self.inputs.iter().any(|input| matches!(input, Input::Dial(_)));
        let has_tty = self.inputs.iter().any(|input| matches!(input, Input::Tty(_)));
        if self.two_way && !dials && !has_tty {
            return Err("--two-way is for inputs that can be written: add --in ADDR or --in tty:PATH".to_owned());
        }
        if self.two_way && self.outputs.is_empty() {
            return Err("--two-way is for consumers on --out: add --out ADDR".to_owned());
        }
        if self.hold && self.inputs.is_empty() {
            return Err("--hold is for inputs: add --in".to_owned());
        }
        for (flag, is_given) in
            [("--quiet-timeout", self.quiet_timeout.is_some()), ("--preamble", self.preamble.is_some())]
        {
            if is_given && !dials {
                return Err(format!("{flag} is for an address that is connected to: add --in ADDR"));
            }
        }
        self.check_rule()?;
        self.check_sizes()
    }

    fn check_rule(&self) -> Result<(), String> {
        let skips = matches!(self.slow(), Slow::DropOldest | Slow::DropNewest);
        if self.frames == Frames::Bytes && skips {
            return Err(
                "--frames bytes has no places where something could be left out, so --slow is disconnect or pause: \
                        to skip whole lines or messages, use --frames lines or u32"
                    .to_owned(),
            );
        }
        if self.gap_line.is_some() && !skips {
            let slow = self.slow().name();
            return Err(format!(
                "--gap-line has no use with --slow {slow}, which skips nothing: leave it out, or use --slow drop-oldest"
            ));
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), String> {
        let queue = &self.queue;
        if let Some(longest) = self.max_frame.as_ref().filter(|longest| longest.bytes > queue.bytes) {
            return Err(format!("--max-frame of {longest} is above --queue of {queue}: lower it, or raise --queue"));
        }
        match &self.backlog {
            Some(Backlog::Bytes(backlog)) if backlog.bytes > queue.bytes => {
                Err(format!("--backlog of {backlog} is above --queue of {queue}: lower it, or raise --queue"))
            }
            _ => Ok(()),
        }
    }

    pub fn slow(&self) -> Slow {
        self.slow.unwrap_or(if self.frames == Frames::Bytes { Slow::Disconnect } else { Slow::DropOldest })
    }

    pub fn queue(&self) -> usize {
        self.queue.bytes
    }

    pub fn max_frame(&self) -> usize {
        const DEFAULT: usize = 64 * 1024;

        self.max_frame.as_ref().map_or(DEFAULT.min(self.queue.bytes), |size| size.bytes)
    }

    /// How long a consumer may take nothing while something waits for it.
    pub fn grace(&self) -> Option<Duration> {
        const DEFAULT: Duration = Duration::from_secs(10);

        let default = matches!(self.slow(), Slow::Disconnect | Slow::Pause).then_some(DEFAULT);
        self.grace.unwrap_or(default)
    }

    pub fn preamble(&self) -> Option<&[u8]> {
        self.preamble.as_ref().map(|text| &text.0[..])
    }
}

impl FromStr for Backlog {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const MOST: u32 = 1_000_000;

        match text {
            "last" => Ok(Backlog::Frames(1)),
            number if number.bytes().all(|byte| byte.is_ascii_digit()) => whole(number, 1..=MOST).map(Backlog::Frames),
            _ => size(text).map(Backlog::Bytes).map_err(|_| {
                "write a number of frames such as 100, a size with its unit such as 64KiB, or 'last'".to_owned()
            }),
        }
    }
}

impl Slow {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hub, wrong_for};
    use super::*;

    #[test]
    fn flags_that_do_not_fit_together_say_what_would() {
        let tty: &[&str] = &["--in", "tty:/dev/x", "--out", "7000"];
        let with = |more: &[&'static str]| [tty, more].concat();
        for (flags, says) in [
            (
                vec!["--backlog", "64KB"],
                "a number of frames such as 100, a size with its unit such as 64KiB, or 'last'",
            ),
            (vec!["--gap-line", "{lines} gone"], "{frames} and {bytes} stand for numbers, and no other word in braces"),
            (vec!["--in", "-"], "nobody would hear the inputs: add --out ADDR for consumers"),
            (vec!["--out", "-"], "there would be nothing to hear: add --in ADDR, or --in - for standard input"),
            (vec!["--in", "-", "--in", "-", "--out", "7000"], "--in - is given twice: leave one out"),
            (
                vec!["--in", "tty:/dev/x", "--in", "tty:/dev/x,9600", "--out", "7000"],
                "--in tty:/dev/x is given twice: leave one out",
            ),
            (vec!["--in", "-", "--out", "-", "--out", "-"], "--out - is given twice: leave one out"),
            (
                vec!["--in", "-", "--out", "80", "--out", ":80"],
                "--out 127.0.0.1:80 is a part of --out :80: leave one out",
            ),
            (
                vec!["--in", "listen:80", "--out", "80"],
                "--in listen:127.0.0.1:80 and --out 127.0.0.1:80 are one address",
            ),
            (vec!["--in", "-", "--out", "7000", "--two-way"], "add --in ADDR or --in tty:PATH"),
            (vec!["--in", "tty:/dev/x", "--listen", "7000", "--two-way"], "add --out ADDR"),
            (vec!["--hold"], "--hold is for inputs: add --in"),
            (with(&["--quiet-timeout", "5s"]), "--quiet-timeout is for an address that is connected to: add --in ADDR"),
            (with(&["--preamble", "x"]), "--preamble is for an address that is connected to: add --in ADDR"),
            (with(&["--max-frame", "2M"]), "--max-frame of 2M is above --queue of 1MiB: lower it, or raise --queue"),
            (with(&["--backlog", "2M"]), "--backlog of 2M is above --queue of 1MiB: lower it, or raise --queue"),
            (
                with(&["--gap-line", "x", "--slow", "pause"]),
                "which skips nothing: leave it out, or use --slow drop-oldest",
            ),
            (
                with(&["--frames", "bytes", "--slow", "drop-oldest"]),
                "so --slow is disconnect or pause: to skip whole lines or messages, use --frames lines or u32",
            ),
            (
                with(&["--mode", "660"]),
                "use --listen unix:PATH or --out unix:PATH with them, as nothing else has a file",
            ),
        ] {
            let wrong = wrong_for("hub", &flags);
            assert!(wrong.ends_with(says), "{wrong}");
        }
        assert_eq!(hub(&["--in", "-", "--out", "unix:/run/x", "--mode", "660"]).daemon.listen, []);
        assert!(hub(&[]).has_members() && hub(&["--listen", "7000"]).has_members());
        assert!(!hub(&["--in", "-", "--out", "7000"]).has_members());
    }

    #[test]
    fn defaults_depend_on_each_other() {
        let options = hub(&[]);
        assert_eq!((options.frames, options.slow(), options.grace()), (Frames::Lines, Slow::DropOldest, None));
        assert_eq!((options.queue(), options.max_frame()), (1 << 20, 64 << 10));
        let bytes = hub(&["--frames", "bytes"]);
        assert_eq!((bytes.slow(), bytes.grace()), (Slow::Disconnect, Some(Duration::from_secs(10))));
        assert_eq!(hub(&["--slow", "pause", "--grace", "none"]).grace(), None);
        assert_eq!(hub(&["--queue", "4K"]).max_frame(), 4096);
        assert!(matches!(hub(&["--backlog", "last"]).backlog, Some(Backlog::Frames(1))));
        assert!(matches!(hub(&["--backlog", "64KiB"]).backlog, Some(Backlog::Bytes(Size { bytes: 65536, .. }))));
    }
}
