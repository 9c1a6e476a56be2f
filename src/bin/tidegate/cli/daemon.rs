//! The flags that every role of the daemon has.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use log::LevelFilter;
use tidegate::{BlockList, Endpoint, Error, KeepAlive, SocketPermissions};

use super::address::{Listen, Named, reject_duplicates};
use super::block::{block, joined};
use super::config::Source;
use super::duration::{duration, idle_timeout, keep_alive};
use super::explain::ExplainOptions;
use super::inspector::InspectorOptions;
use super::logging::{LogOptions, verbosity};
use super::number::{OrNone, Size, connections, connections_or_none, size, size_or_none};
use super::permissions::{Owner, mode};
use super::recording::RecordingOptions;

#[derive(Clone, Debug, Args)]
pub struct DaemonOptions {
    /// File with flags of this role, in TOML
    ///
    /// It has a table for each role, such as [chat], whose keys are the names
    /// of the flags: max-connections = 100. A flag that is typed takes the
    /// place of the file's. 'tidegate check FILE' looks for mistakes. SIGHUP
    /// has the file read again, and what can change changes at once.
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    pub config: Option<PathBuf>,

    /// Show what is in force and from where, and do nothing else
    #[arg(long)]
    pub print_config: bool,

    #[arg(skip)]
    pub source: Source,

    /// Address to listen on; may be repeated
    ///
    /// IP:PORT, with an IPv6 address in brackets; localhost:PORT, which is
    /// both 127.0.0.1 and ::1; PORT, which is 127.0.0.1:PORT; or :PORT, which
    /// is every address of this machine. For port 0 the system chooses a free
    /// port, and the log shows it.
    ///
    /// unix:PATH is a Unix socket, and unix:@NAME an abstract name of Linux.
    /// If PATH is a socket on which no process listens any more, it is
    /// replaced.
    ///
    /// systemd stands for the sockets of the unit's .socket file.
    ///
    /// [default: systemd if it has passed any socket, else 127.0.0.1:8080]
    #[arg(long, alias = "port", value_name = "ADDR", verbatim_doc_comment)]
    pub listen: Vec<Listen>,

    /// Share each TCP port with processes of this user that do the same
    ///
    /// SO_REUSEPORT: the kernel spreads clients over them, so a machine can
    /// have a process for each core.
    #[arg(long, verbatim_doc_comment)]
    pub reuse_port: bool,

    /// Mode of the Unix sockets, in octal: who may connect, such as 660
    ///
    /// It is set before anybody can connect. Other listeners have no file and
    /// no mode.
    ///
    /// [default: 777 without the bits of the umask]
    #[arg(long, value_name = "MODE", value_parser = mode, verbatim_doc_comment)]
    mode: Option<u32>,

    /// Owner of the Unix sockets by number: UID, UID:GID or :GID
    #[arg(long, value_name = "OWNER")]
    owner: Option<Owner>,

    /// Most connections at once, from 1 to 4294967295
    ///
    /// [default: the descriptor limit ('ulimit -Hn') minus 64]
    #[arg(long, value_name = "N", value_parser = connections, verbatim_doc_comment)]
    pub max_connections: Option<usize>,

    /// Refuse clients from these addresses; may be repeated
    ///
    /// An address, a range ADDR-ADDR that includes both, or a subnet
    /// ADDR/BITS. A rule for IPv4 also covers IPv4 addresses that are mapped
    /// into IPv6. A blocked client is disconnected at once, and the log says
    /// so at -v. A chat tells it that the room is full. A client on a Unix
    /// socket has no address.
    #[arg(long, alias = "deny", value_name = "ADDRS", value_parser = block, verbatim_doc_comment)]
    block: Vec<BlockList>,

    /// Serve clients from these addresses only; may be repeated
    ///
    /// They are written as for --block, which is stronger. A client on a Unix
    /// socket has no address, and is served.
    #[arg(long, value_name = "ADDRS", value_parser = block, verbatim_doc_comment)]
    allow: Vec<BlockList>,

    /// Most connections from one address at once
    ///
    /// For IPv6 a /64 counts as one address. Addresses of this machine have
    /// no limit unless one is given. Behind a proxy on the same machine all
    /// clients have the address of the proxy.
    ///
    /// [default: 64, and none for peers on this machine]
    #[arg(long, value_name = "N|none", value_parser = connections_or_none, verbatim_doc_comment)]
    max_per_address: Option<OrNone<usize>>,

    /// Close a connection after this long without a byte in either direction
    ///
    /// In a chat: without a byte from the guest. What the others say does not
    /// count.
    #[arg(long, value_name = "DURATION|none", default_value = "none", value_parser = idle_timeout, verbatim_doc_comment)]
    pub idle_timeout: OrNone<Duration>,

    /// Probe a peer after this long without a byte from it
    ///
    /// When the peer's machine or its network fails, nothing arrives that
    /// would end the connection. So the kernel sends a probe after this long,
    /// in whole seconds, and another one every 10s. If the peer's kernel does
    /// not answer 6 of them, the connection is closed. A peer that is there
    /// does not notice the probes.
    #[arg(long, value_name = "DURATION|none", default_value = "60s", value_parser = keep_alive, verbatim_doc_comment)]
    keep_alive: OrNone<Duration>,

    /// Most memory for what is queued for all peers, and read ahead from them
    ///
    /// If there is more, the peer for which most is queued is disconnected,
    /// then the next. While little is left, less is read from peers whose
    /// bytes cannot be passed on. On top of it comes what the kernel holds
    /// (see --send-buffer), and up to 64KiB for each guest of a room whose
    /// lines have to wait.
    #[arg(long, value_name = "SIZE|none", default_value = "256MiB", value_parser = size_or_none, verbatim_doc_comment)]
    memory: OrNone<Size>,

    /// Most bytes that the kernel holds for a peer that does not read
    ///
    /// SO_SNDBUF. The kernel doubles the number for its own use, and has a
    /// bound for it (net.core.wmem_max). If it is less than a round trip
    /// carries, a fast peer far away is served more slowly.
    ///
    /// [default: as the system has it, up to some 4MiB]
    #[arg(long, value_name = "SIZE", value_parser = size, verbatim_doc_comment)]
    send_buffer: Option<Size>,

    /// Longest wait, once stopped, for peers to read what is queued
    ///
    /// What is queued after that is discarded, and the exit code is 1. With 0
    /// there is no wait.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, verbatim_doc_comment)]
    pub drain_timeout: Duration,

    #[command(flatten)]
    pub log: LogOptions,

    #[command(flatten)]
    pub inspector: InspectorOptions,

    #[command(flatten)]
    pub explain: ExplainOptions,

    #[command(flatten)]
    pub recording: RecordingOptions,

    /// Log more: -v for debug, -vv for each line of the trace
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,

    /// Log errors only
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
}

impl DaemonOptions {
    /// `--listen`, as it was typed.
    pub(super) fn listeners(&self) -> Vec<Named> {
        self.listen.iter().map(|place| Named { flag: "--listen ", place: *place }).collect()
    }

    /// `listeners` are all that the command listens on. `with_a_path` says how one that has a file is written.
    pub(super) fn check(
        &self,
        listeners: &[Named],
        with_a_path: &str,
        needs_contents: Option<&str>,
    ) -> Result<(), String> {
        let inspector = self.inspector.listener();
        let of_the_inspector = inspector.map(|_| "what an inspector answers depends on what it is asked");
        self.recording.check(needs_contents.or(of_the_inspector))?;
        reject_duplicates(&[listeners, inspector.as_slice()].concat())?;
        self.block_list().and_then(|_| self.allow_list()).map_err(|error| error.to_string())?;
        let is_path =
            |it: &Named| matches!(it.place, Listen::At(Endpoint::Unix(at)) if at.as_abstract_name().is_none());
        if self.permissions() == SocketPermissions::new() || listeners.iter().any(is_path) {
            return Ok(());
        }
        Err(format!(
            "--mode and --owner are for the paths of Unix sockets: use {with_a_path} with them, as nothing else has a file"
        ))
    }

    /// The mode and the owner of the paths among the addresses.
    pub fn permissions(&self) -> SocketPermissions {
        let owner = self.owner.unwrap_or_default();
        SocketPermissions::new().mode(self.mode).owner(owner.user).group(owner.group)
    }

    /// None if nothing is blocked.
    pub fn block_list(&self) -> Result<Option<BlockList>, Error> {
        joined(&self.block)
    }

    /// None if everybody may come.
    pub fn allow_list(&self) -> Result<Option<BlockList>, Error> {
        joined(&self.allow)
    }

    pub fn memory(&self) -> Option<usize> {
        self.memory.as_ref().map(|size| size.bytes)
    }

    pub fn send_buffer(&self) -> Option<usize> {
        self.send_buffer.as_ref().map(|size| size.bytes)
    }

    /// How many connections an address may have.
    pub fn max_per_address(&self, is_loopback: bool) -> Option<usize> {
        const DEFAULT: usize = 64;

        self.max_per_address.unwrap_or((!is_loopback).then_some(DEFAULT))
    }

    pub fn keep_alive(&self) -> Option<KeepAlive> {
        probes(self.keep_alive)
    }

    pub fn verbosity(&self) -> LevelFilter {
        verbosity(self.quiet, self.verbose)
    }
}

/// A probe every ten seconds after this silence, where Node sends one each second: a peer may be without a network for a minute.
pub(super) fn probes(silence: OrNone<Duration>) -> Option<KeepAlive> {
    let interval = Duration::from_secs(10);
    silence.map(|silence| KeepAlive::new().initial_delay(silence).interval(interval).count(6))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{daemon, wrong};
    use super::*;

    #[test]
    fn verbosity_goes_up_or_down_but_not_both() {
        for (flag, level) in [("-q", LevelFilter::Error), ("-v", LevelFilter::Debug), ("-vv", LevelFilter::Trace)] {
            assert_eq!(daemon(&[flag]).verbosity(), level);
        }
        assert_eq!(daemon(&["-v", "--verbose", "-v"]).verbosity(), LevelFilter::Trace);
        assert!(wrong(&["-q", "-v"]).contains("cannot be used with"));
    }
}
