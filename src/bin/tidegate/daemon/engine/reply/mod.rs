//! What an engine answers: replies of RESP2, from bytes that come in any pieces.
//!
//! An engine is not trusted. What one reply may have is bounded in bytes, in elements and in depth, and each length is compared
//! with what is left of the bound when it is read. So a length that lies costs nothing, and nothing here calls itself.
//!
//! What others have written into a stream may be larger than all that a node writes. It is passed over and not kept, so that what stands
//! behind it can be read: [`Reply::Dropped`] is in its place.

/// What one reply may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of all its strings, numbers and lines. Beyond that only [`SHORT`] strings are kept.
    pub bytes: usize,
    /// The longest string that is kept.
    pub string: usize,
    /// Of all its arrays, and one for the reply itself.
    pub elements: usize,
    /// The longest array that is kept.
    pub array: usize,
    /// How deep arrays stand in arrays.
    pub depth: usize,
}

impl Bounds {
    /// An answer to `XREAD COUNT 500` has 5 levels. It has 500 entries of some 200 bytes, and a list of guests has 30 KB at
    /// most. An entry has 16 strings. If somebody else has written each of the 500, with as much as is kept of it, the elements suffice.
    pub const DEFAULT: Bounds = Bounds { bytes: 32 << 20, string: 64 << 10, elements: 1 << 19, array: 1000, depth: 8 };
}

/// A string that is always kept: with its id an entry can be told from others. An id has 41 bytes at most.
const SHORT: usize = 48;

/// The longest string that an engine keeps by default, and more fields than anybody writes: what is longer is a lie.
const LONGEST_STRING: usize = 512 << 20;
const LONGEST_ARRAY: usize = 1 << 22;

/// A line that begins an element has no more: a number, or the text of an error.
const LONGEST_LINE: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`
    Status(Vec<u8>),
    /// `-ERR …`
    Error(Vec<u8>),
    Integer(i64),
    Bulk(Vec<u8>),
    /// The string or the array that is not there.
    Nil,
    Array(Vec<Reply>),
    /// A string or an array that is above the bounds.
    Dropped,
}

/// It is no reply of RESP2, or one above the bounds. What comes after it means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// Nothing begins with this byte.
    Kind(u8),
    Length,
    Integer,
    /// A line or a string does not end with CR LF.
    LineEnd,
    LineTooLong,
    TooManyBytes,
    TooManyElements,
    TooDeep,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Malformed::Kind(byte) => write!(f, "a reply that begins with the byte {byte:#04x}"),
            Malformed::Length => f.write_str("a length that is none"),
            Malformed::Integer => f.write_str("a number that is none"),
            Malformed::LineEnd => f.write_str("a reply that does not end with CR LF"),
            Malformed::LineTooLong => write!(f, "a line of more than {LONGEST_LINE} bytes"),
            Malformed::TooManyBytes => f.write_str("a reply with too many bytes"),
            Malformed::TooManyElements => f.write_str("a reply with too many elements"),
            Malformed::TooDeep => f.write_str("a reply that is too deep"),
        }
    }
}

/// The replies of one connection.
#[derive(Debug)]
pub struct Replies {
    bounds: Bounds,
    /// What has come and is not read yet.
    kept: Vec<u8>,
    /// So much of it is read.
    at: usize,
    /// The line ending of a line that is incomplete is not before this place.
    searched: usize,
    /// So many bytes are passed over next, the rest of a string.
    passes: usize,
    /// The arrays that are not complete, the outermost first.
    open: Vec<Open>,
    /// What the present reply may still have.
    left: Bounds,
    failed: Option<Malformed>,
}

#[derive(Debug)]
struct Open {
    elements: Vec<Reply>,
    missing: usize,
    is_dropped: bool,
}

/// One step of reading.
enum Element {
    Whole(Reply),
    /// An array begins.
    Begins(Open),
}

impl Replies {
    pub fn new(bounds: Bounds) -> Self {
        Replies {
            bounds,
            kept: Vec::new(),
            at: 0,
            searched: 0,
            passes: 0,
            open: Vec::new(),
            left: bounds,
            failed: None,
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.kept.drain(..self.at);
            self.searched = self.searched.saturating_sub(self.at);
            self.at = 0;
            self.kept.extend_from_slice(bytes);
        }
    }

    /// The next reply that is complete. None: more has to come.
    ///
    /// # Errors
    /// What has come is no reply. Then it stays so.
    pub fn next(&mut self) -> Result<Option<Reply>, Malformed> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        loop {
            match self.element() {
                Ok(None) => return Ok(None),
                Ok(Some(Element::Begins(array))) => self.open.push(array),
                Ok(Some(Element::Whole(reply))) => {
                    if let Some(reply) = self.add(reply) {
                        self.left = self.bounds;
                        return Ok(Some(reply));
                    }
                }
                Err(failed) => {
                    *self = Replies { failed: Some(failed), ..Replies::new(self.bounds) };
                    return Err(failed);
                }
            }
        }
    }

    /// Puts an element into the innermost array, and that into the next one if it is complete.
    fn add(&mut self, mut element: Reply) -> Option<Reply> {
        while let Some(array) = self.open.last_mut() {
            if !array.is_dropped {
                array.elements.push(element);
            }
            array.missing -= 1;
            if array.missing > 0 {
                return None;
            }
            let Open { elements, is_dropped, .. } = self.open.pop()?;
            element = if is_dropped { Reply::Dropped } else { Reply::Array(elements) };
        }
        Some(element)
    }

    /// The next element, if all of it is there.
    fn element(&mut self) -> Result<Option<Element>, Malformed> {
        if self.passes > 0 {
            return Ok(self.pass());
        }
        let Some((kind, line)) = self.line()? else { return Ok(None) };
        let (next, text) = (line.end + 2, self.kept.get(line).unwrap_or_default());
        let whole = |reply| Ok(Some(Element::Whole(reply)));
        let length = text.len();
        match kind {
            b'+' | b'-' => {
                let text = text.to_vec();
                self.take_line(next, length)?;
                whole(if kind == b'+' { Reply::Status(text) } else { Reply::Error(text) })
            }
            b':' => {
                let number = number(text).ok_or(Malformed::Integer)?;
                self.take_line(next, length)?;
                whole(Reply::Integer(number))
            }
            b'$' => match self::length(text, LONGEST_STRING, Malformed::TooManyBytes)? {
                None => {
                    self.take(next)?;
                    whole(Reply::Nil)
                }
                Some(length) if !self.keeps_string(length) => {
                    self.take(next)?;
                    self.passes = length + 2;
                    Ok(self.pass())
                }
                Some(length) => self.string(next, next + length),
            },
            b'*' => match self::length(text, LONGEST_ARRAY, Malformed::TooManyElements)? {
                None => {
                    self.take(next)?;
                    whole(Reply::Nil)
                }
                Some(0) => {
                    self.take(next)?;
                    whole(Reply::Array(Vec::new()))
                }
                Some(_) if self.open.len() == self.bounds.depth => Err(Malformed::TooDeep),
                Some(missing) => {
                    let is_dropped = self.is_dropped() || missing > self.bounds.array;
                    if !is_dropped && missing >= self.left.elements {
                        return Err(Malformed::TooManyElements);
                    }
                    self.take(next)?;
                    Ok(Some(Element::Begins(Open { elements: Vec::new(), missing, is_dropped })))
                }
            },
            kind => Err(Malformed::Kind(kind)),
        }
    }

    /// A string that is kept, if all of it is there.
    fn string(&mut self, from: usize, end: usize) -> Result<Option<Element>, Malformed> {
        let Some([first, second]) = self.kept.get(end..end + 2) else { return Ok(None) };
        if (*first, *second) != (b'\r', b'\n') {
            return Err(Malformed::LineEnd);
        }
        let bytes = self.kept.get(from..end).unwrap_or_default().to_vec();
        self.left.bytes = self.left.bytes.saturating_sub(bytes.len());
        self.take(end + 2)?;
        Ok(Some(Element::Whole(Reply::Bulk(bytes))))
    }

    /// Whether it stands in an array that is dropped.
    fn is_dropped(&self) -> bool {
        self.open.last().is_some_and(|array| array.is_dropped)
    }

    fn keeps_string(&self, length: usize) -> bool {
        !self.is_dropped() && (length <= SHORT || length <= self.left.bytes.min(self.bounds.string))
    }

    /// Passes over what has come of a string.
    fn pass(&mut self) -> Option<Element> {
        let came = (self.kept.len() - self.at).min(self.passes);
        self.passes -= came;
        self.at += came;
        self.searched = self.at;
        (self.passes == 0).then_some(Element::Whole(Reply::Dropped))
    }

    /// The line that begins the next element, if all of it is there: its first byte, and where the rest stands.
    fn line(&mut self) -> Result<Option<(u8, std::ops::Range<usize>)>, Malformed> {
        let Some(kind) = self.kept.get(self.at).copied() else { return Ok(None) };
        if !b"+-:$*".contains(&kind) {
            return Err(Malformed::Kind(kind));
        }
        let from = self.searched.max(self.at + 1);
        let rest = self.kept.get(from..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.kept.len();
            return if self.kept.len() - self.at > LONGEST_LINE { Err(Malformed::LineTooLong) } else { Ok(None) };
        };
        let end = from + end;
        if end - self.at > LONGEST_LINE {
            return Err(Malformed::LineTooLong);
        }
        match self.kept.get(end - 1) {
            Some(b'\r') if end - 1 > self.at => Ok(Some((kind, self.at + 1..end - 1))),
            _ => Err(Malformed::LineEnd),
        }
    }

    fn take_line(&mut self, to: usize, bytes: usize) -> Result<(), Malformed> {
        self.left.bytes = self.left.bytes.checked_sub(bytes).ok_or(Malformed::TooManyBytes)?;
        self.take(to)
    }

    /// An element is read, up to here.
    fn take(&mut self, to: usize) -> Result<(), Malformed> {
        if !self.is_dropped() {
            self.left.elements = self.left.elements.checked_sub(1).ok_or(Malformed::TooManyElements)?;
        }
        (self.at, self.searched) = (to, to);
        Ok(())
    }
}

/// A length that can be one. None is that of what is not there.
fn length(text: &[u8], most: usize, above: Malformed) -> Result<Option<usize>, Malformed> {
    match number(text) {
        Some(-1) => Ok(None),
        Some(length @ 0..) => match usize::try_from(length) {
            Ok(length) if length <= most => Ok(Some(length)),
            _ => Err(above),
        },
        _ => Err(Malformed::Length),
    }
}

/// As engines write them: digits, and a minus before them.
fn number(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let is_one = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_one.then(|| str::from_utf8(text).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
