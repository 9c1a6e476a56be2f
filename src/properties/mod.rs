//! What must be true of the logic, whatever comes in.
//!
//! One file for each thing that is judged, with one function `check`: it plays what it was given against the real thing
//! and against a naive one, and panics where they differ. The naive ones look at a stream byte by byte, at a queue as a
//! vector of messages, at a connection as sums and orders: slow, and short enough to be believed.
//!
//! Two callers share them: the tests below each `check`, which make up some hundreds of inputs in `cargo test`, and the
//! fuzz targets in `tests/fuzz`, which look for hours (`docs/fuzzing.md`). In any other build this is not there.

#![allow(clippy::panic, clippy::unwrap_used, reason = "who checks says what is wrong, loudly")]
#![allow(missing_docs, reason = "the fields of an operation are what they are called")]

pub mod connection;
pub mod lines;
#[cfg(feature = "names")]
pub mod names;
pub mod text;
pub mod write_queue;

/// The same inputs in each run, so that a commit fails for what it has changed. To look for more, there is the fuzzer;
/// or `PROPTEST_RNG_SEED` and `PROPTEST_CASES`.
#[cfg(test)]
fn some(cases: u32) -> proptest::test_runner::Config {
    use proptest::test_runner::{Config, RngSeed, contextualize_config};
    let config = Config { rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Config::with_cases(cases) };
    let config = contextualize_config(config);
    if cfg!(miri) { Config { cases: 4, ..config } } else { config }
}
