//! Half-open: when a client has ended, the server can still answer, and then ends its own side. And the server does not keep the
//! program running: when the clients have gone, the program ends.
//!
//! ```sh
//! cargo run --example half-open
//! nc -N localhost 8080
//! ```
//!
//! Type some lines, and Ctrl-D: the answer comes after that. Then the program ends. If one of your lines was `stay`, the server
//! keeps the program running, until another client has come and gone.

use tidegate::{Error, EventLoop, ServerOptions};

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut event_loop = EventLoop::new()?;
    let options = ServerOptions::new().allow_half_open(true);
    let server = event_loop.listen_with(address, options, |socket| {
        let Some(server) = socket.server() else { return };
        socket.net.set_server_ref(server, false);
        socket.on_text(move |socket, text| {
            println!("{text:?}");
            if text.trim() == "stay" {
                socket.net.set_server_ref(server, true);
            }
        });
        socket.on_end(|socket| {
            println!("the client has ended, the socket is {}", socket.ready_state().name());
            socket.end_with(format!("{} bytes: thank you, and goodbye\n", socket.bytes_read()));
        });
    })?;
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    event_loop.run()
}
