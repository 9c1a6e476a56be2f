//! The flags of `tidegate connect`.

use std::time::Duration;

use clap::{ArgAction, Args};
use log::LevelFilter;
use tidegate::{Endpoint, KeepAlive};

use super::address::destination;
use super::daemon::probes;
use super::duration::{connect_timeout, idle_timeout, keep_alive};
use super::logging::verbosity;
use super::number::OrNone;

#[derive(Clone, Debug, Args)]
pub struct ConnectOptions {
    /// Address to connect to
    ///
    /// IP:PORT, with an IPv6 address in brackets; localhost:PORT, which tries
    /// 127.0.0.1 and then ::1; PORT, which is 127.0.0.1:PORT; unix:PATH or
    /// unix:@NAME. Or HOST PORT, in two words.
    #[arg(value_name = "ADDR", verbatim_doc_comment)]
    address: String,

    /// Port, if it is a word of its own
    #[arg(value_name = "PORT")]
    port: Option<String>,

    /// Longest wait for the connection
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = connect_timeout)]
    pub connect_timeout: Duration,

    /// Give up after this long without a byte in either direction
    ///
    /// While standard output does not take what has come, it is not idle.
    #[arg(long, value_name = "DURATION|none", default_value = "none", value_parser = idle_timeout)]
    pub idle_timeout: OrNone<Duration>,

    /// Probe the peer after this long without a byte from it
    ///
    /// In whole seconds. If its kernel does not answer 6 probes, one every
    /// 10s, the connection is lost.
    #[arg(long, value_name = "DURATION|none", default_value = "60s", value_parser = keep_alive, verbatim_doc_comment)]
    keep_alive: OrNone<Duration>,

    /// When the peer has ended, send on to the end of standard input
    ///
    /// Without it, only what standard input has at hand is still sent.
    #[arg(long)]
    pub half_open: bool,

    /// When standard input has ended, end nothing: wait for the peer's end
    ///
    /// For servers that take an end for a hang-up.
    #[arg(long, alias = "no-shutdown")]
    pub no_end: bool,

    /// Send CR LF for each LF, for protocols that want it
    #[arg(long)]
    pub crlf: bool,

    /// Tell what name servers say, when it connects and ends, and the bytes
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,

    /// Tell errors only, and show no progress bar
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
}

impl ConnectOptions {
    /// # Errors
    /// What is wrong with the address.
    pub fn to(&self) -> Result<Endpoint, String> {
        let port = self.port.as_deref();
        let typed = [Some(self.address.as_str()), port].into_iter().flatten().collect::<Vec<_>>().join(" ");
        destination(&self.address, port).map_err(|wrong| format!("invalid address '{typed}': {wrong}"))
    }

    pub fn keep_alive(&self) -> Option<KeepAlive> {
        probes(self.keep_alive)
    }

    pub fn verbosity(&self) -> LevelFilter {
        verbosity(self.quiet, self.verbose)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Tool, Typed, parse_from};
    use super::*;

    fn connect(words: &[&str]) -> Result<ConnectOptions, String> {
        match parse_from(["tidegate", "connect"].iter().chain(words)) {
            Ok(Typed::Tool(Tool::Connect(options))) => Ok(options),
            Ok(other) => panic!("{words:?} gave {other:?}"),
            Err(error) => {
                assert_eq!(error.exit_code(), 2);
                Err(error.to_string())
            }
        }
    }

    #[test]
    fn an_address_is_one_word_or_two() {
        let to = |words: &[&str]| connect(words).unwrap().to().unwrap().to_string();
        for (words, expected) in [
            (&["7000"][..], "127.0.0.1:7000"),
            (&["10.0.0.1:7000"], "10.0.0.1:7000"),
            (&["10.0.0.1", "7000"], "10.0.0.1:7000"),
            (&["[::1]:7000"], "[::1]:7000"),
            (&["::1", "7000"], "[::1]:7000"),
            (&["[::1]", "7000"], "[::1]:7000"),
            (&["localhost:7000"], "localhost:7000"),
            (&["localhost", "7000"], "localhost:7000"),
            (&["example.org", "80"], "example.org:80"),
            (&["example.org.:80"], "example.org.:80"),
            (&["unix:/run/x.sock"], "unix:/run/x.sock"),
        ] {
            assert_eq!(to(words), expected, "{words:?}");
        }
    }

    #[test]
    fn a_wrong_address_says_what_would_do() {
        for (words, says) in [
            (&[][..], "<ADDR>"),
            (&[":7000"], "write 127.0.0.1:7000"),
            (&["localhost"], "it has no port: write localhost:8080"),
            (&["a..b", "80"], "invalid address 'a..b 80': bad name 'a..b': there is nothing between two dots"),
            (&["300.1.1.1:80"], "'300.1.1.1' is no IPv4 address"),
            (&["example.org"], "bad port in 'example.org'"),
            (&["127.0.0.1", "0"], "nothing listens on port 0"),
            (&["127.0.0.1", "http"], "'http' is no port, which is a number from 1 to 65535"),
            (&["127.0.0.1:80", "80"], "127.0.0.1:80 is a whole address: leave out 80"),
            (&["unix:/run/x.sock", "80"], "unix:/run/x.sock is a whole address: leave out 80"),
            (&["80", "-q", "-v"], "cannot be used with"),
        ] {
            assert!(connect(words).is_err_and(|error| error.contains(says)), "{words:?}: {:?}", connect(words).err());
        }
    }

    #[test]
    fn a_flag_of_netcat_is_shown_the_one_of_tidegate() {
        for (words, advice) in [
            (&["-N", "::1", "80"][..], "tip: leave it out: the end of standard input ends the connection"),
            (&["-U", "/run/x.sock"], "tip: write unix:PATH"),
            (&["-w", "3", "127.0.0.1", "80"], "tip: write --connect-timeout 3s"),
            (&["-C", "127.0.0.1", "80"], "tip: write --crlf"),
            (&["-l", "80"], "tip: to listen, there are the roles"),
            (&["-u", "127.0.0.1", "80"], "tip: it speaks TCP"),
            (&["--to", "80"], "tip: write the address without a flag"),
        ] {
            let error = connect(words).expect_err("wrong usage");
            assert!(error.contains(advice), "{words:?}: {error}");
            assert_eq!(error.matches("tip:").count(), 1, "{error}");
        }
        assert!(!connect(&["127.0.0.1", "80", "90"]).expect_err("wrong usage").contains("--listen"));
    }
}
