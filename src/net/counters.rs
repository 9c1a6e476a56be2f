//! What a net counts.

use std::time::Duration;

/// What a net has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Turns.
    pub turns: u64,
    /// The longest that a turn has worked, from the clock of the kernel: without its wait, and without what the caller does
    /// between two turns. See [`Net::set_turn_budget`](super::Net::set_turn_budget).
    pub longest_turn: Duration,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once, because their server had as many as it may.
    pub dropped: u64,
    /// Connections closed at once, because their server's block list said so.
    pub blocked: u64,
    /// Connections closed at once, because there was no descriptor for them.
    pub shed: u64,
    /// Messages that output limits dropped.
    pub messages_dropped: u64,
    /// Connections that are above their soft output limit at present, and whose grace period runs.
    pub above_soft: usize,
    /// Connections that output limits ended.
    pub limited: u64,
    /// Connections that the limit of the loop's memory ended ([`Net::set_memory_limit`](crate::Net::set_memory_limit)). They
    /// are among those of `limited`.
    pub memory_limited: u64,
    /// The memory of all queued output and read-ahead at present, in bytes.
    pub memory_held: usize,
    /// The most that was held when a flush was over.
    pub most_memory_held: usize,
    /// Errors of connections and servers that no handler listened to.
    pub errors_unhandled: u64,
}
