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
    warn_of_sockets_for_another();
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

/// A unit whose ExecStart is a wrapper, a shell for example, gets the sockets in the wrapper's name. Nobody listens on them
/// then, and clients wait there for ever.
#[cfg(unix)]
fn warn_of_sockets_for_another() {
    let variable = |name| std::env::var(name).ok();
    let (Some(count), Some(pid)) = (variable("LISTEN_FDS"), variable("LISTEN_PID")) else { return };
    if pid != std::process::id().to_string() && count != "0" {
        let names = variable("LISTEN_FDNAMES").map_or_else(String::new, |names| format!(" ({names})"));
        log::warn!(
            "systemd has passed {count} sockets{names} to process {pid}, and not to this one: start this program by the \
             unit itself, or with 'exec' in its script"
        );
    }
}
