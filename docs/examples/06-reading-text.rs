//! A server that shows the text that its clients send, and counts the bytes.
//!
//! ```sh
//! cargo run --example reading-text
//! nc localhost 8080
//! ```
//!
//! Type into `nc`: a line is sent when you press Enter. The text is read as UTF-8, so `é` is two bytes and one character. It
//! comes as a whole, even if its two bytes arrive in two chunks.

use tidegate::{Error, EventLoop};

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut event_loop = EventLoop::new()?;
    let server = event_loop.listen(address, |socket| {
        socket.on_text(|socket, text| {
            println!("{text:?}, {} bytes so far", socket.bytes_read());
        });
    })?;
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    event_loop.run()
}
