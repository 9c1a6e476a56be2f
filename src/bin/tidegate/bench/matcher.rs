//! Finds the ends of answers in a stream of bytes, however it is cut into chunks.

use std::rc::Rc;

use crate::cli::Expected;

/// Where a stream is in the answer that it is compared with.
#[derive(Clone, Debug)]
pub struct Matcher {
    steps: Rc<[Step]>,
    /// Which step is next, and how many bytes of its literal have matched.
    step: usize,
    matched: usize,
}

/// The first byte that is not what was expected. The bytes after it have no meaning.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Where it is in the chunk.
    pub at: usize,
    /// What should have come from there on, up to the next wildcard or the end of the answer.
    pub expected: Vec<u8>,
}

#[derive(Debug)]
enum Step {
    /// These bytes come next.
    Literal(Vec<u8>),
    /// These bytes come after any others. With the failure function of Knuth, Morris and Pratt: for each prefix of the
    /// literal, the length of its longest proper suffix that is a prefix too.
    Search(Vec<u8>, Vec<usize>),
}

impl Matcher {
    pub fn new(expected: &Expected) -> Self {
        let steps = expected.0.iter().map(|piece| match &piece.literal {
            literal if piece.after_wildcard => Step::Search(literal.clone(), failure_function(literal)),
            literal => Step::Literal(literal.clone()),
        });
        Matcher { steps: steps.collect(), step: 0, matched: 0 }
    }

    /// Reads a chunk, and returns how many answers end in it.
    ///
    /// # Errors
    /// The first wrong byte.
    pub fn read(&mut self, chunk: &[u8]) -> Result<usize, Wrong> {
        let mut answers = 0;
        let mut at = 0;
        while at < chunk.len() {
            let (length, literal) = match &self.steps[self.step] {
                Step::Search(literal, failure) => (search(literal, failure, &mut self.matched, &chunk[at..]), literal),
                Step::Literal(literal) => {
                    let compared = compare(literal, &mut self.matched, &chunk[at..]);
                    let wrong = |wrong| Wrong { at: at + wrong, expected: literal[self.matched + wrong..].to_vec() };
                    (compared.map_err(wrong)?, literal)
                }
            };
            at += length;
            if self.matched == literal.len() {
                self.matched = 0;
                self.step = (self.step + 1) % self.steps.len();
                answers += usize::from(self.step == 0);
            }
        }
        Ok(answers)
    }
}

fn failure_function(literal: &[u8]) -> Vec<usize> {
    let mut failure = vec![0; literal.len()];
    let mut length = 0;
    for end in 1..literal.len() {
        while length > 0 && literal[length] != literal[end] {
            length = failure[length - 1];
        }
        length += usize::from(literal[length] == literal[end]);
        failure[end] = length;
    }
    failure
}

/// Reads up to the end of the literal or of the bytes, and returns how far that is.
fn search(literal: &[u8], failure: &[usize], matched: &mut usize, bytes: &[u8]) -> usize {
    for (at, byte) in bytes.iter().enumerate() {
        while *matched > 0 && literal[*matched] != *byte {
            *matched = failure[*matched - 1];
        }
        *matched += usize::from(literal[*matched] == *byte);
        if *matched == literal.len() {
            return at + 1;
        }
    }
    bytes.len()
}

fn compare(literal: &[u8], matched: &mut usize, bytes: &[u8]) -> Result<usize, usize> {
    let expected = &literal[*matched..];
    let length = expected.len().min(bytes.len());
    match first_difference(&expected[..length], &bytes[..length]) {
        None => {
            *matched += length;
            Ok(length)
        }
        Some(wrong) => Err(wrong),
    }
}

/// Of two slices of the same length.
pub fn first_difference(expected: &[u8], received: &[u8]) -> Option<usize> {
    if expected == received {
        return None; // the usual case, and the fast one
    }
    expected.iter().zip(received).position(|(expected, received)| expected != received)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(expected: &str) -> Matcher {
        Matcher::new(&expected.parse().unwrap())
    }

    #[test]
    fn answers_are_counted_however_the_stream_is_cut() {
        let stream = b"+PONG\r\n".repeat(5);
        for size in 1..=stream.len() {
            let mut pong = matcher(r"+PONG\r\n");
            let answers: usize = stream.chunks(size).map(|chunk| pong.read(chunk).unwrap()).sum();
            assert_eq!(answers, 5, "in chunks of {size}");
        }
    }

    #[test]
    fn a_wrong_byte_is_found_where_it_is() {
        let mut pong = matcher(r"+PONG\r\n");
        assert_eq!(pong.read(b"+PONG\r\n+PO"), Ok(1));
        assert_eq!(pong.read(b"NK\r\n"), Err(Wrong { at: 1, expected: b"G\r\n".to_vec() }));
        assert_eq!(matcher("ab").read(b"abc"), Err(Wrong { at: 2, expected: b"ab".to_vec() }));
    }

    #[test]
    fn a_wildcard_matches_as_few_bytes_as_possible() {
        let stream = b"200 OK\r\nA: 1\r\r\n\r\n\r\nhi200 OK\r\nB\r\n\r\nhi";
        for size in 1..=stream.len() {
            let mut http = matcher(r"200 OK\r\n\*\r\n\r\n\*hi");
            let answers: usize = stream.chunks(size).map(|chunk| http.read(chunk).unwrap()).sum();
            assert_eq!(answers, 2, "in chunks of {size}");
        }
        let mut line = matcher(r"\*aab\n");
        assert_eq!(line.read(b"aaab\naab\nxaaaaab\n"), Ok(3));
    }
}
