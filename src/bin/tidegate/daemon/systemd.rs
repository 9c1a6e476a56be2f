//! The sockets that systemd passes to this process, as its .socket file says (sd_listen_fds(3)).
//!
//! `LISTEN_FDS` says how many there are, and `LISTEN_PID` for which process. Both variables are removed. Each socket has to
//! be a stream socket, which is checked here, and has to listen, which the library checks.

#[cfg(unix)]
use listenfd::ListenFd;

use crate::cli::counted;
#[cfg(unix)]
use crate::process::outside;

#[cfg(unix)]
pub type Passed = std::os::fd::OwnedFd;

/// Other systems have no systemd.
#[cfg(not(unix))]
pub enum Passed {}

/// What systemd has passed at the start.
pub struct Sockets {
    count: usize,
    passed: Vec<Passed>,
}

impl Sockets {
    pub fn are_there(&self) -> bool {
        self.count > 0
    }

    /// # Errors
    /// They are wanted, and there are none.
    pub fn check(&self, are_wanted: bool) -> Result<(), String> {
        if are_wanted && self.count == 0 {
            return Err("systemd has passed no socket: start this by a unit that has a .socket file, or --listen \
                        elsewhere"
                .to_owned());
        }
        if !are_wanted && !self.passed.is_empty() {
            let sockets = counted(self.passed.len() as u64, "socket");
            log::warn!("systemd has passed {sockets}, but there is no --listen systemd");
        }
        Ok(())
    }

    /// All of them, in their order.
    ///
    /// # Errors
    /// They were taken before, and were closed since.
    pub fn take(&mut self) -> Result<Vec<Passed>, String> {
        if self.passed.is_empty() {
            return Err("systemd passes its sockets once: to listen on them again, restart this".to_owned());
        }
        Ok(std::mem::take(&mut self.passed))
    }
}

#[cfg(not(unix))]
pub fn sockets() -> Result<Sockets, String> {
    Ok(Sockets { count: 0, passed: Vec::new() })
}

/// To be called once.
///
/// In a run that is played nothing is passed. A kernel that is played closes what it adopts, whatever it is.
#[cfg(unix)]
pub fn sockets() -> Result<Sockets, String> {
    let mut passed = None;
    let count = outside::fact("sockets of systemd", || match passed.insert(all()) {
        Ok(sockets) => Some(sockets.len().to_string()),
        Err(_) => None,
    });
    let error = |passed: Option<&Result<_, String>>| passed.and_then(|passed| passed.as_ref().err().cloned());
    if count.is_none() {
        let why = outside::fact("error of systemd's sockets", || error(passed.as_ref()));
        return Err(why.unwrap_or_else(|| "cannot listen on what systemd had passed".to_owned()));
    }
    let stand_ins = || (0..count.and_then(|count| count.parse().ok()).unwrap_or(0)).map(|_| stand_in()).collect();
    let passed = passed.unwrap_or_else(stand_ins)?;
    Ok(Sockets { count: passed.len(), passed })
}

#[cfg(unix)]
fn stand_in() -> Result<Passed, String> {
    use std::os::fd::AsFd;

    std::io::stderr().as_fd().try_clone_to_owned().map_err(|error| error.to_string())
}

#[cfg(unix)]
fn all() -> Result<Vec<Passed>, String> {
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
