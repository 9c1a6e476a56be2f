//! The write queue and the segments that queues share, against plain vectors of messages.

use std::collections::BTreeMap;
use std::io::IoSlice;

use crate::connection::{Evicted, SLACK, Segments, WriteQueue};

/// How many queues share the segments.
const QUEUES: usize = 3;

/// Above so many bytes in a queue nothing is added: the rules for more are the same, and take longer.
const ENOUGH: usize = 1 << 20;

/// Something that is done to one of the queues, or to all.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// A write of so many bytes.
    Push { queue: usize, length: usize },
    /// A message to the queues whose bits are set.
    Broadcast { queues: u8, length: usize },
    /// The kernel is offered `most` bytes in so many slices, and takes `taken` of them at most.
    Send { queue: usize, most: usize, slices: usize, taken: usize },
    /// The oldest whole message behind so many bytes goes.
    DropOldest { queue: usize, keep: usize },
    /// The newest whole message behind so many bytes goes.
    DropNewest { queue: usize, keep: usize },
    /// All of it goes.
    Clear { queue: usize },
    /// The flush has left it as it is.
    Settle { queue: usize },
    /// What comes next goes into another segment.
    Seal,
}

impl From<(u8, u16)> for Operation {
    /// Any two numbers are an operation.
    fn from((kind, amount): (u8, u16)) -> Self {
        let (kind, queue) = (kind % 16, usize::from(kind / 16) % QUEUES);
        let small = usize::from(amount % 64);
        let amount = usize::from(amount);
        // Most messages are small, some are on either side of a bound: 64 KiB of merged writes, 256 KiB of a segment.
        let length = |bound: usize| match amount % 16 {
            0 => bound - 64 + amount / 64 % 128,
            1 => amount,
            _ => amount / 16 % 64,
        };
        match kind {
            0..=3 => Operation::Push { queue, length: length(64 << 10) },
            4 => Operation::Settle { queue },
            5..=8 => Operation::Broadcast { queues: kind - 4 + queue as u8, length: length(256 << 10) },
            9..=11 => Operation::Send { queue, most: 1 + amount * 8, slices: 1 + small % 4, taken: usize::MAX },
            12 => Operation::Send { queue, most: usize::MAX, slices: 8, taken: small },
            13 if amount % 4 == 0 => Operation::DropNewest { queue, keep: small },
            13 => Operation::DropOldest { queue, keep: small },
            14 if amount % 16 == 0 => Operation::Clear { queue },
            14 => Operation::DropOldest { queue, keep: amount },
            _ => Operation::Seal,
        }
    }
}

/// Each queue holds what a vector of messages would hold, and each segment lives as long as one of them needs it.
pub fn check(operations: &[Operation]) {
    let mut world = World::default();
    for operation in operations {
        world.play(*operation);
        world.compare(operation);
    }
    world.send_the_rest();
}

#[derive(Default)]
struct World {
    queues: [WriteQueue; QUEUES],
    naive: [Naive; QUEUES],
    /// No broadcast waits for the flush.
    settled: [bool; QUEUES],
    segments: Segments,
    messages: usize,
}

impl World {
    fn play(&mut self, operation: Operation) {
        match operation {
            Operation::Push { queue, length } if self.naive[queue].unsent() < ENOUGH => {
                let message = self.message(length);
                let number = self.naive[queue].push(&message);
                self.queues[queue].push(&message, number, &mut self.segments);
                self.settled[queue] |= length > 0;
            }
            // An empty message does not get as far as a queue.
            Operation::Broadcast { queues, length } if length > 0 => {
                let message = self.message(length);
                let place = self.segments.append(&message);
                for queue in (0..QUEUES).filter(|queue| queues >> queue & 1 == 1) {
                    if self.naive[queue].unsent() < ENOUGH {
                        self.queues[queue].push_shared(place, &mut self.segments);
                        self.naive[queue].broadcast(&message);
                        self.settled[queue] = false;
                    }
                }
            }
            Operation::Send { queue, most, slices, taken } => self.send(queue, most, slices, taken),
            Operation::DropOldest { queue, keep } => {
                let dropped = self.queues[queue].drop_oldest(keep, &mut self.segments);
                assert_eq!(dropped, self.naive[queue].drop_oldest(keep), "dropped behind {keep}");
            }
            Operation::DropNewest { queue, keep } => {
                let dropped = self.queues[queue].drop_newest(keep, &mut self.segments);
                assert_eq!(dropped, self.naive[queue].drop_newest(keep), "dropped behind {keep}");
            }
            Operation::Settle { queue } => {
                self.queues[queue].settle(&mut self.segments);
                self.settled[queue] = true;
            }
            Operation::Clear { queue } => {
                self.queues[queue].clear(&mut self.segments);
                self.naive[queue] = Naive::default();
            }
            Operation::Seal => self.segments.seal(),
            Operation::Push { .. } | Operation::Broadcast { .. } => {}
        }
    }

    fn send(&mut self, queue: usize, most: usize, slices: usize, taken: usize) {
        let mut offered = [IoSlice::new(&[]); 8];
        let count = self.queues[queue].gather(most, &self.segments, &mut offered[..slices]);
        let bytes: Vec<u8> = offered[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
        let expected = self.naive[queue].front(bytes.len());
        assert!(bytes == expected, "other bytes are offered than are queued: {} of them", bytes.len());
        assert!(bytes.len() <= most);
        if count < slices {
            assert_eq!(bytes.len(), most.min(self.naive[queue].unsent()), "more could be offered");
        }
        assert!(offered[..count].iter().all(|slice| !slice.is_empty()), "an empty slice");
        let taken = taken.min(bytes.len());
        self.queues[queue].sent(taken, &mut self.segments);
        self.naive[queue].sent(taken);
    }

    fn compare(&self, operation: &Operation) {
        let mut holders: BTreeMap<u32, u32> = BTreeMap::new();
        for ((queue, naive), settled) in self.queues.iter().zip(&self.naive).zip(self.settled) {
            assert_eq!(queue.unsent(), naive.unsent(), "unsent behind {operation:?}");
            assert_eq!(queue.check(settled, &self.segments), Ok(()), "behind {operation:?}");
            queue.segments().for_each(|segment| *holders.entry(segment).or_default() += 1);
        }
        assert_eq!(self.segments.check(&holders), Ok(()), "behind {operation:?}");
    }

    /// The flush is over, all is sent, and nobody holds a segment.
    fn send_the_rest(&mut self) {
        (0..QUEUES).for_each(|queue| self.play(Operation::Settle { queue }));
        self.segments.seal();
        let unsent: usize = self.naive.iter().map(Naive::unsent).sum();
        let held = self.segments.held() + self.queues.iter().map(WriteQueue::held).sum::<usize>();
        assert!(held <= unsent * 5 / 2 + QUEUES * 2 * SLACK + (256 << 10) * 9 / 8 + 1024, "{unsent} bytes hold {held}");
        for queue in 0..QUEUES {
            while self.queues[queue].unsent() > 0 {
                self.send(queue, usize::MAX, 8, usize::MAX);
            }
            assert_eq!(self.naive[queue].unsent(), 0, "bytes are lost");
        }
        assert_eq!(self.segments.check(&BTreeMap::new()), Ok(()), "at the end");
    }

    /// No two messages next to each other look alike.
    fn message(&mut self, length: usize) -> Vec<u8> {
        self.messages += 1;
        (0..length).map(|at| (self.messages * 31 + at) as u8).collect()
    }
}

/// What is queued, message by message.
#[derive(Default)]
struct Naive {
    messages: Vec<Message>,
    /// Writes so far that were not empty, without those that were dropped last.
    numbered: u64,
}

struct Message {
    bytes: Vec<u8>,
    sent: usize,
    /// The number of the write. None of a broadcast's message.
    write: Option<u64>,
}

impl Naive {
    /// Gives the number of the write.
    fn push(&mut self, bytes: &[u8]) -> u64 {
        if !bytes.is_empty() {
            self.numbered += 1;
            self.messages.push(Message { bytes: bytes.to_vec(), sent: 0, write: Some(self.numbered) });
        }
        self.numbered
    }

    fn broadcast(&mut self, bytes: &[u8]) {
        self.messages.push(Message { bytes: bytes.to_vec(), sent: 0, write: None });
    }

    fn sent(&mut self, count: usize) {
        let mut count = count;
        for message in &mut self.messages {
            let taken = count.min(message.bytes.len() - message.sent);
            message.sent += taken;
            count -= taken;
        }
        self.messages.retain(|message| message.sent < message.bytes.len());
    }

    fn drop_oldest(&mut self, keep: usize) -> Option<Evicted> {
        let mut before = 0;
        let at = self.messages.iter().position(|message| {
            let whole = message.sent == 0 && before >= keep;
            before += message.bytes.len() - message.sent;
            whole
        })?;
        let Message { bytes, write, .. } = self.messages.remove(at);
        Some(Evicted { bytes: bytes.len(), write })
    }

    fn drop_newest(&mut self, keep: usize) -> Option<Evicted> {
        let unsent = self.unsent();
        let Message { bytes, write, .. } =
            self.messages.pop_if(|message| message.sent == 0 && unsent - message.bytes.len() >= keep)?;
        self.numbered -= u64::from(write.is_some());
        Some(Evicted { bytes: bytes.len(), write })
    }

    fn front(&self, count: usize) -> Vec<u8> {
        let bytes = self.messages.iter().flat_map(|message| &message.bytes[message.sent..]);
        bytes.take(count).copied().collect()
    }

    fn unsent(&self) -> usize {
        self.messages.iter().map(|message| message.bytes.len() - message.sent).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(super::super::some(300))]

        #[test]
        fn a_queue_is_a_vector_of_messages(
            operations in prop::collection::vec(any::<(u8, u16)>().prop_map(Operation::from), 0..150),
        ) {
            check(&operations);
        }
    }
}
