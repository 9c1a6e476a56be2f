//! A server that answers each message, and says how each connection has ended.
//!
//! ```sh
//! cargo run --example answering
//! cargo run --example client
//! ```
//!
//! Run the second command in another terminal: it is the client. `nc localhost 8080` is a client, too.

use tidegate::{Error, EventLoop};

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut event_loop = EventLoop::new()?;
    let server = event_loop.listen(address, |socket| {
        socket.on_text(|socket, text| {
            println!("the client says {text:?}");
            socket.write(format!("I have heard {text:?}"));
        });
        socket.on_error(|_, error| println!("error {}", error.code()));
        socket.on_close(|_, closed| println!("closed {}", if closed.had_error { "with an error" } else { "normally" }));
    })?;
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    event_loop.run()
}
