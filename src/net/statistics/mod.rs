//! Statistics of a loop: over every turn, nothing sampled, and nothing while they are not kept.
//!
//! ```text
//!   calls that read and write ── Counted (a kernel around the kernel) ──┐
//!   each turn ────────────────── counting.rs ──────────────────────────▶ Tally ──┐
//!   what seldom happens ──────── Cx::count ─────────────────────────────┘        ├──▶ Statistics ──▶ each()
//!   what can be asked for ────── connections, timers, segments, Counters ────────┘
//! ```
//!
//! | file | what is in it |
//! | --- | --- |
//! | `tally.rs` | what is counted |
//! | `counted.rs` | the kernel that counts its calls |
//! | `histogram.rs` | times by their size |
//! | `snapshot.rs` | what it has come to |
//! | `figures.rs` | each figure with its name, for those who show them |

mod counted;
mod figures;
mod histogram;
mod snapshot;
mod tally;

pub(super) use counted::Counted;
pub use figures::{Figure, FigureKind, FigureValue};
pub use histogram::Histogram;
pub use snapshot::Statistics;
pub use tally::LongestTurn;
pub(super) use tally::{Base, Budget, Tally};
