//! What is wrong with a text that is no address, and what to write instead.

use std::net::{Ipv4Addr, Ipv6Addr};

/// None where the library's own words are good enough.
pub(super) fn advice(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() {
        return Some("it is empty: write an address such as 127.0.0.1:8080".to_owned());
    }
    if let Some(advice) = scheme(text) {
        return Some(advice);
    }
    if is_port && let Some(bracketed) = bracketed(host) {
        return Some(format!("the IPv6 address needs brackets: write {bracketed}:{port}"));
    }
    if let Some(bracketed) = bracketed(text) {
        return Some(format!("it has no port: write {bracketed}:8080"));
    }
    if let Some(inside) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return Some(match inside.parse::<Ipv6Addr>() {
            Ok(_) => format!("it has no port: write {text}:8080"),
            Err(_) => format!("'{inside}' is no IPv6 address"),
        });
    }
    if let Some(inside) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let address = inside.split('%').next().unwrap_or_default();
        return address.parse::<Ipv6Addr>().is_err().then(|| format!("'{address}' is no IPv6 address"));
    }
    let is_dotted = host.contains('.') && host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (is_dotted && host.parse::<Ipv4Addr>().is_err())
        .then(|| format!("'{host}' is no IPv4 address, which is four numbers from 0 to 255"))
}

/// A URL, or the address as socat and others write it.
fn scheme(text: &str) -> Option<String> {
    const TCP: [&str; 6] = ["tcp", "tcp4", "tcp6", "tcp-listen", "tcp4-listen", "tcp6-listen"];

    if let Some((scheme, rest)) = text.split_once("://") {
        let place = rest.split('/').next().unwrap_or_default();
        return Some(match place {
            "" => format!("an address has no scheme such as {scheme}: write IP:PORT"),
            _ if !place.rsplit(']').next().is_some_and(|port| port.contains(':')) => {
                format!("an address has no scheme, and it needs a port: write {place}:PORT")
            }
            _ => format!("an address has no scheme: write {place}"),
        });
    }
    let (word, rest) = text.split_once(':')?;
    let lower = word.to_ascii_lowercase();
    if TCP.contains(&lower.as_str()) {
        return Some(format!("every address is one of TCP, or of a Unix socket: write {rest} without '{word}:'"));
    }
    matches!(lower.as_str(), "unix-listen" | "unix-connect").then(|| format!("a Unix socket is written unix:{rest}"))
}

/// An IPv6 address without brackets, perhaps with a zone, in brackets.
pub(super) fn bracketed(text: &str) -> Option<String> {
    let address = text.split('%').next().unwrap_or_default();
    let is_ipv6 = address.parse::<Ipv6Addr>().is_ok();
    is_ipv6.then(|| format!("[{text}]"))
}
