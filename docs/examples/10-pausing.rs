//! The server does not read from a client for ten seconds. Then all that the client has sent goes into the file `msg.txt`.
//!
//! ```sh
//! cargo run --example pausing
//! nc -N localhost 8080
//! cat msg.txt
//! ```
//!
//! Type at once, as much as you like, and Ctrl-D. The file is empty for ten seconds. Meanwhile the bytes wait in the socket,
//! which reads 64 KiB ahead, and in the kernel; when its buffer is full, the client has to wait. A second argument is another
//! number of seconds: `cargo run --example pausing -- 127.0.0.1:8080 20`.

use std::error::Error;
use std::time::Duration;

use tidegate::{EventLoop, FileOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let wait = Duration::from_secs_f64(std::env::args().nth(2).unwrap_or("10".to_owned()).parse()?);
    let mut event_loop = EventLoop::new()?;
    let file = event_loop.event_loop().open("msg.txt", FileOptions::write(), |file| {
        file.on_finish(|_| println!("all is in the file"));
        // The clients would wait for ever. Node ends the process at an error that nobody handles.
        file.on_error(|_, error| {
            eprintln!("{error}");
            std::process::exit(1);
        });
    })?;
    let server = event_loop.listen(address, move |socket| {
        println!("paused");
        socket.pause();
        socket.after(wait, move |socket| {
            println!("piping");
            socket.pipe(file).unwrap_or_else(|error| eprintln!("{error}"));
        });
    })?;
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    Ok(event_loop.run()?)
}
