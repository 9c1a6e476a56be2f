//! Step 4: what was reported once is remembered until a call says `WouldBlock`.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

struct Client {
    stream: TcpStream,
    /// The latch: set by an edge, cleared by a read that would block, and by nothing else.
    readable: bool,
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".to_owned());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    println!("listening on {}", listener.local_addr()?);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(128));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut can_accept = false;
    let mut clients: Vec<Option<Client>> = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        for event in &events {
            match event.token() {
                LISTENER => can_accept = true,
                Token(place) => clients[place].iter_mut().for_each(|client| client.readable = true),
            }
        }
        while can_accept {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    let place = clients.iter().position(Option::is_none).unwrap_or(clients.len());
                    poll.registry().register(&mut stream, Token(place), Interest::READABLE)?;
                    clients.resize_with(clients.len().max(place + 1), || None);
                    clients[place] = Some(Client { stream, readable: false });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => can_accept = false,
                Err(error) => return Err(error),
            }
        }
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
