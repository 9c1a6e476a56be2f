//! Why a role cannot listen, and what helps.

use std::ops::RangeInclusive;

use tidegate::{Endpoint, Error, ErrorKind};

use crate::process::outside;

/// Ports that need a privilege by default (net.ipv4.ip_unprivileged_port_start).
const PRIVILEGED_PORTS: RangeInclusive<u16> = 1..=1023;

pub fn cannot_listen(endpoint: &Endpoint, error: &Error) -> String {
    let address = match (error.address(), endpoint) {
        (_, Endpoint::Ip(_) | Endpoint::Unix(_)) => endpoint.to_string(),
        (Some(address), _) => address.to_string(),
        (None, other) => other.to_string(),
    };
    let at_a_path = || why_not_at_a_path(endpoint, error);
    let why = outside::fact("why it cannot listen", at_a_path).unwrap_or_else(|| match error.kind() {
        // The word "already" of the system adds nothing.
        ErrorKind::AddressInUse => "address in use".to_owned(),
        ErrorKind::PermissionDenied if PRIVILEGED_PORTS.contains(&endpoint.port()) => {
            "permission denied: a port below 1024 needs CAP_NET_BIND_SERVICE, or a socket that systemd passes"
                .to_owned()
        }
        ErrorKind::AddressNotAvailable => "no interface of this machine has this address".to_owned(),
        _ => error.raw_os_error().map_or_else(|| error.to_string(), describe),
    });
    format!("cannot listen on {address}: {why}")
}

/// It is a stream socket, and the options are within their bounds: both was checked before.
#[cfg(unix)]
pub fn cannot_listen_on_passed(error: &Error) -> String {
    let why = match error.kind() {
        ErrorKind::InvalidArgument => "it does not listen, so its .socket file must say Accept=no".to_owned(),
        _ => error.to_string(),
    };
    format!("cannot listen on a socket from systemd: {why}")
}

pub fn has_no_ipv6(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::AddressNotAvailable | ErrorKind::Unsupported)
}

/// What the words of the system leave open. For example, a path may be in use for several reasons.
#[cfg(unix)]
fn why_not_at_a_path(endpoint: &Endpoint, error: &Error) -> Option<String> {
    use std::os::unix::fs::FileTypeExt;

    let Endpoint::Unix(address) = endpoint else { return None };
    let path = address.as_path()?;
    let why = match error.kind() {
        ErrorKind::NotFound => "its folder does not exist",
        ErrorKind::AddressInUse => match std::fs::symlink_metadata(path).ok()?.file_type() {
            kind if kind.is_dir() => "it is a folder: add the name of the socket",
            kind if !kind.is_socket() => "a file is there that is not a socket: move it, or use another path",
            // Without the permission to connect, this process cannot find out whether another one listens.
            _ if rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_err() => {
                "a socket of another user is there: if nothing listens on it, remove it"
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(why.to_owned())
}

#[cfg(not(unix))]
fn why_not_at_a_path(_: &Endpoint, _: &Error) -> Option<String> {
    None
}

/// The words of the system for an error number, without the number.
fn describe(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    let words = text.rsplit_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    words.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privileged_port_is_explained() {
        let why = |endpoint: &str, number| {
            let error = Error::from(std::io::Error::from_raw_os_error(number));
            cannot_listen(&endpoint.parse().unwrap(), &error)
        };
        const EACCES: i32 = 13;
        const EADDRINUSE: i32 = if cfg!(target_os = "linux") { 98 } else { 48 };
        let ways_out =
            "permission denied: a port below 1024 needs CAP_NET_BIND_SERVICE, or a socket that systemd passes";
        for low in ["127.0.0.1:80", ":1023"] {
            assert!(why(low, EACCES).ends_with(ways_out), "{}", why(low, EACCES));
        }
        assert_eq!(why("127.0.0.1:80", EADDRINUSE), "cannot listen on 127.0.0.1:80: address in use");
        const EADDRNOTAVAIL: i32 = if cfg!(target_os = "linux") { 99 } else { 49 };
        assert!(why("192.0.2.1:7000", EADDRNOTAVAIL).ends_with(": no interface of this machine has this address"));
        for other in [":1024", "unix:/run/x.sock", "unix:@x"] {
            assert!(why(other, EACCES).ends_with(": permission denied"), "{}", why(other, EACCES));
        }
    }
}
