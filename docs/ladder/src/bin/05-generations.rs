//! Step 5: a key is a place and a generation, so nobody gets what was meant for the one before.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);

/// So that the process never has more descriptors than it may have.
const PLACES: usize = 64;

struct Client {
    stream: TcpStream,
    /// The latch: set by an edge, cleared by a read that would block, and by nothing else.
    readable: bool,
    /// How many came before it. No other client has had its place with this number.
    generation: usize,
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    can_accept: bool,
    clients: Slab<Client>,
    accepted: usize,
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".to_owned());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    println!("listening on {}", listener.local_addr()?);
    let (poll, mut events) = (Poll::new()?, Events::with_capacity(128));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut server = Server { poll, listener, can_accept: false, clients: Slab::new(), accepted: 0 };
    loop {
        server.turn(&mut events)?;
    }
}

impl Server {
    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        match self.poll.poll(events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        // Who has broken off: no read is needed to find that out.
        let mut broken = Vec::new();
        for event in &*events {
            match event.token() {
                LISTENER => self.can_accept = true,
                token if event.is_error() => broken.push(token),
                token => self.client(token).into_iter().for_each(|client| client.readable = true),
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
        // What goes wrong with one client is no reason to stop.
        self.clients.retain(|_, client| client.serve().unwrap_or(false));
        Ok(())
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
                self.poll.registry().register(&mut stream, key, Interest::READABLE)?;
                self.clients.insert(Client { stream, readable: false, generation });
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
    fn serve(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        while self.readable {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(length) => self.stream.write_all(&buffer[..length])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
