//! A server that closes when its first client connects. It accepts no others, and its `close` comes when that client has gone.
//!
//! ```sh
//! cargo run --example closing
//! nc localhost 8080
//! ```
//!
//! While the first `nc` runs, a second one is refused. When the first one has gone, the program ends by itself.

use tidegate::{Error, EventLoop};

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut event_loop = EventLoop::new()?;
    let server = event_loop.listen(address, |socket| {
        if let Some(server) = socket.server() {
            socket.net.close_server(server);
        }
        println!("a client has connected: no others, please");
    })?;
    if let Some(mut server) = event_loop.server(server) {
        server.on_close(|_| println!("the client has gone, and the server is closed"));
    }
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    event_loop.run()
}
