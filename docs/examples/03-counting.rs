//! A server that counts its connections, and accepts two at a time.
//!
//! ```sh
//! cargo run --example counting
//! nc localhost 8080
//! ```
//!
//! Run `nc` in three terminals: the third one is closed at once. End one of the first two, and there is room again.

use tidegate::{Error, EventLoop, ServerOptions, Socket};

const MOST: usize = 2;

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut event_loop = EventLoop::new()?;
    let options = ServerOptions::new().max_connections(MOST);
    let server = event_loop.listen_with(address, options, |socket| {
        count(socket);
        socket.on_close(|socket, _| count(socket));
    })?;
    if let Some(mut server) = event_loop.server(server) {
        server.on_drop(|_, _| println!("one too many"));
    }
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    event_loop.run()
}

fn count(socket: &mut Socket<'_, ()>) {
    if let Some(server) = socket.server() {
        println!("{} of {MOST} are connected", socket.net.server_connections(server));
    }
}
