//! What is not served, and why: a status (RFC 9110) and a sentence for the person who reads it.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// As in `404 Not Found`.
    pub status: &'static str,
    pub why: &'static str,
}

impl Refusal {
    pub const NO_HTTP: Refusal = new("400 Bad Request", "This is no request of HTTP/1.1.");
    pub const HOST_MISSING: Refusal = new("400 Bad Request", "A request has one Host.");
    pub const BODY: Refusal = new("400 Bad Request", "A request has no body here: nothing can be changed.");
    pub const QUERY: Refusal = new(
        "400 Bad Request",
        "Of /connections can be asked: sort=id|queued|in|out|age|idle|read_ahead|dropped, limit=N, id=N, slot=N.",
    );
    pub const KEY: Refusal = new(
        "403 Forbidden",
        "This needs the key, as ?key=KEY or as 'Authorization: Bearer KEY': the log shows it in the address of the page.",
    );
    pub const HOST: Refusal =
        new("403 Forbidden", "The Host has to be localhost or an address of this machine, such as 127.0.0.1.");
    pub const CROSS_SITE: Refusal = new("403 Forbidden", "Pages of other sites get nothing from here.");
    pub const NOT_FOUND: Refusal =
        new("404 Not Found", "There are /, /metrics, /statistics, /connections and /events.");
    pub const METHOD: Refusal = new("405 Method Not Allowed", "There are GET and HEAD alone: nothing can be changed.");
    pub const TOO_LATE: Refusal = new("408 Request Timeout", "The head of a request has to come within 5 s.");
    pub const HEAD_TOO_LONG: Refusal =
        new("431 Request Header Fields Too Large", "The head of a request has 8 KiB at most.");
    pub const TOO_MANY_FIELDS: Refusal =
        new("431 Request Header Fields Too Large", "The head of a request has 64 fields at most.");
    pub const FULL: Refusal = new("503 Service Unavailable", "16 others look at it already.");
    pub const VERSION: Refusal = new("505 HTTP Version Not Supported", "This speaks HTTP/1.1.");
}

const fn new(status: &'static str, why: &'static str) -> Refusal {
    Refusal { status, why }
}
