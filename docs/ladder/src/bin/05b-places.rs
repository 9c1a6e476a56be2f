//! Step 5, the first attempt: there are few places, and when all are taken, the oldest client has to go.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

/// So that the process never has more descriptors than it may have.
const PLACES: usize = 64;

struct Client {
    stream: TcpStream,
    /// The latch: set by an edge, cleared by a read that would block, and by nothing else.
    readable: bool,
    /// How many came before it.
    number: u64,
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".to_owned());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    println!("listening on {}", listener.local_addr()?);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(128));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut can_accept = false;
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut accepted = 0;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        // Who has broken off: no read is needed to find that out.
        let mut broken = Vec::new();
        for event in &events {
            match event.token() {
                LISTENER => can_accept = true,
                Token(place) if event.is_error() => broken.push(place),
                Token(place) => clients[place].iter_mut().for_each(|client| client.readable = true),
            }
        }
        while can_accept {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    if clients.iter().flatten().count() == PLACES {
                        let oldest = clients.iter_mut().min_by_key(|it| it.as_ref().map(|client| client.number));
                        oldest.into_iter().for_each(|it| *it = None);
                    }
                    let place = clients.iter().position(Option::is_none).unwrap_or(clients.len());
                    poll.registry().register(&mut stream, Token(place), Interest::READABLE)?;
                    clients.resize_with(clients.len().max(place + 1), || None);
                    clients[place] = Some(Client { stream, readable: false, number: accepted });
                    accepted += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => can_accept = false,
                Err(error) => return Err(error),
            }
        }
        broken.into_iter().for_each(|place| clients[place] = None);
        for place in &mut clients {
            // What goes wrong with one client is no reason to stop.
            place.take_if(|client| !client.serve().unwrap_or(false));
        }
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
