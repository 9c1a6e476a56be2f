//! The pages, the pictures and the examples say what is so; and the code is laid out as it is described.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../support/mod.rs"]
mod support;

/// Each behaviour that Node's tests look at is tested here, or explained.
mod catalogue;
/// The floors of the house: imports point down.
mod layers;
/// `docs/node.md`: what it names exists.
mod node_page;
/// What the pages have their reader type is run, and what they show is what comes.
#[cfg(all(feature = "cli", target_os = "linux"))]
mod pages;
/// The pictures are as their sources and the code are.
mod pictures;
/// The programs of `docs/programs.md`, run as their reader runs them.
mod programs;
/// `docs/programs.md` quotes its programs as they are.
mod programs_page;
