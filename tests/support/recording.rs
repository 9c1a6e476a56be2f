//! The blocks of a recording, as somebody makes and takes them apart who has only read how they are.

use std::ops::Range;

const LINE: &[u8] = b"tidegate recording 2\n";

/// Length, checksum of the bytes, checksum of the head and of the block's place.
const HEAD: usize = 12;

/// A recording of these blocks, whose checksums are right.
pub fn recording_of(blocks: &[&[u8]]) -> Vec<u8> {
    let mut recording = LINE.to_vec();
    for block in blocks {
        let place = recording.len() as u64;
        let begin = [(block.len() as u32).to_le_bytes(), crc32fast::hash(block).to_le_bytes()].concat();
        let checksum = crc32fast::hash(&[&begin[..], &place.to_le_bytes()].concat());
        recording.extend(begin);
        recording.extend(checksum.to_le_bytes());
        recording.extend(*block);
    }
    recording
}

/// Where each block of a recording stands, with its head.
pub fn blocks_of(recording: &[u8]) -> Vec<Range<usize>> {
    let (mut blocks, mut place) = (Vec::new(), LINE.len());
    assert!(recording.starts_with(LINE));
    while place < recording.len() {
        let length = u32::from_le_bytes(recording[place..place + 4].try_into().unwrap()) as usize;
        blocks.push(place..place + HEAD + length);
        place += HEAD + length;
    }
    blocks
}

/// The bytes of each block.
pub fn contents_of(recording: &[u8]) -> Vec<&[u8]> {
    blocks_of(recording).into_iter().map(|block| &recording[block.start + HEAD..block.end]).collect()
}
