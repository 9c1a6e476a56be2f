//! Keep-alive with its initial delay, and what the system then says about the socket.
//!
//! ```sh
//! cargo run --example keep-alive
//! ```
//!
//! The initial delay is five seconds: a connection that is silent for so long is probed. After that there is a probe each second.
//! If ten probes get no answer, the connection is over. The connection is made with `std` here, and then given to the loop: so
//! the program can keep a clone of its descriptor, and read the options back.

use std::error::Error;
use std::net::TcpStream;
use std::time::Duration;

use socket2::SockRef;
use tidegate::{EventLoop, KeepAlive, SocketOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let mut event_loop = EventLoop::new()?;
    let server = event_loop.listen("127.0.0.1:0", |_| {})?;
    let Some(address) = event_loop.net.server_address(server) else { return Ok(()) };

    let connection = TcpStream::connect(address)?;
    let clone = connection.try_clone()?;
    let socket = event_loop.event_loop().adopt_socket(connection, SocketOptions::new(), |_| {})?;
    println!("keep-alive: {}", SockRef::from(&clone).keepalive()?);

    let initial_delay = Duration::from_secs(5);
    event_loop.net.set_keep_alive(socket, Some(KeepAlive::new().initial_delay(initial_delay)))?;
    println!("keep-alive: {}", SockRef::from(&clone).keepalive()?);
    println!("initial delay: {:?}", SockRef::from(&clone).tcp_keepalive_time()?);
    println!("then each: {:?}", SockRef::from(&clone).tcp_keepalive_interval()?);
    println!("probes: {}", SockRef::from(&clone).tcp_keepalive_retries()?);
    Ok(())
}
