//! Advice for an address in the wrong place: a daemon's address needs a flag, and the address of the server that `bench`
//! loads has none. What clap itself would suggest is wrong there.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::address::Listen;

/// The error, with advice if these words need it.
pub(super) fn advised(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    if error.kind() == ErrorKind::UnknownArgument
        && let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg)
        && let Some(advice) = advice(words.get(1).and_then(|word| word.to_str()).unwrap_or_default(), unknown)
    {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(advice)]));
        error.remove(ContextKind::SuggestedArg);
    }
    error
}

fn advice(command: &str, unknown: &str) -> Option<String> {
    let flag = unknown.split('=').next().unwrap_or_default();
    match (command, flag) {
        ("bench", "--listen" | "--port" | "--to" | "--host" | "--target" | "-p") => {
            Some("write the address of the server without a flag, such as 7240 or unix:/run/x.sock".to_owned())
        }
        ("bench", "-t" | "--threads") => Some("leave it out: one thread makes all connections".to_owned()),
        ("bench", "-d" | "--time") => Some("write --duration, such as --duration 10s".to_owned()),
        ("bench", _) => None,
        ("connect", flag) => of_netcat(flag).map(str::to_owned),
        ("proxy", "--target" | "--backend" | "--upstream" | "--server" | "--dest") => {
            Some("write --to ADDR for the server behind the proxy".to_owned())
        }
        (_, "-p" | "-l" | "--bind" | "--host" | "--address") => {
            Some("write --listen ADDR, such as --listen 7000 or --listen 10.0.0.1:7000".to_owned())
        }
        (_, address) if address.parse::<Listen>().is_err() => None,
        ("proxy", address) => Some(format!("write --listen {address}, or --to {address}")),
        (_, address) => Some(format!("write --listen {address}")),
    }
}

/// What a flag of netcat is here.
fn of_netcat(flag: &str) -> Option<&'static str> {
    Some(match flag {
        "-N" => "leave it out: the end of standard input ends the connection, unless there is --no-end",
        "-U" | "--unixsock" => "write unix:PATH for a Unix socket",
        "-w" | "--wait" => "write --connect-timeout 3s for the connection, and --idle-timeout 3s for a silence",
        "-C" => "write --crlf",
        "-l" | "--listen" | "-k" => "to listen, there are the roles chat, hub, echo, sink, source and proxy",
        "-u" | "--udp" => "it speaks TCP, and that of Unix sockets",
        "-p" | "--port" | "-h" | "--host" | "--to" | "--target" => {
            "write the address without a flag, such as 7000 or 127.0.0.1:7000"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse_from;

    #[test]
    fn an_address_in_the_wrong_place_is_shown_the_right_one() {
        for (words, advice) in [
            (&["chat", "9000"][..], "  tip: write --listen 9000\n"),
            (&["echo", "-v", ":9000"], "  tip: write --listen :9000\n"),
            (&["sink", "unix:/run/x.sock"], "  tip: write --listen unix:/run/x.sock\n"),
            (&["proxy", "9000"], "  tip: write --listen 9000, or --to 9000\n"),
            (&["bench", "echo", "--listen", "7240"], "  tip: write the address of the server without a flag, such as"),
            (&["chat", "-l", "-p", "7000"], "  tip: write --listen ADDR, such as --listen 7000"),
            (&["echo", "--host=10.0.0.1"], "  tip: write --listen ADDR, such as --listen 7000"),
            (&["proxy", "--target", "80"], "  tip: write --to ADDR"),
            (&["proxy", "--to", "70", "--backend=80"], "  tip: write --to ADDR"),
            (&["bench", "echo", "-t", "4"], "  tip: leave it out: one thread makes all connections"),
            (&["bench", "echo", "-d", "3"], "  tip: write --duration, such as --duration 10s"),
            (&["bench", "idle", "--port=7240"], "  tip: write the address of the server without a flag, such as"),
        ] {
            let error = parse_from(["tidegate"].iter().chain(words)).expect_err("wrong usage").to_string();
            assert!(error.contains(advice), "{words:?}: {error}");
            assert_eq!(error.matches("tip:").count(), 1, "{error}");
        }
        for words in [["chat", "nonsense"], ["chat", "--shout"], ["bench", "7240"]] {
            let error = parse_from(["tidegate"].iter().chain(&words)).expect_err("wrong usage").to_string();
            assert!(!error.contains("write"), "{error}");
        }
    }
}
