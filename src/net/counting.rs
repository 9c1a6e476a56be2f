//! A net whose statistics are kept: when it is counted.

use std::time::Duration;

use super::Net;
use super::agenda::Phase;
use super::clock::Sleep;
use super::event::Event;
use super::statistics::Budget;
use super::trace::{Whom, whom_of};
use super::turn::FLUSHES_AT_ONCE;
use super::turn_time::{Nanos, nanos};
use crate::base::error::Error;
use crate::base::timers::Due;

impl Net {
    /// As [`Net::next_event`], of a net that is traced or whose statistics are kept.
    #[inline(never)]
    pub(super) fn next_event_watched(&mut self, sleep: Sleep) -> Result<Option<Event>, Error> {
        self.handler_has_returned();
        let event = match self.tracer {
            None => self.advance(sleep),
            Some(_) => self.next_event_traced(sleep),
        };
        if let Ok(Some(event)) = &event {
            self.hands_out(event);
        }
        event
    }

    fn hands_out(&mut self, event: &Event) {
        if let (Some(tally), Whom::Socket(id)) = (&mut self.cx.tally, whom_of(event)) {
            tally.watch.hand_out(id, nanos(self.cx.kernel.now()));
        }
    }

    fn handler_has_returned(&mut self) {
        if let Some(tally) = &mut self.cx.tally
            && tally.watch.has_handed_out()
        {
            tally.watch.handler_returned(nanos(self.cx.kernel.now()));
        }
    }

    /// What was done is told with the phase in which it was done. The next phase begins: the clock is looked at if that has
    /// something to do; after a wait it was just read. The phase Timeouts begins with its first timer.
    #[inline(never)]
    pub(super) fn phase_is_over(&mut self) {
        if self.tracer.is_some() {
            self.tell_notes();
        }
        if self.cx.tally.is_none() {
            return;
        }
        let agenda = &self.cx.agenda;
        let (next, work) = match self.phase {
            Phase::Wait => {
                let now = nanos(self.cx.clock.now(&*self.cx.kernel));
                return self.cx.count(|tally| tally.watch.begin(Some(Phase::Serve), now));
            }
            Phase::Start => (Phase::Flush, agenda.flush.len()),
            Phase::Serve => (Phase::FlushAgain, agenda.flush.len()),
            Phase::FlushAgain => (Phase::NextTurns, agenda.next_turns.len()),
            Phase::NextTurns => (Phase::Closes, agenda.closes.len()),
            Phase::Flush | Phase::Closes | Phase::Timeouts => return,
        };
        if work > 0 {
            self.phase_has_work(next, work);
        }
    }

    fn phase_has_work(&mut self, phase: Phase, work: usize) {
        if matches!(phase, Phase::Flush | Phase::FlushAgain) && work > FLUSHES_AT_ONCE {
            self.cx.cut(Budget::Flushes);
        }
        let now = nanos(self.cx.kernel.now());
        self.cx.count(|tally| tally.watch.begin(Some(phase), now));
    }

    /// A turn is over that has worked for so long.
    pub(super) fn count_turn(&mut self, worked: Nanos, now: Duration) {
        let left = self.cx.agenda.ready.len();
        self.cx.count(|tally| tally.end_turn(worked, nanos(now), left));
    }

    /// A wait is over that has found so much.
    pub(super) fn count_wait(&mut self, found: usize) {
        self.cx.count(|tally| {
            tally.waits += 1;
            tally.events += found as u64;
            tally.full_waits += u64::from(found >= tally.events_at_once);
        });
    }

    /// A timer has come up.
    #[cold]
    pub(super) fn count_timer(&mut self, due: Due) {
        let now = self.cx.kernel.now();
        let lag = now.saturating_sub(due.time());
        self.cx.count(|tally| {
            tally.watch.continue_with(Phase::Timeouts, nanos(now));
            tally.timers_due += 1;
            tally.timer_lags.add(nanos(lag));
        });
    }
}
