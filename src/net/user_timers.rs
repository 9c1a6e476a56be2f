//! The timers that a user has set: each has one entry in the clock's timers.

use std::time::Duration;

use super::clock::{Clock, TimerKind};
use super::cx::Cx;
use crate::base::arena::{Arena, HasId};
use crate::base::id::{Owner, TimerId};
use crate::base::timers::Due;

#[derive(Debug)]
pub(super) struct UserTimers {
    timers: Arena<UserTimer>,
    /// How many of them keep the loop running.
    referenced: usize,
}

#[derive(Debug)]
struct UserTimer {
    id: TimerId,
    due: Due,
    /// For a timer that comes again.
    every: Option<Duration>,
    referenced: bool,
}

impl HasId for UserTimer {
    type Id = TimerId;

    fn id(&self) -> TimerId {
        self.id
    }
}

impl UserTimers {
    pub fn new(owner: Owner) -> Self {
        UserTimers { timers: Arena::new(owner), referenced: 0 }
    }

    /// Sets a timer that is due `delay` after `now`, once or again and again.
    pub fn set(&mut self, now: Duration, delay: Duration, every: Option<Duration>, clock: &mut Clock) -> TimerId {
        self.referenced += 1;
        self.timers.insert_with(|id| {
            let due = clock.timers.insert_after(now, delay, TimerKind::User(id));
            UserTimer { id, due, every, referenced: true }
        })
    }

    /// Takes a timer back. False if it is gone already.
    pub fn cancel(&mut self, id: TimerId, clock: &mut Clock) -> bool {
        let Some(timer) = self.timers.remove(id) else { return false };
        self.referenced -= usize::from(timer.referenced);
        clock.cancel(Some(timer.due));
        true
    }

    pub fn set_ref(&mut self, id: TimerId, on: bool) {
        if let Some(timer) = self.timers.get_mut(id)
            && timer.referenced != on
        {
            timer.referenced = on;
            self.referenced = if on { self.referenced + 1 } else { self.referenced - 1 };
        }
    }

    /// A timer is due. One that comes again is set anew. False if it is gone.
    pub fn expire(&mut self, id: TimerId, cx: &mut Cx) -> bool {
        let Some(timer) = self.timers.get_mut(id) else { return false };
        match timer.every {
            Some(period) => timer.due = cx.set_timer(period, TimerKind::User(id)),
            None => {
                self.referenced -= usize::from(timer.referenced);
                self.timers.remove(id);
            }
        }
        true
    }

    pub fn comes_again(&self, id: TimerId) -> bool {
        self.timers.get(id).is_some_and(|timer| timer.every.is_some())
    }

    pub fn exists(&self, id: TimerId) -> bool {
        self.timers.contains(id)
    }

    pub fn referenced(&self) -> usize {
        self.referenced
    }

    /// Whether each has its entry in the clock's timers, and the count is right.
    pub fn check(&self, has_entry: impl Fn(Due, TimerKind) -> bool) -> Result<(), String> {
        if let Some((_, timer)) = self.timers.iter().find(|(id, timer)| !has_entry(timer.due, TimerKind::User(*id))) {
            return Err(format!("nothing will wake {timer:?}"));
        }
        let referenced = self.timers.iter().filter(|(_, timer)| timer.referenced).count();
        match referenced == self.referenced {
            true => Ok(()),
            false => Err(format!("{referenced} timers are referenced, {} are counted", self.referenced)),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.timers.len()
    }
}
