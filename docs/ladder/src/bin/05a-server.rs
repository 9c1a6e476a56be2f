//! Step 5, the first half: what the server has stands in one place, and its clients in a slab. It does what it did.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);

struct Client {
    stream: TcpStream,
    /// The latch: set by an edge, cleared by a read that would block, and by nothing else.
    readable: bool,
}

struct Server {
    poll: Poll,
    listener: TcpListener,
    can_accept: bool,
    clients: Slab<Client>,
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".to_owned());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    println!("listening on {}", listener.local_addr()?);
    let (poll, mut events) = (Poll::new()?, Events::with_capacity(128));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut server = Server { poll, listener, can_accept: false, clients: Slab::new() };
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
        for event in &*events {
            match event.token() {
                LISTENER => self.can_accept = true,
                token => self.client(token).into_iter().for_each(|client| client.readable = true),
            }
        }
        while self.can_accept {
            self.accept()?;
        }
        // What goes wrong with one client is no reason to stop.
        self.clients.retain(|_, client| client.serve().unwrap_or(false));
        Ok(())
    }

    /// The client of a key, which is its place.
    fn client(&mut self, key: Token) -> Option<&mut Client> {
        self.clients.get_mut(key.0)
    }

    fn accept(&mut self) -> io::Result<()> {
        let key = Token(self.clients.vacant_key());
        match self.listener.accept() {
            Ok((mut stream, _)) => {
                self.poll.registry().register(&mut stream, key, Interest::READABLE)?;
                self.clients.insert(Client { stream, readable: false });
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
