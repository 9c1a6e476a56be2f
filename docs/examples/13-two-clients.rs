//! A server that closes at its second connection, and keeps both connections.
//!
//! ```sh
//! cargo run --example two-clients
//! nc localhost 8080
//! ```
//!
//! Run `nc` in three terminals: the third one is refused, and the first two get answers as before. When both have gone, the
//! program ends.

use tidegate::{Error, EventLoop};

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut event_loop = EventLoop::with_state(0)?;
    let server = event_loop.listen(address, |socket| {
        *socket.state += 1;
        let number = *socket.state;
        if let Some(server) = socket.server()
            && number == 2
        {
            socket.net.close_server(server);
        }
        println!("client {number} has connected");
        socket.on_text(move |socket, text| {
            println!("client {number} says {text:?}");
            socket.write(text);
        });
        socket.on_close(move |_, _| println!("client {number} has gone"));
    })?;
    if let Some(mut server) = event_loop.server(server) {
        server.on_close(|_| println!("the server is closed"));
    }
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    event_loop.run()
}
