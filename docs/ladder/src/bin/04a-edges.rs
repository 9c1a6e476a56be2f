//! Step 4, the first attempt: mio's epoll keeps the list of descriptors, and reports a change once.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".to_owned());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    println!("listening on {}", listener.local_addr()?);
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(128));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut clients: Vec<Option<TcpStream>> = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        for event in &events {
            match event.token() {
                LISTENER => {
                    let (mut client, _) = listener.accept()?;
                    let place = clients.iter().position(Option::is_none).unwrap_or(clients.len());
                    poll.registry().register(&mut client, Token(place), Interest::READABLE)?;
                    clients.resize_with(clients.len().max(place + 1), || None);
                    clients[place] = Some(client);
                }
                // What goes wrong with one client is no reason to stop.
                Token(place) => {
                    clients[place].take_if(|client| !echo(client).unwrap_or(false));
                }
            }
        }
    }
}

/// Says whether the client stays.
fn echo(client: &mut TcpStream) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    match client.read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(length) => client.write_all(&buffer[..length]).map(|()| true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(error),
    }
}
