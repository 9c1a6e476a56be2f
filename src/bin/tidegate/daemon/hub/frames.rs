//! Frames from the chunks of a stream: lines, chunks as they come, or messages with their length before them.
//!
//! A frame is passed on byte for byte. What is not whole yet is kept, and that is all that a producer costs.

use crate::cli::Frames;

/// Bytes of the length before a message.
const HEADER: usize = 4;

#[derive(Debug)]
pub struct Framer {
    frames: Frames,
    /// The longest content: without the LF, or without the length.
    most: usize,
    /// The beginning of a frame.
    kept: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Whole,
    /// The line is too long, and is left out up to its LF.
    LeavingOut,
    /// A message was too long. Where the next one begins is not known any more.
    Lost,
}

/// A frame that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    LineTooLong,
    /// The length that a message says. Nothing after it can be read.
    MessageTooLong(u32),
}

impl Framer {
    pub fn new(frames: Frames, most: usize) -> Self {
        Framer { frames, most, kept: Vec::new(), state: State::Whole }
    }

    /// Takes what has come. Each frame is whole, in two parts; each mistake comes in its place between them.
    pub fn push(&mut self, chunk: &[u8], mut found: impl FnMut(Result<[&[u8]; 2], Wrong>)) {
        match self.frames {
            Frames::Bytes if chunk.is_empty() => {}
            Frames::Bytes => found(Ok([chunk, b""])),
            Frames::Lines => self.push_lines(chunk, found),
            Frames::U32 => self.push_messages(chunk, found),
        }
    }

    /// The producer has ended. An unfinished last line gets its LF; an unfinished message is left out, and its bytes are given
    /// back.
    pub fn end(&mut self, mut found: impl FnMut(Result<[&[u8]; 2], Wrong>)) -> usize {
        let kept = std::mem::take(&mut self.kept);
        let state = std::mem::replace(&mut self.state, State::Whole);
        match self.frames {
            Frames::Lines if state == State::Whole && !kept.is_empty() => found(Ok([&kept, b"\n"])),
            Frames::U32 => return kept.len(),
            Frames::Lines | Frames::Bytes => {}
        }
        0
    }

    fn push_lines(&mut self, chunk: &[u8], mut found: impl FnMut(Result<[&[u8]; 2], Wrong>)) {
        let mut rest = chunk;
        while let Some(place) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(place + 1);
            rest = after;
            if self.state == State::LeavingOut {
                self.state = State::Whole;
            } else if self.kept.len() + place > self.most {
                found(Err(Wrong::LineTooLong));
            } else {
                found(Ok([&self.kept, line]));
            }
            self.kept.clear();
        }
        if self.state == State::LeavingOut {
            return;
        }
        if self.kept.len() + rest.len() > self.most {
            self.state = State::LeavingOut;
            self.kept = Vec::new();
            found(Err(Wrong::LineTooLong));
        } else {
            self.kept.extend_from_slice(rest);
        }
    }

    fn push_messages(&mut self, chunk: &[u8], mut found: impl FnMut(Result<[&[u8]; 2], Wrong>)) {
        let mut rest = chunk;
        while !rest.is_empty() && self.state != State::Lost {
            let Some(length) = self.length_of_message(&mut rest) else { return };
            if length as usize > self.most {
                self.state = State::Lost;
                self.kept = Vec::new();
                return found(Err(Wrong::MessageTooLong(length)));
            }
            let missing = HEADER + length as usize - self.kept.len();
            if rest.len() < missing {
                return self.kept.extend_from_slice(rest);
            }
            let (message, after) = rest.split_at(missing);
            rest = after;
            found(Ok([&self.kept, message]));
            self.kept.clear();
        }
    }

    /// What the length says, once all of it has come. If a part of it was kept, the rest of it is kept too.
    fn length_of_message(&mut self, rest: &mut &[u8]) -> Option<u32> {
        if self.kept.is_empty()
            && let Some(header) = rest.first_chunk::<HEADER>()
        {
            return Some(u32::from_be_bytes(*header));
        }
        let missing = HEADER.saturating_sub(self.kept.len()).min(rest.len());
        let (header, after) = rest.split_at(missing);
        self.kept.extend_from_slice(header);
        *rest = after;
        self.kept.first_chunk::<HEADER>().map(|header| u32::from_be_bytes(*header))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    enum Found {
        Frame(Vec<u8>),
        Wrong(Wrong),
    }

    fn frame(bytes: &[u8]) -> Found {
        Found::Frame(bytes.to_vec())
    }

    fn found(found: Result<[&[u8]; 2], Wrong>) -> Found {
        found.map_or_else(Found::Wrong, |parts| Found::Frame(parts.concat()))
    }

    /// What comes of the chunks, and how many bytes of an unfinished message were left at the end.
    fn of(frames: Frames, most: usize, chunks: &[&[u8]]) -> (Vec<Found>, usize) {
        let mut all = Vec::new();
        let mut framer = Framer::new(frames, most);
        for chunk in chunks {
            framer.push(chunk, |it| all.push(found(it)));
        }
        let left = framer.end(|it| all.push(found(it)));
        (all, left)
    }

    #[test]
    fn lines_are_passed_on_byte_for_byte_and_the_last_one_gets_its_lf() {
        let (lines, _) = of(Frames::Lines, 100, &[b"one\r\n\ntw", b"o", b"\nx\0y", b"\r\nlast"]);
        assert_eq!(lines, [b"one\r\n" as &[u8], b"\n", b"two\n", b"x\0y\r\n", b"last\n"].map(frame));
        assert_eq!(of(Frames::Lines, 100, &[b"", b""]).0, []);
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_up_to_its_lf() {
        let wrong = || Found::Wrong(Wrong::LineTooLong);
        assert_eq!(of(Frames::Lines, 3, &[b"abc\nabcd\nab"]).0, [frame(b"abc\n"), wrong(), frame(b"ab\n")]);
        assert_eq!(of(Frames::Lines, 3, &[b"ab", b"cd", b"ef", b"g\nx\n"]).0, [wrong(), frame(b"x\n")]);
        assert_eq!(of(Frames::Lines, 3, &[b"ab", b"cd\nx\n"]).0, [wrong(), frame(b"x\n")]);
        assert_eq!(of(Frames::Lines, 3, &[b"abcd"]).0, [wrong()], "nothing of it is the last line");
    }

    #[test]
    fn bytes_are_passed_on_as_they_come() {
        assert_eq!(of(Frames::Bytes, 1, &[b"one\ntw", b"", b"o"]).0, [frame(b"one\ntw"), frame(b"o")]);
    }

    #[test]
    fn a_message_comes_with_its_length() {
        let stream = b"\0\0\0\x03abc\0\0\0\0\0\0\0\x01x";
        let whole = || vec![frame(b"\0\0\0\x03abc"), frame(b"\0\0\0\0"), frame(b"\0\0\0\x01x")];
        assert_eq!(of(Frames::U32, 3, &[stream]), (whole(), 0));
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(of(Frames::U32, 3, &single), (whole(), 0));
        assert_eq!(of(Frames::U32, 3, &[b"\0\0\0\x03ab"]), (vec![], 6), "an unfinished one is left out");
    }

    #[test]
    fn after_a_message_that_is_too_long_nothing_can_be_read() {
        let (all, left) = of(Frames::U32, 3, &[b"\0\0\0\x01x\0\0", b"\0\x04abcd", b"\0\0\0\x01y"]);
        assert_eq!(all, [frame(b"\0\0\0\x01x"), Found::Wrong(Wrong::MessageTooLong(4))]);
        assert_eq!(left, 0);
        assert_eq!(of(Frames::U32, 3, &[b"GET / HTTP/1.1\r\n"]).0, [Found::Wrong(Wrong::MessageTooLong(0x4745_5420))]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn how_a_stream_is_cut_changes_nothing(
            stream in prop::collection::vec(prop::sample::select(b"ab\n\0\x01\x02".to_vec()), 0..200),
            cuts in prop::collection::vec(0_usize..200, 0..8),
            most in 1_usize..300,
            is_lines: bool,
        ) {
            let frames = if is_lines { Frames::Lines } else { Frames::U32 };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).chain([0, stream.len()]).collect();
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
            prop_assert_eq!(of(frames, most, &chunks), of(frames, most, &[&stream]));
        }
    }
}
