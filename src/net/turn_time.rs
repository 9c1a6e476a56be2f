//! The time of a turn: how long it has worked, and whether it is to come to its end.
//!
//! ```text
//!   the budget   ├─────────────┼─────────────┼──────┼──────┼──────┼──────┤
//!   a phase may   Flush         Serve         Flush- Next-  Closes Time-
//!   go on until here                          Again  Turns         outs
//! ```
//!
//! Bytes are bounded for each connection, and that bounds nothing: many connections, or handlers that take long, add up. So
//! the turn as a whole has a budget of time. Each phase may go on until its share is over, and what one does not use is the
//! next one's. A phase whose time is up does one piece of work and leaves the rest, in order, to the next turn. So under any
//! load each phase comes forward, and signals, timers and other connections come in between.
//!
//! To read the clock for each piece would cost more than most pieces. Work is counted in units, and the clock is read when
//! about a sixteenth of the budget should have passed, at the pace that was seen last; at the latest after
//! [`MOST_UNITS`]. When pieces become slow all at once, that is noticed after so many of them, once.

use std::time::Duration;

use super::agenda::Phase;

/// Units between two looks at the clock, at the most: a receiver of a broadcast, a system call, a KiB, an event.
const MOST_UNITS: i32 = 32;

/// And before the first look in a turn: nobody knows yet what it brings.
const FIRST_UNITS: i32 = 16;

/// The parts of the budget of which each phase has some.
const SHARES: u64 = 16;

/// See [`Net::set_turn_budget`](super::Net::set_turn_budget).
const DEFAULT_BUDGET: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct TurnTime {
    /// None: there is no bound.
    budget: Option<Duration>,
    /// A part of the budget: about as long it should take from one look at the clock to the next.
    part: Nanos,
    /// Units until the clock is read. Never more than 0 once the time is up.
    left: i32,
    /// What `left` was at the last look.
    granted: i32,
    /// Units between two looks, at the pace of the handlers and at that of the flushes, which say nothing about each other.
    steps: [i32; 2],
    state: State,
    phase: Phase,
    /// The phase that has begun its last piece of work in this turn.
    last_of: Phase,
    /// On the kernel's clock, less the time that the turn has slept.
    began: Nanos,
    /// When the clock was read last.
    looked: Nanos,
}

/// A time in whole nanoseconds, which is reckoned with in every turn: five centuries fit.
pub(super) type Nanos = u64;

#[inline]
pub(super) fn nanos(time: Duration) -> Nanos {
    time.as_secs().wrapping_mul(1_000_000_000).wrapping_add(u64::from(time.subsec_nanos()))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The turn has nothing to do before its wait, or is over.
    Stopped,
    /// There is time.
    Runs,
    /// The share of this phase is over.
    ShareIsOver,
    /// Nothing more is to be begun in this turn than one piece in each phase.
    UsedUp,
}

impl TurnTime {
    pub fn new() -> Self {
        TurnTime {
            budget: Some(DEFAULT_BUDGET),
            part: nanos(DEFAULT_BUDGET) / SHARES,
            left: 1,
            granted: 1,
            steps: [1; 2],
            state: State::Stopped,
            phase: Phase::Start,
            last_of: Phase::Start,
            began: 0,
            looked: 0,
        }
    }

    pub fn budget(&self) -> Option<Duration> {
        self.budget
    }

    pub fn set_budget(&mut self, budget: Option<Duration>) {
        self.budget = budget;
        self.part = nanos(budget.unwrap_or(DEFAULT_BUDGET)) / SHARES;
    }

    /// A turn begins at `now`, or goes on after its wait, having worked for so long before it.
    #[inline]
    pub fn begin(&mut self, now: Duration, worked: Duration) {
        self.looked = nanos(now);
        self.began = self.looked.saturating_sub(nanos(worked));
        self.steps = self.steps.map(|step| step.min(FIRST_UNITS));
        let step = *self.step();
        self.grant(step);
        self.last_of = Phase::Start;
        self.state = State::Runs;
    }

    /// Whether the turn has begun to work.
    pub fn is_running(&self) -> bool {
        self.state != State::Stopped
    }

    /// How long the turn has worked until `now`.
    pub fn worked(&self, now: Duration) -> Duration {
        Duration::from_nanos(nanos(now).saturating_sub(self.began))
    }

    /// A phase begins, and has its own share.
    #[inline(always)]
    pub fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let step = *self.step();
        if self.left > step {
            self.grant(step);
        }
        if self.state == State::ShareIsOver {
            // The clock is read before the second piece.
            self.state = State::Runs;
        }
    }

    /// The time is up. Whether the phase begins a last piece of work: one in each turn.
    pub fn begins_last(&mut self) -> bool {
        std::mem::replace(&mut self.last_of, self.phase) != self.phase
    }

    /// So much was done.
    #[inline(always)]
    pub fn spend(&mut self, units: usize) {
        self.left = self.left.wrapping_sub(units as i32);
    }

    /// Whether the clock is to be read, by [`TurnTime::look`], or the time is up.
    #[inline(always)]
    pub fn is_spent(&self) -> bool {
        self.left <= 0
    }

    /// Whether it is known that the time is up.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::ShareIsOver | State::UsedUp)
    }

    /// Whether the turn is used up because of a receiver that is to be flushed first.
    pub fn is_used_up(&self) -> bool {
        self.state == State::UsedUp
    }

    /// The clock was read, as so much was done. Whether the time is up.
    pub fn look(&mut self, now: Duration) -> bool {
        let now = nanos(now);
        self.keep_pace(now);
        let step = *self.step();
        self.grant(step);
        let worked = now.saturating_sub(self.began);
        if self.budget.is_some() && self.state == State::Runs && worked >= self.part * share(self.phase) {
            self.state = State::ShareIsOver;
            self.grant(0);
        }
        self.is_up()
    }

    /// The turn is to begin nothing more, though there would be time.
    pub fn use_up(&mut self) {
        if self.budget.is_some() && self.is_running() {
            self.state = State::UsedUp;
            self.left = 0;
        }
    }

    /// The one of the present phase.
    #[inline(always)]
    fn step(&mut self) -> &mut i32 {
        let [of_handlers, of_flushes] = &mut self.steps;
        if matches!(self.phase, Phase::Flush | Phase::FlushAgain) { of_flushes } else { of_handlers }
    }

    #[inline(always)]
    fn grant(&mut self, units: i32) {
        self.left = units;
        self.granted = units;
    }

    /// The turn is over: how long it has worked. If that is longer than `longest`, that is set to it.
    #[inline]
    pub fn end(&mut self, now: Duration, longest: &mut Duration) -> Nanos {
        let now = nanos(now);
        // A turn of a few slow pieces never came to a look.
        if now.saturating_sub(self.looked) > self.part {
            self.keep_pace(now);
        }
        self.state = State::Stopped;
        let worked = now.saturating_sub(self.began);
        if worked > nanos(*longest) {
            *longest = Duration::from_nanos(worked);
        }
        worked
    }

    /// How many units are to be done until the next look.
    #[cold]
    fn keep_pace(&mut self, now: Nanos) {
        let units = i64::from(self.granted) - i64::from(self.left);
        // A phase that does nothing says nothing about the pace.
        if units > 0 {
            let took = now.saturating_sub(self.looked).max(1);
            // It slows down at once, and gets faster by and by: slow pieces come among fast ones.
            let part = self.part;
            let step = self.step();
            let most = MOST_UNITS.min(*step * 2);
            let is_fast = units >= i64::from(*step) && took <= part / 2;
            let fit = || part.saturating_mul(units as u64) / took;
            *step = if is_fast { most } else { fit().clamp(1, most as u64) as i32 };
        }
        self.looked = now;
    }
}

/// Until when a phase may go on, in parts of the budget.
fn share(phase: Phase) -> u64 {
    match phase {
        Phase::Start | Phase::Flush | Phase::Wait => 4,
        Phase::Serve => 8,
        Phase::FlushAgain => 10,
        Phase::NextTurns => 12,
        Phase::Closes => 14,
        Phase::Timeouts => 16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    /// Does pieces of a phase that take so long, one unit each, until the time is up. How many, and how often the clock
    /// was read.
    fn pieces(time: &mut TurnTime, now: &mut Duration, each: Duration, phase: Phase) -> (u32, u32) {
        time.enter(phase);
        let (mut done, mut looks) = (0, 0);
        loop {
            if time.is_spent() {
                looks += u32::from(!time.is_up());
                if time.is_up() || time.look(*now) {
                    return (done, looks);
                }
            }
            *now += each;
            time.spend(1);
            done += 1;
        }
    }

    #[test]
    fn the_clock_is_read_once_in_32_pieces_that_are_fast_and_for_each_that_is_slow() {
        let (mut time, mut now) = (TurnTime::new(), us(0));
        time.begin(now, us(0));
        time.enter(Phase::Serve);
        let (done, looks) = pieces(&mut time, &mut now, us(1), Phase::Serve);
        assert!((2500..2532).contains(&done), "{done} pieces of 1 us in half of 5 ms");
        assert!(looks <= done / 32 + 6, "{looks} looks");
        time.begin(now, us(0));
        time.enter(Phase::Serve);
        pieces(&mut time, &mut now, us(300), Phase::Serve);
        let began = now;
        time.begin(now, us(0));
        time.enter(Phase::Serve);
        assert_eq!(pieces(&mut time, &mut now, us(300), Phase::Serve).0, 9);
        assert_eq!(now - began, us(2700), "the pace is known from the turn before");
    }

    #[test]
    fn fast_flushes_do_not_make_slow_handlers_look_fast() {
        let (mut time, mut now) = (TurnTime::new(), us(0));
        for turn in 0..5 {
            time.begin(now, us(0));
            let began = now;
            for phase in [Phase::Flush, Phase::Serve, Phase::FlushAgain] {
                time.enter(phase);
                let (each, most) = if phase == Phase::Serve { (us(400), 1000) } else { (us(1), 64) };
                for _ in 0..most {
                    if time.is_spent() && (time.is_up() || time.look(now)) {
                        break;
                    }
                    now += each;
                    time.spend(1);
                }
            }
            assert!(turn == 0 || now - began <= us(3000), "turn {turn} took {:?}", now - began);
        }
    }

    #[test]
    fn each_phase_has_its_share_and_what_one_leaves_is_the_next_ones() {
        let (mut time, mut now) = (TurnTime::new(), us(0));
        time.begin(now, us(0));
        time.enter(Phase::Serve);
        pieces(&mut time, &mut now, us(10), Phase::Serve);
        assert!(time.is_up() && now < us(2500 + 320), "{now:?}");
        time.enter(Phase::Serve);
        assert!(!time.is_up());
        pieces(&mut time, &mut now, us(10), Phase::Timeouts);
        assert!((us(5000)..us(5320)).contains(&now), "{now:?}");
    }

    #[test]
    fn a_turn_that_is_used_up_stays_so_until_the_next_one() {
        let mut time = TurnTime::new();
        time.begin(us(0), us(0));
        time.enter(Phase::Serve);
        time.use_up();
        time.enter(Phase::Serve);
        assert!(time.is_spent() && time.is_up());
        time.begin(us(10), us(4));
        assert_eq!((time.is_up(), time.worked(us(12))), (false, us(6)));
    }

    #[test]
    fn without_a_budget_the_time_is_never_up() {
        let (mut time, mut now) = (TurnTime::new(), us(0));
        time.set_budget(None);
        time.begin(now, us(0));
        time.enter(Phase::Serve);
        time.use_up();
        for _ in 0..1000 {
            now += us(1000);
            time.spend(1);
            assert!(!time.is_spent() || !time.look(now));
        }
    }

    #[test]
    fn a_turn_that_never_looked_at_the_clock_still_sets_the_pace() {
        let mut time = TurnTime::new();
        time.begin(us(0), us(0));
        time.enter(Phase::Serve);
        pieces(&mut time, &mut us(0), us(1), Phase::Serve);
        time.begin(us(0), us(0));
        time.enter(Phase::Serve);
        time.spend(2);
        time.end(us(4000), &mut us(0));
        assert_eq!(time.steps[0], 1, "2 ms a piece");
    }
}
