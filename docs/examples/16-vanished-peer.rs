//! A client loses its network, and only keep-alive notices it.
//!
//! ```sh
//! cargo run --example vanished-peer
//! ```
//!
//! There is no cable to pull, and no time to wait: the loops run on a simulated network with its own clock. After ten minutes
//! the client's machine is cut off. The server gets no message about it, and has nothing to send: without keep-alive it would
//! never know. The times are those of the network's clock.

use std::time::Duration;

use tidegate::sim::Sim;
use tidegate::{Error, EventLoop, KeepAlive, ServerOptions};

const MINUTE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Error> {
    let sim = Sim::new(1);
    let mut server = EventLoop::on(sim.kernel(), ());
    let keep_alive = Some(KeepAlive::new().initial_delay(MINUTE));
    let options = ServerOptions::new().keep_alive(keep_alive);
    server.listen_with("10.0.0.1:8080", options, |socket| {
        println!("a client has connected");
        socket.on_error(|socket, error| println!("{:.0?}: error {}", socket.net.now(), error.code()));
        socket.on_close(|_, closed| println!("closed {}", if closed.had_error { "with an error" } else { "normally" }));
    })?;

    let mut client = EventLoop::on(sim.kernel(), ());
    client.connect("10.0.0.1:8080", |_| {})?;
    let network = sim.clone();
    client.after(10 * MINUTE, move |client| {
        println!("{:.0?}: the client is cut off", client.net.now());
        network.partition([10, 1, 0, 2].into(), true);
    });
    sim.run(&mut [&mut server, &mut client], 60 * MINUTE)
}
