//! Step 2: no call waits, so all clients have their turn.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    listener.set_nonblocking(true)?;
    let mut clients = Vec::new();
    loop {
        match listener.accept() {
            Ok((client, _)) => {
                client.set_nonblocking(true)?;
                clients.push(client);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        // What goes wrong with one client is no reason to stop.
        clients.retain_mut(|client| echo(client).unwrap_or(false));
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
