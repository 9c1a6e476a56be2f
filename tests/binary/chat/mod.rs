//! The chat room: the real binary, real sockets, exact lines.
//!
//! Guests who do not read are in `stuck_reader.rs`, the end of the room in `stopping.rs`.

/// The other commands: /who, /quit, /help, and what is no command.
mod commands;
/// Many guests come and go at once.
mod crowds;
/// `--flood`: how fast a guest may speak.
mod flood;
/// Bytes that are no text, and text that is no plain text.
mod harmless;
/// `--idle-timeout`, `--max-connections`, `--block`, the descriptor limit, several `--listen`.
mod limits;
/// Lines: who hears them, and in which order.
mod lines;
/// Lines that are too long.
mod long_lines;
/// Names: which are allowed, and who is told.
mod names;
/// Guests come and go: what they are told, and what the others are.
mod presence;
/// The clients that people have: telnet and PuTTY.
mod real_clients;
/// Clients that are no chat clients.
mod strangers;
/// Guests who come with a telnet client.
mod telnet;
