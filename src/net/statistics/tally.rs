//! What is counted while the loop runs. The rest is asked for when somebody looks (`mod.rs`).

use std::rc::Rc;
use std::time::Duration;

use super::counted::Calls;
use super::histogram::Histogram;
use crate::base::id::SocketId;
use crate::connection::CloseReason;
use crate::net::agenda::Phase;
use crate::net::counters::Counters;
use crate::net::turn_time::nanos;

/// A budget that may cut work short, so that the rest waits for the next turn.
#[derive(Clone, Copy, Debug)]
pub(in crate::net) enum Budget {
    /// The time of the turn, in a phase.
    Flush,
    Serve,
    NextTurns,
    Closes,
    Timeouts,
    /// The time of the turn: a connection has given its turn away.
    Yield,
    /// What one connection may be read for in a turn.
    Bytes,
    /// Connections that are flushed at one go.
    Flushes,
    /// The time of the turn, before the memory limit held again.
    Memory,
    /// A receiver of a broadcast is above a limit, and is flushed before more is said.
    Receiver,
}

impl Budget {
    pub const NAMES: [&'static str; 10] =
        ["flush", "serve", "next_turns", "closes", "timeouts", "yield", "bytes", "flushes", "memory", "receiver"];

    /// The time of the turn, in this phase.
    pub fn of_time(phase: Phase) -> Option<Budget> {
        match phase {
            Phase::Flush | Phase::FlushAgain => Some(Budget::Flush),
            Phase::Serve => Some(Budget::Serve),
            Phase::NextTurns => Some(Budget::NextTurns),
            Phase::Closes => Some(Budget::Closes),
            Phase::Timeouts => Some(Budget::Timeouts),
            Phase::Start | Phase::Wait => None,
        }
    }
}

#[derive(Debug, Default)]
pub(in crate::net) struct Tally {
    pub base: Base,
    pub calls: Rc<Calls>,
    pub turns: u64,
    pub worked: u64,
    /// When the last turn was over.
    pub ended: u64,
    pub turn_times: Histogram,
    pub timer_lags: Histogram,
    pub waits: u64,
    pub events: u64,
    pub full_waits: u64,
    pub events_at_once: usize,
    pub ready_left: u64,
    pub ready_left_sum: u64,
    pub cuts: [u64; Budget::NAMES.len()],
    pub reads_blocked: u64,
    pub writes_blocked: u64,
    pub writes_short: u64,
    /// Bytes that were offered and not taken.
    pub refused: u64,
    /// Of connections that are gone.
    pub bytes_read: u64,
    pub closes: [u64; CloseReason::ALL.len()],
    pub accepting_paused: Duration,
    pub timers_due: u64,
    pub watch: TurnWatch,
    pub longest: Option<LongestTurn>,
}

/// What was so when the statistics began.
#[derive(Debug, Default)]
pub(in crate::net) struct Base {
    pub since: Duration,
    pub counters: Counters,
    pub bytes_read: u64,
    pub timers_set: u64,
    pub timers: u64,
}

/// The turn that has worked longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LongestTurn {
    /// How long it has worked.
    pub time: Duration,
    /// The phase in which it has worked longest, as the trace calls it: `serve`.
    pub phase: &'static str,
    /// How long that phase was.
    pub phase_time: Duration,
    /// Whose handler has taken longest in it. `None` if no connection's had an event.
    pub connection: Option<SocketId>,
    /// How long that handler has taken.
    pub handler_time: Duration,
}

/// Where the time of the present turn goes. The clock is read where a phase begins that has something to do, and around each
/// handler; all in nanoseconds.
#[derive(Debug, Default)]
pub(in crate::net) struct TurnWatch {
    phase: Option<(Phase, u64)>,
    longest_phase: Option<(u64, Phase)>,
    /// The handler that runs, and since when.
    handler: Option<(SocketId, u64)>,
    longest_handler: Option<(u64, SocketId)>,
}

fn longer<T: Copy>(longest: &mut Option<(u64, T)>, time: u64, of: T) {
    if longest.is_none_or(|(before, _)| time > before) {
        *longest = Some((time, of));
    }
}

impl TurnWatch {
    /// A phase begins, or the loop is about to sleep.
    #[inline]
    pub fn begin(&mut self, phase: Option<Phase>, now: u64) {
        if let Some((before, since)) = std::mem::replace(&mut self.phase, phase.map(|phase| (phase, now))) {
            longer(&mut self.longest_phase, now.saturating_sub(since), before);
        }
    }

    /// This phase begins, if it has not.
    pub fn continue_with(&mut self, phase: Phase, now: u64) {
        if self.phase.is_none_or(|(present, _)| present != phase) {
            self.begin(Some(phase), now);
        }
    }

    /// A handler of this one is about to run.
    pub fn hand_out(&mut self, to: SocketId, now: u64) {
        self.handler = Some((to, now));
    }

    pub fn has_handed_out(&self) -> bool {
        self.handler.is_some()
    }

    /// It has returned.
    pub fn handler_returned(&mut self, now: u64) {
        if let Some((of, since)) = self.handler.take() {
            longer(&mut self.longest_handler, now.saturating_sub(since), of);
        }
    }
}

impl Tally {
    /// A turn is over that has worked for so long.
    #[inline]
    pub fn end_turn(&mut self, worked: u64, now: u64, ready_left: usize) {
        self.turns += 1;
        self.worked += worked;
        self.ended = now;
        self.turn_times.add(worked);
        self.ready_left = ready_left as u64;
        self.ready_left_sum += ready_left as u64;
        if self.longest.is_none_or(|longest| worked > nanos(longest.time)) {
            self.keep_longest(worked, now);
        }
        self.watch = TurnWatch::default();
    }

    #[cold]
    fn keep_longest(&mut self, worked: u64, now: u64) {
        self.watch.begin(None, now);
        let (phase_time, phase) = self.watch.longest_phase.unwrap_or((0, Phase::Start));
        let (handler_time, connection) = self.watch.longest_handler.unzip();
        self.longest = Some(LongestTurn {
            time: Duration::from_nanos(worked),
            phase: phase.name(),
            phase_time: Duration::from_nanos(phase_time),
            connection,
            handler_time: Duration::from_nanos(handler_time.unwrap_or(0)),
        });
    }

    /// The time that is no turn's.
    pub fn waiting(&self) -> Duration {
        let ended = Duration::from_nanos(self.ended);
        ended.saturating_sub(self.base.since).saturating_sub(Duration::from_nanos(self.worked))
    }

    pub fn cut(&mut self, budget: Budget) {
        self.cuts[budget as usize] += 1;
    }
}
