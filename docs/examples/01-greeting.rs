//! A server that greets everybody who connects.
//!
//! ```sh
//! cargo run --example greeting
//! nc localhost 8080
//! ```
//!
//! The second command, in another terminal, shows the greeting; Ctrl-C ends either. As many clients as you like may be
//! connected at a time. Another address is given as an argument: `cargo run --example greeting -- 127.0.0.1:9000`.

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
