//! Step 3: the kernel says who has something.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use rustix::event::{PollFd, PollFlags, poll};

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    listener.set_nonblocking(true)?;
    let mut clients = Vec::new();
    loop {
        let mut asked = vec![PollFd::new(&listener, PollFlags::IN)];
        asked.extend(clients.iter().map(|client| PollFd::new(client, PollFlags::IN)));
        poll(&mut asked, None)?;
        // Also an error or an end is reported so. A copy, as `asked` borrows the clients.
        let ready: Vec<bool> = asked.iter().map(|it| !it.revents().is_empty()).collect();
        let mut of_clients = ready[1..].iter();
        // Who was not reported stays. What goes wrong with one client is no reason to stop.
        clients.retain_mut(|client| !of_clients.next().unwrap_or(&false) || echo(client).unwrap_or(false));
        if !ready[0] {
            continue;
        }
        match listener.accept() {
            Ok((client, _)) => {
                client.set_nonblocking(true)?;
                clients.push(client);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
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
