//! The numbers of the signals that most programs ask for, for [`Loop::on_signal`](crate::Loop::on_signal).
//!
//! These three are the same on all Unix systems (POSIX, `kill -l`); others differ, so they are plain numbers.

/// SIGHUP: the terminal is gone, or, to many daemons, that the configuration is to be read again.
pub const HANGUP: i32 = 1;

/// SIGINT: Ctrl-C.
pub const INTERRUPT: i32 = 2;

/// SIGTERM: the polite way to stop a process, of `kill`, systemd and containers.
pub const TERMINATE: i32 = 15;
