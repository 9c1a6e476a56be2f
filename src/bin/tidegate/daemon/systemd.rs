//! The sockets that systemd passes to this process, as its .socket file says (sd_listen_fds(3)).
//!
//! `LISTEN_FDS` says how many there are, and `LISTEN_PID` for which process. Both variables are removed. Each socket has to
//! be a stream socket, which is checked here, and has to listen, which the library checks.

#[cfg(unix)]
use listenfd::ListenFd;

#[cfg(unix)]
pub type Passed = std::os::fd::OwnedFd;

/// Other systems have no systemd.
#[cfg(not(unix))]
pub enum Passed {}

#[cfg(not(unix))]
pub fn sockets() -> Result<Vec<Passed>, String> {
    Ok(Vec::new())
}

/// All of them, in their order. To be called once.
#[cfg(unix)]
pub fn sockets() -> Result<Vec<Passed>, String> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        let tcp = passed.take_tcp_listener(index).map(|listener| listener.map(Passed::from));
        let either = tcp.or_else(|_| passed.take_unix_listener(index).map(|listener| listener.map(Passed::from)));
        sockets.extend(either.map_err(|_| {
            format!(
                "cannot listen on descriptor {} from systemd: it is not a stream socket, so its .socket file must say \
                 ListenStream=",
                3 + index
            )
        })?);
    }
    Ok(sockets)
}
