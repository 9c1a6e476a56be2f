//! An answer: its head and its frame, as RFC 9112 has them.

use std::fmt::Write;

use super::refusal::Refusal;
use super::request::{Method, Request, Version};

/// How the length of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    Length(usize),
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// What is said of the body of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Kind<'a> {
    pub content_type: &'static str,
    /// What a browser lets the page do. Nothing, if it is none.
    pub policy: &'a str,
}

impl Kind<'_> {
    pub const TEXT: Kind<'static> = Kind::new("text/plain; charset=utf-8");
    pub const METRICS: Kind<'static> = Kind::new("text/plain; version=0.0.4; charset=utf-8");
    pub const JSON: Kind<'static> = Kind::new("application/json");
    pub const EVENTS: Kind<'static> = Kind::new("text/event-stream");

    const fn new(content_type: &'static str) -> Kind<'static> {
        Kind { content_type, policy: "default-src 'none'; frame-ancestors 'none'" }
    }
}

/// How the answer to a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    pub frame: Frame,
    /// The answer to HEAD is the head of the answer to GET.
    pub has_body: bool,
    /// Whether another request may follow.
    pub stays: bool,
}

impl Manner {
    /// Of a body whose length is known.
    pub fn whole(request: &Request, length: usize) -> Self {
        Manner { frame: Frame::Length(length), has_body: request.method != Method::Head, stays: request.stays }
    }

    /// Of one that is made piece by piece.
    pub fn in_pieces(request: &Request) -> Self {
        let frame = match request.version {
            Version::Http11 => Frame::Chunked,
            Version::Http10 => Frame::UntilClose,
        };
        Manner { frame, has_body: request.method != Method::Head, stays: request.stays }
    }

    /// Of one without an end.
    pub fn endless(request: &Request) -> Self {
        Manner { frame: Frame::UntilClose, has_body: request.method != Method::Head, stays: false }
    }
}

pub fn head(status: &str, kind: Kind<'_>, manner: Manner) -> String {
    let mut head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {}\r\nContent-Security-Policy: {}\r\n\
         X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n\
         Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\n",
        kind.content_type, kind.policy
    );
    let framed = match manner.frame {
        Frame::Length(length) => write!(head, "Content-Length: {length}\r\n"),
        Frame::Chunked => write!(head, "Transfer-Encoding: chunked\r\n"),
        Frame::UntilClose => Ok(()),
    };
    debug_assert!(framed.is_ok(), "a text takes everything");
    if status.starts_with("405") {
        head.push_str("Allow: GET, HEAD\r\n");
    }
    head.push_str(if manner.stays { "\r\n" } else { "Connection: close\r\n\r\n" });
    head
}

/// A body that is there as a whole.
pub fn whole(status: &str, kind: Kind<'_>, request: &Request, body: &str) -> String {
    let manner = Manner::whole(request, body.len());
    let mut answer = head(status, kind, manner);
    if manner.has_body {
        answer.push_str(body);
    }
    answer
}

/// The sentence of a refusal. What follows on the connection may not be understood, so it does not stay.
pub fn refusal(refusal: Refusal, has_body: bool) -> String {
    let body = format!("{}\n", refusal.why);
    let manner = Manner { frame: Frame::Length(body.len()), has_body, stays: false };
    let head = head(refusal.status, Kind::TEXT, manner);
    if has_body { head + &body } else { head }
}

/// One piece of a body. The last one is empty.
pub fn piece(frame: Frame, piece: &str) -> String {
    match frame {
        Frame::Chunked => format!("{:x}\r\n{piece}\r\n", piece.len()),
        Frame::Length(_) | Frame::UntilClose => piece.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_length_and_what_a_browser_is_to_know() {
        let get = Request { stays: true, ..Request::default() };
        let answer = whole("200 OK", Kind::JSON, &get, "{}");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"), "{answer}");
        assert!(answer.ends_with("\r\nContent-Length: 2\r\n\r\n{}"), "{answer}");
        for field in ["nosniff", "Cross-Origin-Resource-Policy: same-origin", "default-src 'none'", "no-store"] {
            assert!(answer.contains(field), "{answer}");
        }
        let asked_for_the_head = Request { method: Method::Head, ..Request::default() };
        let answer = whole("200 OK", Kind::JSON, &asked_for_the_head, "{}");
        assert!(answer.ends_with("\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"), "{answer}");
    }

    #[test]
    fn a_body_in_pieces_has_chunks_where_they_are_known() {
        assert_eq!(Manner::in_pieces(&Request::default()).frame, Frame::Chunked);
        let old = Request { version: Version::Http10, ..Request::default() };
        assert_eq!(Manner::in_pieces(&old).frame, Frame::UntilClose);
        assert_eq!(piece(Frame::Chunked, "hello, chunked"), "e\r\nhello, chunked\r\n");
        assert_eq!(piece(Frame::Chunked, ""), "0\r\n\r\n");
        assert_eq!(piece(Frame::UntilClose, ""), "");
    }

    #[test]
    fn a_refusal_says_why() {
        let text = refusal(Refusal::METHOD, true);
        assert!(text.starts_with("HTTP/1.1 405 Method Not Allowed\r\n") && text.contains("\r\nAllow: GET, HEAD\r\n"));
        assert!(text.ends_with("Connection: close\r\n\r\nThere are GET and HEAD alone: nothing can be changed.\n"));
        assert!(refusal(Refusal::NOT_FOUND, false).ends_with("\r\n\r\n"));
    }
}
