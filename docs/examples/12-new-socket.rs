//! The same client again. The socket is made first, with its options, and connected later.
//!
//! ```sh
//! cargo run --example answering
//! cargo run --example new-socket
//! ```
//!
//! It allows half-open: when the server has ended, it can still send, and has to end its own side. A second argument is another
//! number of seconds than five: `cargo run --example new-socket -- 127.0.0.1:8080 20`.

use std::error::Error;
use std::time::Duration;

use tidegate::{EventLoop, SocketOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let wait = Duration::from_secs_f64(std::env::args().nth(2).unwrap_or("5".to_owned()).parse()?);
    let mut event_loop = EventLoop::new()?;
    let options = SocketOptions::new().allow_half_open(true);
    let client = event_loop.event_loop().new_socket(options, |client| {
        client.on_connect(move |client| {
            let is_tcp4 = client.remote_address().is_some_and(|address| address.is_ipv4());
            println!("connected, type {}", if is_tcp4 { "tcp4" } else { "tcp6" });
            client.write("hello");
            client.after(wait, |client| client.end_with("byebye"));
        });
        client.on_text(|_, text| println!("the server says {text:?}"));
        client.on_end(|_| println!("the server has ended"));
        client.on_error(|_, error| println!("error {}", error.code()));
        client.on_close(|_, closed| println!("closed {}", if closed.had_error { "with an error" } else { "normally" }));
    })?;
    event_loop.net.connect(client, address)?;
    Ok(event_loop.run()?)
}
