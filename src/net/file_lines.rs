//! A file that is read line by line, a piece at a time.
//!
//! ```text
//!   Fresh ──open──▶ Open: pieces of whole lines ──its end, its bound, an error──▶ Over
//! ```

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::kernel::{Handle, Kernel, OpenMode};

/// What is read at a time. Where a piece ends depends on what is in the file alone, so those of a file that has not changed are the
/// same. To index one of the hosts file takes half a millisecond. A line that is longer does not count.
const PIECE: usize = 1 << 18;

#[derive(Debug)]
pub(super) struct FileLines {
    path: PathBuf,
    /// What is behind so many bytes does not count.
    most: usize,
    stage: Stage,
    /// How many bytes were read.
    length: usize,
    /// What was read last. The first of it have been given.
    buffer: Vec<u8>,
    given: usize,
    is_in_long_line: bool,
}

#[derive(Debug)]
enum Stage {
    Fresh,
    Open(Handle),
    Over,
}

/// What a piece ends with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filled {
    /// There may be more.
    More,
    End,
    /// There is more, and it does not count.
    Bound,
}

impl FileLines {
    /// Of a file of more than `most` bytes, the lines count that are whole.
    pub fn of(path: &Path, most: usize) -> Self {
        let (stage, path) = (Stage::Fresh, path.to_owned());
        FileLines { path, most, stage, length: 0, buffer: Vec::new(), given: 0, is_in_long_line: false }
    }

    /// All of a file that has little more than a piece.
    pub fn read_all(path: &Path, most: usize, kernel: &mut dyn Kernel) -> io::Result<Vec<u8>> {
        let mut lines = FileLines::of(path, most);
        let mut all = Vec::new();
        while !lines.is_over() {
            all.extend_from_slice(lines.read(kernel)?);
        }
        Ok(all)
    }

    /// Whether all has been given, or there was an error.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// The next lines, whole ones. A file that does not exist has none.
    pub fn read(&mut self, kernel: &mut dyn Kernel) -> io::Result<&[u8]> {
        self.buffer.drain(..self.given);
        self.given = 0;
        let filled = self.fill(kernel);
        if !matches!(filled, Ok(Filled::More)) {
            self.close(kernel);
        }
        Ok(self.lines(filled?))
    }

    /// Nothing more of it is wanted.
    pub fn close(&mut self, kernel: &mut dyn Kernel) {
        if let Stage::Open(file) = std::mem::replace(&mut self.stage, Stage::Over) {
            kernel.close(file);
        }
    }

    fn fill(&mut self, kernel: &mut dyn Kernel) -> io::Result<Filled> {
        let file = match self.stage {
            Stage::Over => return Ok(Filled::End),
            Stage::Open(file) => file,
            Stage::Fresh => match kernel.open(&self.path, OpenMode::Read) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Filled::End),
                opened => opened?,
            },
        };
        self.stage = Stage::Open(file);
        while self.buffer.len() < PIECE {
            let before = self.buffer.len();
            self.buffer.resize(PIECE, 0);
            let read = again(|| kernel.read(file, &mut self.buffer[before..]));
            self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
            match read? {
                0 => return Ok(Filled::End),
                read => self.length += read,
            }
            if let Some(beyond) = self.length.checked_sub(self.most).filter(|beyond| *beyond > 0) {
                log::warn!(
                    "{} has more than {} bytes: what is behind them does not count",
                    self.path.display(),
                    self.most
                );
                self.buffer.truncate(self.buffer.len().saturating_sub(beyond));
                return Ok(Filled::Bound);
            }
        }
        Ok(Filled::More)
    }

    /// Those of what was read. What is left of it is the beginning of the next one.
    fn lines(&mut self, filled: Filled) -> &[u8] {
        let all = self.buffer.len();
        let begin = match self.is_in_long_line {
            true => memchr::memchr(b'\n', &self.buffer).map_or(all, |at| at + 1),
            false => 0,
        };
        let last = memchr::memrchr(b'\n', &self.buffer).map(|at| at + 1);
        let end = if filled == Filled::End { all } else { last.unwrap_or(begin) };
        self.is_in_long_line = filled == Filled::More && last.is_none();
        self.given = if self.is_in_long_line { all } else { end };
        &self.buffer[begin..end]
    }
}

/// The same call again, if a signal has interrupted it.
pub(super) fn again(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}
