//! A client that sends `hello`, and five seconds later ends with `byebye`.
//!
//! ```sh
//! cargo run --example answering
//! cargo run --example client
//! ```
//!
//! Run the first command in another terminal: it is the server. Stop it with Ctrl-C, and start the client again: it prints the
//! code of the error. A second argument is another number of seconds: `cargo run --example client -- 127.0.0.1:8080 20`.

use std::error::Error;
use std::time::Duration;

use tidegate::EventLoop;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let wait = Duration::from_secs_f64(std::env::args().nth(2).unwrap_or("5".to_owned()).parse()?);
    let mut event_loop = EventLoop::new()?;
    event_loop.connect(address, |client| {
        client.on_connect(move |client| {
            client.write("hello");
            client.after(wait, |client| client.end_with("byebye"));
        });
        client.on_text(|_, text| println!("the server says {text:?}"));
        client.on_error(|_, error| println!("error {}", error.code()));
        client.on_close(|_, closed| println!("closed {}", if closed.had_error { "with an error" } else { "normally" }));
    })?;
    Ok(event_loop.run()?)
}
