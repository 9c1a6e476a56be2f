//! Step 13 on a kernel that does not exist: time is a number, and each call gives what the test says.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::time::{Duration, Instant};

#[path = "../../src/bin/13b-contract.rs"]
#[allow(dead_code)]
mod contract;
#[path = "../../src/bin/13-kernel.rs"]
#[allow(dead_code)]
mod kernel;

/// What the server has asked of the kernel, in words.
type Calls = Vec<String>;

macro_rules! simulated {
    ($step:ident) => {{
        use $step::{Kernel, LISTENER, Ready, Server, Socket};

        /// Its listener is ready once. The first accept finds no descriptor. At the second one nobody waits any more.
        struct Simulated {
            calls: Calls,
            accepts: u32,
            begin: Instant,
            now: Duration,
        }

        impl Kernel for Simulated {
            fn wait(&mut self, at_most: Option<Duration>) -> io::Result<Vec<Ready>> {
                self.calls.push(format!("waits: {at_most:?}"));
                if self.calls.len() == 1 {
                    return Ok(vec![Ready { key: LISTENER, readable: true, writable: false, broken: false }]);
                }
                self.now += at_most.expect("nothing would ever wake it");
                Ok(Vec::new())
            }

            fn accept(&mut self, _: mio::Token) -> io::Result<Box<dyn Socket>> {
                self.accepts += 1;
                self.calls.push(format!("accept {}", self.accepts));
                match self.accepts {
                    1 => Err(rustix::io::Errno::MFILE.into()),
                    _ => Err(rustix::io::Errno::AGAIN.into()),
                }
            }

            fn now(&self) -> Instant {
                self.begin + self.now
            }
        }

        let begin = Instant::now();
        let mut server = Server::on(Simulated { calls: Vec::new(), accepts: 0, begin, now: Duration::ZERO });
        let outcome = server.turn().and_then(|()| server.turn());
        (outcome.map_err(|error| error.raw_os_error()), server.kernel.calls)
    }};
}

/// A room of two, both are always ready: the first one says lines without an end, the second one says a word once.
struct Room {
    accepted: usize,
    begin: Instant,
    heard: Rc<RefCell<Vec<u8>>>,
}

struct Voice {
    words: Vec<u8>,
    is_endless: bool,
    heard: Rc<RefCell<Vec<u8>>>,
}

impl kernel::Kernel for Room {
    fn wait(&mut self, _: Option<Duration>) -> io::Result<Vec<kernel::Ready>> {
        let keys = [kernel::LISTENER, mio::Token(0), mio::Token(64 + 1)];
        let ready = |key| kernel::Ready { key, readable: true, writable: true, broken: false };
        Ok(keys.into_iter().map(ready).collect())
    }

    fn accept(&mut self, _: mio::Token) -> io::Result<Box<dyn kernel::Socket>> {
        self.accepted += 1;
        let (words, is_endless) = match self.accepted {
            1 => (b"flood\n".repeat(1_000), true),
            2 => (b"a word\n".to_vec(), false),
            _ => return Err(rustix::io::Errno::AGAIN.into()),
        };
        Ok(Box::new(Voice { words, is_endless, heard: self.heard.clone() }))
    }

    fn now(&self) -> Instant {
        self.begin
    }
}

impl Read for Voice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.words.len().min(buffer.len());
        if length == 0 {
            return Err(rustix::io::Errno::AGAIN.into());
        }
        buffer[..length].copy_from_slice(&self.words[..length]);
        if !self.is_endless {
            self.words.clear();
        }
        Ok(length)
    }
}

impl Write for Voice {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_endless {
            self.heard.borrow_mut().extend(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl kernel::Socket for Voice {
    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}

/// The flooder fills all queues to the mark in each turn that it begins. So it does not begin all of them.
#[test]
fn a_flooder_does_not_silence_the_others() {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let mut server = kernel::Server::on(Room { accepted: 0, begin: Instant::now(), heard: heard.clone() });
    let is_heard = || heard.borrow().windows(7).any(|it| it == b"a word\n");
    for _ in 0..200 {
        server.turn().unwrap();
        if is_heard() {
            return;
        }
    }
    panic!("nobody hears the word");
}

#[test]
fn the_step_before_ends() {
    let (outcome, calls) = simulated!(contract);
    assert_eq!(outcome, Err(Some(rustix::io::Errno::MFILE.raw_os_error())));
    assert_eq!(calls, ["waits: None", "accept 1"]);
}

#[test]
fn this_step_tries_again_without_another_edge() {
    let (outcome, calls) = simulated!(kernel);
    assert_eq!(outcome, Ok(()));
    assert_eq!(calls, ["waits: None", "accept 1", "waits: Some(100ms)", "accept 2"]);
}
