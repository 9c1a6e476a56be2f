//! What comes as an answer of a name server.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::properties::names::check;

fuzz_target!(|input: (u16, &[u8])| {
    let (id, bytes) = input;
    check(bytes, id);
});
