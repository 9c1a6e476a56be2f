//! The flags of `tidegate hub`: where frames come from, where they go, and what becomes of consumers that are slow.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tidegate::Endpoint;

use super::DaemonOptions;
use super::address::{self, Listen, Named};
use super::duration::{grace_or_none, quiet_or_none};
use super::gap_line::GapLine;
use super::number::{OrNone, Size, size, whole};
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

/// One `--in`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Dial(Endpoint),
    Listen(Listen),
    Stdin,
    File(PathBuf),
    Tty(Tty),
}

/// One `--out`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Listen(Listen),
    Dial(Endpoint),
    Stdout,
    File(PathBuf),
}

/// A serial device, and its speed if it is to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tty {
    pub path: PathBuf,
    pub baud: Option<u32>,
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
            if self.inputs[..index].contains(input) {
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

impl FromStr for Input {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "-" => Ok(Input::Stdin),
            "listen" => rest.parse().map(Input::Listen),
            "file" => path(rest).map(Input::File),
            "tty" => rest.parse().map(Input::Tty),
            "dial" => dialled(rest).map(Input::Dial),
            "" if rest.parse::<u16>().is_ok() => Err(format!(
                "it has no IP address: to connect to that port of this machine, write 127.0.0.1:{rest}; to listen on it for \
                 producers, write listen:{text}"
            )),
            _ if is_path(text) => {
                Err(format!("a file or a FIFO is written file:{text}, and a serial device tty:{text}"))
            }
            _ => dialled(text).map(Input::Dial),
        }
    }
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "-" => Ok(Output::Stdout),
            "dial" => dialled(rest).map(Output::Dial),
            "file" => path(rest).map(Output::File),
            "listen" => rest.parse().map(Output::Listen),
            "tty" => Err(format!(
                "a serial device is an input: write --in {text}, and --two-way to pass on what consumers say"
            )),
            _ if is_path(text) => Err(format!("a file is written file:{text}, and a Unix socket unix:{text}")),
            _ => text.parse().map(Output::Listen),
        }
    }
}

fn dialled(text: &str) -> Result<Endpoint, String> {
    address::target(text)
}

fn is_path(text: &str) -> bool {
    text.starts_with(['/', '.', '~'])
}

fn path(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("it has no path: write file:PATH".to_owned()),
        "-" => {
            Err("standard input and output are written '-' alone; for a file of that name, write file:./-".to_owned())
        }
        path => Ok(PathBuf::from(path)),
    }
}

impl FromStr for Tty {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, baud) = match text.rsplit_once(',') {
            Some((path, baud)) => (path, Some(baud)),
            None => (text, None),
        };
        if path.is_empty() {
            return Err("it has no path: write tty:PATH or tty:PATH,BAUD, such as tty:/dev/ttyUSB0,115200".to_owned());
        }
        let baud =
            baud.map(|baud| whole(baud, 50..=4_000_000).map_err(|wrong| format!("{wrong} baud, such as 115200")));
        Ok(Tty { path: PathBuf::from(path), baud: baud.transpose()? })
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

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Dial(to) => to.fmt(f),
            Input::Listen(place) => write!(f, "listen:{place}"),
            Input::Stdin => f.write_str("-"),
            Input::File(path) => write!(f, "file:{}", path.display()),
            Input::Tty(tty) => write!(f, "tty:{}", tty.path.display()),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Output::Listen(place) => place.fmt(f),
            Output::Dial(to) => write!(f, "dial:{to}"),
            Output::Stdout => f.write_str("-"),
            Output::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_from;
    use super::super::tests::hub;
    use super::*;

    fn wrong(flags: &[&str]) -> String {
        let error = parse_from(["tidegate", "hub"].iter().chain(flags)).expect_err("wrong usage");
        assert_eq!(error.exit_code(), 2);
        error.to_string().lines().next().unwrap().to_owned()
    }

    #[test]
    fn inputs_and_outputs_are_told_apart() {
        let options = hub(&[
            "--in",
            "192.0.2.7:30003",
            "--in",
            "listen::4000",
            "--in",
            "-",
            "--in",
            "file:/run/fifo",
            "--in",
            "tty:/dev/ttyUSB0,115200",
            "--out",
            ":10110",
            "--out",
            "unix:/run/feed.sock",
            "--out",
            "dial:192.0.2.9:1",
            "--out",
            "-",
            "--out",
            "file:log,1",
        ]);
        let shown: Vec<String> = options.inputs.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["192.0.2.7:30003", "listen::4000", "-", "file:/run/fifo", "tty:/dev/ttyUSB0"]);
        let shown: Vec<String> = options.outputs.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [":10110", "unix:/run/feed.sock", "dial:192.0.2.9:1", "-", "file:log,1"]);
        assert_eq!("tty:/dev/x,y,9600".parse(), Ok(Input::Tty(Tty { path: "/dev/x,y".into(), baud: Some(9600) })));
        assert_eq!("tty:/dev/x".parse(), Ok(Input::Tty(Tty { path: "/dev/x".into(), baud: None })));
        assert!(hub(&[]).has_members() && hub(&["--listen", "7000"]).has_members());
        assert!(!options.has_members());
    }

    #[test]
    fn a_place_in_a_wrong_form_is_shown_the_right_one() {
        for (flags, says) in [
            (
                &["--in", ":10110"],
                "to connect to that port of this machine, write 127.0.0.1:10110; to listen on it for producers, write \
                 listen::10110",
            ),
            (
                &["--in", "/dev/ttyUSB0"],
                "a file or a FIFO is written file:/dev/ttyUSB0, and a serial device tty:/dev/ttyUSB0",
            ),
            (&["--in", "example.org:80"], "names are not resolved; give an address, or 'localhost'"),
            (&["--in", "file:"], "it has no path: write file:PATH"),
            (
                &["--in", "file:-"],
                "standard input and output are written '-' alone; for a file of that name, write file:./-",
            ),
            (&["--in", "tty:,9600"], "tty:PATH or tty:PATH,BAUD, such as tty:/dev/ttyUSB0,115200"),
            (&["--in", "tty:/dev/x,fast"], "'fast' is not a whole number from 50 to 4000000 baud, such as 115200"),
            (&["--out", "/tmp/x"], "a file is written file:/tmp/x, and a Unix socket unix:/tmp/x"),
            (&["--out", "dial::80"], "it has no IP address: write 127.0.0.1:80"),
            (
                &["--out", "tty:/dev/x"],
                "a serial device is an input: write --in tty:/dev/x, and --two-way to pass on what consumers say",
            ),
            (&["--backlog", "64KB"], "a number of frames such as 100, a size with its unit such as 64KiB, or 'last'"),
            (&["--gap-line", "{lines} gone"], "{frames} and {bytes} stand for numbers, and no other word in braces"),
        ] {
            assert!(wrong(flags).ends_with(says), "{}", wrong(flags));
        }
    }

    #[test]
    fn flags_that_do_not_fit_together_say_what_would() {
        let tty: &[&str] = &["--in", "tty:/dev/x", "--out", "7000"];
        let with = |more: &[&'static str]| [tty, more].concat();
        for (flags, says) in [
            (vec!["--in", "-"], "nobody would hear the inputs: add --out ADDR for consumers"),
            (vec!["--out", "-"], "there would be nothing to hear: add --in ADDR, or --in - for standard input"),
            (vec!["--in", "-", "--in", "-", "--out", "7000"], "--in - is given twice: leave one out"),
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
            let wrong = wrong(&flags);
            assert!(wrong.ends_with(says), "{wrong}");
        }
        assert_eq!(hub(&["--in", "-", "--out", "unix:/run/x", "--mode", "660"]).daemon.listen, []);
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
