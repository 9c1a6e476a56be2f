//! How a line of the chat looks, which is known again behind whatever a server puts in front of it:
//! `#tg1a2b 003 0000000042 xxxxxxxx`, the run, the speaker, the line and what fills it up.

/// How all lines of a run look.
pub struct Form {
    /// What all lines of this run begin with.
    mark: Vec<u8>,
    /// A whole line with its end; the numbers in it are written anew.
    line: Vec<u8>,
}

/// What a line that came is.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    Own {
        speaker: usize,
        line: u64,
    },
    /// It has the mark of this run, and is not as it was.
    Changed,
    Foreign,
}

const SPEAKER_DIGITS: usize = 3;
const LINE_DIGITS: usize = 10;

/// The two numbers, each with a space behind it.
const NUMBERS: usize = SPEAKER_DIGITS + 1 + LINE_DIGITS + 1;

impl Form {
    pub fn new(run: u32, size: usize) -> Self {
        let mark = format!("#tg{:04x} ", run & 0xFFFF).into_bytes();
        let mut line = mark.clone();
        line.extend([b' '; NUMBERS]);
        line.resize(size - 1, b'x');
        line.push(b'\n');
        Form { mark, line }
    }

    pub fn line(&mut self, speaker: usize, line: u64) -> &[u8] {
        let digits = &mut self.line[self.mark.len()..];
        write_digits(&mut digits[..SPEAKER_DIGITS], speaker as u64);
        write_digits(&mut digits[SPEAKER_DIGITS + 1..][..LINE_DIGITS], line);
        &self.line
    }

    /// Whatever is in front of it is the server's.
    #[inline]
    pub fn read(&self, line: &[u8]) -> Read {
        let length = self.line.len() - 1;
        let Some(own) = line.len().checked_sub(length).map(|begin| &line[begin..]) else { return self.changed(line) };
        let Some(rest) = own.strip_prefix(&self.mark[..]) else { return self.changed(line) };
        let speaker = read_digits(&rest[..SPEAKER_DIGITS]);
        let number = read_digits(&rest[SPEAKER_DIGITS + 1..][..LINE_DIGITS]);
        match (speaker, number) {
            (Some(speaker), Some(line)) if rest[NUMBERS..] == self.line[self.mark.len() + NUMBERS..length] => {
                Read::Own { speaker: speaker as usize, line }
            }
            _ => Read::Changed,
        }
    }

    #[cold]
    fn changed(&self, line: &[u8]) -> Read {
        let is_ours = line.windows(self.mark.len()).any(|part| part == self.mark);
        if is_ours { Read::Changed } else { Read::Foreign }
    }
}

/// The last digits, if there is no room for all.
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
    fn a_line_is_known_again_behind_a_name() {
        let mut form = Form::new(0x1a2b, 40);
        let line = form.line(3, 42).to_vec();
        assert_eq!(line, b"#tg1a2b 003 0000000042 xxxxxxxxxxxxxxxx\n");
        let line = &line[..39];
        let own = Read::Own { speaker: 3, line: 42 };
        assert_eq!(form.read(line), own);
        assert_eq!(form.read(&[b"guest17: ", line].concat()), own);
    }

    #[test]
    fn what_is_changed_is_told_from_what_is_foreign() {
        let mut form = Form::new(0x1a2b, 40);
        let line = form.line(3, 42)[..39].to_vec();
        assert_eq!(form.read(&line[..38]), Read::Changed);
        assert_eq!(form.read(&[&line[..], b"!"].concat()), Read::Changed);
        for at in [9, 14, 30] {
            let mut other = line.clone();
            other[at] = b'?';
            assert_eq!(form.read(&other), Read::Changed, "at {at}");
        }
        for foreign in [&b""[..], b"* guest1 joined; 1 online", &Form::new(0x1a2c, 40).line(3, 42)[..39]] {
            assert_eq!(form.read(foreign), Read::Foreign);
        }
    }
}
