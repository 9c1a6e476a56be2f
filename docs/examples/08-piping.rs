//! What a client sends goes into the file `msg.txt`. The file stays open when the client ends, and `over` is written to it.
//!
//! ```sh
//! cargo run --example piping
//! nc -N localhost 8080
//! cat msg.txt
//! ```
//!
//! Type into `nc`, and Ctrl-D at the end. What a second client sends comes after that of the first.

use tidegate::{Error, EventLoop, FileOptions};

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut event_loop = EventLoop::new()?;
    let file = event_loop.event_loop().open("msg.txt", FileOptions::write(), |file| {
        // The clients would wait for ever. Node ends the process at an error that nobody handles.
        file.on_error(|_, error| {
            eprintln!("{error}");
            std::process::exit(1);
        });
    })?;
    let server = event_loop.listen(address, move |socket| {
        socket.pipe_without_end(file).unwrap_or_else(|error| eprintln!("{error}"));
        socket.on_end(move |socket| {
            socket.net.write(file, b"over\n");
            socket.unpipe(file);
            println!("over");
        });
    })?;
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    event_loop.run()
}
