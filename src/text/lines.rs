//! A stream cut into lines of bounded length.
//!
//! TCP has no messages: a line arrives in two pieces, or twenty lines at once. [`Lines`] is fed with the chunks as they
//! come and gives the lines. It knows bytes, ends of lines and one bound; no socket, no encoding. What is in a line may
//! still be meant badly: before it is shown to other people, or logged, it goes through `text.rs`. `dispatch.rs` feeds it
//! for `on_line`; handlers of `on_data` that stop between two lines feed one of their own, as the chat does.
//!
//! ```text
//! chunks    | o n e LF t w |   | o CR LF t h r e e LF f o |   | u r LF |
//!             |        |_________|       |            |_________|
//! lines       "one"    "two"             "three"      "four"
//!             borrowed held, joined      borrowed     held, joined
//! ```
//!
//! At most one line is ever held: the unfinished one, at most the bound and one byte, a CR whose LF may follow. A line
//! takes the memory in which it was held away with it, so that ten thousand silent peers cost nothing.

use std::borrow::Cow;
use std::iter::FusedIterator;
use std::mem;

use memchr::memchr;

use crate::text::lossy;

/// Cuts a stream into lines.
///
/// A line ends with LF or CRLF. Only one CR directly before the LF belongs to the end; any other is a byte of the line.
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
/// A peer that never sends an LF must not fill the memory. A line that passes the bound comes out as one [`Line`] with
/// [`Line::is_too_long`], in its place among the others and as soon as it has passed the bound, not when it ends: a
/// handler can close the connection at once. The rest of the line, however long, is dropped without another word.
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
    /// What there is of it. Its length, a CR at its end not counted, is at most the bound. Empty means that no line has
    /// begun, and then no memory is owned.
    Held(Vec<u8>),
    /// It was reported as too long: what is still to come of it is dropped.
    Dropped,
}

impl Default for Unfinished {
    fn default() -> Self {
        Unfinished::Held(Vec::new())
    }
}

impl Lines {
    /// Lines of at most so many bytes, their ends not counted. No bound at all is `usize::MAX`; 0 takes empty lines
    /// only.
    ///
    /// The memory used is what is held of an unfinished line, at most the bound and one byte.
    pub fn at_most(bytes: usize) -> Self {
        Lines { bound: bytes, unfinished: Unfinished::default() }
    }

    /// Another bound, from the next call on, also for a line of which a part is held.
    pub(crate) fn set_bound(&mut self, bytes: usize) {
        self.bound = bytes;
    }

    /// Takes the next chunk of the stream and gives its lines, one by one.
    ///
    /// A line that lies in the chunk as a whole is borrowed from it. What follows the last LF is held for the next
    /// call. To stop between two lines, and go on later, see [`Pushed::rest`].
    pub fn push<'c>(&mut self, chunk: &'c [u8]) -> Pushed<'_, 'c> {
        Pushed { lines: self, rest: chunk }
    }

    /// Takes the end of the stream and gives the last line if no LF ended it.
    ///
    /// It is what an LF would have given: a CR at the end is dropped as the first half of a CRLF, and there is no line
    /// if none has begun, or if it was too long, which was reported before. Afterwards a new stream may begin.
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

    /// Ends the line with `piece`, behind which an LF was found. None if this is the end of one that was reported.
    fn complete<'c>(&mut self, piece: &'c [u8]) -> Option<Line<'c>> {
        match mem::take(&mut self.unfinished) {
            Unfinished::Dropped => None,
            Unfinished::Held(held) if length(&held, piece) > self.bound => Some(self.too_long(held, piece)),
            Unfinished::Held(held) => {
                Some(Line { bytes: without_cr(join(held, piece, self.bound)), is_too_long: false })
            }
        }
    }

    /// Holds `piece`, behind which no LF was found. A line if this makes it too long.
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

    /// The line that `held` and `piece` are the beginning of, cut off at the bound.
    fn too_long<'c>(&self, mut held: Vec<u8>, piece: &'c [u8]) -> Line<'c> {
        held.truncate(self.bound); // it may end with a CR beyond the bound
        let room = (self.bound - held.len()).min(piece.len());
        Line { bytes: join(held, &piece[..room], self.bound), is_too_long: true }
    }
}

/// How long the line is as far as it has come: `held` and `piece`. A CR at the end does not count: an LF may follow, or
/// has; as soon as anything else follows it is not at the end any more.
fn length(held: &[u8], piece: &[u8]) -> usize {
    let last = piece.last().or(held.last());
    held.len() + piece.len() - usize::from(last == Some(&b'\r'))
}

/// Nothing held is the usual case, and the one that copies nothing.
fn join(mut held: Vec<u8>, piece: &[u8], bound: usize) -> Cow<'_, [u8]> {
    if held.is_empty() {
        return Cow::Borrowed(piece);
    }
    append(&mut held, piece, bound);
    Cow::Owned(held)
}

/// Doubling, as `Vec` does by itself, keeps a line that comes byte by byte cheap. But never beyond the bound and a CR:
/// what many slow peers make us hold is what the bound says, not twice that.
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
/// When it has run to its end, the unfinished line behind the last LF is held for the next chunk. Dropped earlier, for
/// instance by a `break`, it does the same, and the lines in between are lost, too long ones too. But they are lost
/// whole: the next chunk goes on where this one ended, and the second half of one line never passes for another line.
#[derive(Debug)]
#[must_use = "the lines that are not taken are lost, unless `rest` is"]
pub struct Pushed<'l, 'c> {
    lines: &'l mut Lines,
    rest: &'c [u8],
}

impl<'c> Pushed<'_, 'c> {
    /// Stops here: gives the part of the chunk that was not looked at yet, for a later [`Lines::push`].
    ///
    /// It starts behind the last line that was taken, and is empty once the iterator has given None: then what is
    /// unfinished is held. The lines in the rest are neither held nor bounded here; whoever stops keeps the bytes, and
    /// pauses the peer.
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

/// One line, without its end.
///
/// It borrows from the chunk at most, never from the [`Lines`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'c> {
    bytes: Cow<'c, [u8]>,
    is_too_long: bool,
}

impl Line<'_> {
    /// The bytes of the line, as they came. Of a line that is too long, the beginning: as many as the bound allows.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The line as text; whatever is not UTF-8 becomes U+FFFD. A line that is too long may have been cut inside its
    /// last character.
    ///
    /// The text may hold anything that a peer can send, escape sequences for terminals too: see
    /// [`sanitize`](crate::sanitize) and [`Escaped`](crate::Escaped).
    pub fn text(&self) -> Cow<'_, str> {
        lossy(&self.bytes)
    }

    /// True if the line passed the bound. Its end may not have arrived yet; nothing more of it will come out.
    pub fn is_too_long(&self) -> bool {
        self.is_too_long
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
