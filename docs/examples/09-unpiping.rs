//! What a client sends in its first five seconds goes into the file `msg.txt`. Then `bye bye` is written, and the file ends.
//!
//! ```sh
//! cargo run --example unpiping
//! nc localhost 8080
//! cat msg.txt
//! ```
//!
//! Type one line at once, and another one after five seconds: only the first line is in the file. A second argument is another
//! number of seconds: `cargo run --example unpiping -- 127.0.0.1:8080 20`.

use std::error::Error;
use std::time::Duration;

use tidegate::{EventLoop, FileOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let wait = Duration::from_secs_f64(std::env::args().nth(2).unwrap_or("5".to_owned()).parse()?);
    let mut event_loop = EventLoop::new()?;
    let file = event_loop.event_loop().open("msg.txt", FileOptions::write(), |file| {
        // The clients would wait for ever. Node ends the process at an error that nobody handles.
        file.on_error(|_, error| {
            eprintln!("{error}");
            std::process::exit(1);
        });
    })?;
    let server = event_loop.listen(address, move |socket| {
        socket.pipe(file).unwrap_or_else(|error| eprintln!("{error}"));
        socket.after(wait, move |socket| {
            socket.unpipe(file);
            socket.net.end_with(file, b"bye bye\n", None);
            println!("bye bye");
        });
    })?;
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    Ok(event_loop.run()?)
}
