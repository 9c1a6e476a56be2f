//! The trace: what the loop does and why, in words.
//!
//! ```text
//!   system calls, readiness ── Watched (a kernel around the kernel) ──┐
//!   states of a connection ─── Tasks::tell ──────────────────────────▶ Notes ──▶ Tracer ──▶ a sink: a line each
//!   the loop's decisions ───── Notes::add ───────────────────────────┘             + turn, phase, label, cause
//! ```
//!
//! A loop that is not traced has no notes: what would be told is then not even put into words. The system calls of the
//! busy paths are told by a kernel that is put around the other one when the trace begins, so they cost nothing before.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `notes.rs` | what was done, until it is told |
//! | `watched.rs` | the kernel that tells its calls |
//! | `tracer.rs` | the notes of a piece of work become lines |
//! | `cause.rs` | what may have given rise to an event |
//! | `line.rs` | a line, and the sink that it goes to |
//! | `explainer.rs` | the lines of a turn as a paragraph |

mod cause;
mod explainer;
mod line;
mod notes;
mod tracer;
mod watched;

pub(super) use cause::{number_of_tick, whom_of};
pub use explainer::Explainer;
pub use line::{TraceLine, TraceSink};
pub(super) use notes::{Kind, Notes, Whom};
pub(super) use tracer::{Place, Tracer};
pub(super) use watched::Watched;
