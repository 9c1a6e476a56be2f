//! Step 12, the first attempt: a room. Each line is written to everybody, and the server waits until it is written.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::event::{PollFd, PollFlags, poll};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);

/// So that the process never has more descriptors than it may have.
const PLACES: usize = 64;

/// The high-water mark: with so many bytes in its queue, a client is not read from.
const MARK: usize = 65_536;

/// So many bytes are read of one client in a turn.
const BYTES: usize = 65_536;

/// So long may a turn serve clients before it asks the kernel again.
const TURN: Duration = Duration::from_millis(5);

/// So long may a client say nothing.
const SILENCE: Duration = Duration::from_millis(1_000);

struct Client {
    stream: TcpStream,
    /// The latches: set by an edge, cleared by a call that would block, and by nothing else.
    readable: bool,
    writable: bool,
    input: Input,
    output: Output,
    /// What was not written yet.
    queue: VecDeque<u8>,
    /// When it has been silent for too long.
    due: Instant,
    /// How many came before it. No other client has had its place with this number.
    generation: usize,
}

#[derive(PartialEq)]
enum Input {
    Open,
    /// It has said `quit`: what else it sends is read and thrown away, up to its end.
    Ignored,
    /// It has ended.
    Over,
}

#[derive(PartialEq)]
enum Output {
    Open,
    /// shutdown(2) was done: our end stands behind all that was written.
    Over,
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    can_accept: bool,
    clients: Slab<Client>,
    accepted: usize,
    now: Instant,
    /// The place whose turn is next.
    next: usize,
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".to_owned());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    println!("listening on {}", listener.local_addr()?);
    let (poll, mut events) = (Poll::new()?, Events::with_capacity(128));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut server = Server::on(poll, listener);
    loop {
        server.turn(&mut events)?;
    }
}

impl Server {
    fn on(poll: Poll, listener: TcpListener) -> Server {
        let (clients, now) = (Slab::new(), Instant::now());
        Server { poll, listener, can_accept: false, clients, accepted: 0, now, next: 0 }
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        let next = self.clients.iter().map(|(_, client)| client.due).min();
        let wait = next.map(|due| due.saturating_duration_since(Instant::now()));
        // Whoever has something left has had its edge, and will have no other.
        let wait = if self.clients.iter().any(|(_, client)| client.has_work()) { Some(Duration::ZERO) } else { wait };
        match self.poll.poll(events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        self.now = Instant::now();
        // Who has broken off: no read is needed to find that out.
        let mut broken = Vec::new();
        for event in &*events {
            match event.token() {
                LISTENER => self.can_accept = true,
                token if event.is_error() => broken.push(token),
                token => {
                    let Some(client) = self.client(token) else { continue };
                    client.readable |= event.is_readable();
                    client.writable |= event.is_writable();
                }
            }
        }
        while self.can_accept {
            self.accept()?;
        }
        for token in broken {
            if self.client(token).is_some() {
                self.clients.remove(token.0 % PLACES);
            }
        }
        let first = self.next;
        for _ in 0..PLACES {
            // What goes wrong with one client is no reason to stop.
            if self.clients.contains(self.next) && self.serve(self.next).is_err() {
                self.clients.remove(self.next);
            }
            self.next = (self.next + 1) % PLACES;
            if self.now.elapsed() > TURN {
                break; // the next turn goes on here
            }
        }
        if self.next == first {
            // It may have filled all queues to the mark. Then nobody after it was read.
            self.next = (first + 1) % PLACES;
        }
        self.clients.retain(|_, client| client.flush(self.now).unwrap_or(false));
        // Whoever has work is not silent: its turn is late. But nobody stays by what it sends after `quit`.
        self.clients.retain(|_, client| client.due > self.now || (client.input != Input::Ignored && client.has_work()));
        Ok(())
    }

    /// What this client says, everybody hears, itself too.
    fn serve(&mut self, place: usize) -> io::Result<()> {
        let (mut left, mut buffer) = (BYTES, [0; 4096]);
        while self.clients[place].reads() && left > 0 {
            let (said, length) = self.clients[place].read(&mut buffer, self.now)?;
            left = left.saturating_sub(length);
            for line in said.split_inclusive(|byte| *byte == b'\n') {
                self.tell(line);
            }
        }
        Ok(())
    }

    /// Whoever has ended, or has said `quit`, hears no more.
    fn tell(&mut self, line: &[u8]) {
        for (_, client) in self.clients.iter_mut().filter(|(_, client)| client.input == Input::Open) {
            client.due = self.now + SILENCE;
            let _ = client.write_all(line);
        }
    }

    /// The client of a key, unless it has gone. A key is `generation * PLACES + place`.
    fn client(&mut self, key: Token) -> Option<&mut Client> {
        self.clients.get_mut(key.0 % PLACES).filter(|client| client.generation == key.0 / PLACES)
    }

    fn accept(&mut self) -> io::Result<()> {
        let generation = self.accepted;
        let oldest = self.clients.iter().min_by_key(|(_, client)| client.generation).map(|(place, _)| place);
        let oldest = oldest.filter(|_| self.clients.len() == PLACES);
        // The place that it will have: a slab gives away first what was freed last.
        let key = Token(generation * PLACES + oldest.unwrap_or(self.clients.vacant_key()));
        match self.listener.accept() {
            Ok((mut stream, _)) => {
                oldest.into_iter().for_each(|place| drop(self.clients.remove(place)));
                self.poll.registry().register(&mut stream, key, Interest::READABLE | Interest::WRITABLE)?;
                let queue = VecDeque::new();
                let (input, output) = (Input::Open, Output::Open);
                let (readable, writable) = (false, false);
                let due = self.now + SILENCE;
                self.clients.insert(Client { stream, readable, writable, input, output, queue, due, generation });
                self.accepted += 1;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.can_accept = false,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Client {
    /// Says whether the client stays.
    fn flush(&mut self, now: Instant) -> io::Result<bool> {
        loop {
            if self.writable && !self.queue.is_empty() {
                self.due = now + SILENCE;
                self.write()?;
            } else if self.input != Input::Open && self.output == Output::Open && self.queue.is_empty() {
                self.stream.shutdown(Shutdown::Write)?;
                self.output = Output::Over;
            } else {
                return Ok(self.input != Input::Over || self.output != Output::Over);
            }
        }
    }

    fn reads(&self) -> bool {
        self.readable && self.input != Input::Over && self.queue.len() < MARK
    }

    fn has_work(&self) -> bool {
        self.reads() || (self.writable && !self.queue.is_empty())
    }

    /// What was said, and how many bytes were read.
    fn read<'b>(&mut self, buffer: &'b mut [u8], now: Instant) -> io::Result<(&'b [u8], usize)> {
        // What comes after `quit` does not count, so a client cannot stay by it.
        self.due = if self.input == Input::Open { now + SILENCE } else { self.due };
        match self.stream.read(buffer) {
            Ok(0) => self.input = Input::Over,
            Ok(length) if self.input == Input::Ignored => return Ok((&[], length)),
            Ok(length) if buffer[..length].starts_with(b"quit\n") => {
                self.queue.extend(b"bye\n");
                self.input = Input::Ignored;
            }
            Ok(length) => return Ok((&buffer[..length], length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Err(error) => return Err(error),
        }
        Ok((&[], 0))
    }

    /// Waits until all is written.
    fn write_all(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(length) => rest = &rest[length..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.stream, PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        match self.stream.write(self.queue.as_slices().0) {
            Ok(length) => drop(self.queue.drain(..length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
