//! Where a server listens: its port, its address and the family of the address.
//!
//! ```sh
//! cargo run --example address
//! cargo run --example address -- 127.0.0.1:0
//! cargo run --example address -- 8080
//! ```
//!
//! With port 0 the system chooses a free port, another one each time. A port alone means all addresses of this machine, of
//! both families.

use tidegate::{Error, EventLoop};

fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let mut event_loop = EventLoop::new()?;
    let server = event_loop.listen(address, |_| println!("a client has connected"))?;
    if let Some(address) = event_loop.net.server_address(server) {
        println!("listening on {address}");
        println!("port {}", address.port());
        println!("address {}", address.ip());
        println!("family {}", if address.is_ipv4() { "IPv4" } else { "IPv6" });
    }
    event_loop.run()
}
