//! What a connection has that is a file: one half, whose other side is a disk, a pipe of the system's or a terminal.
//!
//! Once it is open, a file is a connection like any other. What is different:
//!
//! - It has one half: see `Connection::reading_file` and `Connection::writing_file`. One that is opened in both directions
//!   has both, as a socket has: `Connection::two_way_file`.
//! - It moves one piece a turn, 64 KiB at most, and nothing inside a call: a slow disk holds the loop up for no longer.
//! - Its latches stay until a call finds nothing. Of a file that never says so (a regular one) they stay for ever: it
//!   has work whenever somebody takes its data or a write is in flight, and is served in turn with the sockets that have.
//!
//! `docs/decisions/0006-files.md` says why.

use crate::kernel::{OpenMode, Watch};
use crate::net::read_buffer::READ_BUFFER;

/// What a connection that is a file has, and a socket has not.
#[derive(Debug)]
pub(in crate::net) struct FileEnd {
    pub mode: OpenMode,
    piece: usize,
    /// Bytes that the kernel took.
    pub written: u64,
    /// Stdio output or standard error: a pipe does not end it.
    is_process_output: bool,
    /// How the loop learns that it is ready.
    pub watch: Watch,
}

impl FileEnd {
    pub fn new(mode: OpenMode, high_water_mark: usize) -> Self {
        FileEnd {
            mode,
            piece: high_water_mark.min(READ_BUFFER),
            written: 0,
            is_process_output: false,
            watch: Watch::Edges,
        }
    }

    pub fn of_the_process(self) -> Self {
        FileEnd { is_process_output: self.mode.is_written(), ..self }
    }

    /// The most bytes of one read.
    pub fn piece(&self) -> usize {
        self.piece
    }

    pub fn is_process_output(&self) -> bool {
        self.is_process_output
    }
}
