//! The other side of a connection: what a client sends, and what comes back.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::server::{Outcome, Server, look};

pub struct Peer {
    pub stream: TcpStream,
    pub port: u16,
    pub sent: usize,
    pub received: usize,
}

impl Peer {
    pub fn connect(server: &Server) -> Peer {
        let stream = TcpStream::connect(server.address).unwrap();
        let port = stream.local_addr().unwrap().port();
        stream.set_nonblocking(true).unwrap();
        // What is said goes out at once, without a wait for the confirmation of what was said before.
        stream.set_nodelay(true).unwrap();
        Peer { stream, port, sent: 0, received: 0 }
    }

    /// Connects, says something, and hears it: so it was accepted.
    pub fn greeted(server: &Server) -> Outcome<Peer> {
        let mut peer = Peer::connect(server);
        peer.says(b"hello\n");
        peer.hears(b"hello\n")?;
        Ok(peer)
    }

    /// What fits at once.
    #[track_caller]
    pub fn says(&mut self, bytes: &[u8]) {
        let length = self.stream.write(bytes).unwrap();
        assert_eq!(length, bytes.len(), "it did not fit");
        self.sent += length;
    }

    /// Exactly this comes, and nothing before it.
    pub fn hears(&mut self, expected: &[u8]) -> Outcome {
        let mut heard = Vec::new();
        while heard.len() < expected.len() {
            let mut buffer = vec![0; expected.len() - heard.len()];
            let length = look(|| self.read(&mut buffer))?;
            if length == 0 {
                return Err(format!("the server has closed the connection after {} bytes", self.received));
            }
            heard.extend_from_slice(&buffer[..length]);
        }
        assert_eq!(heard, expected);
        Ok(())
    }

    /// Up to the server's end: how many bytes have come in all.
    pub fn hears_to_the_end(&mut self) -> Outcome<usize> {
        let mut buffer = vec![0; 65_536];
        loop {
            match look(|| self.read(&mut buffer)) {
                Ok(0) => return Ok(self.received),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// None: nothing is there.
    pub fn read(&mut self, buffer: &mut [u8]) -> Option<Outcome<usize>> {
        match self.stream.read(buffer) {
            Ok(length) => {
                self.check(&buffer[..length]);
                self.received += length;
                Some(Ok(length))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(_) => Some(Err(format!("the connection was reset after {} of {} bytes", self.received, self.sent))),
        }
    }

    /// Sends the next bytes of a long message, as many as fit, so many at most: a byte says where it stands.
    pub fn streams(&mut self, at_most: usize) -> Outcome<usize> {
        let bytes: Vec<u8> = (self.sent..self.sent + at_most).map(letter).collect();
        match self.stream.write(&bytes) {
            Ok(length) => {
                self.sent += length;
                Ok(length)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(_) => Err(format!("the server has closed the connection after it had taken {} bytes", self.sent)),
        }
    }

    /// As [`Peer::streams`]. None: there is no room, and there will be none, as the server sleeps.
    pub fn streams_on(&mut self, at_most: usize, server: &Server) -> Outcome<Option<usize>> {
        look(|| match self.streams(at_most) {
            Ok(0) => {
                let sleeps = server.asleep().is_some();
                match self.streams(at_most) {
                    Ok(0) if sleeps => Some(Ok(None)),
                    Ok(0) => None,
                    more => Some(more.map(Some)),
                }
            }
            more => Some(more.map(Some)),
        })
    }

    /// Sends until something is stuck, and reads nothing: `is_enough` is asked with the bytes that the server has read and
    /// not written, and with all that have not come back.
    pub fn fills(&mut self, server: &Server, is_enough: impl Fn(u64, u64) -> bool) -> Outcome {
        loop {
            // Less than the high-water mark of the server, by far.
            if self.streams(16_384)? == 0 {
                return Err("the kernel takes no more, and nothing is stuck".to_owned());
            }
            // A confirmation may be some 40 ms late. So it is only waited for when all looks stuck without.
            let (queued, missing) = look(|| self.where_it_is(server, false))?;
            if is_enough(queued, missing) {
                let (queued, missing) = look(|| self.where_it_is(server, true))?;
                if is_enough(queued, missing) {
                    return Ok(());
                }
            }
        }
    }

    /// When all is quiet: the bytes in the server's queue, at least; and all that have not come back.
    fn where_it_is(&self, server: &Server, is_confirmed: bool) -> Option<Outcome<(u64, u64)>> {
        server.asleep()?;
        let Some(before) = server.both_ends(self.port) else {
            return Some(Err("the server has closed the connection".to_owned()));
        };
        server.asleep()?;
        let (theirs, ours) = before;
        let is_quiet =
            theirs.unread == 0 && (ours.unsent == 0 || !is_confirmed) && server.both_ends(self.port)? == before;
        // An end is counted as a byte that has come, so there may be more than was sent.
        let Some(missing) = (self.sent as u64 - self.received as u64).checked_sub(ours.unread) else {
            return Some(Err("the server has closed the connection".to_owned()));
        };
        // What has come may not be confirmed yet, and is unsent too. Then the queue is longer than this.
        is_quiet.then(|| Ok((missing.saturating_sub(theirs.unsent), missing)))
    }

    pub fn ends(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// It goes without an end: the server gets a reset.
    pub fn breaks_off(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    fn check(&self, bytes: &[u8]) {
        // A greeting and the like are short.
        if bytes.len() >= 4_096 {
            let expected = letter(self.received);
            assert!(bytes[0] == expected || bytes[0] == b'h', "byte {} is wrong", self.received);
        }
    }
}

fn letter(place: usize) -> u8 {
    if place % 64 == 63 { b'\n' } else { b'a' + (place / 64 % 26) as u8 }
}
