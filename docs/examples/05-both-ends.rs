//! The addresses of a connection's two ends, for one client at a time.
//!
//! ```sh
//! cargo run --example both-ends
//! nc localhost 8080
//! ```
//!
//! The client has another port each time. The server's end has the port that it listens on.

use std::net::SocketAddr;

use tidegate::{Error, EventLoop, ServerOptions};

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut event_loop = EventLoop::new()?;
    let options = ServerOptions::new().max_connections(1);
    let server = event_loop.listen_with(address, options, |socket| {
        show("this end", socket.local_address());
        show("the client's end", socket.remote_address());
    })?;
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    event_loop.run()
}

fn show(end: &str, address: Option<SocketAddr>) {
    if let Some(address) = address {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        println!("{end}: address {}, port {}, family {family}", address.ip(), address.port());
    }
}
