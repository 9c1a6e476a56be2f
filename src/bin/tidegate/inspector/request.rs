//! What a client asks: the head of one request, in the words of RFC 9112.

use std::net::IpAddr;

use super::refusal::Refusal;

/// The longest head. A browser's has some 800 bytes.
pub const LONGEST_HEAD: usize = 8 << 10;

/// More header fields are refused. A browser sends some twenty.
const MOST_FIELDS: usize = 64;

/// One request. What it has beside this means nothing here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// Without the query.
    pub path: String,
    /// Behind the `?`, as it was sent.
    pub query: String,
    pub host: String,
    /// What a browser says of the page that asks (Fetch Metadata).
    pub fetch_site: String,
    /// The key in `Authorization: Bearer`.
    pub bearer: Option<String>,
    pub wants_text: bool,
    pub version: Version,
    /// Whether the connection stays for another request.
    pub stays: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    #[default]
    Get,
    Head,
    /// None that changes something is known here.
    Other,
}

/// HTTP/1.0 has no chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    Http10,
    #[default]
    Http11,
}

/// What stands in a buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    Nothing,
    Part,
    /// With its length.
    Whole(Box<Request>, usize),
    /// There is nothing behind it that could be understood.
    Wrong(Refusal),
}

pub fn parse(bytes: &[u8]) -> Parsed {
    // RFC 9112 2.2: an empty line before a request is passed over.
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = &bytes[blank..];
    if bytes.is_empty() {
        return if blank > LONGEST_HEAD { Parsed::Wrong(Refusal::HEAD_TOO_LONG) } else { Parsed::Nothing };
    }
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    // No more than may be is looked at, however much there is.
    match head.parse(&bytes[..bytes.len().min(LONGEST_HEAD)]) {
        Ok(httparse::Status::Partial) if bytes.len() >= LONGEST_HEAD => Parsed::Wrong(Refusal::HEAD_TOO_LONG),
        Ok(httparse::Status::Partial) => Parsed::Part,
        Ok(httparse::Status::Complete(length)) => match understood(&head) {
            Ok(request) => Parsed::Whole(Box::new(request), blank + length),
            Err(refusal) => Parsed::Wrong(refusal),
        },
        Err(httparse::Error::TooManyHeaders) => Parsed::Wrong(Refusal::TOO_MANY_FIELDS),
        Err(httparse::Error::Version) => Parsed::Wrong(Refusal::VERSION),
        Err(_) => Parsed::Wrong(Refusal::NO_HTTP),
    }
}

fn understood(head: &httparse::Request<'_, '_>) -> Result<Request, Refusal> {
    let version = if head.version == Some(0) { Version::Http10 } else { Version::Http11 };
    let target = head.path.unwrap_or_default();
    // The form for a proxy, which a server takes too (RFC 9112 3.2.2). Its host goes before that of the field.
    let (authority, target) =
        match target.strip_prefix("http://").map(|rest| rest.split_at(rest.find('/').unwrap_or(rest.len()))) {
            Some((authority, "")) => (Some(authority), "/"),
            Some((authority, path)) => (Some(authority), path),
            None => (None, target),
        };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: match head.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            _ => Method::Other,
        },
        path: path.to_owned(),
        query: query.to_owned(),
        version,
        stays: version == Version::Http11,
        ..Request::default()
    };
    let mut hosts = 0;
    for field in &*head.headers {
        // What is used of them is ASCII. Others may be in any code, such as a cookie of another program.
        let value = String::from_utf8_lossy(field.value);
        let value = value.trim();
        match field.name.to_ascii_lowercase().as_str() {
            "host" => {
                hosts += 1;
                value.clone_into(&mut request.host);
            }
            "sec-fetch-site" => value.clone_into(&mut request.fetch_site),
            "authorization" => {
                let bearer = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
                request.bearer = bearer.map(|(_, key)| key.trim().to_owned());
            }
            "accept" => request.wants_text = wants_text(value),
            "connection" => {
                let mut words = value.split(',').map(|word| word.trim().to_ascii_lowercase());
                request.stays &= !words.any(|word| word == "close");
            }
            // A request here has no body. One that had would be taken for the next request.
            "content-length" if value != "0" => return Err(Refusal::BODY),
            "transfer-encoding" => return Err(Refusal::BODY),
            _ => {}
        }
    }
    if let Some(authority) = authority {
        authority.clone_into(&mut request.host);
    }
    // Two hosts may be read differently by others (RFC 9112 3.2).
    if hosts != 1 { Err(Refusal::HOST_MISSING) } else { Ok(request) }
}

/// Plain text, and not JSON or anything. A browser and curl take anything.
fn wants_text(accept: &str) -> bool {
    let mut types = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
    types.next().is_some_and(|first| first.eq_ignore_ascii_case("text/plain"))
}

impl Request {
    /// A value of the query, as it was sent.
    pub fn asks(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// Whether its host is this machine, by a number or as `localhost`. A page of the internet whose name leads to
    /// 127.0.0.1 (DNS rebinding) has its own name here.
    pub fn is_for_this_machine(&self) -> bool {
        let host = self.host.as_str();
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split_once(']').filter(|(_, port)| is_port(port)).map(|(name, _)| name),
            None => match host.split_once(':') {
                Some((name, port)) => port.bytes().all(|byte| byte.is_ascii_digit()).then_some(name),
                None => Some(host),
            },
        };
        name.is_some_and(|name| {
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
        })
    }
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Request {
        match parse(text.as_bytes()) {
            Parsed::Whole(request, length) if length == text.len() => *request,
            other => panic!("{text:?} is {other:?}"),
        }
    }

    #[test]
    fn a_request_has_a_path_a_query_and_what_matters_here() {
        let request = whole(
            "GET /connections?sort=queued&limit=5 HTTP/1.1\r\nHOST: localhost:9000\r\nAccept: text/plain;q=1, */*\r\n\
             Sec-Fetch-Site: none\r\nAuthorization: Bearer abc\r\nX: y\r\n\r\n",
        );
        assert_eq!((request.method, request.path.as_str()), (Method::Get, "/connections"));
        assert_eq!(
            (request.asks("sort"), request.asks("limit"), request.asks("so")),
            (Some("queued"), Some("5"), None)
        );
        assert_eq!((request.host.as_str(), request.fetch_site.as_str()), ("localhost:9000", "none"));
        assert_eq!((request.bearer.as_deref(), request.wants_text, request.stays), (Some("abc"), true, true));
        let request = whole("HEAD / HTTP/1.0\r\nhost: [::1]\r\naccept: */*\r\n\r\n");
        assert_eq!((request.method, request.version), (Method::Head, Version::Http10));
        assert_eq!((request.wants_text, request.stays), (false, false));
        assert!(!whole("GET / HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Close\r\n\r\n").stays);
        assert_eq!(whole("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").method, Method::Other);
        assert_eq!(whole("\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n").path, "/");
    }

    #[test]
    fn a_target_may_be_whole_and_fields_may_be_in_any_code() {
        let request = whole("GET http://127.0.0.1:9/metrics?a=b HTTP/1.1\r\nHost: example.org\r\n\r\n");
        let parts = (request.path.as_str(), request.query.as_str(), request.host.as_str());
        assert_eq!(parts, ("/metrics", "a=b", "127.0.0.1:9"));
        assert_eq!(whole("GET http://localhost HTTP/1.1\r\nHost: x\r\n\r\n").path, "/");
        let cookie = b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: \xe9\r\nauthorization: bearer abc\r\n\r\n";
        let Parsed::Whole(request, _) = parse(cookie) else { panic!("refused") };
        assert_eq!(request.bearer.as_deref(), Some("abc"));
    }

    #[test]
    fn a_head_may_come_in_any_pieces_and_another_may_follow() {
        let text = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        for cut in 1..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut]), Parsed::Part, "{cut}");
        }
        let Parsed::Whole(_, length) = parse(text.repeat(2).as_bytes()) else { panic!("no request") };
        assert_eq!(length, text.len());
        for nothing in ["", "\r\n", "\n\n\r\n"] {
            assert_eq!(parse(nothing.as_bytes()), Parsed::Nothing);
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(LONGEST_HEAD));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(MOST_FIELDS + 1));
        for (text, refusal) in [
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refusal::VERSION),
            ("GET / HTTP/9\r\n\r\n", Refusal::VERSION),
            ("\u{16}\u{3}\u{1} hello", Refusal::NO_HTTP),
            ("hello world\r\n\r\n", Refusal::NO_HTTP),
            ("GET /\r\nhost: x\r\n\r\n", Refusal::NO_HTTP),
            ("GET / HTTP/1.1\r\n\r\n", Refusal::HOST_MISSING),
            ("GET / HTTP/1.1\r\nhost: localhost\r\nhost: example.org\r\n\r\n", Refusal::HOST_MISSING),
            ("GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n", Refusal::BODY),
            ("GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", Refusal::BODY),
            ("GET / HTTP/1.1\r\nhost : x\r\n\r\n", Refusal::NO_HTTP),
            (long.as_str(), Refusal::HEAD_TOO_LONG),
            (many.as_str(), Refusal::TOO_MANY_FIELDS),
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Wrong(refusal), "{}", &text[..text.len().min(80)]);
        }
    }

    #[test]
    fn this_machine_is_a_number_of_it_or_localhost() {
        let is_here = |host: &str| Request { host: host.to_owned(), ..Request::default() }.is_for_this_machine();
        for host in ["localhost", "LocalHost:9000", "127.0.0.1", "127.0.0.1:9000", "127.1.2.3", "[::1]", "[::1]:80"] {
            assert!(is_here(host), "{host}");
        }
        for host in
            ["", "example.org", "localhost.example.org", "127.0.0.1.example.org", "10.0.0.1", "[::2]", "[::1]x", "a:b"]
        {
            assert!(!is_here(host), "{host}");
        }
        assert!(is_here("[::ffff:127.0.0.1]:9000"));
        assert!(!is_here("localhost:x") && !is_here("127.0.0.1:9000@example.org"));
    }
}
