//! What `write` returns, and how much is buffered, when a file is sent to a client that does not read for a second.
//!
//! ```sh
//! cargo run --example buffer-size
//! ```
//!
//! There is nothing to type: the slow client is in the program. The file is read in pieces of 2 bytes, and each piece is a
//! write. A line is printed when `write` returns another value than before. The system's own buffers would take some two million
//! such writes before one is false, so both sides ask for buffers of 4 KiB. What the system does not take is buffered in the
//! program, and `write` returns false when that is 64 KiB, the high-water mark. An argument is another number of seconds:
//! `cargo run --example buffer-size -- 5`.

use std::error::Error;
use std::time::Duration;

use tidegate::{EventLoop, FileOptions, ServerOptions, SocketOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let wait = Duration::from_secs_f64(std::env::args().nth(1).unwrap_or("1".to_owned()).parse()?);
    std::fs::write("digits.txt", "0123456789".repeat(10_000))?;
    let mut event_loop = EventLoop::new()?;

    let options = ServerOptions::new().send_buffer(4096);
    let server = event_loop.listen_with("127.0.0.1:0", options, |socket| {
        let client = socket.id();
        let mut writes = 0;
        let mut returned = None;
        let options = FileOptions::read().high_water_mark(2);
        let file = socket.event_loop().open("digits.txt", options, |file| {
            file.on_data(move |file, piece| {
                let more = file.net.write(client, piece);
                writes += 1;
                if returned != Some(more) {
                    let (buffered, written) =
                        (file.net.connection(client).buffer_size(), file.net.connection(client).bytes_written());
                    println!("write {writes} returned {more}: {buffered} bytes buffered, {written} written");
                }
                returned = Some(more);
                if !more {
                    file.pause();
                }
            });
            file.on_end(move |file| file.net.end(client, None));
        });
        let Ok(file) = file else { return socket.destroy() };
        socket.on_drain(move |socket| {
            println!("drain: {} bytes buffered", socket.buffer_size());
            socket.net.resume(file);
        });
        socket.on_close(|socket, _| socket.event_loop().close_all());
    })?;

    let Some(address) = event_loop.net.server_address(server) else { return Ok(()) };
    let options = SocketOptions::new().receive_buffer(4096);
    event_loop.event_loop().connect_with(address, options, |client| {
        client.pause();
        client.on_data(|_, _| {});
        client.after(wait, |client| client.resume());
        client.on_end(|client| println!("the client has read {} bytes", client.bytes_read()));
    })?;
    Ok(event_loop.run()?)
}
