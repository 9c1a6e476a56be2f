//! Addresses of this machine.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

/// An address that nobody listens on, and that no other program is likely to take. On Linux, where all of 127.0.0.0/8
/// is the machine itself, this process alone uses it.
pub fn free_address() -> SocketAddr {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let host = if cfg!(target_os = "linux") {
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        format!("127.{}.{}.{}", 1 + process / 250 % 250, 1 + process % 250, 1 + count % 250)
    } else {
        "127.0.0.1".to_owned()
    };
    TcpListener::bind((host.as_str(), 0)).unwrap().local_addr().unwrap()
}

/// A port that is free at all addresses at once, as a connection that is over still has its port at one of them.
pub fn free_port() -> u16 {
    let free = ["[::]:0", "0.0.0.0:0"].iter().find_map(|all| TcpListener::bind(all).ok());
    free.unwrap().local_addr().unwrap().port()
}

pub fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}
