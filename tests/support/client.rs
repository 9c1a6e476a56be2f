//! One connection to a server, which speaks and hears lines or bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// One connection to the daemon.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the bytes in `buffer` begin that have not been taken yet.
    start: usize,
    patience: Duration,
}

/// What came next.
#[derive(Debug)]
enum Next {
    /// More bytes are in the buffer.
    More,
    /// The peer has ended its side.
    End,
    /// The connection is gone without an end.
    Reset,
    /// Nothing, for as long as the patience lasted.
    Silence,
}

impl Client {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Client {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => Client::on(stream),
            Err(error) => panic!("cannot connect to {address}: {error}"),
        }
    }

    /// A client whose kernel takes as little as it can for an application that does not read.
    #[track_caller]
    pub fn connect_narrow(address: SocketAddr) -> Client {
        use rustix::net::{AddressFamily, SocketType, sockopt};
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = rustix::net::socket(family, SocketType::STREAM, None).unwrap();
        sockopt::set_socket_recv_buffer_size(&socket, 4096).unwrap();
        rustix::net::connect(&socket, &address).unwrap();
        Client::on(TcpStream::from(socket))
    }

    fn on(stream: TcpStream) -> Client {
        stream.set_nodelay(true).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, buffer: Vec::new(), start: 0, patience: PATIENCE }
    }

    /// Waits longer from now on, where the specification speaks of more than [`PATIENCE`].
    pub fn is_patient_for(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub fn local_address(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub fn remote_address(&self) -> SocketAddr {
        self.stream.peer_addr().unwrap()
    }

    // Speaking.

    /// Sends a line.
    #[track_caller]
    pub fn says(&mut self, line: &str) {
        self.sends(format!("{line}\n").as_bytes());
    }

    /// Sends bytes, in one segment if they fit.
    #[track_caller]
    pub fn sends(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            panic!("cannot send {}: {error}", shown(bytes));
        }
    }

    /// Sends each piece when the server has certainly read the one before: `other`, a guest in the same room, has made
    /// two round trips in between, and heard nothing else.
    #[track_caller]
    pub fn sends_apart(&mut self, pieces: &[&[u8]], other: &mut Client) {
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                other.hears_nothing();
                other.hears_nothing();
            }
            self.sends(piece);
        }
    }

    /// Sends copies of `piece` until the server has taken none for half a second; the number of bytes that went out.
    #[track_caller]
    pub fn sends_until_paused(&mut self, piece: &[u8], limit: usize) -> usize {
        self.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut count = 0;
        loop {
            match self.stream.write(&piece[count % piece.len()..]) {
                Ok(written) => count += written,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
                Err(error) => panic!("cannot send after {count} bytes: {error}"),
            }
            assert!(count <= limit, "not paused after {count} bytes");
        }
        self.stream.set_write_timeout(Some(PATIENCE)).unwrap();
        count
    }

    /// Ends its own side, and goes on listening.
    pub fn ends_its_side(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Closes with a reset.
    pub fn resets(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    /// A second handle of the connection, to send on another thread.
    pub fn handle(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// The connection, for a test that goes on by other means.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    // Hearing lines.

    /// Waits for the next line, which must be this one.
    #[track_caller]
    pub fn hears(&mut self, line: &str) {
        if !self.try_hear(line.as_bytes()) {
            let real = self.hears_line();
            panic!("expected the line {line:?}\n     but heard {real:?}");
        }
    }

    /// Waits for these lines, in this order, with nothing in between.
    #[track_caller]
    pub fn hears_all<L: AsRef<str>>(&mut self, lines: impl IntoIterator<Item = L>) {
        for line in lines {
            self.hears(line.as_ref());
        }
    }

    /// Waits for these lines, in any order, with nothing in between.
    #[track_caller]
    pub fn hears_in_any_order(&mut self, lines: &[&str]) {
        let mut real: Vec<String> = lines.iter().map(|_| self.hears_line()).collect();
        let mut expected = lines.to_vec();
        real.sort();
        expected.sort_unstable();
        assert_eq!(real, expected, "in any order");
    }

    /// Waits for the next line, which must be one of these: where the specification leaves a choice.
    #[track_caller]
    pub fn hears_one_of(&mut self, lines: &[&str]) {
        let real = self.hears_line();
        assert!(lines.contains(&real.as_str()), "expected one of the lines {lines:?}\n            but heard {real:?}");
    }

    /// Waits for the next line, and returns it without its end.
    #[track_caller]
    pub fn hears_line(&mut self) -> String {
        match self.next_line() {
            Ok(line) => String::from_utf8(line).unwrap_or_else(|error| panic!("a line that is no UTF-8: {error}")),
            Err(why) => panic!("expected a line, but: {why}"),
        }
    }

    /// Waits for the next line, and takes it if it is this one.
    #[track_caller]
    pub fn try_hear(&mut self, line: &[u8]) -> bool {
        loop {
            let rest = &self.buffer[self.start..];
            if rest.len() > line.len() && rest[line.len()] == b'\n' && rest.starts_with(line) {
                self.start += line.len() + 1;
                return true;
            }
            if rest.contains(&b'\n') {
                return false;
            }
            match self.reads() {
                Next::More => {}
                other => panic!("expected the line {:?}, but: {}", shown(line), self.describe(&other)),
            }
        }
    }

    /// There is no line for it that it has not heard yet, and its own earlier lines have been served. It asks a
    /// question that is answered to it alone, and the answer is the next line that it hears.
    #[track_caller]
    pub fn hears_nothing(&mut self) {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let question = format!("/anything-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.says(&question);
        self.hears(&format!("* unknown command: {question}; try /help"));
    }

    /// Waits for the end of the connection, which must come in order and with nothing before it.
    #[track_caller]
    pub fn ends(&mut self) {
        match self.next_line() {
            Ok(line) => panic!("expected the end\n but heard {}", shown(&line)),
            Err(Ended::InOrder) => {}
            Err(why) => panic!("expected the end, but: {why}"),
        }
    }

    /// Waits until the server closes the connection, in order or by a reset, perhaps after lines of its own (`* ...`).
    #[track_caller]
    pub fn is_dismissed(&mut self) {
        loop {
            match self.next_line() {
                Ok(line) if line.starts_with(b"* ") => {}
                Ok(line) => panic!("expected the end\n but heard {}", shown(&line)),
                Err(Ended::InOrder | Ended::Reset) => return,
                Err(why) => panic!("expected the end, but: {why}"),
            }
        }
    }

    /// The rest of the lines until the end, which must come in order.
    #[track_caller]
    pub fn hears_to_the_end(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.next_line() {
                Ok(line) => lines.push(String::from_utf8(line).unwrap()),
                Err(Ended::InOrder) => return lines,
                Err(why) => panic!("expected the end, but: {why}; heard so far: {lines:?}"),
            }
        }
    }

    // Hearing bytes.

    /// Waits for these bytes.
    #[track_caller]
    pub fn receives(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.start == self.buffer.len() {
                match self.reads() {
                    Next::More => {}
                    other => panic!("{} bytes are missing: {}", rest.len(), self.describe(&other)),
                }
            }
            let real = &self.buffer[self.start..];
            let real = &real[..real.len().min(rest.len())];
            let (expected, after) = rest.split_at(real.len());
            assert!(real == expected, "other bytes than expected, from byte {} on", {
                let same = real.iter().zip(expected).take_while(|(one, other)| one == other).count();
                bytes.len() - rest.len() + same
            });
            self.start += real.len();
            rest = after;
        }
    }

    /// Waits for so many bytes, which are copies of `piece`, the last of them perhaps cut.
    #[track_caller]
    pub fn receives_copies(&mut self, piece: &[u8], count: usize) {
        let mut left = count;
        while left > 0 {
            let length = left.min(piece.len());
            self.receives(&piece[..length]);
            left -= length;
        }
    }

    /// Sends bytes and the end from another thread, and waits for the same bytes and the end.
    #[track_caller]
    pub fn sends_and_receives(mut self, bytes: &[u8]) {
        let mut handle = self.handle();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                handle.write_all(bytes).unwrap();
                handle.shutdown(Shutdown::Write).unwrap();
            });
            self.receives(bytes);
        });
        self.ends();
    }

    fn next_line(&mut self) -> Result<Vec<u8>, Ended> {
        let mut searched = self.start;
        loop {
            if let Some(length) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer[self.start..searched + length].to_vec();
                self.start = searched + length + 1;
                return Ok(line);
            }
            let old_start = self.start;
            searched = self.buffer.len();
            let next = self.reads();
            searched -= old_start - self.start;
            match next {
                Next::More => {}
                Next::End if self.start == self.buffer.len() => return Err(Ended::InOrder),
                Next::Reset => return Err(Ended::Reset),
                other => return Err(Ended::Otherwise(self.describe(&other))),
            }
        }
    }

    /// Waits for more bytes.
    fn reads(&mut self) -> Next {
        if self.start > 1 << 20 || self.start == self.buffer.len() {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let deadline = Instant::now() + self.patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Silence;
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let end = self.buffer.len();
            self.buffer.resize(end + (64 << 10), 0);
            let result = self.stream.read(&mut self.buffer[end..]);
            self.buffer.truncate(end + result.as_ref().copied().unwrap_or(0));
            match result {
                Ok(0) => return Next::End,
                Ok(_) => return Next::More,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    _ => return Next::Reset,
                },
            }
        }
    }

    fn describe(&self, next: &Next) -> String {
        let what = match next {
            Next::More => "more came".to_owned(),
            Next::End => "the connection ended".to_owned(),
            Next::Reset => "the connection was reset".to_owned(),
            Next::Silence => format!("nothing came for {:?}", self.patience),
        };
        match &self.buffer[self.start..] {
            [] => what,
            rest => format!("{what}, after {}", shown(rest)),
        }
    }
}

/// How a connection ended.
enum Ended {
    InOrder,
    Reset,
    Otherwise(String),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(match self {
            Ended::InOrder => "the connection ended",
            Ended::Reset => "the connection was reset",
            Ended::Otherwise(what) => what,
        })
    }
}

/// Bytes, as a panic shows them.
fn shown(bytes: &[u8]) -> String {
    let (head, more) = if bytes.len() > 200 { (&bytes[..200], "...") } else { (bytes, "") };
    format!("\"{}{more}\" ({} bytes)", head.escape_ascii(), bytes.len())
}
