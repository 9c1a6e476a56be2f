//! The program `tidegate`, from outside: the real binary, real sockets.

#![cfg(all(feature = "cli", unix))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../support/mod.rs"]
mod support;

/// `tidegate bench`.
mod bench;
/// `tidegate chat`.
mod chat;
/// The command line, what keeps the daemon from starting, and the log.
mod cli;
/// `--config`, `tidegate run` and `tidegate check`.
mod configuration;
/// `tidegate connect`.
#[cfg(target_os = "linux")]
mod connect;
/// `tidegate echo`.
mod echo;
/// `--explain`: what the loop does, told.
mod explaining;
/// `tidegate hub`.
mod hub;
/// Looking at a role: the page, `tidegate inspect`, Prometheus.
mod inspect;
/// `--inspect`.
mod inspector;
/// `--keep-alive`.
mod keep_alive;
/// `--log` and `--log-file`.
mod logging;
/// `--bus`: one room over several processes.
mod machines;
/// `tidegate man` and `tidegate completions`.
mod manual;
/// What a service manager is told.
mod notifying;
/// What an operator tells it by signals, and its log.
mod operator;
/// The daemon among other processes.
mod processes;
/// `tidegate proxy`.
mod proxy;
/// `--record` and `tidegate replay`.
mod recording;
/// SIGHUP with `--config`.
mod reloading;
/// What the roles have in common: bounds, idle connections, one thread.
mod roles;
/// `tidegate sink` and `tidegate source`.
mod sink_and_source;
/// Signals, and what is still sent before the end.
mod stopping;
/// Guests of a room who do not read.
mod stuck_reader;
/// The units of `docs/systemd.md`, and what systemd passes.
mod systemd;
/// Unix sockets.
mod unix;
