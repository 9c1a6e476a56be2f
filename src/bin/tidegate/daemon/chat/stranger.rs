//! Clients that are no chat clients: what they send first shows it, before anything of it is said.
//!
//! A web page can have its browser post to a port of the reader's own machine, and each line of that would be said in the
//! room. So a client whose first line is a request of HTTP is no guest; nor is one that begins with SSH, TLS or the header of
//! a proxy. Only the first line is judged, and by its whole form: `GET lost` and `SSH-keys are nice` are said. TLS and version 2
//! of the PROXY protocol have no lines, and are known by their first bytes.

/// What a client speaks instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    Http,
    Ssh,
    Tls,
    Proxy,
}

const NO_HTTP: &str = "HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 42\r\n\
    Connection: close\r\n\
    \r\n\
    This is a chat room and not a web server.\n";

impl Stranger {
    /// By the first line. One that is too long, and therefore cut off, is judged by what there is of it.
    pub fn of_line(line: &[u8], is_cut_off: bool) -> Option<Stranger> {
        let kinds = [
            (is_ssh(line), Stranger::Ssh),
            (is_proxy_header(line), Stranger::Proxy),
            (is_request_line(line, is_cut_off), Stranger::Http),
        ];
        kinds.into_iter().find_map(|(is_it, stranger)| is_it.then_some(stranger))
    }

    pub fn answer(self) -> &'static str {
        match self {
            Stranger::Http => NO_HTTP,
            Stranger::Ssh => "* this is a chat room and not an SSH server\n",
            Stranger::Tls => "* this is a chat room without TLS\n",
            Stranger::Proxy => "* this is a chat room, which does not know the PROXY protocol\n",
        }
    }

    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Stranger::Http => "HTTP",
            Stranger::Ssh => "SSH",
            Stranger::Tls => "TLS",
            Stranger::Proxy => "the PROXY protocol",
        }
    }
}

/// `SSH-2.0-OpenSSH_9.2`. Some old ones call themselves 1.99.
fn is_ssh(line: &[u8]) -> bool {
    let mut parts = line.splitn(3, |byte| *byte == b'-');
    let is_version = |part: &[u8]| {
        let mut numbers = part.split(|byte| *byte == b'.');
        let mut is_number =
            || numbers.next().is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit));
        is_number() && is_number() && numbers.next().is_none()
    };
    parts.next() == Some(b"SSH") && parts.next().is_some_and(is_version) && parts.next().is_some()
}

/// Version 1: `PROXY TCP4 192.0.2.1 ...`
fn is_proxy_header(line: &[u8]) -> bool {
    let mut words = line.split(|byte| *byte == b' ');
    words.next() == Some(b"PROXY")
        && words.next().is_some_and(|family| [&b"TCP4"[..], b"TCP6", b"UNKNOWN"].contains(&family))
}

/// `GET /index.html HTTP/1.1`. The shortest methods have three letters, so `I like HTTP/1.1` is said.
fn is_request_line(line: &[u8], is_cut_off: bool) -> bool {
    let words: Vec<&[u8]> = line.splitn(4, |byte| *byte == b' ').collect();
    let is_method = |word: &[u8]| {
        word.len() >= 3 && word.iter().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
    };
    match words[..] {
        [method, target, version] if is_method(method) && !target.is_empty() => {
            is_http_version(version) || is_cut_off && b"HTTP/".starts_with(&version[..version.len().min(5)])
        }
        // So long a target leaves no place for the version.
        [method, target] => is_cut_off && is_method(method) && !target.is_empty(),
        _ => false,
    }
}

fn is_http_version(word: &[u8]) -> bool {
    matches!(word, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_of_another_protocol_is_known_by_its_whole_form() {
        for (line, stranger) in [
            ("GET / HTTP/1.1", Stranger::Http),
            ("POST /room?x=1 HTTP/1.0", Stranger::Http),
            ("PRI * HTTP/2.0", Stranger::Http),
            ("CONNECT example.org:443 HTTP/1.1", Stranger::Http),
            ("OPTIONS http://example.org/ HTTP/1.1", Stranger::Http),
            ("M-SEARCH * HTTP/1.1", Stranger::Http),
            ("ACL x HTTP/9.9", Stranger::Http),
            ("SSH-2.0-OpenSSH_9.2", Stranger::Ssh),
            ("SSH-1.5-x", Stranger::Ssh),
            ("SSH-1.99-x", Stranger::Ssh),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2", Stranger::Proxy),
            ("PROXY TCP6 ::1 ::1 1 2", Stranger::Proxy),
            ("PROXY UNKNOWN", Stranger::Proxy),
        ] {
            assert_eq!(Stranger::of_line(line.as_bytes(), false), Some(stranger), "{line}");
        }
    }

    #[test]
    fn what_people_say_is_said() {
        for line in [
            "",
            "hello",
            "GET lost",
            "GET / HTTP",
            "GET /",
            "GET  HTTP/1.1",
            "GET / HTTP/1.1 is what it sent",
            "GET / HTTP/11",
            "get well HTTP/1.1",
            "I like HTTP/1.1",
            "what is HTTP/1.1",
            "SSH-keys are nice",
            "SSH-2.0",
            "SSH-2.x-",
            "SSH-2-x",
            "SSH-2.0.0-x",
            "SSH-.-x",
            "PROXY servers are slow",
            "PROXY UNKNOWNS",
            "PROXY",
            "proxy TCP4 x",
        ] {
            assert_eq!(Stranger::of_line(line.as_bytes(), false), None, "{line}");
        }
    }

    #[test]
    fn a_request_line_that_was_cut_off_is_one_too() {
        let target = "/x".repeat(2000);
        for (line, stranger) in [
            (format!("GET {target}"), Some(Stranger::Http)),
            (format!("GET {target} "), Some(Stranger::Http)),
            (format!("GET {target} HTT"), Some(Stranger::Http)),
            (format!("GET {target} HTTP/1."), Some(Stranger::Http)),
            (format!("GET {target} and"), None),
            (format!("get {target}"), None),
            (target, None),
        ] {
            assert_eq!(Stranger::of_line(line.as_bytes(), true), stranger, "{}", &line[line.len() - 10..]);
            assert_eq!(Stranger::of_line(line.as_bytes(), false), None);
        }
    }

    #[test]
    fn the_answer_to_http_is_as_long_as_it_says() {
        let (head, body) = NO_HTTP.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
