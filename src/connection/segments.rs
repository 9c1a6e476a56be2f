//! What was broadcast: each message once, however many queues hold it.
//!
//! ```text
//!   segment 4   [ hello;how are you?;fine;          ]      filled by the broadcasts of a turn
//!                 └──── span ────┘└ span ┘                  a queue holds ranges of it, and counts as a holder for each
//! ```
//!
//! The boundaries of the messages are known here, because an output limit drops whole messages only. A segment goes when its
//! last holder has.

use std::collections::BTreeMap;

use slab::Slab;

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
    /// Where each message ends.
    ends: Vec<u32>,
    /// How many pieces of queues refer to it.
    holders: u32,
}

/// All segments that some queue still refers to, and the one that is being filled.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    slab: Slab<Segment>,
    current: Option<u32>,
}

/// A segment is closed at this size, so that one slow receiver holds back little of what the others have sent already.
const SEGMENT_SIZE: usize = 256 * 1024;

impl Segments {
    /// Appends a message to the segment that is being filled, and says where it lies.
    pub fn append(&mut self, message: &[u8]) -> Span {
        let key = match self.current {
            Some(key) if self.slab[key as usize].bytes.len() + message.len() <= SEGMENT_SIZE => key,
            _ => {
                self.seal();
                match self.current {
                    Some(key) => key,
                    None => {
                        let key = self.slab.insert(Segment::default()) as u32;
                        self.current = Some(key);
                        key
                    }
                }
            }
        };
        let segment = &mut self.slab[key as usize];
        let start = segment.bytes.len() as u32;
        segment.bytes.extend_from_slice(message);
        let end = segment.bytes.len() as u32;
        segment.ends.push(end);
        Span { segment: key, start, end }
    }

    /// Ends the segment that is being filled: what comes next goes into another, unless nobody holds this one and it can
    /// be filled from the beginning. The net calls it when a flush is over.
    pub fn seal(&mut self) {
        if let Some(key) = self.current {
            let segment = &mut self.slab[key as usize];
            if segment.holders == 0 && segment.bytes.capacity() <= SEGMENT_SIZE {
                segment.bytes.clear();
                segment.ends.clear();
            } else {
                self.current = None;
                if segment.holders == 0 {
                    self.slab.remove(key as usize);
                }
            }
        }
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
            self.slab.remove(key as usize);
        }
    }

    #[inline]
    pub fn bytes(&self, range: Span) -> &[u8] {
        &self.slab[range.segment as usize].bytes[range.start as usize..range.end as usize]
    }

    /// The first message that lies wholly in this range.
    pub fn whole_message(&self, range: Span) -> Option<Span> {
        let (from, to) = (range.start, range.end);
        let ends = &self.slab[range.segment as usize].ends;
        let first = ends.partition_point(|end| *end <= from);
        // The message that ends at `ends[first]` begins where the one before it ends. If that is before `from`, it is
        // partly sent, and the next one is the first that is whole.
        let begins = if first == 0 { 0 } else { ends[first - 1] };
        let (start, end) =
            if begins >= from { (begins, *ends.get(first)?) } else { (*ends.get(first)?, *ends.get(first + 1)?) };
        (end <= to).then_some(Span { start, end, ..range })
    }
}

#[cfg(test)]
impl Segments {
    pub fn len(&self) -> usize {
        self.slab.len()
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
