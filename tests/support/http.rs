//! As much of HTTP/1.1 as a test needs to ask `--inspect`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The value of a line of `/metrics`.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        let line = self.body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.body)).parse().unwrap()
    }
}

/// Asks on a connection of its own.
#[track_caller]
pub fn get(address: SocketAddr, target: &str) -> Answer {
    request(&mut connect(address), &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

#[track_caller]
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends the head of a request, and reads its answer.
#[track_caller]
pub fn request(stream: &mut (impl Read + Write), head: &str) -> Answer {
    stream.write_all(head.as_bytes()).unwrap();
    answer(stream, !head.starts_with("HEAD "))
}

/// Reads one answer, and nothing behind it.
#[track_caller]
pub fn answer(stream: &mut impl Read, has_body: bool) -> Answer {
    let head = read_until(stream, "\r\n\r\n");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{head}"));
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let body = if !has_body {
        String::new()
    } else if let Some(length) = field("Content-Length:") {
        read(stream, length.parse().unwrap())
    } else if field("Transfer-Encoding:").is_some() {
        let mut body = String::new();
        loop {
            let length = read_until(stream, "\r\n");
            let length = usize::from_str_radix(length.trim(), 16).unwrap();
            body += &read(stream, length);
            assert_eq!(read(stream, 2), "\r\n");
            if length == 0 {
                break body;
            }
        }
    } else {
        let mut body = String::new();
        stream.read_to_string(&mut body).unwrap();
        body
    };
    Answer { status, head, body }
}

/// Byte by byte, so that nothing behind it is taken.
#[track_caller]
pub fn read_until(stream: &mut impl Read, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let mut byte = [0];
        stream
            .read_exact(&mut byte)
            .unwrap_or_else(|error| panic!("{error} behind {}", String::from_utf8_lossy(&text)));
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

#[track_caller]
fn read(stream: &mut impl Read, length: usize) -> String {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}
