//! What the service manager is told: sd_notify(3), over the datagram socket that `NOTIFY_SOCKET` names.
//!
//! A message that it does not take is lost, and nobody waits: the manager must not hold up the role.

#[cfg(unix)]
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::outside;

/// The manager, if one waits for messages.
#[derive(Debug)]
pub struct Manager {
    /// None in a run that is played: nobody is to hear of it.
    #[cfg(unix)]
    socket: Option<UnixDatagram>,
    /// How often it wants to hear that this process lives. Then it restarts it.
    pub watchdog: Option<Duration>,
}

#[cfg(not(unix))]
impl Manager {
    /// Other systems have no such manager.
    pub fn find() -> Option<Self> {
        None
    }

    pub fn tell(&self, _: &str) {}
}

#[cfg(unix)]
impl Manager {
    /// The one that has started this process. None without one, and where its socket is not there.
    pub fn find() -> Option<Self> {
        let variable = |name: &str| outside::fact(name, || std::env::var(name).ok());
        let address = variable("NOTIFY_SOCKET").filter(|address| !address.is_empty())?;
        let pid = outside::fact("is the watched process", || {
            let watched = std::env::var("WATCHDOG_PID").ok();
            watched.is_none_or(|pid| pid == std::process::id().to_string()).then(String::new)
        });
        let watchdog = pid.and_then(|_| variable("WATCHDOG_USEC")?.parse().ok()).filter(|micros| *micros > 0);
        let socket = if outside::is_played() { None } else { connect(&address) };
        Some(Manager { socket, watchdog: watchdog.map(Duration::from_micros) })
    }

    /// Lines of `NAME=VALUE`.
    pub fn tell(&self, message: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(message.as_bytes())
        {
            log::debug!("the service manager was not told {message:?}: {error}");
        }
    }
}

#[cfg(unix)]
fn connect(address: &str) -> Option<UnixDatagram> {
    let connect = || {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        match address.strip_prefix('@') {
            None => socket.connect(address)?,
            Some(name) => connect_abstract(&socket, name)?,
        }
        Ok::<_, std::io::Error>(socket)
    };
    connect().inspect_err(|error| log::warn!("no connection to the service manager at {address}: {error}")).ok()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn connect_abstract(socket: &UnixDatagram, name: &str) -> std::io::Result<()> {
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;

    socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)
}

#[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
fn connect_abstract(_: &UnixDatagram, _: &str) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
