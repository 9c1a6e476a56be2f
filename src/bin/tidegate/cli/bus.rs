//! The flags by which several processes are one room: `--bus` and those beside it.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::duration::{not_zero, timer};
use super::engine_address::EngineAddress;
use super::number::{Size, size, whole};

/// A room of more entries is one that nobody reads at once, and an engine keeps them in memory.
const MOST_ENTRIES: u32 = 100_000_000;

/// A node reads 500 entries at once. With fewer in the stream it would not see that some were trimmed before it has read them, and
/// might give a name to two guests.
const LEAST_ENTRIES: u32 = 1000;

/// A line and its entry fit, and a list of guests.
const LEAST_OUTBOX: usize = 64 << 10;

#[derive(Clone, Debug, Args)]
pub struct BusOptions {
    /// Be one room with all processes that have the same engine and room
    ///
    /// The engine is Valkey, or Redis from version 6:
    /// redis://[USER@]HOST[:PORT][/DB] or redis+unix:/PATH. What is said goes
    /// by a stream there, so that everybody hears it in one order. While the
    /// engine is out of reach, the guests here hear each other, and all
    /// others hear it later. A password is in --bus-password-file or in the
    /// variable TIDEGATE_BUS_PASSWORD, never here.
    #[arg(long, value_name = "URL", value_parser = url, help_heading = "Other machines", verbatim_doc_comment)]
    bus: Option<Url>,

    /// Name of the room: its stream is tidegate:NAME
    #[arg(long, value_name = "NAME", default_value = "lobby", value_parser = name, requires = "bus")]
    #[arg(help_heading = "Other machines")]
    pub bus_room: String,

    /// What people call this process [default: the name of this machine]
    #[arg(long, value_name = "NAME", value_parser = name, requires = "bus", help_heading = "Other machines")]
    pub bus_node: Option<String>,

    /// File with the password of the engine, which is read at each connect
    ///
    /// Without this flag it is in the variable TIDEGATE_BUS_PASSWORD; if that
    /// is not there either, the engine wants none.
    #[arg(long, value_name = "FILE", requires = "bus", help_heading = "Other machines", verbatim_doc_comment)]
    pub bus_password_file: Option<PathBuf>,

    /// Longest wait for a line to come back from the engine
    ///
    /// Then the engine is out of reach: the guests here are told, and hear
    /// each other at once.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = patience, requires = "bus")]
    #[arg(help_heading = "Other machines", verbatim_doc_comment)]
    pub bus_patience: Duration,

    /// Most bytes that wait for the engine, from 64KiB
    ///
    /// When there are more, the oldest line goes. All others are told how
    /// many they miss.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = size, requires = "bus")]
    #[arg(help_heading = "Other machines", verbatim_doc_comment)]
    bus_outbox: Size,

    /// Most lines that are told after an absence; more are counted
    #[arg(long, value_name = "LINES", default_value = "100", value_parser = lines, requires = "bus")]
    #[arg(help_heading = "Other machines")]
    pub catch_up: u32,

    /// How many entries the stream keeps, about; from 1000
    ///
    /// Whoever was away for longer is told how many lines are gone. An engine
    /// keeps up to a hundred more.
    #[arg(long, value_name = "ENTRIES", default_value = "10000", value_parser = entries, requires = "bus")]
    #[arg(help_heading = "Other machines", verbatim_doc_comment)]
    pub bus_history: u32,
}

/// What is wrong with it is said by [`BusOptions::check`]: clap would repeat the value, and there may be a password in it.
#[derive(Clone, Debug)]
struct Url(Result<EngineAddress, String>);

fn url(text: &str) -> Result<Url, Infallible> {
    Ok(Url(EngineAddress::from_str(text)))
}

impl BusOptions {
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(Url(Err(wrong))) = &self.bus {
            return Err(format!("--bus: {wrong}"));
        }
        match &self.bus_outbox {
            outbox if outbox.bytes < LEAST_OUTBOX => Err(format!("--bus-outbox of {outbox} is below 64KiB")),
            _ => Ok(()),
        }
    }

    /// None: the room is of this process alone.
    pub fn engine(&self) -> Option<&EngineAddress> {
        self.bus.as_ref().and_then(|Url(engine)| engine.as_ref().ok())
    }

    pub fn outbox(&self) -> usize {
        self.bus_outbox.bytes
    }
}

/// Of a room and of a process: a part of a key, of the name of a connection, and of what guests see.
fn name(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("a name has 1 to 64 characters: letters of ASCII, digits, '.', '_' and '-'".to_owned()),
    }
}

fn patience(text: &str) -> Result<Duration, String> {
    timer(not_zero(text, "0 leaves an engine no time to answer")?)
}

fn lines(text: &str) -> Result<u32, String> {
    whole(text, 0..=1_000_000)
}

fn entries(text: &str) -> Result<u32, String> {
    whole(text, LEAST_ENTRIES..=MOST_ENTRIES)
}

#[cfg(test)]
mod tests {
    use super::super::parse_from;
    use super::super::tests::{chat, wrong};
    use super::*;

    const BUS: &str = "redis://room@engine.example/1";

    #[test]
    fn a_room_is_of_this_process_alone_unless_there_is_an_engine() {
        let alone = chat(&[]).bus;
        assert_eq!(alone.engine(), None);
        let bus = chat(&["--bus", BUS]).bus;
        assert_eq!(bus.engine().unwrap().to_string(), "redis://room@engine.example:6379/1");
        assert_eq!((&*bus.bus_room, bus.bus_node, bus.bus_password_file), ("lobby", None, None));
        assert_eq!((bus.bus_patience, bus.bus_history, bus.catch_up), (Duration::from_secs(2), 10_000, 100));
        assert_eq!(bus.bus_outbox.bytes, 1 << 20);
    }

    #[test]
    fn what_is_for_an_engine_wants_one() {
        for flag in [
            ["--bus-room", "x"],
            ["--bus-node", "x"],
            ["--bus-password-file", "x"],
            ["--bus-patience", "1s"],
            ["--bus-outbox", "1M"],
            ["--catch-up", "1"],
            ["--bus-history", "1000"],
        ] {
            let error = parse_from(["tidegate", "chat"].iter().chain(&flag)).expect_err("wrong usage").to_string();
            assert!(error.contains("  --bus <URL>\n"), "{error}");
            chat(&["--bus", BUS, flag[0], flag[1]]);
        }
        for (flag, value, says) in [
            ("--bus-room", "a b", "a name has 1 to 64 characters"),
            ("--bus-node", "", "a name has 1 to 64 characters"),
            ("--bus-patience", "0", "no time to answer"),
            ("--bus-patience", "30d", "the longest time is 24d"),
            ("--bus-outbox", "1K", "--bus-outbox of 1K is below 64KiB"),
            ("--catch-up", "-1", "not a whole number from 0 to 1000000"),
            ("--bus-history", "999", "not a whole number from 1000 to 100000000"),
        ] {
            let wrong = wrong(&["--bus", BUS, &format!("{flag}={value}")]);
            assert!(wrong.contains(says), "{wrong}");
        }
    }

    #[test]
    fn no_error_repeats_a_password() {
        for url in
            ["redis://room:s3cret@h", "redis:s3cret", "s3cret", "redis+unix://room:s3cret@/run/x", "rediss://:s3cret@h"]
        {
            let wrong = wrong(&["--bus", url]);
            assert!(wrong.starts_with("error: --bus: ") && !wrong.contains("s3cret"), "{wrong}");
        }
    }
}
