//! Blocks with their checksums, and the header, which is the first one.

use std::io::{self, Read};

use super::format::{Bytes, Put};

/// The line that a recording begins with. The number of the version follows, and LF.
const MAGIC: &str = "tidegate recording ";

/// The version that is written and read.
const VERSION: u32 = 2;

/// What stands before the bytes of a block: their length, their checksum, and a checksum of the head itself and of the place
/// where it stands. So a length that is damaged is not taken for a cut, nor a block for another one.
pub(super) const HEAD: usize = 12;

/// A block that claims to be longer is damaged: one has 64 KiB, and one call, which reads 1 MiB at the most.
const LONGEST_BLOCK: usize = 16 << 20;

/// What a recording says of the program that made it: names and values, in the order in which they were added. A name may
/// have several values.
///
/// ```
/// use tidegate::kernel::Header;
///
/// let header = Header::new().with("role", "echo").with("flag", "--listen").with("flag", "7000");
/// assert_eq!(header.get("role"), Some("echo"));
/// assert_eq!(header.all("flag").collect::<Vec<_>>(), ["--listen", "7000"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header(Vec<(String, String)>);

impl Header {
    /// One that says nothing.
    #[must_use]
    pub fn new() -> Self {
        Header::default()
    }

    /// Adds a value.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(named, _)| named == name).map(|(_, value)| value.as_str())
    }

    /// Reads the header of a recording.
    ///
    /// # Errors
    /// What is read is no recording, a newer one, or damaged; those of reading.
    pub fn read(recording: impl Read) -> io::Result<Header> {
        Blocks::open(recording).map(|(header, _)| header)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            bytes.bytes(text.as_bytes());
        }
        bytes
    }

    fn from_bytes(mut bytes: Bytes<'_>) -> Option<Header> {
        let mut header = Header::new();
        while !bytes.is_empty() {
            header = header.with(bytes.text()?, bytes.text()?);
        }
        Some(header)
    }
}

/// The beginning of a recording.
pub(super) fn beginning(header: &Header) -> Vec<u8> {
    let mut bytes = format!("{MAGIC}{VERSION}\n").into_bytes();
    let mut block = [&[0; HEAD], &header.to_bytes()[..]].concat();
    seal(&mut block, bytes.len() as u64);
    bytes.extend(block);
    bytes
}

/// Fills in the head of a block that stands at `place`. Its bytes are there, behind the room for the head.
pub(super) fn seal(block: &mut [u8], place: u64) {
    let Some((head, bytes)) = block.split_first_chunk_mut::<HEAD>() else { return };
    *head = head_of(bytes.len() as u32, crc32fast::hash(bytes), place);
}

fn head_of(length: u32, checksum: u32, place: u64) -> [u8; HEAD] {
    let mut hasher = crc32fast::Hasher::new();
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..8].copy_from_slice(&checksum.to_le_bytes());
    hasher.update(&head[..8]);
    hasher.update(&place.to_le_bytes());
    head[8..].copy_from_slice(&hasher.finalize().to_le_bytes());
    head
}

/// The blocks of a recording, one after the other.
pub(super) struct Blocks<R> {
    recording: R,
    /// Where the next one begins.
    place: u64,
}

/// Why there is no further block, although none said that it is the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoBlock {
    /// There is nothing more, or the beginning of a block only, which says that there was more.
    Cut,
    /// At this place there is no block.
    Damaged(u64),
    Unreadable(String),
}

impl<R: Read> Blocks<R> {
    /// Reads the header.
    pub fn open(recording: R) -> io::Result<(Header, Self)> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut blocks = Blocks { recording, place: 0 };
        let mut magic = [0; MAGIC.len()];
        if blocks.fill(&mut magic)? < magic.len() || magic != MAGIC.as_bytes() {
            return Err(wrong("this is no recording of tidegate"));
        }
        match blocks.version()? {
            Some(VERSION) => {}
            None | Some(0) => return Err(wrong("this is no recording of tidegate, or its first line is damaged")),
            Some(version) => {
                let way_out = match version < VERSION {
                    true => "the tidegate that has made it, or record anew",
                    false => "a newer tidegate",
                };
                return Err(wrong(&format!(
                    "the recording has format {version}, and this build plays format {VERSION}: use {way_out}"
                )));
            }
        }
        let damaged = || wrong("the header of the recording is damaged");
        match blocks.next() {
            Ok(block) => Header::from_bytes(Bytes(&block)).map(|header| (header, blocks)).ok_or_else(damaged),
            Err(NoBlock::Cut) => Err(wrong("the header of the recording is cut")),
            Err(NoBlock::Damaged(_)) => Err(damaged()),
            Err(NoBlock::Unreadable(why)) => Err(io::Error::other(why)),
        }
    }

    /// The digits up to the end of the line.
    fn version(&mut self) -> io::Result<Option<u32>> {
        let mut version = 0_u32;
        for _ in 0..9 {
            let mut byte = [0];
            match (self.fill(&mut byte)?, byte[0]) {
                (1, b'\n') => return Ok(Some(version)),
                (1, digit @ b'0'..=b'9') => version = version * 10 + u32::from(digit - b'0'),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    /// The next block.
    pub fn next(&mut self) -> Result<Vec<u8>, NoBlock> {
        let place = self.place;
        let mut head = [0; HEAD];
        self.fill_all(&mut head)?;
        let mut numbers = Bytes(&head);
        let (length, checksum) = (numbers.hash().unwrap_or(0), numbers.hash().unwrap_or(0));
        if head_of(length, checksum, place) != head || length as usize > LONGEST_BLOCK {
            return Err(NoBlock::Damaged(place));
        }
        let mut block = vec![0; length as usize];
        self.fill_all(&mut block)?;
        if crc32fast::hash(&block) != checksum {
            return Err(NoBlock::Damaged(place));
        }
        Ok(block)
    }

    fn fill_all(&mut self, buffer: &mut [u8]) -> Result<(), NoBlock> {
        match self.fill(buffer) {
            Ok(filled) if filled == buffer.len() => Ok(()),
            Ok(_) => Err(NoBlock::Cut),
            Err(error) => Err(NoBlock::Unreadable(error.to_string())),
        }
    }

    /// Reads until the buffer is full, or there is nothing more.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.recording.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.place += filled as u64;
        Ok(filled)
    }
}
