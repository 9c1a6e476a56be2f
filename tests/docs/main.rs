//! The pages, the pictures and the examples are true; and the code is laid out as they describe it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

#[path = "../support/mod.rs"]
mod support;

/// `docs/architecture.md`: its walks through the code name functions that exist.
mod architecture;
/// Each behaviour that Node's tests look at is tested here, or explained.
mod catalogue;
/// The floors of the house: imports point down.
mod layers;
/// `docs/node.md`: what it names exists.
mod node_page;
/// The commands of the pages are run, and their output is what the pages show.
#[cfg(all(feature = "cli", target_os = "linux"))]
mod pages;
/// The pictures agree with their sources and with the code.
mod pictures;
/// `docs/platforms.md` and `.ci/targets` have the same targets.
mod platforms;
/// The programs of `docs/programs.md`, run as a reader runs them.
mod programs;
/// `docs/programs.md` agrees with the programs that it describes.
mod programs_page;
/// The files of this project, as text.
mod project;
