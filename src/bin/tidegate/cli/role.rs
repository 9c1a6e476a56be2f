//! The roles of the daemon: what runs until it is stopped, and can be recorded and played again.

use clap::Subcommand;

use super::config::Source;
use super::explain::ExplainOptions;
use super::{ChatOptions, DaemonOptions, HubOptions, ProxyOptions, SourceOptions, help};

/// What the daemon is.
#[derive(Clone, Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "a process has one of it")]
pub enum Role {
    #[command(about = "Run a chat room that people join with nc, ncat or telnet", long_about = help::ABOUT_CHAT)]
    #[command(after_long_help = help::AFTER_CHAT_HELP)]
    Chat(ChatOptions),
    #[command(about = "Send every byte back to the client that sent it", long_about = help::ABOUT_ECHO)]
    #[command(after_long_help = help::AFTER_ECHO_HELP)]
    Echo(DaemonOptions),
    #[command(about = "Read everything and discard it", long_about = help::ABOUT_SINK)]
    #[command(after_long_help = help::AFTER_SINK_HELP)]
    Sink(DaemonOptions),
    #[command(about = "Send bytes without end, as fast as they are read", long_about = help::ABOUT_SOURCE)]
    #[command(after_long_help = help::AFTER_SOURCE_HELP)]
    Source(SourceOptions),
    #[command(about = "Pass each connection on to another server", long_about = help::ABOUT_PROXY)]
    #[command(after_long_help = help::AFTER_PROXY_HELP)]
    Proxy(ProxyOptions),
    #[command(about = "Pass on what each source says to all consumers", long_about = help::ABOUT_HUB)]
    #[command(after_long_help = help::AFTER_HUB_HELP)]
    Hub(HubOptions),
}

impl Role {
    /// The flags that every role has.
    pub fn daemon_options(&self) -> &DaemonOptions {
        match self {
            Role::Chat(ChatOptions { daemon, .. })
            | Role::Echo(daemon)
            | Role::Sink(daemon)
            | Role::Source(SourceOptions { daemon, .. })
            | Role::Proxy(ProxyOptions { daemon, .. })
            | Role::Hub(HubOptions { daemon, .. }) => daemon,
        }
    }

    fn daemon_options_mut(&mut self) -> &mut DaemonOptions {
        match self {
            Role::Chat(ChatOptions { daemon, .. })
            | Role::Echo(daemon)
            | Role::Sink(daemon)
            | Role::Source(SourceOptions { daemon, .. })
            | Role::Proxy(ProxyOptions { daemon, .. })
            | Role::Hub(HubOptions { daemon, .. }) => daemon,
        }
    }

    /// Has the role of a recording tell what its loop does, as it is wanted now.
    pub fn explain(&mut self, wanted: &ExplainOptions) {
        self.daemon_options_mut().explain = wanted.clone();
    }

    pub(super) fn came_from(&mut self, source: Source) {
        self.daemon_options_mut().source = source;
    }

    /// Finds what takes more than one flag to be wrong.
    pub(super) fn check(&self) -> Result<(), String> {
        let daemon = self.daemon_options();
        match self {
            Role::Hub(hub) => {
                let contents = "what a hub does depends on where frames end";
                daemon.check(&hub.listeners(), "--listen unix:PATH or --out unix:PATH", Some(contents))?;
                hub.check()
            }
            Role::Chat(ChatOptions { output, bus, .. }) => {
                let contents = "what a chat does depends on what its guests type";
                daemon.check(&daemon.listeners(), LISTEN_ON_A_PATH, Some(contents))?;
                output.check()?;
                bus.check()
            }
            Role::Echo(_) | Role::Sink(_) | Role::Source(_) | Role::Proxy(_) => {
                daemon.check(&daemon.listeners(), LISTEN_ON_A_PATH, None)
            }
        }
    }
}

/// What has a file.
const LISTEN_ON_A_PATH: &str = "--listen unix:PATH";
