//! The flags of `tidegate proxy`.

use std::time::Duration;

use clap::Args;
use tidegate::Endpoint;

use super::DaemonOptions;
use super::address::target;
use super::duration::connect_timeout;

#[derive(Clone, Debug, Args)]
pub struct ProxyOptions {
    #[command(flatten)]
    pub daemon: DaemonOptions,

    /// Address of the server that each connection is passed on to
    ///
    /// IP:PORT, with an IPv6 address in brackets; localhost:PORT, which tries
    /// 127.0.0.1 and then ::1; PORT, which is 127.0.0.1:PORT; unix:PATH or
    /// unix:@NAME.
    #[arg(long, value_name = "ADDR", value_parser = target, verbatim_doc_comment)]
    pub to: Endpoint,

    /// Longest wait for a connection to that address
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = connect_timeout)]
    pub connect_timeout: Duration,
}

#[cfg(test)]
mod tests {
    use super::super::{Role, Typed, parse_from};

    #[test]
    fn a_proxy_is_told_where_to() {
        let proxy = |flags: &[&str]| parse_from(["tidegate", "proxy"].iter().chain(flags));
        let to = |text| match proxy(&["--to", text]) {
            Ok(Typed::Role(Role::Proxy(options))) => options.to.to_string(),
            other => panic!("{text} gave {other:?}"),
        };
        assert_eq!(to("3000"), "127.0.0.1:3000");
        assert_eq!(to("[::1]:3000"), "[::1]:3000");
        assert_eq!(to("unix:/run/x.sock"), "unix:/run/x.sock");
        assert_eq!(to("backend.example:80"), "backend.example:80");
        for (flags, says) in [
            (&[][..], "--to <ADDR>"),
            (&["--to", ":80"], "it has no IP address: write 127.0.0.1:80"),
            (&["--to", "127.0.0.1:0"], "nothing listens on port 0"),
            (&["--to", "example..org:80"], "there is nothing between two dots"),
            (&["--to", "80", "--connect-timeout", "0"], "no time to connect"),
            (&["--to", "80", "--output-hard", "1M"], "--output-hard"),
        ] {
            let error = proxy(flags).expect_err("wrong usage");
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(says), "{flags:?}: {error}");
        }
    }
}
