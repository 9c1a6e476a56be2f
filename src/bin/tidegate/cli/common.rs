//! The flags that every daemon has.

use std::time::Duration;

use clap::{ArgAction, Args};
use log::LevelFilter;
use tidegate::{BlockList, Endpoint, KeepAlive, SocketPermissions};

use super::block::{block, joined};
use super::duration::{duration, idle_timeout, keep_alive};
use super::listen::{Listen, listen, reject_doubles};
use super::number::{OrNone, connections};
use super::permissions::{Owner, mode, owner};

/// What every role is given.
#[derive(Clone, Debug)]
pub struct Common {
    /// None of them twice. Without any: what systemd has passed, and if it has passed nothing, [`DEFAULT_LISTEN`].
    pub listen: Vec<Listen>,
    /// For the paths among them.
    pub permissions: SocketPermissions,
    /// None leaves it to the descriptor limit, which is not a matter of the command line.
    pub max_connections: Option<usize>,
    /// Who is turned away.
    pub block_list: Option<BlockList>,
    pub idle_timeout: Option<Duration>,
    pub keep_alive: Option<KeepAlive>,
    /// Zero waits for nothing.
    pub drain_timeout: Duration,
    pub verbosity: LevelFilter,
}

#[derive(Debug, Args)]
pub(super) struct TypedCommon {
    /// Address to listen on; may be repeated
    ///
    /// IP:PORT, with an IPv6 address in brackets; localhost:PORT, which is
    /// both 127.0.0.1 and ::1; PORT, which is 127.0.0.1:PORT; or :PORT, which
    /// is every address of this machine. Port 0 lets the system choose one,
    /// and the log says which.
    ///
    /// unix:PATH is a Unix socket, unix:@NAME one of Linux's abstract names.
    /// A path that a server has left is taken over, if nobody listens there.
    ///
    /// systemd is the sockets of the unit's .socket file.
    ///
    /// [default: systemd where it has passed any, else 127.0.0.1:8080]
    #[arg(long, alias = "port", value_name = "ADDR", value_parser = listen, verbatim_doc_comment)]
    listen: Vec<Listen>,

    /// Mode of the Unix sockets, in octal: who may connect, such as 660
    ///
    /// Set before anybody can connect.
    ///
    /// [default: what the umask leaves of 777]
    #[arg(long, value_name = "MODE", value_parser = mode, verbatim_doc_comment)]
    mode: Option<u32>,

    /// Owner of the Unix sockets by number: UID, UID:GID or :GID
    #[arg(long, value_name = "OWNER", value_parser = owner)]
    owner: Option<Owner>,

    /// Most connections at once, from 1 to 4294967295
    ///
    /// [default: the descriptor limit ('ulimit -Hn'), less 64]
    #[arg(long, value_name = "N", value_parser = connections, verbatim_doc_comment)]
    max_connections: Option<usize>,

    /// Turn away who comes from there; may be repeated
    ///
    /// An address, a range ADDR-ADDR of which both ends are part, or a subnet
    /// ADDR/BITS. IPv4 is also meant where it is mapped into IPv6. Who is
    /// blocked is disconnected at once, and told of at -v; peers on Unix
    /// sockets have no address.
    #[arg(long, alias = "deny", value_name = "ADDRS", value_parser = block, verbatim_doc_comment)]
    block: Vec<BlockList>,

    /// Close a connection after this long without a byte either way
    #[arg(long, value_name = "DURATION|none", default_value = "none", value_parser = idle_timeout)]
    idle_timeout: OrNone<Duration>,

    /// Ask a peer that is silent for this long whether it is still there
    ///
    /// A machine that has lost its power or its network says no goodbye, and
    /// its connection would stay for ever. The kernel asks after this long,
    /// in whole seconds, and then every 10s; when the peer's kernel has not
    /// answered 6 of these probes, the connection is closed. Who is there is
    /// not disturbed, however long he says nothing.
    #[arg(long, value_name = "DURATION|none", default_value = "60s", value_parser = keep_alive, verbatim_doc_comment)]
    keep_alive: OrNone<Duration>,

    /// Longest wait, once stopped, for peers to take what is queued
    ///
    /// What is left after that is thrown away, and the exit code is 1. With 0
    /// nothing is waited for.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, verbatim_doc_comment)]
    drain_timeout: Duration,

    /// Log more: -v for debug, -vv for trace
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,

    /// Log errors only
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
}

impl TypedCommon {
    pub(super) fn meaning(self) -> Result<Common, String> {
        reject_doubles(&self.listen)?;
        Ok(Common {
            permissions: self.permissions()?,
            verbosity: self.verbosity(),
            listen: self.listen,
            max_connections: self.max_connections,
            block_list: joined(&self.block)?,
            idle_timeout: self.idle_timeout.0,
            keep_alive: self.keep_alive.0.map(probes_after),
            drain_timeout: self.drain_timeout,
        })
    }

    fn permissions(&self) -> Result<SocketPermissions, String> {
        let is_path = |it: &Listen| matches!(it, Listen::At(Endpoint::Unix(at)) if at.as_abstract_name().is_none());
        let owner = self.owner.unwrap_or_default();
        let permissions = SocketPermissions::new().mode(self.mode).owner(owner.user).group(owner.group);
        if permissions != SocketPermissions::new() && (self.listen.is_empty() || !self.listen.iter().all(is_path)) {
            return Err(
                "--mode and --owner are for the paths of Unix sockets: --listen nothing but unix:PATH with them, \
                        as nothing else has a file"
                    .to_owned(),
            );
        }
        Ok(permissions)
    }

    fn verbosity(&self) -> LevelFilter {
        match self.verbose {
            _ if self.quiet => LevelFilter::Error,
            0 => LevelFilter::Info,
            1 => LevelFilter::Debug,
            _ => LevelFilter::Trace,
        }
    }
}

/// Slower than Node's, a probe each second: who is on a train is not gone after a tunnel.
fn probes_after(silence: Duration) -> KeepAlive {
    KeepAlive::new().initial_delay(silence).interval(Duration::from_secs(10)).count(6)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{common, wrong};
    use super::*;

    #[test]
    fn verbosity_goes_up_or_down_but_not_both() {
        for (flag, level) in [("-q", LevelFilter::Error), ("-v", LevelFilter::Debug), ("-vv", LevelFilter::Trace)] {
            assert_eq!(common(&[flag]).verbosity, level);
        }
        assert_eq!(common(&["-v", "--verbose", "-v"]).verbosity, LevelFilter::Trace);
        assert!(wrong(&["-q", "-v"]).contains("cannot be used with"));
    }
}
