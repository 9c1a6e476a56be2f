//! The sockets that systemd has made for this process, as its .socket file says (sd_listen_fds(3)).
//!
//! It says how many in `LISTEN_FDS`, and for whom in `LISTEN_PID`; what is for another process is not looked at. Both are
//! taken out of the environment. Each has to be a stream socket that listens; the library looks at the latter.

#[cfg(unix)]
use listenfd::ListenFd;

use super::CannotStart;

/// One of them.
#[cfg(unix)]
pub type Passed = std::os::fd::OwnedFd;

/// There is no systemd here.
#[cfg(not(unix))]
pub enum Passed {}

#[cfg(not(unix))]
pub fn sockets() -> Result<Vec<Passed>, CannotStart> {
    Ok(Vec::new())
}

/// All of them, in their order. To be called once.
#[cfg(unix)]
pub fn sockets() -> Result<Vec<Passed>, CannotStart> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        let tcp = passed.take_tcp_listener(index).map(|listener| listener.map(Passed::from));
        let either = tcp.or_else(|_| passed.take_unix_listener(index).map(|listener| listener.map(Passed::from)));
        sockets.extend(either.map_err(|_| {
            CannotStart(format!(
                "cannot listen on descriptor {} from systemd: it is no stream socket, so its .socket file has to say \
                 ListenStream=",
                3 + index
            ))
        })?);
    }
    Ok(sockets)
}
