//! A server that greets each client.
//!
//! ```sh
//! cargo run --example greeting
//! nc localhost 8080
//! ```
//!
//! Run the second command in another terminal: it shows the greeting. Ctrl-C ends both. There can be any number of clients at
//! a time. An argument is another address: `cargo run --example greeting -- 127.0.0.1:9000`.

use tidegate::{Error, EventLoop};

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut event_loop = EventLoop::new()?;
    let server = event_loop.listen(address, |socket| {
        println!("a client has connected");
        socket.write("hello, whoever you are\n");
    })?;
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    event_loop.run()
}
