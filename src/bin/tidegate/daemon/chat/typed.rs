//! What a guest has typed: lines, and telnet's commands among them.
//!
//! A line ends with LF, CR LF, CR NUL or CR: netcat, telnet, telnet in character mode, and serial devices. A CR ends the line
//! at once, and an LF or NUL after it belongs to that end, also in the next chunk. So each end is known as soon as it comes.
//!
//! ```text
//! chunk   "hello\r\n", FF FD 06, "how are you?\nfi"
//!          Line        Command    Line          held by `Lines`
//! ```
//!
//! A line that is in the chunk as a whole is not copied. The next one of the bytes that end a line or begin a command is
//! found by one search.

use memchr::memchr3;
use tidegate::{Line, Lines};

use super::opening::{Opened, Opening};
use super::stranger::Stranger;
use super::telnet::{Command, IAC, Telnet};

/// The longest line, without its end. It counts before Backspace takes anything away.
pub const LONGEST_LINE: usize = 4096;

/// What Backspace sends, in telnet's words and in those of a terminal.
const BACKSPACE: u8 = 0x08;

/// Cuts what a guest sends.
#[derive(Debug)]
pub struct Typed {
    lines: Lines,
    telnet: Telnet,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// At the beginning of the connection.
    Opening(Opening),
    /// A line was ended by a CR. What belongs to that end may follow.
    AfterCr,
    Text,
}

/// What comes next.
#[derive(Debug)]
pub enum Next<'c> {
    Line(Line<'c>),
    /// A telnet command, and what it is to be answered with.
    Command(Option<Answer>),
    /// The client is no chat client.
    Stranger(Stranger),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A sign of life.
    Here,
    /// These bytes.
    Bytes([u8; 3]),
}

impl Default for Typed {
    fn default() -> Self {
        Typed { lines: Lines::at_most(LONGEST_LINE), telnet: Telnet::new(), place: Place::Opening(Opening::default()) }
    }
}

impl Typed {
    /// Takes the next line or command off `rest`, the rest of a chunk. None if there is no other: then all of it was taken,
    /// and an unfinished line is held.
    pub fn next<'c>(&mut self, rest: &mut &'c [u8]) -> Option<Next<'c>> {
        loop {
            if self.telnet.has_begun() {
                let command = self.telnet.read(rest)?;
                if let Some(next) = self.obey(command) {
                    return Some(next);
                }
                continue;
            }
            match &mut self.place {
                Place::Text => {}
                Place::AfterCr => self.swallow(rest),
                Place::Opening(opening) => match opening.read(rest) {
                    Some(Opened::Stranger(stranger)) => {
                        self.place = Place::Text;
                        return Some(Next::Stranger(stranger));
                    }
                    Some(Opened::Text(text)) => self.begin_with(text),
                    None => {}
                },
            }
            if let Some(line) = self.line(rest) {
                return Some(Next::Line(line));
            }
            if rest.is_empty() {
                return None;
            }
        }
    }

    /// Takes the end of the stream, and gives the last line if it has no end of its own.
    pub fn finish(&mut self) -> Option<Line<'static>> {
        self.begin_text();
        let too_long = if self.telnet.finish() { self.lines.push(&[IAC]).next() } else { None };
        let last = self.lines.finish();
        too_long.or(last)
    }

    /// Whether the client speaks telnet.
    pub fn is_telnet(&self) -> bool {
        self.telnet.is_spoken()
    }

    /// The connection has begun with text, of which these bytes were looked at. What they have of lines is empty.
    fn begin_with(&mut self, mut text: &'static [u8]) {
        self.place = Place::Text;
        while !text.is_empty() {
            self.line(&mut text);
        }
    }

    /// Text comes next, whatever came before it.
    fn begin_text(&mut self) {
        match self.place {
            Place::Opening(opening) => self.begin_with(opening.came()),
            Place::AfterCr | Place::Text => self.place = Place::Text,
        }
    }

    /// Takes an LF or a NUL that belongs to the end of the line before. A command may come between them.
    fn swallow(&mut self, rest: &mut &[u8]) {
        if let Some((first, after)) = rest.split_first().filter(|(first, _)| **first != IAC) {
            self.place = Place::Text;
            if matches!(first, b'\n' | b'\0') {
                *rest = after;
            }
        }
    }

    /// Takes what comes before the end of a line, or before a command, or all. Gives the line if there is one.
    #[inline]
    fn line<'c>(&mut self, rest: &mut &'c [u8]) -> Option<Line<'c>> {
        let Some(end) = memchr3(b'\n', b'\r', IAC, rest) else {
            return self.lines.push(std::mem::take(rest)).next();
        };
        let (piece, mut after) = (&rest[..end], &rest[end + 1..]);
        let line = match rest[end] {
            b'\n' => self.lines.push(&rest[..=end]).next(),
            // A CR LF in one piece needs no copy.
            b'\r' if after.first() == Some(&b'\n') => {
                after = &after[1..];
                self.lines.push(&rest[..end + 2]).next()
            }
            b'\r' => {
                self.place = Place::AfterCr;
                let too_long = self.lines.push(piece).next();
                let line = self.lines.finish();
                too_long.or(line)
            }
            _ => {
                self.telnet.begin();
                self.lines.push(piece).next()
            }
        };
        *rest = after;
        line
    }

    /// None if it is text, and there is no line that has become too long.
    #[cold]
    fn obey<'c>(&mut self, command: Command) -> Option<Next<'c>> {
        let typed = match command {
            Command::Text => &[IAC][..],
            // A line of which nothing is said, up to its end: nobody knows where the text begins again.
            Command::TooLong => &[0; LONGEST_LINE + 1],
            Command::EraseCharacter => &[BACKSPACE],
            Command::EraseLine => {
                // Not one whose rest is dropped: that would end there.
                if self.lines.held() > 0 {
                    self.lines = Lines::at_most(LONGEST_LINE);
                }
                return Some(Next::Command(None));
            }
            Command::AreYouThere => return Some(Next::Command(Some(Answer::Here))),
            Command::Refuse(answer) => return Some(Next::Command(Some(Answer::Bytes(answer)))),
            Command::Other => return Some(Next::Command(None)),
        };
        self.begin_text();
        self.lines.push(typed).next().map(Next::Line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a stream in these chunks, and at its end, without empty lines.
    fn typed<'c>(chunks: impl IntoIterator<Item = &'c [u8]>) -> Vec<String> {
        let (mut typed, mut came) = (Typed::default(), Vec::new());
        for mut chunk in chunks {
            while let Some(next) = typed.next(&mut chunk) {
                came.push(shown(&next));
            }
            assert_eq!(chunk, b"");
        }
        came.extend(typed.finish().map(|line| shown(&Next::Line(line))));
        came.retain(|line| !line.is_empty());
        came
    }

    fn shown(next: &Next<'_>) -> String {
        match next {
            Next::Line(line) if line.is_too_long() => format!("{} bytes!", line.bytes().len()),
            Next::Line(line) => line.bytes().escape_ascii().to_string(),
            Next::Command(None) => "<command>".to_owned(),
            Next::Command(Some(Answer::Here)) => "<here>".to_owned(),
            Next::Command(Some(Answer::Bytes(bytes))) => format!("<{bytes:x?}>"),
            Next::Stranger(stranger) => format!("<{stranger:?}>"),
        }
    }

    /// However the stream is cut, the same comes of it.
    #[track_caller]
    fn comes(stream: &[u8], expected: &[&str]) {
        assert_eq!(typed([stream]), expected, "\"{}\"", stream.escape_ascii());
        if stream.len() <= 14 {
            for cuts in 0..1_u32 << (stream.len().max(1) - 1) {
                let is_cut = |at: &usize| cuts >> (at - 1) & 1 == 1;
                let ends: Vec<usize> = (1..stream.len()).filter(is_cut).chain([stream.len()]).collect();
                let begins = [0].into_iter().chain(ends.iter().copied());
                let chunks = begins.zip(&ends).map(|(begin, end)| &stream[begin..*end]);
                assert_eq!(typed(chunks), expected, "\"{}\" cut {cuts:b}", stream.escape_ascii());
            }
        }
        assert_eq!(typed(stream.chunks(1)), expected, "byte by byte");
        for at in 0..stream.len() {
            let (first, second) = stream.split_at(at);
            assert_eq!(typed([first, second]), expected, "cut at {at}");
        }
    }

    #[test]
    fn every_kind_of_enter_ends_a_line() {
        comes(b"one\ntwo\n", &["one", "two"]);
        comes(b"one\r\ntwo\r\n", &["one", "two"]);
        comes(b"one\r\0two\r\0", &["one", "two"]);
        comes(b"one\rtwo\r", &["one", "two"]);
        comes(b"a\r\r\nb\r\r\0c\n\rd", &["a", "b", "c", "d"]);
    }

    #[test]
    fn an_lf_after_a_cr_is_no_line_of_its_own() {
        let count = |chunks: &[&[u8]]| {
            let mut typed = Typed::default();
            chunks
                .iter()
                .map(|chunk| {
                    std::iter::from_fn({
                        let (typed, mut rest) = (&mut typed, *chunk);
                        move || typed.next(&mut rest).map(drop)
                    })
                    .count()
                })
                .sum::<usize>()
        };
        assert_eq!(count(&[b"one\r\n"]), 1);
        assert_eq!(count(&[b"one\r", b"\n"]), 1);
        assert_eq!(count(&[b"one\r", b"", b"\0two\r"]), 2);
        assert_eq!(count(&[b"one\n", b"\n"]), 2);
    }

    #[test]
    fn a_cr_ends_the_line_at_once() {
        let mut typed = Typed::default();
        assert!(matches!(typed.next(&mut &b"now\r"[..]), Some(Next::Line(line)) if line.bytes() == b"now"));
        assert!(typed.next(&mut &b"\0"[..]).is_none());
        assert!(typed.finish().is_none());
    }

    #[test]
    fn a_nul_that_follows_no_cr_stays() {
        comes(b"a\0b\0\n", &["a\\x00b\\x00"]);
        comes(b"\0\n", &["\\x00"]);
    }

    #[test]
    fn a_plain_line_is_not_copied() {
        let chunk = b"one\ntwo\r\nthree\n".to_vec();
        let (mut typed, mut rest) = (Typed::default(), &chunk[..]);
        let mut count = 0;
        while let Some(Next::Line(line)) = typed.next(&mut rest) {
            assert!(chunk.as_ptr_range().contains(&line.bytes().as_ptr()));
            count += 1;
        }
        assert_eq!(count, 3);
    }

    #[test]
    fn a_line_is_too_long_by_the_bytes_that_were_typed() {
        let long = |length, end: &str| [&vec![b'x'; length][..], end.as_bytes()].concat();
        for end in ["\n", "\r\n", "\r\0", "\r", ""] {
            assert_eq!(typed([&long(4096, end)[..]]), ["x".repeat(4096)], "{end:?}");
            assert_eq!(typed([&long(4097, end)[..], b"next\n"]).first().unwrap(), "4096 bytes!", "{end:?}");
        }
        for end in ["\n", "\r\n", "\r\0", "\r"] {
            assert_eq!(typed([&long(4096, ""), &long(4000, end)[..], b"next"]), ["4096 bytes!", "next"], "{end:?}");
        }
        assert_eq!(typed([&long(4096, "\x08\n")[..]]), ["4096 bytes!"]);
        assert_eq!(typed([b"\xEF\xBB\xBF", &long(4096, "\n")[..]]), ["x".repeat(4096)], "the mark does not count");
    }

    #[test]
    fn a_mark_is_dropped_at_the_beginning_only() {
        comes(b"\xEF\xBB\xBFa\n", &["a"]);
        comes(b"\xEF\xBB\xBF\xEF\xBB\xBFa", &[r"\xef\xbb\xbfa"]);
        comes(b"a\n\xEF\xBB\xBFb", &["a", r"\xef\xbb\xbfb"]);
        comes(b"\xEF\xBBa", &[r"\xef\xbba"]);
        comes(b"\xEF\xBB", &[r"\xef\xbb"]);
        comes(b"\xEF\xBB\xBF", &[]);
    }

    #[test]
    fn what_only_begins_like_another_protocol_is_text() {
        comes(b"\x16a\n", &[r"\x16a"]);
        comes(b"\x16", &[r"\x16"]);
        comes(b"\r\n\r\n\0\r\nQUA\n", &["QUA"]);
        comes(b"\r\n\r\n\0\r\n\xFF\xFFa\n", &[r"\xff\xffa"]);
        comes(b"\r", &[]);
        comes(b"\r\n\r\n\0\r\nQUIT", &["QUIT"]);
    }

    #[test]
    fn another_protocol_is_known_at_once() {
        assert_eq!(typed([&b"\x16"[..], b"\x03"]), ["<Tls>"]);
        assert_eq!(typed([&b"\r\n\r\n\0\r\nQUIT\n"[..]]), ["<Proxy>"]);
    }

    #[test]
    fn commands_are_taken_out_of_a_line_and_of_a_character() {
        comes(b"gr\xC3\xFF\xFD\x06\xBCn\n", &["<[ff, fc, 6]>", r"gr\xc3\xbcn"]);
        comes(b"a\r\xFF\xF1\nb", &["a", "<command>", "b"]);
        comes(b"\xFF\xFB\x01\xEF\xBB\xFF\xF1\xBFb", &["<[ff, fe, 1]>", "<command>", "b"]);
        comes(b"\xEF\xFF\xEFb", &[r"\xef\xff\xefb"]);
        comes(b"a\xFF\xF6b\xFF\xFF\n", &["<here>", r"ab\xff"]);
        comes(b"a\xFF\xFA\x18\n\r\xFF\xF0b", &["<command>", "ab"]);
    }

    #[test]
    fn an_ff_without_telnet_stays_what_it_is() {
        comes(b"caf\xFF\n", &[r"caf\xff"]);
        comes(b"\xFF\xFF\xFFa\xFF", &[r"\xff\xff\xffa\xff"]);
        comes(b"\xFF\xF1\xFF", &["<command>"]);
    }

    #[test]
    fn telnet_can_erase() {
        comes(b"ab\xFF\xF7c\n", &["ab\\x08c"]);
        comes(b"ab\xFF\xF8c\n", &["<command>", "c"]);
        let long = [&[b'x'; 4097][..], b"\xFF\xF8y\nz\n"].concat();
        assert_eq!(typed([&long[..]]), ["4096 bytes!", "<command>", "z"]);
    }

    #[test]
    fn a_subnegotiation_that_never_ends_is_a_line_that_is_too_long() {
        let stream = [&b"a\xFF\xFA"[..], &[b'x'; 5000], b"\nnext\n"].concat();
        assert_eq!(typed([&stream[..]]), ["4096 bytes!", "next"]);
        assert_eq!(typed(stream.chunks(1)), ["4096 bytes!", "next"]);
        assert_eq!(typed([&stream[..3000]]), ["a"]);
    }
}
