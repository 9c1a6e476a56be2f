//! The flags of `tidegate inspect`.

use std::net::Ipv4Addr;

use clap::Args;
use tidegate::Endpoint;

use super::address;
use super::sort::Sort;

/// A key on the command line is seen in the list of processes, and in the history of the shell.
const KEY_OF_THE_ENVIRONMENT: &str = "TIDEGATE_INSPECT_KEY";

/// Longer than any key is.
const LONGEST_KEY: usize = 256;

#[derive(Clone, Debug, Args)]
pub struct InspectOptions {
    /// Address that a role has after --inspect
    ///
    /// unix:PATH; an address of this machine, as 127.0.0.1:PORT, [::1]:PORT,
    /// localhost:PORT or PORT; or the whole address that the log of the role
    /// shows, with its key: 'http://127.0.0.1:9000/?key=KEY'.
    #[arg(value_name = "ADDR", value_parser = target, verbatim_doc_comment)]
    at: Target,

    /// Key that the log of the role shows
    ///
    /// Without it there are figures, and no table of connections. As other
    /// users of this machine see the words of a command line, it can also be
    /// in the environment: TIDEGATE_INSPECT_KEY. A Unix socket has no key.
    #[arg(long, value_name = "KEY", value_parser = key, verbatim_doc_comment)]
    key: Option<String>,

    /// What the table of connections is sorted by, from the most on
    #[arg(long, value_name = "COLUMN", default_value = "queued")]
    pub sort: Sort,

    /// Show it once, and end
    #[arg(long)]
    pub once: bool,

    /// Print all of it as JSON, once, for scripts
    ///
    /// {"statistics": ..., "connections": ...}: what /statistics and
    /// /connections answer. Without the key the connections are null.
    #[arg(long, conflicts_with = "once", verbatim_doc_comment)]
    pub json: bool,
}

/// The place and the key of an inspector.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    endpoint: Endpoint,
    key: Option<String>,
}

impl InspectOptions {
    pub fn endpoint(&self) -> Endpoint {
        self.at.endpoint
    }

    /// The key: of the flag, of the address, or of the environment.
    pub fn key(&self) -> Option<String> {
        let given = self.key.clone().or_else(|| self.at.key.clone());
        given.or_else(|| std::env::var(KEY_OF_THE_ENVIRONMENT).ok().filter(|text| key(text).is_ok()))
    }

    /// Whether the table of connections can be asked for. On a Unix socket the mode of the file is the key.
    pub fn may_see_connections(&self) -> bool {
        matches!(self.at.endpoint, Endpoint::Unix(_)) || self.key().is_some()
    }
}

fn target(text: &str) -> Result<Target, String> {
    if text.starts_with("https://") {
        return Err("an inspector speaks http, and never leaves its machine: write http://".to_owned());
    }
    if text.starts_with("unix:") {
        return Ok(Target { endpoint: address::endpoint(text)?, key: None });
    }
    let rest = text.strip_prefix("http://").unwrap_or(text);
    let (place, asked) = rest.split_once('/').unwrap_or((rest, ""));
    let query = asked.split_once('?').map_or("", |(_, query)| query);
    let given = query.split('&').find_map(|pair| pair.strip_prefix("key="));
    let place = if rest.starts_with('/') { text } else { place };
    let endpoint = match address::endpoint(place)? {
        Endpoint::Port(port) => return Err(format!("it has no IP address: write 127.0.0.1:{port}")),
        Endpoint::Name(name, port) => {
            return Err(format!(
                "an inspector can be reached from its own machine alone, and '{name}' is a name: write 127.0.0.1:{port}"
            ));
        }
        Endpoint::Localhost(port) => Endpoint::from((Ipv4Addr::LOCALHOST, port)),
        Endpoint::Ip(at) if !at.ip().to_canonical().is_loopback() => {
            return Err(format!(
                "an inspector can be reached from its own machine alone: log in there, or forward its port with \
                 'ssh -L {port}:127.0.0.1:{port}' and write {port}",
                port = at.port()
            ));
        }
        endpoint => endpoint,
    };
    if endpoint.port() == 0 {
        return Err("nothing listens on port 0".to_owned());
    }
    Ok(Target { endpoint, key: given.map(key).transpose()? })
}

/// It becomes a part of a header field, so nothing in it may end the line.
fn key(text: &str) -> Result<String, String> {
    match text {
        "" => Err("it is empty: the log of the role shows the key".to_owned()),
        _ if text.len() > LONGEST_KEY || !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("this is no key: the log of the role shows it, behind '?key='".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::inspect;

    #[test]
    fn an_inspector_has_an_address_of_this_machine_and_perhaps_a_key() {
        for (text, at, key) in [
            ("9000", "127.0.0.1:9000", None),
            ("127.0.0.1:9000", "127.0.0.1:9000", None),
            ("localhost:9000", "127.0.0.1:9000", None),
            ("[::1]:9000", "[::1]:9000", None),
            ("unix:/run/a/b.sock", "unix:/run/a/b.sock", None),
            ("http://127.0.0.1:9000/?key=k1", "127.0.0.1:9000", Some("k1")),
            ("http://127.0.0.1:9000", "127.0.0.1:9000", None),
            ("http://[::1]:9000/connections?sort=id&key=k1", "[::1]:9000", Some("k1")),
            ("localhost:9000/?key=k1", "127.0.0.1:9000", Some("k1")),
        ] {
            let options = inspect(&[text]).unwrap();
            assert_eq!((options.endpoint().to_string().as_str(), options.at.key.as_deref()), (at, key), "{text}");
            assert_eq!(options.may_see_connections(), key.is_some() || text.starts_with("unix:"), "{text}");
        }
        assert_eq!(inspect(&["localhost:9000/?key=k1", "--key", "k2"]).unwrap().key().as_deref(), Some("k2"));
    }

    #[test]
    fn what_is_no_inspector_is_wrong_usage() {
        for (text, says) in [
            (":9000", "write 127.0.0.1:9000"),
            ("10.0.0.1:9000", "'ssh -L 9000:127.0.0.1:9000'"),
            ("http://example.org:9000/", "'example.org' is a name: write 127.0.0.1:9000"),
            ("https://127.0.0.1:9000/", "write http://"),
            ("127.0.0.1", "it has no port"),
            ("0", "nothing listens on port 0"),
            ("/run/x.sock", "the path of a Unix socket is written unix:PATH"),
            ("127.0.0.1:9000/?key=", "the log of the role shows the key"),
            ("127.0.0.1:9000/?key=a\nb", "this is no key"),
        ] {
            assert!(inspect(&[text]).is_err_and(|error| error.contains(says)), "{text}: {:?}", inspect(&[text]));
        }
        assert!(inspect(&["9000", "--key", "a b"]).is_err_and(|error| error.contains("this is no key")));
        assert!(inspect(&["9000", "--sort", "who"]).is_err_and(|error| error.contains("read_ahead")));
        assert!(inspect(&["9000", "--json", "--once"]).is_err_and(|error| error.contains("cannot be used with")));
        assert!(inspect(&[]).is_err_and(|error| error.contains("<ADDR>")));
    }
}
