//! What can be set about names.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::base::error::Error;

/// How names become addresses.
///
/// ```
/// use tidegate::{EventLoop, NamesOptions};
///
/// let mut event_loop = EventLoop::new()?;
/// event_loop.net.set_names(NamesOptions::new().servers(["192.0.2.53:53".parse().unwrap()]).most_questions(64))?;
/// # Ok::<(), tidegate::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamesOptions {
    /// The name servers. Default: none, and those of the file are asked.
    pub servers: Vec<SocketAddr>,
    /// The file with the name servers and the search list. Default: `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// The file with names of its own. Default: `/etc/hosts`.
    pub hosts: PathBuf,
    /// The most questions that wait for a name server at a time, from 1 to 16,384. Each has a socket, so that each has a port
    /// that nobody can guess. Default 256: a quarter of the descriptors that a process usually may have. Others stand in line.
    pub most_questions: usize,
    /// The most look-ups at a time, with those that stand in line, from 1 to 1,000,000. One more fails at once with EAI_AGAIN.
    /// Default 16,384, which take 90 MB at most, with their sockets.
    pub most_lookups: usize,
    /// The most answers that are kept, from 0 to 1,000,000. Default 1,024, which take 2.5 MB at most: with 64 addresses
    /// each. 0 keeps none.
    pub most_kept: usize,
    /// The longest time that an answer is kept, whatever the name server says. Default: a day.
    pub kept_for: Duration,
    /// The longest time that it is kept that there is no such name, or no address of it. Default: 5 minutes.
    pub missing_for: Duration,
}

impl NamesOptions {
    /// The default options.
    #[must_use]
    pub fn new() -> Self {
        NamesOptions {
            servers: Vec::new(),
            resolv_conf: "/etc/resolv.conf".into(),
            hosts: "/etc/hosts".into(),
            most_questions: 256,
            most_lookups: 16_384,
            most_kept: 1024,
            kept_for: Duration::from_secs(24 * 60 * 60),
            missing_for: Duration::from_secs(5 * 60),
        }
    }

    /// Sets [`servers`](field@Self::servers). At most three are asked, as with the file.
    #[must_use]
    pub fn servers(self, servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        NamesOptions { servers: servers.into_iter().collect(), ..self }
    }

    /// Sets [`resolv_conf`](field@Self::resolv_conf).
    #[must_use]
    pub fn resolv_conf(self, path: impl Into<PathBuf>) -> Self {
        NamesOptions { resolv_conf: path.into(), ..self }
    }

    /// Sets [`hosts`](field@Self::hosts).
    #[must_use]
    pub fn hosts(self, path: impl Into<PathBuf>) -> Self {
        NamesOptions { hosts: path.into(), ..self }
    }

    /// Sets [`most_questions`](field@Self::most_questions).
    #[must_use]
    pub fn most_questions(self, most_questions: usize) -> Self {
        NamesOptions { most_questions, ..self }
    }

    /// Sets [`most_lookups`](field@Self::most_lookups).
    #[must_use]
    pub fn most_lookups(self, most_lookups: usize) -> Self {
        NamesOptions { most_lookups, ..self }
    }

    /// Sets [`most_kept`](field@Self::most_kept).
    #[must_use]
    pub fn most_kept(self, most_kept: usize) -> Self {
        NamesOptions { most_kept, ..self }
    }

    /// Sets [`kept_for`](field@Self::kept_for).
    #[must_use]
    pub fn kept_for(self, kept_for: Duration) -> Self {
        NamesOptions { kept_for, ..self }
    }

    /// Sets [`missing_for`](field@Self::missing_for).
    #[must_use]
    pub fn missing_for(self, missing_for: Duration) -> Self {
        NamesOptions { missing_for, ..self }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        for (what, value, least, most) in [
            ("questions", self.most_questions, 1, 16_384),
            ("look-ups", self.most_lookups, 1, 1_000_000),
            ("answers that are kept", self.most_kept, 0, 1_000_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(Error::invalid(format!("at most {value} {what}: it is from {least} to {most}")));
            }
        }
        match self.servers.iter().find(|server| server.port() == 0) {
            Some(server) => Err(Error::invalid(format!("the name server {server} has no port: it is 53 as a rule"))),
            None => Ok(()),
        }
    }
}

impl Default for NamesOptions {
    fn default() -> Self {
        NamesOptions::new()
    }
}
