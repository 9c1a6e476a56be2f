//! A stream cut into lines of bounded length.
//!
//! TCP has no messages: a line may arrive in two pieces, or twenty lines at once. [`Lines`] takes the chunks as they arrive and
//! gives the lines. It knows nothing of sockets and encodings. A line may be harmful: before other people see it, or a log,
//! it needs `sanitize` or `Escaped`. `event_loop/dispatch.rs` uses it for `on_line`. A handler of `on_data` that has to stop
//! between two lines uses one of its own, as the chat does.
//!
//! ```text
//! chunks    | o n e LF t w |   | o CR LF t h r e e LF f o |   | u r LF |
//!             |        |_________|       |            |_________|
//! lines       "one"    "two"             "three"      "four"
//!             borrowed held, joined      borrowed     held, joined
//! ```
//!
//! Only an unfinished line is held: at most as many bytes as the bound, and one more, a CR whose LF may follow. When the line
//! is complete, it takes its memory with it. So ten thousand silent peers cost nothing.

use std::borrow::Cow;
use std::iter::FusedIterator;
use std::mem;

use memchr::memchr;

use super::line::Line;

/// Cuts a stream into lines.
///
/// A line ends with LF or CRLF. One CR directly before the LF belongs to that end; any other CR is a byte of the line.
///
/// ```
/// use tidegate::Lines;
///
/// let mut lines = Lines::at_most(4096);
/// let mut said = Vec::new();
/// for chunk in [&b"hello\r\nhow "[..], b"are y", b"ou?\nbye"] {
///     for line in lines.push(chunk) {
///         said.push(line.text().into_owned());
///     }
/// }
/// assert_eq!(said, ["hello", "how are you?"]);
/// assert_eq!(lines.finish().unwrap().bytes(), b"bye");
/// ```
///
/// # Lines that are too long
///
/// A peer that never sends an LF must not fill the memory. A line that passes the bound comes as one [`Line`] with
/// [`Line::is_too_long`]. It comes in its place among the others, and as soon as it has passed the bound, so a handler can
/// close the connection at once. The rest of the line is dropped, however long it is.
///
/// ```
/// use tidegate::Lines;
///
/// let mut lines = Lines::at_most(4);
/// assert_eq!(lines.push(b"four\r").count(), 0); // not too long yet: an LF may follow
///
/// let line = lines.push(b"s").next().unwrap();
/// assert!(line.is_too_long());
/// assert_eq!(line.bytes(), b"four");
///
/// let line = lines.push(b" and more\nnext\n").next().unwrap();
/// assert_eq!(line.bytes(), b"next");
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "readline")]
pub struct Lines {
    bound: usize,
    unfinished: Unfinished,
}

/// The line whose end has not arrived.
#[derive(Clone, Debug)]
enum Unfinished {
    /// Its bytes so far. They are no more than the bound, without a CR at their end. If there are none, no line has begun,
    /// and no memory is owned.
    Held(Vec<u8>),
    /// It was reported as too long. The rest of it is dropped.
    Dropped,
}

impl Default for Unfinished {
    fn default() -> Self {
        Unfinished::Held(Vec::new())
    }
}

impl Lines {
    /// Lines of at most this many bytes, without their ends. `usize::MAX` is no bound; 0 allows empty lines only.
    ///
    /// Memory is used for an unfinished line only: at most the bound and one byte.
    pub fn at_most(bytes: usize) -> Self {
        Lines { bound: bytes, unfinished: Unfinished::default() }
    }

    /// Sets the bound, also for a line of which a part is held.
    pub(crate) fn set_bound(&mut self, bytes: usize) {
        self.bound = bytes;
    }

    /// Takes the next chunk of the stream and gives its lines, one by one.
    ///
    /// A line that is in the chunk as a whole is borrowed from it. What follows the last LF is held for the next call. To
    /// stop between two lines and go on later, use [`Pushed::rest`].
    pub fn push<'c>(&mut self, chunk: &'c [u8]) -> Pushed<'_, 'c> {
        Pushed { lines: self, rest: chunk }
    }

    /// Takes the end of the stream, and gives the last line if it has no end of its own.
    ///
    /// The result is what an LF would give: a CR at the end is dropped, as half of a CRLF. There is no line if none has
    /// begun, or if it was reported as too long. Then a new stream can begin.
    pub fn finish(&mut self) -> Option<Line<'static>> {
        match &self.unfinished {
            Unfinished::Held(held) if held.is_empty() => None,
            _ => self.complete(b""),
        }
    }

    /// How many bytes of an unfinished line are held.
    pub fn held(&self) -> usize {
        match &self.unfinished {
            Unfinished::Held(held) => held.len(),
            Unfinished::Dropped => 0,
        }
    }

    /// Ends the line with `piece`, after which an LF was found. None if the line was reported as too long.
    fn complete<'c>(&mut self, piece: &'c [u8]) -> Option<Line<'c>> {
        match mem::take(&mut self.unfinished) {
            Unfinished::Dropped => None,
            Unfinished::Held(held) if length(&held, piece) > self.bound => Some(self.too_long(held, piece)),
            Unfinished::Held(held) => {
                Some(Line { bytes: without_cr(join(held, piece, self.bound)), is_too_long: false })
            }
        }
    }

    /// Holds `piece`, after which no LF was found. Gives the line if it is too long now.
    fn hold<'c>(&mut self, piece: &'c [u8]) -> Option<Line<'c>> {
        match &mut self.unfinished {
            Unfinished::Dropped => None,
            Unfinished::Held(held) if length(held, piece) > self.bound => {
                let held = mem::take(held);
                self.unfinished = Unfinished::Dropped;
                Some(self.too_long(held, piece))
            }
            Unfinished::Held(held) => {
                append(held, piece, self.bound);
                None
            }
        }
    }

    /// A line that is too long: `held` and `piece`, cut off at the bound.
    fn too_long<'c>(&self, mut held: Vec<u8>, piece: &'c [u8]) -> Line<'c> {
        held.truncate(self.bound); // it may end with a CR beyond the bound
        let room = (self.bound - held.len()).min(piece.len());
        Line { bytes: join(held, &piece[..room], self.bound), is_too_long: true }
    }
}

/// The length of the line so far: of `held` and `piece`. A CR at the end does not count, since an LF may follow. If anything
/// else follows, the CR is not at the end any more.
fn length(held: &[u8], piece: &[u8]) -> usize {
    let last = piece.last().or(held.last());
    held.len() + piece.len() - usize::from(last == Some(&b'\r'))
}

/// In the usual case nothing is held, and nothing is copied.
fn join(mut held: Vec<u8>, piece: &[u8], bound: usize) -> Cow<'_, [u8]> {
    if held.is_empty() {
        return Cow::Borrowed(piece);
    }
    append(&mut held, piece, bound);
    Cow::Owned(held)
}

/// The room is doubled, as `Vec` does by itself, so a line that comes byte by byte stays cheap. But it is never larger than the
/// bound and a CR. So slow peers cannot make the program hold twice the bound for each of them.
fn append(held: &mut Vec<u8>, piece: &[u8], bound: usize) {
    let needed = held.len() + piece.len();
    debug_assert!(needed <= bound.saturating_add(1));
    if needed > held.capacity() {
        let capacity = (2 * held.capacity()).min(bound.saturating_add(1)).max(needed);
        held.reserve_exact(capacity - held.len());
    }
    held.extend_from_slice(piece);
}

fn without_cr(line: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    match line {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.strip_suffix(b"\r").unwrap_or(bytes)),
        Cow::Owned(mut bytes) => {
            bytes.pop_if(|last| *last == b'\r');
            Cow::Owned(bytes)
        }
    }
}

/// The lines of one chunk. [`Lines::push`] makes it.
///
/// At the end of this iterator the unfinished line after the last LF is held for the next chunk. If the iterator is dropped
/// earlier, after a `break` for example, that line is held too, and the lines before it are lost. They are lost as a whole:
/// the second half of a line is never taken for another line.
#[derive(Debug)]
#[must_use = "the lines that are not taken are lost, unless `rest` is"]
pub struct Pushed<'l, 'c> {
    lines: &'l mut Lines,
    rest: &'c [u8],
}

impl<'c> Pushed<'_, 'c> {
    /// Stops here, and gives the rest of the chunk for a later [`Lines::push`].
    ///
    /// The rest begins after the last line that was taken. It is empty if the iterator has given None: then the unfinished
    /// line is held. The rest is neither held nor bounded here, so keep its bytes, and pause the peer.
    ///
    /// ```
    /// use tidegate::Lines;
    ///
    /// let mut lines = Lines::at_most(80);
    /// let mut pushed = lines.push(b"one\ntwo\nthree\nfour\nfi");
    /// for line in pushed.by_ref().take(2) {
    ///     println!("{}", line.text());
    /// }
    /// let later = pushed.rest().to_vec();
    /// assert_eq!(later, b"three\nfour\nfi");
    /// assert_eq!(lines.push(&later).count(), 2);
    /// assert_eq!(lines.held(), 2);
    /// ```
    pub fn rest(mut self) -> &'c [u8] {
        mem::take(&mut self.rest) // leaves nothing for `drop` to lose
    }
}

impl<'c> Iterator for Pushed<'_, 'c> {
    type Item = Line<'c>;

    fn next(&mut self) -> Option<Line<'c>> {
        while let Some(end) = memchr(b'\n', self.rest) {
            let piece = &self.rest[..end];
            self.rest = &self.rest[end + 1..];
            if let Some(line) = self.lines.complete(piece) {
                return Some(line);
            }
        }
        let unfinished = mem::take(&mut self.rest);
        self.lines.hold(unfinished)
    }
}

impl FusedIterator for Pushed<'_, '_> {}

impl Drop for Pushed<'_, '_> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines as `text`, with `!` behind one that is too long.
    fn push(lines: &mut Lines, chunk: &[u8]) -> Vec<String> {
        lines.push(chunk).map(|line| shown(&line)).collect()
    }

    fn shown(line: &Line<'_>) -> String {
        format!("{}{}", line.text(), if line.is_too_long() { "!" } else { "" })
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_line_ends_with_lf_or_crlf() {
        let mut lines = Lines::at_most(80);
        assert_eq!(push(&mut lines, b"one\ntwo\r\n\n\r\nfive\n"), ["one", "two", "", "", "five"]);
        assert_eq!(lines.held(), 0);
    }

    #[test]
    fn only_one_cr_directly_before_the_lf_belongs_to_the_end() {
        let mut lines = Lines::at_most(80);
        assert_eq!(push(&mut lines, b"a\rb\n\rc\nd\r\r\n"), ["a\rb", "\rc", "d\r"]);
    }

    #[test]
    fn a_line_over_chunk_borders_is_joined() {
        let mut lines = Lines::at_most(80);
        assert_eq!(push(&mut lines, b"he"), NONE);
        assert_eq!(push(&mut lines, b""), NONE);
        assert_eq!(push(&mut lines, b"ll"), NONE);
        assert_eq!(lines.held(), 4);
        assert_eq!(push(&mut lines, b"o\r"), NONE);
        assert_eq!(push(&mut lines, b"\nyou"), ["hello"]);
        assert_eq!(push(&mut lines, b"\n"), ["you"]);
    }

    #[test]
    fn a_line_inside_the_chunk_is_not_copied() {
        let mut lines = Lines::at_most(80);
        assert_eq!(push(&mut lines, b"fir"), NONE);
        let found: Vec<_> = lines.push(b"st\nsecond\nthird\r\n").collect();
        let copied: Vec<_> = found.iter().map(|line| matches!(line.bytes, Cow::Owned(_))).collect();
        assert_eq!(copied, [true, false, false]);
    }

    #[test]
    fn lines_own_memory_only_while_a_line_is_held() {
        let capacity = |lines: &Lines| match &lines.unfinished {
            Unfinished::Held(held) => held.capacity(),
            Unfinished::Dropped => 0,
        };
        let mut lines = Lines::at_most(1000);
        for _ in 0..1000 {
            assert_eq!(push(&mut lines, b"x"), NONE);
            assert!(capacity(&lines) <= 1001);
        }
        assert_eq!(push(&mut lines, b"\r"), NONE);
        assert_eq!((lines.held(), capacity(&lines)), (1001, 1001));
        assert_eq!(push(&mut lines, b"\n").len(), 1);
        assert_eq!(capacity(&lines), 0);
        assert_eq!(push(&mut lines, &[b'x'; 1001]).len(), 1);
        assert_eq!(capacity(&lines), 0);
    }

    #[test]
    fn the_bound_does_not_count_the_end_of_the_line() {
        for end in ["\n", "\r\n"] {
            let mut lines = Lines::at_most(4);
            assert_eq!(push(&mut lines, format!("four{end}").as_bytes()), ["four"]);
            assert_eq!(push(&mut lines, format!("fives{end}").as_bytes()), ["five!"]);
            assert_eq!(push(&mut lines, format!("six{end}").as_bytes()), ["six"]);
        }
    }

    #[test]
    fn a_cr_behind_the_bound_is_too_long_only_when_no_lf_follows() {
        let mut lines = Lines::at_most(4);
        assert_eq!(push(&mut lines, b"four\r"), NONE);
        assert_eq!(push(&mut lines, b"\n"), ["four"]);
        assert_eq!(push(&mut lines, b"four\r"), NONE);
        assert_eq!(push(&mut lines, b"\r"), ["four!"]);
        assert_eq!(push(&mut lines, b"\nfour\rx"), ["four!"]);
        assert_eq!(push(&mut lines, b"\nfour\r\r\nnext\n"), ["four!", "next"]);
    }

    #[test]
    fn a_line_is_reported_once_and_as_soon_as_it_is_too_long() {
        let mut lines = Lines::at_most(4);
        assert_eq!(push(&mut lines, b"ok\nfour"), ["ok"]);
        assert_eq!(push(&mut lines, b"5"), ["four!"]);
        assert_eq!(lines.held(), 0);
        assert_eq!(push(&mut lines, b"6789 and so on"), NONE);
        assert_eq!(push(&mut lines, b"\r\nnext\n"), ["next"]);
    }

    #[test]
    fn no_bound_overflows() {
        let mut none = Lines::at_most(usize::MAX);
        assert_eq!(push(&mut none, b"any\rlen"), NONE);
        assert_eq!(push(&mut none, b"gth\r\n"), ["any\rlength"]);
        let mut empty = Lines::at_most(0);
        assert_eq!(push(&mut empty, b"\n\r\n\r"), ["", ""]);
        assert_eq!(push(&mut empty, b"\nx\n\n"), ["", "!", ""]);
    }

    #[test]
    fn the_end_of_the_stream_is_as_good_as_an_lf() {
        for (stream, last) in [("", None), ("a\n", None), ("a\nb", Some("b")), ("b\r", Some("b")), ("\r", Some(""))] {
            let mut lines = Lines::at_most(4);
            lines.push(stream.as_bytes()).for_each(drop);
            assert_eq!(lines.finish().as_ref().map(Line::bytes), last.map(str::as_bytes), "{stream:?}");
            assert_eq!(lines.finish(), None);
            assert_eq!(push(&mut lines, b"new\n"), ["new"]);
        }
    }

    #[test]
    fn the_end_of_the_stream_does_not_report_again() {
        let mut lines = Lines::at_most(4);
        assert_eq!(push(&mut lines, b"fives"), ["five!"]);
        assert_eq!(lines.finish(), None);
        assert_eq!(push(&mut lines, b"new\n"), ["new"]);
    }

    #[test]
    fn the_rest_can_be_pushed_again_while_the_chunk_lives() {
        let mut lines = Lines::at_most(80);
        let mut pushed = lines.push(b"a\nb\nc");
        assert_eq!(pushed.next().map(|line| shown(&line)).as_deref(), Some("a"));
        let rest = pushed.rest();
        assert_eq!(rest, b"b\nc");
        assert_eq!(lines.held(), 0);
        assert_eq!(push(&mut lines, rest), ["b"]);
        assert_eq!(lines.held(), 1);
    }

    #[test]
    fn after_the_last_line_the_rest_is_empty() {
        let mut lines = Lines::at_most(80);
        let mut pushed = lines.push(b"a\nb");
        assert_eq!(pushed.by_ref().count(), 1);
        assert!(pushed.next().is_none());
        assert_eq!(pushed.rest(), b"");
        assert_eq!(lines.held(), 1);
    }

    #[test]
    fn dropped_early_it_loses_whole_lines_only() {
        let mut lines = Lines::at_most(80);
        if let Some(line) = lines.push(b"one\ntwo\nthr").next() {
            assert_eq!(shown(&line), "one");
        }
        assert_eq!(push(&mut lines, b"ee\n"), ["three"]);
    }

    #[test]
    fn an_lf_is_found_wherever_it_is() {
        for length in 0..40 {
            for at in 0..=length {
                let mut bytes = vec![b'x'; length];
                bytes[at.min(length)..].fill(b'\n'); // whatever follows the first one must not matter
                let first = Lines::at_most(80).push(&bytes).next().map(|line| line.bytes().len());
                assert_eq!(first, (at < length).then_some(at), "length {length}");
            }
        }
        let others: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
        assert!(Lines::at_most(300).push(&others).next().is_none());
    }
}
