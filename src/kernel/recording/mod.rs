//! A run that is written down, and played again.
//!
//! [`Recorder`] is a kernel around another one. It passes everything on, and writes each call with its answer, each
//! readiness and each look at the clock. [`Replay`] is a kernel that gives these answers back. So the same program makes the
//! same run again, on another machine and at another time, without a network.
//!
//! ```text
//!   loop ──call──▶ Recorder ──call──▶ MioKernel            loop ──call──▶ Replay ──▶ is it the call of then?
//!        ◀─answer─     │    ◀─answer─                           ◀─answer─    ▲
//!                      ▼                                                     │
//!                 the recording ────────────────────────────────────────▶ the recording
//! ```
//!
//! Calls are of three classes ([`format::Class`]):
//!
//! | class | for example | when it is played |
//! | --- | --- | --- |
//! | effects | write, close, connect | compared with those of then, in their order: they are what the program does |
//! | inputs | read, accept, wait | answered, for each handle in its order within the turn; each has to be asked for |
//! | questions | the clock, the own address | answered as often as they are asked, the last time as the last time |
//!
//! A recording is a line of text and then blocks, each with a head that has a checksum of it and one of the block. The first
//! block is the header. So a recording that was cut plays up to the cut, and one that is damaged up to the damage:
//!
//! ```text
//!   tidegate recording 2 ⏎ | head header | head calls… | head calls… |
//! ```
//!
//! | file | what is in it |
//! | --- | --- |
//! | `format.rs` | numbers, texts, addresses and errors as bytes; the kinds of calls |
//! | `blocks.rs` | blocks with their checksums, and the header |
//! | `entry.rs` | what stands in a recording: calls with their answers, looks at the clock, turns |
//! | `effect.rs` | what an effect is, as it is compared and as people read it |
//! | `tape.rs`, `recorder.rs` | what is written, and until when; the kernel that writes it |
//! | `tokens.rs` | the tokens of the loop, by handles |
//! | `script.rs`, `replay.rs` | what is left of the present turn; the kernel that plays it |
//! | `difference.rs` | the first difference, and how a run has ended |

mod blocks;
mod difference;
mod effect;
mod entry;
mod format;
mod recorder;
mod replay;
mod script;
mod tape;
mod tokens;

pub use blocks::Header;
pub use difference::{Difference, RunEnd};
pub use recorder::Recorder;
pub use replay::{Playback, Replay, ReplayOptions, Report};
pub use tape::{RecorderOptions, Recording};
