//! The form of a line of the chat, by which it is recognized after whatever a server puts before it:
//! `#tg1a2b 003 0000000042 xxxxxxxx`. That is the run, the sender, the line, and padding.

use super::excerpt::{difference, excerpt};
use crate::cli::counted;

pub struct LineFormat {
    /// The beginning of all lines of this run.
    mark: Vec<u8>,
    /// A whole line with its end. The two numbers in it are overwritten for each line.
    line: Vec<u8>,
}

/// A line that came.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    Own {
        sender: usize,
        line: u64,
    },
    /// It has the mark of this run, but is not what was sent.
    Changed,
    Foreign,
}

const SENDER_DIGITS: usize = 3;
const LINE_DIGITS: usize = 10;

/// The two numbers, each with a space after it.
const NUMBERS: usize = SENDER_DIGITS + 1 + LINE_DIGITS + 1;

impl LineFormat {
    pub fn new(run: u32, size: usize) -> Self {
        let mark = format!("#tg{:04x} ", run & 0xFFFF).into_bytes();
        let mut line = mark.clone();
        line.extend([b' '; NUMBERS]);
        line.resize(size - 1, b'x');
        line.push(b'\n');
        LineFormat { mark, line }
    }

    pub fn line(&mut self, sender: usize, line: u64) -> &[u8] {
        let digits = &mut self.line[self.mark.len()..];
        write_digits(&mut digits[..SENDER_DIGITS], sender as u64);
        write_digits(&mut digits[SENDER_DIGITS + 1..][..LINE_DIGITS], line);
        &self.line
    }

    /// A line without its end.
    #[inline]
    pub fn read(&self, line: &[u8]) -> Read {
        let length = self.line.len() - 1;
        let Some(own) = line.len().checked_sub(length).map(|begin| &line[begin..]) else { return self.changed(line) };
        let Some(rest) = own.strip_prefix(&self.mark[..]) else { return self.changed(line) };
        let sender = read_digits(&rest[..SENDER_DIGITS]);
        let number = read_digits(&rest[SENDER_DIGITS + 1..][..LINE_DIGITS]);
        match (sender, number) {
            (Some(sender), Some(line)) if rest[NUMBERS..] == self.line[self.mark.len() + NUMBERS..length] => {
                Read::Own { sender: sender as usize, line }
            }
            _ => Read::Changed,
        }
    }

    /// Where a line that was changed differs first from the line that it was, as far as its numbers can be read.
    pub fn difference(&self, line: &[u8]) -> String {
        let begin = line.windows(self.mark.len()).position(|part| part == self.mark).unwrap_or_default();
        let came = &line[begin..];
        let mut expected = self.line[..self.line.len() - 1].to_vec();
        let numbers = self.mark.len()..self.mark.len() + NUMBERS;
        for (expected, came) in expected.iter_mut().zip(came).take(numbers.end).skip(numbers.start) {
            if *expected != b' ' && came.is_ascii_digit() {
                *expected = *came;
            }
        }
        let same = expected.iter().zip(came).take_while(|(expected, came)| expected == came).count();
        let at = begin + same;
        match (&expected[same..], &came[same..]) {
            ([], more) => format!("after its end {} came", excerpt(more)),
            (rest, []) => format!("it ended after {} with {} missing", counted(at as u64, "byte"), excerpt(rest)),
            (expected, came) => format!("at byte {at}: {}", difference(expected, came)),
        }
    }

    #[cold]
    fn changed(&self, line: &[u8]) -> Read {
        let is_ours = line.windows(self.mark.len()).any(|part| part == self.mark);
        if is_ours { Read::Changed } else { Read::Foreign }
    }
}

/// Only the last digits, if there is no room for all.
fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn read_digits(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0, |number: u64, digit| digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_recognized_after_a_name() {
        let mut format = LineFormat::new(0x1a2b, 40);
        let line = format.line(3, 42).to_vec();
        assert_eq!(line, b"#tg1a2b 003 0000000042 xxxxxxxxxxxxxxxx\n");
        let line = &line[..39];
        let own = Read::Own { sender: 3, line: 42 };
        assert_eq!(format.read(line), own);
        assert_eq!(format.read(&[b"guest17: ", line].concat()), own);
    }

    #[test]
    fn a_changed_line_is_told_from_a_foreign_one() {
        let mut format = LineFormat::new(0x1a2b, 40);
        let line = format.line(3, 42)[..39].to_vec();
        assert_eq!(format.read(&line[..38]), Read::Changed);
        assert_eq!(format.read(&[&line[..], b"!"].concat()), Read::Changed);
        for at in [9, 14, 30] {
            let mut other = line.clone();
            other[at] = b'?';
            assert_eq!(format.read(&other), Read::Changed, "at {at}");
        }
        let mut other = [b"guest1: ", &line[..]].concat();
        other[34] = b'y';
        assert_eq!(format.difference(&other), "at byte 34: expected 'xxxxxxxxxxxxx', but 'yxxxxxxxxxxxx' came");
        assert_eq!(format.difference(&line[..38]), "it ended after 38 bytes with 'x' missing");
        assert_eq!(format.difference(&[&line[..], b"!"].concat()), "after its end '!' came");
        for foreign in [&b""[..], b"* guest1 joined; 1 online", &LineFormat::new(0x1a2c, 40).line(3, 42)[..39]] {
            assert_eq!(format.read(foreign), Read::Foreign);
        }
    }
}
