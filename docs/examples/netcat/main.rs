//! `process.stdin.pipe(socket).pipe(process.stdout)`: a netcat.
//!
//! ```sh
//! cargo run --release --example netcat -- 127.0.0.1:8080
//! ```
//!
//! connects your terminal to a server. It also moves files of any size, in bounded memory. Here a gigabyte goes out and comes
//! back:
//!
//! ```sh
//! head -c 1G /dev/urandom > sent
//! cargo run --release -- echo --listen 127.0.0.1:7000 &
//! cargo run --release --example netcat -- 127.0.0.1:7000 < sent > received
//! cmp sent received
//! ```

use tidegate::{Error, EventLoop, SocketOptions, Stdio};

/// Connects standard input and standard output with a server, until both sides have ended.
pub fn netcat(to: &str) -> Result<(), Error> {
    let mut event_loop = EventLoop::with_state(None)?;
    let output = event_loop.event_loop().stdio(Stdio::Output, |output| {
        output.on_error(|output, error| *output.state = Some(error.clone()));
        output.on_close(|output, _| output.event_loop().close_all());
    })?;
    // Half-open: the server can still send when standard input has ended.
    let options = SocketOptions::new().allow_half_open(true);
    let mut piped = Ok(());
    let socket = event_loop.event_loop().connect_with(to, options, |socket| {
        piped = socket.pipe(output);
        socket.on_error(|socket, error| *socket.state = Some(error.clone()));
        // What is typed now has nowhere to go.
        socket.on_close(|socket, closed| {
            if closed.had_error {
                socket.event_loop().close_all();
            }
        });
    })?;
    piped?;
    let input = event_loop.event_loop().stdio(Stdio::Input, move |input| {
        // A pipe passes an end on, and no error. An end would look as if that were all.
        input.on_error(move |input, error| {
            *input.state = Some(error.clone());
            input.net.reset(socket);
            input.event_loop().close_all();
        });
    })?;
    event_loop.net.pipe(input, socket)?;
    event_loop.run()?;
    event_loop.state.map_or(Ok(()), Err)
}

#[allow(dead_code, reason = "a test has a main function of its own")]
fn main() -> Result<(), Error> {
    match std::env::args().nth(1) {
        Some(to) => netcat(&to),
        None => {
            eprintln!("usage: netcat ADDRESS:PORT");
            std::process::exit(2);
        }
    }
}
