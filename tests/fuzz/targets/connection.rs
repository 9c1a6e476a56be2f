//! The state machine of a connection, against sums and orders.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::properties::connection::check;

fuzz_target!(|bytes: &[u8]| check(bytes));
