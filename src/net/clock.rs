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
    /// Whatever was ready at this time has been served: a peer has had its say.
    heard: Duration,
    /// A wait at this time has found what stands on the ready list up to this mark, and not all of it has been served.
    hearing: Option<(Duration, u64)>,
    /// The loop was late, and what was ready when it came back has not been served yet.
    stalled: bool,
    /// Timers up to here were passed over in this phase.
    passed_over: Option<Due>,
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
/// A timer that is later than this does not wait for those before it to have a turn each. And a loop that comes so late to
/// its clock, after a long handler or a suspended process, has not been there to hear its peers.
const LATE: Duration = Duration::from_millis(50);

/// What an entry of the timers stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TimerKind {
    /// A socket's idle clock.
    Idle(SocketId),
    /// A socket that connects, and may not for longer.
    Connect(SocketId),
    /// A socket that connects to a name: the next of its addresses.
    Attempt(SocketId),
    /// A name server that has not answered.
    #[cfg(feature = "names")]
    Names,
    /// A socket above its soft output limit.
    Grace(SocketId),
    /// A write that the kernel had no memory for: no edge tells when it has.
    Retry(SocketId),
    /// A server that could not accept.
    Accept(ServerId),
    User(TimerId),
}

impl TimerKind {
    /// Whether it says that a peer was silent, or slow.
    fn judges_a_peer(self) -> bool {
        match self {
            TimerKind::Idle(_) | TimerKind::Grace(_) | TimerKind::Connect(_) => true,
            TimerKind::Attempt(_) => true,
            #[cfg(feature = "names")]
            TimerKind::Names => true,
            TimerKind::Retry(_) | TimerKind::Accept(_) | TimerKind::User(_) => false,
        }
    }
}

impl Clock {
    pub fn of(kernel: &dyn Kernel) -> Self {
        let now = kernel.now();
        Clock {
            now,
            timer_base: now,
            is_in_turn: false,
            expiring: now,
            heard: now,
            hearing: None,
            stalled: false,
            passed_over: None,
            timers: Timers::new(),
        }
    }

    /// A wait is over that was to end at `deadline`.
    pub fn read(&mut self, kernel: &dyn Kernel, deadline: Option<Duration>) {
        let now = kernel.now();
        if now.saturating_sub(self.now) > LATE {
            let in_time = deadline.unwrap_or(Duration::MAX).max(self.now).saturating_add(LATE);
            self.stalled |= now > in_time;
        }
        self.now = now;
        self.timer_base = now + kernel.clock_slack();
        self.is_in_turn = true;
    }

    /// What a wait has found stands on the ready list, up to this mark.
    pub fn begin_hearing(&mut self, mark: u64) {
        if self.hearing.is_none() {
            self.hearing = Some((self.now, mark));
        }
    }

    /// From here to the next wait the clock stands still.
    pub fn end_turn(&mut self) {
        self.is_in_turn = false;
    }

    /// The same for all of a turn.
    pub fn now(&self, kernel: &dyn Kernel) -> Duration {
        if self.is_in_turn { self.now } else { kernel.now() }
    }

    /// The second in which the last wait ended.
    #[inline]
    pub fn second(&self) -> u32 {
        self.now.as_secs() as u32
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

    /// The phase Timeouts begins. `was_served` says whether the ready list was served up to a mark.
    ///
    /// It runs those of the earliest millisecond, and all that are late: a loop that is a little behind catches up in order,
    /// and between a timer and a later one what came in meanwhile has its turn, as it would have had in time. One that is far
    /// behind does not fall further.
    ///
    /// Our own delay is nobody's silence. A timer that judges a peer waits until all that was ready when it was due, or later,
    /// has been served; after a stall all timers do, since a user's may judge peers too.
    pub fn begin_timeouts(&mut self, was_served: impl FnOnce(u64) -> bool) {
        if let Some((time, mark)) = self.hearing
            && was_served(mark)
        {
            self.heard = time;
            self.hearing = None;
            self.stalled = false;
        }
        self.expiring = self.now;
        if let Some(next) = self.timers.next()
            && next < self.now
        {
            self.expiring = next.max(self.now.saturating_sub(LATE));
        }
        if self.stalled {
            self.expiring = self.expiring.min(self.heard);
        }
        self.passed_over = None;
    }

    /// Whether a timer of this phase is left.
    pub fn has_timeouts(&self) -> bool {
        self.timers.first_after(self.passed_over).is_some_and(|(due, _)| due.time() <= self.expiring)
    }

    /// The next timer of this phase.
    pub fn next_timeout(&mut self) -> Option<(Due, TimerKind)> {
        loop {
            let (due, what) = self.timers.first_after(self.passed_over)?;
            if due.time() > self.expiring {
                return None;
            }
            if due.time() <= self.heard || !what.judges_a_peer() {
                self.timers.remove(due);
                return Some((due, what));
            }
            self.passed_over = Some(due);
        }
    }
}
