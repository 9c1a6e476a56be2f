//! The time of a loop, and what is due when.
//!
//! The kernel's clock is read once after each wait. Delays that a call sets count from the time of the call, so that none
//! is too short; activity counts from the turn, which is cheaper, and too early by no more than the turn has taken. Between
//! two turns a program may do other things for long (a loop inside another loop), so a call that comes then reads the clock.

use std::time::Duration;

use crate::base::id::{ServerId, SocketId, TimerId};
use crate::base::timers::{Due, Timers};
use crate::kernel::Kernel;

#[derive(Debug)]
pub(super) struct Clock {
    /// As the last wait left it.
    now: Duration,
    /// What activity counts from: `now`, and the slack by which the kernel's clock may be ahead of it.
    timer_base: Duration,
    /// Whether a turn has read the clock. Between two turns it stands still, for as long as the program likes.
    is_in_turn: bool,
    /// Timers that are due up to here belong to this turn's phase Timeouts.
    expiring: Duration,
    pub timers: Timers<TimerKind>,
}

/// How long a turn may sleep when there is nothing to do. A timer that is due ends each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleep {
    AtMost(Duration),
    /// As long as something keeps the loop running that may bring work.
    WhileAlive,
    /// As long as anything at all may bring work.
    UntilWoken,
}

/// What an entry of the timers stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKind {
    /// A socket's idle clock.
    Idle(SocketId),
    /// A socket that connects, and may not for longer.
    Connect(SocketId),
    /// A socket above its soft output limit.
    Grace(SocketId),
    /// A write that the kernel had no memory for: no edge tells when it has.
    Retry(SocketId),
    /// A server that could not accept.
    Accept(ServerId),
    User(TimerId),
}

impl Clock {
    pub fn of(kernel: &dyn Kernel) -> Self {
        let now = kernel.now();
        Clock { now, timer_base: now, is_in_turn: false, expiring: now, timers: Timers::new() }
    }

    /// A wait is over.
    pub fn read(&mut self, kernel: &dyn Kernel) {
        self.now = kernel.now();
        self.timer_base = self.now + kernel.clock_slack();
        self.is_in_turn = true;
    }

    /// From here to the next wait the clock stands still.
    pub fn end_turn(&mut self) {
        self.is_in_turn = false;
    }

    /// The same for all of a turn.
    pub fn now(&self, kernel: &dyn Kernel) -> Duration {
        if self.is_in_turn { self.now } else { kernel.now() }
    }

    /// What activity counts from.
    pub fn timer_base(&self, kernel: &dyn Kernel) -> Duration {
        if self.is_in_turn { self.timer_base } else { kernel.now() + kernel.clock_slack() }
    }

    /// What a delay that a call sets counts from. A handler may have taken long, and a loop may not have turned yet: the
    /// clock of the last wait alone would make the delay too short.
    pub fn time_of_call(&self, kernel: &dyn Kernel) -> Duration {
        self.timer_base.max(kernel.now())
    }

    /// Takes a timer back, if there is one.
    pub fn cancel(&mut self, due: Option<Due>) {
        if let Some(due) = due {
            self.timers.remove(due);
        }
    }

    /// The phase Timeouts begins. It runs only those of the earliest millisecond: a loop that is late catches up in order,
    /// and between a timer and a later one what came in meanwhile has its turn, as it would have had in time.
    pub fn begin_timeouts(&mut self) {
        self.expiring = self.timers.next().map_or(self.now, |next| next.min(self.now));
    }

    /// The next timer of this phase.
    pub fn next_timeout(&mut self) -> Option<(Due, TimerKind)> {
        self.timers.pop(self.expiring)
    }
}
