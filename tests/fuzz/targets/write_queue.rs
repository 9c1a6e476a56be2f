//! The write queue and the segments that queues share, against vectors of messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::properties::write_queue::{Operation, check};

fuzz_target!(|input: Vec<(u8, u16)>| {
    let operations: Vec<Operation> = input.into_iter().take(200).map(Operation::from).collect();
    check(&operations);
});
