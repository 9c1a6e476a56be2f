//! A server that notices when a client has ended.
//!
//! ```sh
//! cargo run --example noticing-the-end
//! nc -N localhost 8080
//! ```
//!
//! Type Ctrl-D into `nc`: with `-N` it ends its side then (`ncat` does so by default). The server ends its own side after that,
//! and `nc` exits.

use tidegate::{Error, EventLoop};

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut event_loop = EventLoop::new()?;
    let server = event_loop.listen(address, |socket| {
        socket.on_text(|_, text| println!("{text:?}"));
        socket.on_end(|_| println!("the client has ended"));
        socket.on_close(|_, _| println!("the connection is closed"));
    })?;
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    event_loop.run()
}
