//! What a user asks of time: timers, what is put off to the next tick or turn, and how long a turn may take.

use std::time::Duration;

use super::Net;
use super::agenda::Task;
use super::conn::rare::AfterYield;
use super::trace::{Kind, Whom};
use crate::base::error::Error;
use crate::base::id::{SocketId, TimerId};

impl Net {
    /// A timer that is due once, after `delay`: at least 1 ms, at most 2^31 - 1 ms, never early.
    #[doc(alias = "setTimeout")]
    pub fn after(&mut self, delay: Duration) -> TimerId {
        self.set_timer(delay, None)
    }

    /// A timer that is due again and again, `period` after the turn that it fired in. Periods that were missed are not made up
    /// for.
    #[doc(alias = "setInterval")]
    pub fn every(&mut self, period: Duration) -> TimerId {
        self.set_timer(period, Some(period))
    }

    fn set_timer(&mut self, delay: Duration, every: Option<Duration>) -> TimerId {
        let now = self.cx.time_of_call();
        let id = self.timers.set(now, delay, every, &mut self.cx.clock);
        self.tell_set(id, delay, every.is_some());
        id
    }

    /// Takes a timer back. False if it is gone already.
    #[doc(alias = "clearTimeout")]
    pub fn cancel(&mut self, id: TimerId) -> bool {
        let was_there = self.timers.cancel(id, &mut self.cx.clock);
        if was_there {
            self.cx.agenda.notes.add(Whom::Loop, Kind::TakenBack(id), || format!("{id} was taken back"));
        }
        was_there
    }

    /// Whether the timer keeps the loop running.
    pub fn set_timer_ref(&mut self, id: TimerId, on: bool) {
        self.timers.set_ref(id, on);
    }

    pub(crate) fn timer_exists(&self, id: TimerId) -> bool {
        self.timers.exists(id)
    }

    /// Has [`Event::Tick`](super::Event::Tick) with this number come before the next piece of work.
    #[doc(alias = "nextTick")]
    pub fn next_tick(&mut self, number: u64) {
        self.tell_put_off(number, "for the next tick");
        self.cx.agenda.push(Task::NextTick(number));
    }

    /// Has [`Event::Tick`](super::Event::Tick) with this number come after all that has come in was served once: in
    /// this turn, or in the next one if it is asked for there.
    #[doc(alias = "setImmediate")]
    pub fn next_turn(&mut self, number: u64) {
        self.tell_put_off(number, "until the reads of a turn are done");
        self.cx.agenda.next_turns.push(number);
    }

    /// Takes back what was put off by [`Net::next_turn`] and has not come yet.
    pub(crate) fn cancel_next_turn(&mut self, number: u64) {
        self.cx.agenda.next_turns.remove(number);
    }

    // ---- the time of a turn ----------------------------------------------------------------------------------------------

    /// How long a turn may work. Default 5 ms. `None` is no bound.
    ///
    /// What peers send gives work to the handlers, and no bound of bytes bounds that. So each phase of a turn has a share of
    /// this time: reads and accepts, what [`Net::next_turn`] has put off, what was broadcast, closes, timers. When its share
    /// is over, a phase does one piece of work more, one event at the most, and leaves the rest, in order, to the next turn.
    /// So a turn takes this time, and what one event's handler takes in each of five phases. [`Counters::longest_turn`] is
    /// what it really took.
    ///
    /// One handler is not interrupted. One that works through much by itself asks [`Net::time_is_up`].
    ///
    /// # Errors
    /// Less than a microsecond.
    ///
    /// [`Counters::longest_turn`]: field@super::Counters::longest_turn
    pub fn set_turn_budget(&mut self, budget: Option<Duration>) -> Result<(), Error> {
        if let Some(budget) = budget
            && budget < Duration::from_micros(1)
        {
            return Err(Error::invalid(format!("turn budget of {budget:?}: it is at least 1 us; `None` is no bound")));
        }
        self.cx.time.set_budget(budget);
        Ok(())
    }

    /// How long a turn may work: see [`Net::set_turn_budget`].
    pub fn turn_budget(&self) -> Option<Duration> {
        self.cx.time.budget()
    }

    /// Whether the handler that asks should stop, and go on in a later turn: for one that does many things by itself, to be
    /// asked before each. What it has not done goes on by [`Net::yield_turn`], or by [`Net::next_turn`].
    ///
    /// It is so when the time of the turn is up, and also when a receiver of a broadcast passes its output limit while it
    /// waits to be flushed: only the flush shows whether it keeps up, so whoever speaks should wait for that.
    ///
    /// The clock is read seldom, so this may be asked for each line.
    pub fn time_is_up(&mut self) -> bool {
        self.cx.time.spend(1);
        self.cx.time_is_up()
    }

    /// Gives the turn of a socket to the others: [`Event::Continue`](super::Event::Continue) comes in a later turn, when the
    /// other sockets that are ready have had theirs. If the time is up because a receiver has passed its output limit, it
    /// comes when all that was broadcast until now has been sent, as far as its receivers have room.
    ///
    /// Until then the socket is not read from, and has no `data` and no `end`: what its handler has not worked through goes
    /// before them. It is not paused by this. Of a socket that is destroyed before, there is no event.
    pub fn yield_turn(&mut self, id: SocketId) {
        if let Some(conn) = self.conns.get_mut(id) {
            conn.yield_turn(AfterYield::Event, &mut self.cx);
        }
    }
}
