//! The places of a hub: where frames come from, and where they go.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tidegate::Endpoint;

use super::address::{self, Listen};
use super::number::whole;

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

impl Input {
    /// Whether both are one place: a device is one, whatever its speed. Each of two readers would get a part of what it says.
    pub fn is(&self, other: &Input) -> bool {
        match (self, other) {
            (Input::Tty(one), Input::Tty(other)) => one.path == other.path,
            _ => self == other,
        }
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
            "dial" => address::target(rest).map(Input::Dial),
            "" if rest.parse::<u16>().is_ok() => Err(format!(
                "it has no IP address: to connect to that port of this machine, write 127.0.0.1:{rest}; to listen on it for \
                 producers, write listen:{text}"
            )),
            _ if is_path(text) => {
                Err(format!("a file or a FIFO is written file:{text}, and a serial device tty:{text}"))
            }
            _ => address::target(text).map(Input::Dial),
        }
    }
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "-" => Ok(Output::Stdout),
            "dial" => address::target(rest).map(Output::Dial),
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
    use super::super::tests::{hub, wrong_for};
    use super::*;

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
        ] {
            let wrong = wrong_for("hub", flags);
            assert!(wrong.ends_with(says), "{wrong}");
        }
    }
}
