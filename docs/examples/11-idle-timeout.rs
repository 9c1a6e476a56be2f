//! A paused client has an idle timeout of five seconds. After the timeout, all that the client has sent goes into the file
//! `msg.txt`.
//!
//! ```sh
//! cargo run --example idle-timeout
//! nc localhost 8080
//! cat msg.txt
//! ```
//!
//! A timeout says that nothing was read or written for this time. It does nothing else, and starts again with the next
//! activity; this program turns it off. Type a line each second: it does not come then, since what arrives is activity, even if
//! it waits for a handler. A second argument is another number of seconds:
//! `cargo run --example idle-timeout -- 127.0.0.1:8080 20`.

use std::error::Error;
use std::time::Duration;

use tidegate::{EventLoop, FileOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let idle = Duration::from_secs_f64(std::env::args().nth(2).unwrap_or("5".to_owned()).parse()?);
    let mut event_loop = EventLoop::new()?;
    let file = event_loop.event_loop().open("msg.txt", FileOptions::write(), |file| {
        // The clients would wait for ever. Node ends the process at an error that nobody handles.
        file.on_error(|_, error| {
            eprintln!("{error}");
            std::process::exit(1);
        });
    })?;
    let server = event_loop.listen(address, move |socket| {
        socket.pause();
        socket.set_timeout(Some(idle));
        socket.on_timeout(move |socket| {
            println!("nothing moved for {:?}", socket.timeout().unwrap_or_default());
            socket.set_timeout(None);
            socket.pipe(file).unwrap_or_else(|error| eprintln!("{error}"));
        });
    })?;
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
    }
    Ok(event_loop.run()?)
}
