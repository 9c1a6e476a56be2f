//! The phase Timeouts of a turn: idle clocks and timers that are due.

use super::Net;
use super::clock::TimerKind;
use super::event::Event;
use super::statistics::Budget;
use super::turn::Step;

impl Net {
    /// One timer that is due.
    pub(super) fn expire_one(&mut self) -> Step {
        if !self.begins_another() {
            if self.is_watched && self.cx.clock.has_timeouts() {
                self.cx.cut(Budget::Timeouts);
            }
            return Step::Over;
        }
        let Some((due, timer)) = self.cx.clock.next_timeout() else { return Step::Over };
        if self.is_watched {
            self.count_timer(due);
        }
        self.cx.time.spend(1);
        debug_assert!(due.time() <= self.cx.kernel.now_to_measure(), "a timer is never early");
        self.tell_timer(timer);
        self.expire(timer).map_or(Step::Worked, Step::Event)
    }

    fn expire(&mut self, timer: TimerKind) -> Option<Event> {
        match timer {
            TimerKind::Idle(id) => {
                return self.conns.get_mut(id)?.expire_idle(&mut self.cx).then_some(Event::Timeout(id));
            }
            TimerKind::Connect(id) => self.conns.get_mut(id)?.expire_connect(&mut self.cx),
            TimerKind::Attempt(id) => self.conns.get_mut(id)?.attempt_next(&mut self.cx),
            #[cfg(feature = "names")]
            TimerKind::Names => self.cx.expire_names(),
            TimerKind::Grace(id) => self.conns.get_mut(id)?.expire_grace(&mut self.cx),
            TimerKind::Retry(id) => self.conns.get_mut(id)?.retry_write(&mut self.cx),
            TimerKind::Accept(id) => self.servers.get_mut(id)?.end_pause(&mut self.cx),
            TimerKind::User(id) => return self.timers.expire(id, &mut self.cx).then_some(Event::Timer(id)),
        }
        None
    }
}
