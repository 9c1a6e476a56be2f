//! A small file that is read whole, again and again, and seldom changes.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::kernel::{Kernel, OpenMode};

const PIECE: usize = 1 << 16;

/// What is in a file, if that is something else than `known`. One that does not exist is empty. Of one with more than `most` bytes,
/// the lines that are whole.
pub(super) fn read_if_other(
    kernel: &mut dyn Kernel,
    path: &Path,
    most: usize,
    known: &[u8],
) -> io::Result<Option<Vec<u8>>> {
    let file = match kernel.open(path, OpenMode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((!known.is_empty()).then(Vec::new)),
        opened => opened?,
    };
    let mut reading = Reading { known, same: 0, other: None };
    let mut piece = vec![0; PIECE];
    let read = loop {
        match again(|| kernel.read(file, &mut piece)) {
            Ok(0) => break Ok(()),
            Ok(length) => reading.go_on(&piece[..length]),
            Err(error) => break Err(error),
        }
        if reading.length() > most {
            log::warn!("{} has more than {most} bytes: what is behind them does not count", path.display());
            reading.cut(most);
            break Ok(());
        }
    };
    kernel.close(file);
    read.map(|()| reading.finish())
}

/// What was read, as long as it is the same, and from where it is not.
struct Reading<'a> {
    known: &'a [u8],
    same: usize,
    other: Option<Vec<u8>>,
}

impl Reading<'_> {
    fn length(&self) -> usize {
        self.other.as_ref().map_or(self.same, Vec::len)
    }

    fn go_on(&mut self, piece: &[u8]) {
        match &mut self.other {
            None if self.known[self.same..].starts_with(piece) => self.same += piece.len(),
            None => self.other = Some([&self.known[..self.same], piece].concat()),
            Some(other) => other.extend_from_slice(piece),
        }
    }

    /// Only the whole lines of so many bytes.
    fn cut(&mut self, most: usize) {
        let text = self.other.as_deref().unwrap_or(&self.known[..self.same]);
        let lines = text[..most].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        match &mut self.other {
            Some(other) => other.truncate(lines),
            None => self.same = lines,
        }
        // What was kept of the file was cut in the same way.
        if self.other.as_deref() == Some(self.known) {
            (self.other, self.same) = (None, self.known.len());
        }
    }

    fn finish(self) -> Option<Vec<u8>> {
        match self.other {
            None if self.same < self.known.len() => Some(self.known[..self.same].to_vec()),
            other => other,
        }
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
