//! Sets the options of a TCP socket.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::system::{set_type_of_service, set_user_timeout};
use super::{KeepAlive, SocketOption, TcpOptions};

/// Node's own interval and count, which it sets together with the initial delay.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(1);
const KEEP_ALIVE_PROBES: u32 = 10;

/// Sets one option.
pub(super) fn set(socket: &SockRef<'_>, option: SocketOption) -> io::Result<()> {
    match option {
        SocketOption::NoDelay(on) => socket.set_tcp_nodelay(on),
        SocketOption::KeepAlive(Some(keep_alive)) => set_keep_alive(socket, keep_alive),
        SocketOption::KeepAlive(None) => socket.set_keepalive(false),
        SocketOption::TypeOfService(value) => set_type_of_service(socket, value),
        SocketOption::UserTimeout(timeout) => set_user_timeout(socket, timeout),
    }
}

/// Sets all options that are on.
pub(super) fn set_all(socket: &SockRef<'_>, tcp: &TcpOptions) -> io::Result<()> {
    if tcp.no_delay {
        socket.set_tcp_nodelay(true)?;
    }
    if let Some(keep_alive) = tcp.keep_alive {
        set_keep_alive(socket, keep_alive)?;
    }
    if let Some(value) = tcp.type_of_service {
        set_type_of_service(socket, value)?;
    }
    if let Some(timeout) = tcp.user_timeout {
        set_user_timeout(socket, Some(timeout))?;
    }
    if let Some(bytes) = tcp.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = tcp.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    if tcp.urgent_inline {
        socket.set_out_of_band_inline(true)?;
    }
    Ok(())
}

fn set_keep_alive(socket: &SockRef<'_>, keep_alive: KeepAlive) -> io::Result<()> {
    let KeepAlive { initial_delay, interval, count } = keep_alive;
    let nodes = initial_delay.as_secs() > 0; // Node's own times come with a delay alone
    let mut times = TcpKeepalive::new();
    if nodes {
        times = times.with_time(Duration::from_secs(initial_delay.as_secs()));
    }
    if let Some(interval) = interval.or(nodes.then_some(KEEP_ALIVE_INTERVAL)) {
        times = times.with_interval(Duration::from_secs(interval.as_secs()));
    }
    if let Some(count) = count.or(nodes.then_some(KEEP_ALIVE_PROBES)) {
        times = times.with_retries(count);
    }
    // Sets SO_KEEPALIVE as well.
    socket.set_tcp_keepalive(&times)
}
