//! Blocks with their checksums, and the header, which is the first one.

use std::io::{self, Read, Write};

use super::format::{Bytes, Put};

/// The line that a recording begins with. The number of the version follows, and LF.
const MAGIC: &str = "tidegate recording ";

/// The version that is written, and the newest one that is read.
const VERSION: u32 = 1;

/// The length of a block and its checksum.
const FRAME: usize = 8;

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
    // Writing to memory cannot fail.
    let _ = write_block(&mut bytes, &header.to_bytes());
    bytes
}

/// Writes a block, at one go if the system takes it.
pub(super) fn write_block(to: &mut (impl Write + ?Sized), block: &[u8]) -> io::Result<()> {
    let mut framed = Vec::with_capacity(FRAME + block.len());
    framed.extend((block.len() as u32).to_le_bytes());
    framed.extend(crc32fast::hash(block).to_le_bytes());
    framed.extend(block);
    to.write_all(&framed)
}

/// How many bytes a block of this length takes.
pub(super) fn framed(length: usize) -> u64 {
    (FRAME + length) as u64
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
    /// There is nothing more, or the beginning of a block only.
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
            None | Some(0) => return Err(wrong("this is no recording of tidegate, or its first line is damaged")),
            Some(version) if version > VERSION => {
                return Err(wrong(&format!(
                    "the recording has format {version}, and this build reads up to {VERSION}: use a newer tidegate"
                )));
            }
            Some(_) => {}
        }
        let header = match blocks.next() {
            Ok(block) => Header::from_bytes(Bytes(&block)),
            Err(NoBlock::Unreadable(why)) => return Err(io::Error::other(why)),
            Err(NoBlock::Cut | NoBlock::Damaged(_)) => None,
        };
        header.map(|header| (header, blocks)).ok_or_else(|| wrong("the header of the recording is cut or damaged"))
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
        let (mut length, mut checksum) = ([0; 4], [0; 4]);
        self.fill_all(&mut length)?;
        self.fill_all(&mut checksum)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST_BLOCK {
            return Err(NoBlock::Damaged(place));
        }
        let mut block = vec![0; length];
        self.fill_all(&mut block)?;
        if crc32fast::hash(&block).to_le_bytes() != checksum {
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
