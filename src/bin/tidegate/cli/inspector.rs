//! `--inspect`: where a role can be looked at.

use clap::Args;
use tidegate::Endpoint;

use super::address::{self, Listen, Named};

#[derive(Clone, Debug, Args)]
pub struct InspectorOptions {
    /// Serve figures, the table of connections and a page of them here
    ///
    /// unix:PATH, which only its owner can use (mode 600), or an address of
    /// this machine alone: 127.0.0.1:PORT, [::1]:PORT or PORT. The log shows
    /// the address of the page with its key: without the key there are
    /// figures only (/metrics for Prometheus, /statistics). Nothing can be
    /// changed, and what peers say is not shown.
    #[arg(long, value_name = "ADDR", value_parser = inspected, verbatim_doc_comment)]
    pub inspect: Option<Endpoint>,
}

impl InspectorOptions {
    /// As one of the places that the command listens on.
    pub(super) fn listener(&self) -> Option<Named> {
        self.inspect.map(|endpoint| Named { flag: "--inspect ", place: Listen::At(endpoint) })
    }
}

/// What nobody on another machine can reach.
fn inspected(text: &str) -> Result<Endpoint, String> {
    match address::endpoint(text)? {
        Endpoint::Unix(at) if at.as_abstract_name().is_some() => {
            Err("an abstract name has no mode that would say who may use it: write unix:PATH".to_owned())
        }
        Endpoint::Port(port) => Err(format!("it is for this machine alone: write 127.0.0.1:{port}")),
        Endpoint::Ip(address) if !address.ip().to_canonical().is_loopback() => Err(format!(
            "it is for this machine alone: write 127.0.0.1:{}, and reach it from another one with 'ssh -L'",
            address.port()
        )),
        Endpoint::Name(name, port) => {
            Err(format!("it is for this machine alone, and '{name}' is a name: write 127.0.0.1:{port}"))
        }
        Endpoint::Localhost(port) => Ok(Endpoint::from((std::net::Ipv4Addr::LOCALHOST, port))),
        endpoint => Ok(endpoint),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{daemon, wrong};
    use super::super::{Tool, Typed, parse_from};

    #[test]
    fn it_is_for_this_machine_alone() {
        for (text, at) in [
            ("9000", "127.0.0.1:9000"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("127.3.2.1:9000", "127.3.2.1:9000"),
            ("[::1]:9000", "[::1]:9000"),
            ("localhost:9000", "127.0.0.1:9000"),
            ("unix:/run/inspect.sock", "unix:/run/inspect.sock"),
        ] {
            let inspect = daemon(&["--inspect", text]).inspector.inspect;
            assert_eq!(inspect.map(|at| at.to_string()).as_deref(), Some(at), "{text}");
        }
        assert!(daemon(&[]).inspector.inspect.is_none());
        for (text, says) in [
            (":9000", "write 127.0.0.1:9000"),
            ("0.0.0.0:9000", "write 127.0.0.1:9000"),
            ("192.0.2.1:9000", "'ssh -L'"),
            ("[::]:9000", "for this machine alone"),
            ("unix:@name", "write unix:PATH"),
            ("systemd", ""),
            ("localhost", "write localhost:8080"),
        ] {
            let message = wrong(&["--inspect", text]);
            assert!(message.contains(says), "{text}: {message}");
        }
    }

    #[test]
    fn it_is_no_address_of_the_role_and_no_recording_is_without_what_it_is_asked() {
        let message = wrong(&["--listen", "8080", "--inspect", "8080"]);
        assert!(message.contains("--listen 127.0.0.1:8080 and --inspect 127.0.0.1:8080 are one address"), "{message}");
        let words = ["tidegate", "echo", "--inspect", "9000", "--record-contents", "no"];
        let error = parse_from(words).expect_err("wrong usage").to_string();
        assert!(error.contains("what an inspector answers depends on what it is asked"), "{error}");
        assert!(matches!(
            parse_from(["tidegate", "bench", "echo", "--inspect", "9000"]),
            Ok(Typed::Tool(Tool::Bench(_)))
        ));
    }
}
