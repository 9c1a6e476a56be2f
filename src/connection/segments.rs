//! What was broadcast: each message once, however many queues hold it.
//!
//! ```text
//!   segment 4   [ hello;how are you?;fine;          ]      filled by the broadcasts of a turn
//!                 └──── span ────┘└ span ┘                  a queue holds ranges of it, and counts as a holder for each
//! ```
//!
//! The boundaries of the messages are known here, because an output limit drops whole messages only. A segment goes when its
//! last holder has. So a range keeps the whole of its segment alive: a queue that is not emptied by the flush copies the range
//! if it is a small part of that (`write_queue/`), and no segment that a queue keeps grows any more.

use std::collections::BTreeMap;

use slab::Slab;

use crate::base::bits::Bits;

/// Messages of a segment; the queue counts among its holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub segment: u32,
    pub start: u32,
    pub end: u32,
}

impl Span {
    #[inline]
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// The messages of one turn's broadcasts, end to end, each of them once.
#[derive(Debug, Default)]
struct Segment {
    bytes: Vec<u8>,
    /// Where each message begins. A bit for each byte is never more than an eighth; a number for each message would be four
    /// times what a message of one byte is.
    begins: Bits,
    /// How many pieces of queues refer to it.
    holders: u32,
}

impl Segment {
    /// The memory that it has.
    #[inline]
    fn held(&self) -> usize {
        size_of::<Segment>() + self.bytes.capacity() + self.begins.capacity()
    }
}

/// All segments that some queue still refers to, and the one that is being filled.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    slab: Slab<Segment>,
    current: Option<u32>,
    /// Always the sum of what the segments hold.
    held: usize,
    /// Always the sum of what the queues hold that use these segments, each for itself. It is here because every change of a
    /// queue comes by.
    pub(super) queues: usize,
}

/// A segment is closed at this size, so that one slow receiver holds back little of what the others have sent already.
const SEGMENT_SIZE: usize = 256 * 1024;

impl Segments {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Appends a message to the segment that is being filled, and says where it lies.
    pub fn append(&mut self, message: &[u8]) -> Span {
        let key = self.key_for(message.len());
        let segment = &mut self.slab[key as usize];
        let held = segment.held();
        let start = segment.bytes.len() as u32;
        segment.begins.insert(segment.bytes.len());
        segment.bytes.extend_from_slice(message);
        self.held += segment.held() - held;
        Span { segment: key, start, end: segment.bytes.len() as u32 }
    }

    /// The segment that is being filled, if it has room for so many bytes, or another.
    fn key_for(&mut self, length: usize) -> u32 {
        match self.current {
            Some(key) if self.slab[key as usize].bytes.len() + length <= SEGMENT_SIZE => return key,
            _ => self.seal(),
        }
        match self.current {
            Some(key) => key,
            None => {
                let segment = Segment::default();
                self.held += segment.held();
                let key = self.slab.insert(segment) as u32;
                self.current = Some(key);
                key
            }
        }
    }

    /// Ends the segment that is being filled: what comes next goes into another, unless nobody holds this one and it can
    /// be filled from the beginning. The net calls it when a flush is over.
    pub fn seal(&mut self) {
        let Some(key) = self.current else { return };
        let segment = &mut self.slab[key as usize];
        if segment.holders == 0 && segment.bytes.capacity() <= SEGMENT_SIZE {
            segment.bytes.clear();
            segment.begins.clear();
        } else {
            self.close(key);
        }
    }

    /// The segment is not filled any more, and has no more memory than it needs.
    fn close(&mut self, key: u32) {
        self.current = None;
        let segment = &mut self.slab[key as usize];
        if segment.holders == 0 {
            return self.remove(key);
        }
        self.held -= segment.held();
        segment.bytes.shrink_to_fit();
        segment.begins.shrink();
        self.held += segment.held();
    }

    fn remove(&mut self, key: u32) {
        self.held -= self.slab.remove(key as usize).held();
    }

    /// Whether a range is at least half of its segment. If so, the segment grows no more, and that stays true.
    pub fn is_half(&mut self, range: Span) -> bool {
        let is_half = range.len() * 2 >= self.slab[range.segment as usize].bytes.len();
        if is_half && self.current == Some(range.segment) {
            self.close(range.segment);
        }
        is_half
    }

    /// The memory of all segments, each of them once.
    #[inline]
    pub fn held(&self) -> usize {
        self.held
    }

    /// The memory that all queues have to themselves.
    #[inline]
    pub fn queues(&self) -> usize {
        self.queues
    }

    /// What a range keeps alive: the bytes of its segment.
    pub fn kept_by(&self, range: Span) -> usize {
        self.slab[range.segment as usize].bytes.capacity()
    }

    /// Where the messages of this range begin, counted from its start. The first may begin before it.
    pub fn begins(&self, range: Span) -> impl Iterator<Item = usize> {
        let (start, end) = (range.start as usize, range.end as usize);
        self.slab[range.segment as usize].begins.between(start, end).map(move |begin| begin - start)
    }

    /// Whether each segment has the holders that it counts, of which there is at least one or it is being filled.
    pub fn check(&self, holders: &BTreeMap<u32, u32>) -> Result<(), String> {
        for (key, segment) in &self.slab {
            let there = holders.get(&(key as u32)).copied().unwrap_or(0);
            if segment.holders != there {
                return Err(format!("segment {key}: {there} ranges are held, {} are counted", segment.holders));
            }
            if there == 0 && self.current != Some(key as u32) {
                return Err(format!("segment {key}: nobody holds it, and it is there"));
            }
        }
        let held: usize = self.slab.iter().map(|(_, segment)| segment.held()).sum();
        if held != self.held {
            return Err(format!("the segments hold {held} bytes, {} are counted", self.held));
        }
        match holders.keys().find(|key| !self.slab.contains(**key as usize)) {
            Some(key) => Err(format!("segment {key} is held, and is not there")),
            None => Ok(()),
        }
    }

    #[inline]
    pub fn hold(&mut self, key: u32) {
        self.slab[key as usize].holders += 1;
    }

    #[inline]
    pub fn release(&mut self, key: u32) {
        let segment = &mut self.slab[key as usize];
        segment.holders -= 1;
        if segment.holders == 0 && self.current != Some(key) {
            self.remove(key);
        }
    }

    #[inline]
    pub fn bytes(&self, range: Span) -> &[u8] {
        &self.slab[range.segment as usize].bytes[range.start as usize..range.end as usize]
    }

    /// The first message that lies wholly in this range, which ends where a message does.
    pub fn first_whole_message(&self, range: Span) -> Option<Span> {
        let begins = &self.slab[range.segment as usize].begins;
        let start = begins.next(range.start as usize).filter(|start| *start < range.end as usize)?;
        let end = begins.next(start + 1).unwrap_or(usize::MAX).min(range.end as usize);
        Some(Span { start: start as u32, end: end as u32, ..range })
    }

    /// The last message that lies wholly in this range, which ends where a message does.
    pub fn last_whole_message(&self, range: Span) -> Option<Span> {
        let begins = &self.slab[range.segment as usize].begins;
        let start = begins.last_below(range.end as usize).filter(|start| *start >= range.start as usize)?;
        Some(Span { start: start as u32, ..range })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_used_again() {
        let mut segments = Segments::default();
        for _ in 0..100 {
            segments.append(&[b'x'; 200_000]);
        }
        assert_eq!(segments.slab.len(), 1);
    }
}
